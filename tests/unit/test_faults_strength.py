"""A fault that is weaker than the scenario asks is told as such, so that no alert is blamed for it."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.events import FaultFail, FaultOk, UndoBegin, UndoOk
from chaoskit.faults import cache_thrash, equipment, processes, queue_batch
from chaoskit.faults import database as dbs
from chaoskit.faults import slice as burners
from chaoskit.faults.base import FaultError, Lapsed, Target
from chaoskit.faults.cache_thrash import CacheThrash
from chaoskit.faults.control_api import Strength, told, too_few
from chaoskit.faults.database import DbError, DbErrorSettings, DbSlow
from chaoskit.faults.equipment import MonitoringKill
from chaoskit.faults.link import HttpError
from chaoskit.faults.process import ProcessCrashLoop
from chaoskit.faults.queue_batch import QueueFlood
from chaoskit.faults.slice import CpuBurn, MemoryBurn
from chaoskit.handles.address import Address
from chaoskit.host import slices
from chaoskit.verify.verdict import Result
from chaoskit.verify.verify import verify
from tests.golden.doctored import recorded, with_events


class Ticks:
    """`ended` of a hold, after so many looks; the clock goes on by `step_s` with each."""

    def __init__(self, looks: int, monkeypatch: pytest.MonkeyPatch, step_s: float = 0.25) -> None:
        self.left, self.now = looks, 0.0
        self.step_s = step_s
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        self.now += self.step_s
        return self.left < 0

    def is_set(self) -> bool:
        return self.left < 0


def test_what_is_too_weak_for_a_while_lapses_and_a_moment_is_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks(0, monkeypatch)
    strength = Strength("cores", 1.0)
    for got in (0.5, 1.2, 0.5, 1.1, 0.5, 0.5, 0.5, 0.5):
        strength.look(got, 1.2)
        ticks.wait()
    with pytest.raises(Lapsed, match=r"weaker than asked for: 0\.5 of 1\.2 cores"):
        strength.look(0.5, 1.2)


@given(st.integers(0, 3000), st.sampled_from([0.05, 0.1, 0.5, 0.95, 1.0]))
def test_an_exact_dose_is_never_too_small_and_half_of_it_is_once_there_are_enough(seen: int, ratio: float) -> None:
    assert not too_few(int(seen * ratio), seen, ratio)
    assert too_few(int(seen * ratio / 2), seen, ratio) or seen * ratio < 60


@pytest.mark.parametrize("told_at", [FaultOk, UndoBegin, UndoOk])
@pytest.mark.parametrize("name", ["never-detected", "never-held"])
def test_an_alert_is_not_blamed_for_a_fault_that_was_too_weak(name: str, told_at: type[Any]) -> None:
    """Whether that is told while it is in force, or only at its end."""
    history = recorded(name)
    assert verify(history).result is Result.FAIL, "the control"
    events: list[Any] = []
    for event in history.events:
        events.append(event)
        if isinstance(event, told_at):
            events.append(FaultFail(fault=event.fault, reason=told(0.5, 1.2, "cores"), lapsed=True, t=event.t))
    verdict = verify(with_events(history, events))
    assert verdict.result is Result.UNKNOWN
    assert any("0.5 of 1.2 cores" in row.reason for row in verdict.rows if row.hop == "effect")


def link(
    monkeypatch: pytest.MonkeyPatch, shown: list[dict[str, int]], ratio: float = 0.5, path: str = "", **more: float
) -> Any:
    left = iter(shown)
    monkeypatch.setattr("chaoskit.faults.link.ask", lambda *_: (200, next(left, shown[-1])))
    undo = {"at": {}, "link": "upstream", "id": "x", "toxic": {"ratio": ratio, "path": path, **more}}
    return HttpError().hold(undo, Ticks(len(shown) - 1, monkeypatch))  # type: ignore[arg-type]


def test_a_link_on_which_fewer_calls_are_hit_than_asked_for_lapses(monkeypatch: pytest.MonkeyPatch) -> None:
    link(monkeypatch, [{"seen": 0, "hit": 0}, {"seen": 400, "hit": 200}])
    with pytest.raises(Lapsed, match=r"weaker than asked for: 100 of 200 calls on upstream hit"):
        link(monkeypatch, [{"seen": 4, "hit": 2}, {"seen": 400, "hit": 100}])


def test_calls_that_are_held_for_less_than_asked_for_lapse(monkeypatch: pytest.MonkeyPatch) -> None:
    link(monkeypatch, [{"seen": 4, "hit": 4, "held_vs": 15}], ratio=1.0, delay_vs=15.0)
    with pytest.raises(Lapsed, match=r"4 of 15 virtual s for which a call on upstream was held"):
        link(monkeypatch, [{"seen": 4, "hit": 4, "held_vs": 4}], ratio=1.0, delay_vs=15.0)


def test_a_link_on_which_no_call_was_ever_hit_says_so_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that nothing asks for, say; a change counts anew, and what was hit before it was hit."""
    with pytest.raises(Lapsed, match=r"no call on upstream was ever hit by http\.error: 0 calls whose path matches /x"):
        link(monkeypatch, [{"seen": 0, "hit": 0}] * 3, path="/x")
    link(monkeypatch, [{"seen": 4, "hit": 2}, {"seen": 0, "hit": 0}])


def test_a_queue_far_below_its_level_lapses_before_an_alert_could_be_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    undo = {"at": {}, "queue": "tasks", "batch": "b", "level": 100, "kept": True}
    monkeypatch.setattr(queue_batch._Practice, "put", lambda *_, **__: None)
    for depth, lapses in ((95, False), (60, True)):
        monkeypatch.setattr(queue_batch._Practice, "census", lambda *_, depth=depth: {"depth": depth})
        if lapses:
            with pytest.raises(Lapsed, match=r"weaker than asked for: 60 of 100 messages in tasks \(depth\)"):
                QueueFlood().hold(undo, Ticks(9, monkeypatch))  # type: ignore[arg-type]
        else:
            QueueFlood().hold(undo, Ticks(9, monkeypatch))  # type: ignore[arg-type]


def test_a_cache_that_pushes_out_less_than_asked_for_lapses(monkeypatch: pytest.MonkeyPatch) -> None:
    for each, lapses in ((200, False), (100, True)):
        looks = iter(range(100))

        def statistics(*_: object, each: int = each, looks: Any = looks) -> dict[str, int]:
            n = next(looks)
            return {"hits": 800 * n, "misses": 200 * n, "evictions": each * n}

        monkeypatch.setattr(cache_thrash, "_statistics", statistics)
        monkeypatch.setattr(cache_thrash._Thrasher, "dose", lambda *_: None)
        undo = {"service": "http://127.0.0.1:1", "ratio": 0.2, "path": "/{key}", "prefix": "p"}
        if lapses:
            with pytest.raises(Lapsed, match=r"0\.105 of 0\.2 of all look-ups push an entry out"):
                CacheThrash().hold(undo, Ticks(9, monkeypatch))  # type: ignore[arg-type]
        else:
            CacheThrash().hold(undo, Ticks(9, monkeypatch))  # type: ignore[arg-type]


def burning(monkeypatch: pytest.MonkeyPatch, cores: float) -> Ticks:
    ticks = Ticks(60, monkeypatch)
    monkeypatch.setattr(burners, "find", lambda _: [])
    told = SimpleNamespace(pids=list, used_s=lambda _: ticks.now * cores)
    monkeypatch.setitem(slices.KINDS, "Slice", lambda *_: told)  # type: ignore[arg-type]
    monkeypatch.setattr(burners, "_Yielding", lambda: type("M", (), {"look": lambda *_: None})())
    return ticks


@pytest.mark.parametrize(("got", "lapses"), [(1.15, False), (1.0, True), (0.5, True)])
def test_burners_that_get_less_than_asked_for_over_some_seconds_lapse(
    monkeypatch: pytest.MonkeyPatch, got: float, lapses: bool
) -> None:
    ticks = burning(monkeypatch, got)
    if lapses:
        with pytest.raises(Lapsed, match=f"the burners got {got:.2f} of 1.2 cores"):
            CpuBurn().hold({"burners": 0, "cores": 1.2, "burn": "x"}, ticks)  # type: ignore[arg-type]
        assert ticks.now <= (5.5 if got > 0.84 else 1.5)
    else:
        CpuBurn().hold({"burners": 0, "cores": 1.2, "burn": "x"}, ticks)  # type: ignore[arg-type]


def test_a_slice_that_is_not_topped_up_to_what_was_asked_for_lapses(monkeypatch: pytest.MonkeyPatch) -> None:
    undo = {"burners": 0, "cores": 0.35, "whole": ["Slice", "A_SLICE", "x"]}
    CpuBurn().hold(undo, burning(monkeypatch, 0.34))  # type: ignore[arg-type]
    with pytest.raises(Lapsed, match=r"the slice got 0\.20 of 0\.35 cores in 1\.0 s"):
        CpuBurn().hold(undo, burning(monkeypatch, 0.2))  # type: ignore[arg-type]


def test_memory_that_does_not_stay_resident_lapses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Swapped out, it presses on nothing."""
    monkeypatch.setattr(burners, "find", lambda _: [psutil.Process()])
    monkeypatch.setattr(processes, "lives", lambda _: True)
    for resident, lapses in ((400, False), (300, True)):
        monkeypatch.setattr(burners, "_resident", lambda _, resident=resident: resident * 2**20)
        if lapses:
            with pytest.raises(Lapsed, match="weaker than asked for: 300 of 400 MiB held"):
                MemoryBurn().hold({"size": 400 * 2**20}, Ticks(9, monkeypatch))  # type: ignore[arg-type]
        else:
            MemoryBurn().hold({"size": 400 * 2**20}, Ticks(9, monkeypatch))  # type: ignore[arg-type]


def database(tmp_path: Path) -> str:
    file = tmp_path / "x.db"
    with contextlib.closing(sqlite3.connect(file)) as made, made:
        made.execute("CREATE TABLE audit (what TEXT NOT NULL)")
        made.execute("INSERT INTO audit VALUES ('x')")
    made.close()
    return str(file)


def test_a_lock_that_is_held_for_less_of_the_time_than_asked_for_lapses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gap takes a second here, as on a machine that lets the holder wait."""
    undo = {"file": database(tmp_path), "locked_s": 0.8, "gap_s": 0.2}
    ticks = Ticks(1000, monkeypatch)

    def wait(timeout: float) -> bool:
        ticks.now += timeout if timeout == 0.8 else late_s
        return Ticks.wait(ticks)

    ticks.step_s = 0.0
    monkeypatch.setattr(ticks, "wait", wait)
    late_s = 0.2
    ticks.left = 100
    DbSlow().hold(undo, ticks)  # type: ignore[arg-type]
    late_s, ticks.left = 1.0, 100
    with pytest.raises(Lapsed, match=r"weaker than asked for: 0\.4\d* of 0\.8 of the time locked"):
        DbSlow().hold(undo, ticks)  # type: ignore[arg-type]
    assert dbs._SPAN_PULSES == 10


@pytest.mark.parametrize("operation", ["insert", "update", "delete"])
def test_statements_that_are_not_really_refused_are_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    target = Target("database:d", ("d",), Address(file=database(tmp_path)))
    undo = DbError().prepare(target, DbErrorSettings.model_validate({"table": "audit", "operation": operation}))
    DbError().start(undo)
    DbError().stop(undo)
    with dbs.connected(undo["file"]) as open_one:
        tried = dbs._refused(open_one, undo)
        assert tried is (operation == "insert"), "an insert without its column cannot be tried"
        assert open_one.execute("SELECT count(*) FROM audit").fetchone() == (1,), "it was taken back"
    monkeypatch.setattr(dbs, "_refused", lambda *_: False)
    with pytest.raises(FaultError, match=f"an {operation} on audit is not refused"):
        DbError().start(undo)
    DbError().stop(undo)


def test_a_crash_loop_whose_victim_comes_back_late_is_no_such_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "find", lambda _: {})
    monkeypatch.setattr("chaoskit.faults.process._REPLACED_S", 0.05)
    undo = {"times": 3, "every_s": 0.05, "victims": [{"name": "w1"}], "pattern": "x"}
    with pytest.raises(Lapsed, match=r"w1 was not replaced within 0\.05 s, so it dies too seldom: see its supervisor"):
        ProcessCrashLoop().hold(undo, threading.Event())


def test_equipment_that_answers_though_it_should_be_down_lapses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equipment, "_open", lambda port: port == 2)
    MonitoringKill().hold({"ports": {"prometheus": [1], "mail-sink": []}}, Ticks(3, monkeypatch))  # type: ignore[arg-type]
    with pytest.raises(Lapsed, match="alertmanager was started again by a program other than chaoskit"):
        MonitoringKill().hold({"ports": {"alertmanager": [2]}}, Ticks(3, monkeypatch))  # type: ignore[arg-type]
