"""heal: from a journal alone, however little of it is left, and honest about what it cannot know."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaoskit import identity, waiting
from chaoskit.cli import run as chaoskit
from chaoskit.events import Invoke, UndoOk
from chaoskit.faults import processes
from chaoskit.faults.base import FaultError, Seen, Settings, Target, Undo
from chaoskit.faults.database import DbSlow
from chaoskit.faults.process import ProcessPause
from chaoskit.faults.slice import DiskFill
from chaoskit.handles.address import Address
from chaoskit.safety import heal as healing
from chaoskit.safety.heal import heal
from chaoskit.safety.healbook import BOOK, Busy, HealBook, HealEnd, read_book
from chaoskit.safety.unhealed import Tail, in_use, read_standing
from tests.safety_examples import PATTERN, filled, inject, invoke, journal, sleeper, state

__all__ = ["inject", "sleeper", "state"]
pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A dead run's folder, with a fault that it left in force: a file of 4 KiB."""
    room = tmp_path / "room"
    room.mkdir()
    journal(tmp_path / "run", invoke("disk.fill", filled(room))).close()
    return tmp_path / "run"


def files(run: Path) -> list[Path]:
    return list((run.parent / "room").iterdir())


def test_what_a_dead_run_left_is_undone_seen_to_be_gone_and_noted(run: Path) -> None:
    assert files(run)
    found = heal(run, "test", "its run is gone")
    assert found.ok
    assert [(one.fault.fault, one.detail) for one in found.faults] == [("one#0", "removed")]
    assert files(run) == []
    book = read_book(run / BOOK)
    assert [e.fault for e in book.events if isinstance(e, UndoOk)] == ["one#0"]
    assert book.healed


def test_healing_again_finds_nothing_and_writes_nothing(run: Path) -> None:
    heal(run, "test", "once")
    before = (run / BOOK).read_bytes()
    again = heal(run, "test", "twice")
    assert again.ok
    assert again.faults == ()
    assert (run / BOOK).read_bytes() == before


def test_a_fault_that_the_run_undid_itself_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    undo = filled(tmp_path / "room")
    journal(tmp_path / "run", invoke("disk.fill", undo), UndoOk(fault="one#0", gone=(1, 2))).close()
    assert heal(tmp_path / "run", "test", "").faults == ()
    assert Path(undo["file"]).exists()
    DiskFill().stop(undo)


def test_after_a_change_the_altered_token_is_the_one_that_counts(tmp_path: Path) -> None:
    from chaoskit.events import Alter

    first, second = {"level": 1}, {"level": 2}
    altered = Alter(step="more", fault="one#0", settings={}, undo=second)
    journal(tmp_path / "run", invoke("http.slow", first), altered).close()
    assert read_standing(tmp_path / "run").standing["one#0"].undo == second


def test_a_journal_cut_at_every_byte_is_healed_exactly_when_its_invoke_is_whole(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No cut raises; a fault without its whole line never began, so nothing is touched for it."""
    monkeypatch.setattr(healing, "find_holders", lambda folder: [])
    data = (run / "events.jsonl").read_bytes()
    undo = next(iter(read_standing(run).standing.values())).undo
    heal(run, "test", "tidy")
    first, second = data.index(b"\n") + 1, len(data)
    for cut in range(len(data) + 1):
        folder = run.parent / "cut"
        folder.mkdir(exist_ok=True)
        (folder / BOOK).unlink(missing_ok=True)
        (folder / "events.jsonl").write_bytes(data[:cut])
        Path(undo["file"]).write_bytes(b"x")
        found = heal(folder, "test", "cut")
        assert found.ok, cut
        assert Path(undo["file"]).exists() == (cut < second), cut
        assert len(found.faults) == (1 if cut >= second else 0)
    assert first < second
    Path(undo["file"]).unlink(missing_ok=True)


def test_a_damaged_line_hides_nothing_else_but_the_run_does_not_count_as_healed(run: Path) -> None:
    """What that line said of faults is lost, so nobody may say that nothing is left."""
    data = (run / "events.jsonl").read_bytes().splitlines(keepends=True)
    (run / "events.jsonl").write_bytes(data[0] + b'{"type":"inv\x00\xff\n' + data[1])
    found = heal(run, "test", "")
    assert files(run) == []
    assert not found.ok
    assert found.trouble == ("1 lines of the journal are damaged",)
    assert read_book(run / BOOK).healed is False


def test_a_journal_that_cannot_be_read_is_no_healed_run(tmp_path: Path) -> None:
    found = heal(tmp_path, "test", "")
    assert not found.ok
    assert "cannot be read" in found.trouble[0]


def test_a_token_of_an_earlier_boot_is_void_and_hits_nobody(tmp_path: Path, sleeper: psutil.Process) -> None:
    undo = ProcessPause().prepare(Target("role:worker", ("w1",), Address(pattern=PATTERN)), Settings())
    ProcessPause().start(undo)
    journal(tmp_path / "run", invoke("process.pause", undo | {"boot": "another"})).close()
    found = heal(tmp_path / "run", "test", "after a reboot")
    assert found.ok
    assert "restarted" in found.faults[0].detail
    assert processes.stopped(sleeper), "not misapplied"
    sleeper.send_signal(signal.SIGCONT)


def test_a_journal_of_a_version_that_noted_when_a_process_was_created_is_healed(
    tmp_path: Path, sleeper: psutil.Process
) -> None:
    victim = {"name": "w1", "pid": sleeper.pid, "created": sleeper.create_time()}
    undo = {"boot": identity.boot_id(), "pattern": PATTERN, "victims": [victim]}
    sleeper.send_signal(signal.SIGSTOP)
    assert waiting.await_true(lambda: processes.stopped(sleeper), 10)
    journal(tmp_path / "run", invoke("process.pause", undo)).close()
    assert heal(tmp_path / "run", "test", "killed before an update").ok
    assert not processes.stopped(sleeper)


def test_a_kind_that_is_not_installed_here_is_named_and_not_healed(tmp_path: Path) -> None:
    journal(tmp_path / "run", invoke("their.own", {})).close()
    found = heal(tmp_path / "run", "test", "")
    assert not found.ok
    assert "there is no fault kind their.own here" in found.faults[0].detail


def test_scripted_series_of_a_killed_rehearsal_are_gone_with_it(tmp_path: Path) -> None:
    journal(tmp_path / "run", invoke("series", {"series": ["up"]})).close()
    assert heal(tmp_path / "run", "test", "its run is dead").ok
    assert not read_standing(tmp_path / "run").standing


def test_an_undo_that_hangs_is_given_up_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    class Hangs(DiskFill):
        def stop(self, undo: Undo) -> Seen:
            release.wait(30)
            raise FaultError("too late")

    monkeypatch.setattr(healing, "known", lambda: {"disk.fill": Hangs()})
    monkeypatch.setattr(healing, "_UNDO_S", 0.1)
    journal(tmp_path / "run", invoke("disk.fill", {"file": str(tmp_path / "chaoskit-fill-0123456789ab")})).close()
    found = heal(tmp_path / "run", "test", "")
    release.set()
    assert not found.ok
    assert "not done within 0.1 s" in found.faults[0].detail


def slow(tmp_path: Path, **pulses: object) -> Invoke:
    """A lock on a database that no process holds any more, with such pulses in its token."""
    file = tmp_path / "room.db"
    sqlite3.connect(file).execute("CREATE TABLE IF NOT EXISTS leads (id INTEGER)").connection.close()
    return invoke("db.slow", {"file": str(file), "gap_s": 0.1, **pulses})


@pytest.mark.parametrize("pulses", [{}, *({"locked_s": odd} for odd in ("soon", 1e12, 1e6, float("nan"), -1, None))])
def test_the_undo_of_a_lock_asks_nothing_of_its_pulses(tmp_path: Path, pulses: dict[str, object]) -> None:
    journal(tmp_path / "run", slow(tmp_path, **pulses)).close()
    assert [(one.ok, one.detail) for one in heal(tmp_path / "run", "test", "").faults] == [
        (True, "writers need not wait")
    ]


@pytest.mark.parametrize("longest_s", [1e12, 1e6, float("nan"), -1.0, "soon"])
def test_a_token_whose_undo_would_take_days_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest_s: Any
) -> None:
    class Long(DbSlow):
        def longest_undo_s(self, undo: Undo) -> float:
            return float(longest_s)

        def stop(self, undo: Undo) -> Seen:
            raise AssertionError("it is not undone")

    monkeypatch.setattr(healing, "known", lambda: {"db.slow": Long()})
    journal(tmp_path / "run", slow(tmp_path)).close()
    (one,) = heal(tmp_path / "run", "test", "").faults
    assert not one.ok
    assert "undo it by hand" in one.detail


def test_one_undo_that_fails_keeps_no_other_from_being_done(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    good, bad = filled(tmp_path / "room"), {"file": str(tmp_path)}  # a folder: it cannot be unlinked
    events = [invoke("disk.fill", bad, "bad#0"), invoke("disk.fill", good), invoke("disk.fill", bad, "bad#1")]
    journal(tmp_path / "run", *events).close()
    found = heal(tmp_path / "run", "test", "")
    assert {one.fault.fault: one.ok for one in found.faults} == {"bad#0": False, "one#0": True, "bad#1": False}
    assert not Path(good["file"]).exists()


def test_a_book_that_cannot_be_written_keeps_nothing_from_being_undone(run: Path) -> None:
    (run / BOOK).mkdir()
    found = heal(run, "test", "")
    assert found.ok
    assert files(run) == []
    assert "cannot write" in found.trouble[0]


def test_a_book_has_one_writer_and_a_half_line_of_a_dead_one_is_cut_off(tmp_path: Path) -> None:
    book = HealBook(tmp_path / BOOK)
    book.write(HealEnd(healed=False, left=["x"]))
    with pytest.raises(Busy):
        HealBook(tmp_path / BOOK)
    book.close()
    with (tmp_path / BOOK).open("ab") as file:
        file.write(b'{"type":"undo-ok","fa')
    second = HealBook(tmp_path / BOOK)
    second.write(HealEnd(healed=True, left=[]))
    second.close()
    lines = [json.loads(line) for line in (tmp_path / BOOK).read_text().splitlines()]
    assert [(line["n"], line["healed"]) for line in lines] == [(0, False), (1, True)]


def test_a_tail_sees_faults_come_and_go_without_reading_anything_twice(tmp_path: Path) -> None:
    one = journal(tmp_path / "run")
    tail = Tail(tmp_path / "run")
    assert tail.look() == []
    one.write(invoke("disk.fill", {}))
    assert [fault.fault for fault in tail.look()] == ["one#0"]
    assert [fault.fault for fault in tail.look()] == ["one#0"]
    one.write(UndoOk(fault="one#0", gone=(1, 2)))
    assert tail.look() == []
    one.close()


def test_a_run_is_in_use_exactly_while_its_journal_is_open(tmp_path: Path) -> None:
    one = journal(tmp_path / "run")
    assert in_use(tmp_path / "run")
    one.close()
    assert not in_use(tmp_path / "run")


def test_the_command_heals_and_tells_what_it_undid(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chaoskit(["heal", str(run), "--trust"]) == 0
    assert "undone      one#0 disk.fill w1" in capsys.readouterr().out
    assert chaoskit(["heal", "--all", "--out", str(run.parent)]) == 0
    assert "nothing was left to undo" in capsys.readouterr().out


def test_the_command_ends_with_5_when_something_may_still_be_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal(tmp_path / "run", invoke("their.own", {})).close()
    assert chaoskit(["heal", "run", "--trust", "--out", str(tmp_path)]) == 5
    assert "NOT UNDONE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["heal"], "name the folder of a run, or write --all"),
        (["heal", "nowhere"], "no run's folder: it holds no events.jsonl"),
        (["heal", "x", "--all"], "name the folder of a run, or write --all"),
    ],
)
def test_what_cannot_be_healed_is_refused_with_a_reason(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chaoskit(words) == 2
    assert said in capsys.readouterr().err


def test_a_run_that_is_at_work_is_not_healed_behind_its_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "room").mkdir()
    undo = filled(tmp_path / "room")
    one = journal(tmp_path / "run", invoke("disk.fill", undo))
    assert chaoskit(["heal", str(tmp_path / "run")]) == 2
    assert "still at work" in capsys.readouterr().err
    assert chaoskit(["heal", "--all", "--out", str(tmp_path)]) == 0
    assert Path(undo["file"]).exists()
    one.close()
    DiskFill().stop(undo)


def test_status_tells_what_stands_and_ends_with_5_where_nobody_is_at_work_on_it(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chaoskit(["status", "--out", str(run.parent)]) == 5
    said = capsys.readouterr().out
    assert "gone" in said
    assert "one#0 disk.fill w1" in said
    heal(run, "test", "")
    assert chaoskit(["status", "--out", str(run.parent)]) == 0
    assert "nothing runs, nothing is in force" in capsys.readouterr().out


def test_no_settings_of_a_fault_reach_a_shell_or_a_terminal_raw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names in a journal may hold anything; a terminal gets no control characters."""
    event: Any = invoke("their.own", {}, fault="one#0\x1b[31m")
    journal(tmp_path / "run", event).close()
    chaoskit(["heal", str(tmp_path / "run")])
    assert "\x1b" not in capsys.readouterr().out
