"""The CRM's parts by themselves: heartbeats, doses, the metrics pipe and page, the cache, the configuration."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.crm import physics, worker
from chaoskit.crm.config import SLICE_ENV, Clock, Config, admin_token, load, own_slice
from chaoskit.crm.contract import Metric, metrics
from chaoskit.crm.emit import Emitter
from chaoskit.crm.health import Pulse, heartbeat_s, silence_s
from chaoskit.crm.page import Page
from chaoskit.crm.responses import ReportCache
from chaoskit.crm.supervisor import Child, Supervisor
from chaoskit.crm.toxics import Dose, parse
from chaoskit.crm.wiring import Pipe, open_wiring
from chaoskit.errors import BadInput

CONTRACT = metrics(("worker-1",), "local")


def test_three_heartbeats_make_a_worker_healthy() -> None:
    pulse = Pulse(born_s=0, allowed_silence_s=0.5)
    for at_s in (0.1, 0.2):
        pulse.beat(at_s)
        assert not pulse.healthy(at_s)
    pulse.beat(0.3)
    assert pulse.healthy(0.3)


def test_silence_makes_it_unhealthy_and_three_more_heartbeats_healthy() -> None:
    pulse = Pulse(born_s=0, allowed_silence_s=0.5)
    for at_s in (0.1, 0.2, 0.3):
        pulse.beat(at_s)
    assert pulse.healthy(0.8)
    assert not pulse.healthy(0.81)
    pulse.beat(1.0)
    pulse.beat(1.1)
    assert not pulse.healthy(1.1)
    pulse.beat(1.2)
    assert pulse.healthy(1.2)


def test_heartbeats_read_late_by_a_starved_supervisor_are_no_silence() -> None:
    pulse = Pulse(born_s=0, allowed_silence_s=0.5)
    for beat in range(1, 31):
        pulse.beat(beat / 10)  # all read at 3.05, stamped when they were sent
    assert pulse.healthy(3.05)


def test_who_dies_while_the_first_is_replaced_is_reported_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers killed at once: a scrape that sees one of them down sees the other down too."""
    wiring = open_wiring(Config(data_dir=str(tmp_path), admin_token_file=""), "q", "token")
    supervisor = Supervisor(wiring)
    first, second, *_ = supervisor._workers.values()
    alive: list[subprocess.Popen[bytes]] = []

    def start(child: Child) -> None:
        replaced = child.started_s > 0
        alive.append(subprocess.Popen(["sleep", "60"]))
        child.pid, child.started_s, child.pulse = alive[-1].pid, 1.0, Pulse(0, 1e9)
        if replaced:
            kill(second)
            return
        for at_s in range(physics.HEALTHY_AFTER_BEATS):
            child.pulse.beat(at_s)

    def kill(child: Child) -> None:
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(supervisor, "_start", start)
    try:
        supervisor._turn()
        os.read(wiring.metrics_pipe.read, 1 << 16)
        kill(first)
        supervisor._turn()
        told = os.read(wiring.metrics_pipe.read, 1 << 16).splitlines()
    finally:
        for process in alive:
            process.kill()
            process.wait(10)
        for listener in wiring.sockets.values():
            listener.close()
    assert [json.loads(line) for line in told] == [
        [["insa_worker_health_status", [name], 0.0] for name in ("worker-1", "worker-2")]
    ]


def test_a_worker_that_is_well_wakes_its_supervisor_no_more_and_its_silence_and_return_are_seen(tmp_path: Path) -> None:
    """Its heartbeats wait in the pipe until its silence would be due; one that is not well is heard at once."""
    wiring = open_wiring(Config(data_dir=str(tmp_path), admin_token_file="", workers=1), "q", "token")
    supervisor, beats = Supervisor(wiring), Pipe.open()
    (child,) = supervisor._workers.values()
    supervisor._services.clear()
    child.pid, child.inbox, child.pulse = os.getpid(), beats.read, Pulse(time.monotonic(), 0.5)
    supervisor._reap = lambda: None  # type: ignore[method-assign]
    supervisor._wake_for(child, True)

    def beat(*ages_s: float) -> None:
        for age_s in ages_s:
            os.write(beats.write, worker.BEAT.pack(time.monotonic() - age_s))

    def awaited() -> bool:
        return beats.read in supervisor._selector.get_map()

    beat(0.02, 0.01, 0.0)
    supervisor._turn()
    assert (child.reported, awaited()) == (True, False)
    beat(0.0)
    os.write(supervisor._wakeup.write, b"!")  # as where another one dies
    supervisor._turn()
    assert (child.reported, child.pulse.silent_from_s > time.monotonic()) == (True, True), "it was heard on the way"
    while child.reported:
        supervisor._turn()
    assert time.monotonic() > child.pulse.silent_from_s
    assert awaited()
    beat(0.02, 0.01, 0.0)
    supervisor._turn()
    assert child.reported, "three heartbeats after a silence"
    for listener in wiring.sockets.values():
        listener.close()
    for end in (beats.read, beats.write):
        os.close(end)


@pytest.mark.parametrize("scale", [1, 10, 60, 120, 600])
def test_noise_of_a_third_of_a_second_is_no_silence_at_any_scale(scale: float) -> None:
    assert silence_s(Clock(scale)) - heartbeat_s(Clock(scale)) > 0.33


@given(st.integers(1, 400), st.sampled_from([0.0, 0.04, 0.05, 0.1, 0.25, 0.333, 0.5, 0.95, 1.0]))
def test_a_dose_hits_exactly_its_share_of_any_number_of_calls(calls: int, ratio: float) -> None:
    dose = Dose(ratio)
    hits = sum(dose.take() for _ in range(calls))
    assert hits == calls * round(ratio * 1000) // 1000


def test_a_dose_of_a_quarter_hits_every_fourth_call_and_never_two_in_a_row() -> None:
    dose = Dose(0.25)
    assert [dose.take() for _ in range(8)] == [False, False, False, True] * 2


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"kind": "http.error", "statsu": 500}, "statsu"),
        ({"kind": "http.melt"}, "http.melt"),
        ({"kind": "http.slow"}, "delay_vs"),
        ({"kind": "tcp.reset", "ratio": 1.5}, "ratio"),
        ({"kind": "tcp.reset", "path": "("}, "unterminated"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(json.dumps(settings).encode())


@pytest.fixture
def pipe() -> Any:
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    yield read, write
    os.close(read)
    os.close(write)


def _drain(read: int, page: Page) -> None:
    try:
        while data := os.read(read, 1000):
            page.take_in(data)
    except BlockingIOError:
        return


def _value(page: Page, series: str) -> float:
    lines = [line.rsplit(" ", 1) for line in page.render().decode().splitlines()]
    return next(float(line[1]) for line in lines if line[0] == series)


def test_every_label_set_is_on_the_page_from_the_start(pipe: Any) -> None:
    text = Page(CONTRACT).render().decode()
    for metric in CONTRACT:
        assert f"# TYPE {metric.name} {metric.kind}" in text
        for labels in metric.label_sets:
            pairs = ",".join(f'{name}="{value}"' for name, value in zip(metric.labels, labels, strict=True))
            wanted = f"{metric.name}{'_count' if metric.kind == 'histogram' else ''}{{{pairs}}}".replace("{}", "")
            assert f"{wanted} {metric.initial}" in text
    assert "_created" not in text


def test_nothing_is_lost_or_counted_twice_while_the_reader_stands_still(pipe: Any) -> None:
    read, write = pipe
    emitter, page = Emitter(write, CONTRACT), Page(CONTRACT)
    stuck = 0
    for _ in range(3000):
        for _ in range(20):
            emitter.inc("insa_cache_hits_total")
            emitter.observe("insa_database_query_duration_seconds", 0.5)
        stuck += not emitter.flush()
    assert stuck, "the pipe never filled, so the test proves nothing"
    while not emitter.flush():
        _drain(read, page)
    _drain(read, page)
    assert _value(page, "insa_cache_hits_total") == 60_000


def test_a_batch_never_exceeds_an_atomic_write(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    emitter = Emitter(pipe[1], CONTRACT)
    sizes: list[int] = []
    monkeypatch.setattr(os, "write", lambda _fd, data: sizes.append(len(data)))
    for number in range(2000):
        emitter.observe("insa_agent_request_duration_seconds", number / 7, "deal-forecaster")
    assert emitter.flush()
    assert len(sizes) > 10
    assert max(sizes) <= select.PIPE_BUF


def test_a_metric_outside_the_contract_is_refused_where_it_is_emitted(pipe: Any) -> None:
    emitter = Emitter(pipe[1], CONTRACT)
    with pytest.raises(ValueError, match="insa_typo_total"):
        emitter.inc("insa_typo_total")
    with pytest.raises(ValueError, match="not a gauge"):
        emitter.level("insa_cache_hits_total", 1)


def test_a_page_that_starts_in_the_middle_of_a_line_goes_on_with_the_next(pipe: Any) -> None:
    page = Page(CONTRACT)
    page.take_in(b'ts_total",[],1.0]]\n[["insa_cache_hits_total",[],2.0]]\n[["insa_cache_')
    assert _value(page, "insa_cache_hits_total") == 2
    page.take_in(b'hits_total",[],3.0]]\n')
    assert _value(page, "insa_cache_hits_total") == 5


def test_a_full_cache_evicts_the_least_recently_used_and_counts_it(pipe: Any) -> None:
    read, write = pipe
    emitter, page = Emitter(write, CONTRACT), Page(CONTRACT)
    cache = ReportCache(2, emitter)
    cache["a"], cache["b"] = {"n": 1}, {"n": 2}
    assert cache.lookup("a") == {"n": 1}
    cache["c"] = {"n": 3}
    assert cache.lookup("b") is None
    assert cache.flush() == 2
    emitter.flush()
    _drain(read, page)
    counted = [_value(page, f"insa_cache_{what}_total") for what in ("hits", "misses", "evictions")]
    assert counted == [1, 1, 1], "a flush is no eviction"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"time_scale": 0}, r"time_scale"), ({"wrokers": 2}, "wrokers"), ({"workers": 0}, r"workers")],
)
def test_a_setting_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, settings: dict[str, Any], complaint: str
) -> None:
    path = tmp_path / "crm.json"
    path.write_text(json.dumps({"data_dir": "x", "admin_token_file": "y", **settings}), encoding="utf-8")
    with pytest.raises(BadInput, match=complaint):
        load(path)


@pytest.mark.parametrize("mark", ["", "a b", "x" * 25])
def test_a_slice_that_cannot_mark_processes_is_refused(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SLICE_ENV, mark)
    with pytest.raises(BadInput, match=f"'{mark}' cannot mark processes"):
        own_slice()


@pytest.mark.parametrize(
    ("content", "complaint"), [(None, "cannot be read"), ("\n", "there is no administration token")]
)
def test_a_crm_without_an_administration_token_does_not_start(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=complaint):
        admin_token(Config(data_dir=str(tmp_path), admin_token_file=str(token)))


def test_the_contract_lists_each_label_set_once() -> None:
    def distinct(metric: Metric) -> bool:
        return len(set(metric.label_sets)) == len(metric.label_sets)

    assert all(distinct(metric) for metric in CONTRACT)
    assert len({metric.name for metric in CONTRACT}) == len(CONTRACT)


def test_a_stroke_of_the_bell_sends_one_worker_to_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """It wakes all of them: one that finds it taken rests on, until the next one or its poll."""
    bell = Pipe.open()
    idle = worker.Worker.__new__(worker.Worker)
    idle._bell, idle._poll_s = bell.read, 60.0
    woken: list[bytes] = [b"", b"", b"!!"]

    def select(fds: list[int], *_: object) -> tuple[list[int], list[int], list[int]]:
        os.write(bell.write, woken.pop(0))
        return fds, [], []

    monkeypatch.setattr("chaoskit.crm.worker.select.select", select)
    idle._rest()
    assert woken == []
    assert os.read(bell.read, 9) == b"!", "the other stroke is for another worker"
    monkeypatch.setattr("chaoskit.crm.worker.select.select", lambda *_: ([], [], []))
    idle._rest()
    os.close(bell.read)
    os.close(bell.write)
