"""Whoever dies, hangs or is told twice to stop: what was in force is undone, once, by somebody who says so."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chaoskit import waiting
from chaoskit.errors import EquipmentError
from chaoskit.events import End, FaultFail, Interruption, Invoke, UndoOk
from chaoskit.faults import processes
from chaoskit.faults.base import Settings, Target
from chaoskit.faults.process import ProcessPause
from chaoskit.handles.address import Address
from chaoskit.history import read_history
from chaoskit.run.runner import Runner
from chaoskit.safety.heal import find_holders
from chaoskit.safety.healbook import BOOK, HealBegin, read_book
from chaoskit.safety.lease import Lease
from tests.safety_examples import (
    PATTERN,
    TARGET,
    command,
    environment,
    in_force,
    inject,
    invoke,
    journal,
    ours,
    sleeper,
    state,
    with_word,
)

__all__ = ["sleeper", "state"]


@pytest.fixture
def run(state: Path, tmp_path: Path, sleeper: psutil.Process) -> Iterator[subprocess.Popen[str]]:
    """A run that holds the sleeper paused; at the end nothing of ours may be left."""
    one = inject(state, tmp_path / "runs")
    yield one
    if one.poll() is None:
        one.kill()
    one.wait(timeout=10)
    assert one.stdout is not None
    one.stdout.close()
    assert waiting.await_true(lambda: not ours(state), 15), ours(state)
    assert not processes.stopped(sleeper)


def at_once(victims: list[psutil.Process]) -> None:
    """Kills all of them as if in one instant: those that stand still first cannot heal when the next one dies."""
    for deed in (psutil.Process.suspend, psutil.Process.kill):
        for process in victims:
            deed(process)


def healed_by_watchdog(folder: Path) -> str:
    """Waits until the heal book is closed; the reason it begins with."""
    assert waiting.await_true(lambda: read_book(folder / BOOK).healed is not None, 15)
    book = read_book(folder / BOOK)
    assert book.healed
    begin = next(event for event in book.events if isinstance(event, HealBegin))
    assert begin.by == "watchdog"
    return begin.reason


def test_a_run_that_is_killed_is_healed_and_that_is_noted(run: subprocess.Popen[str], sleeper: psutil.Process) -> None:
    """Its invoke was on disk before the effect: by that it is healed."""
    folder = in_force(run)
    assert processes.stopped(sleeper)
    invoke_, *_ = read_history(folder).of(Invoke)
    assert invoke_.undo["victims"][0]["pid"] == sleeper.pid
    run.kill()
    assert healed_by_watchdog(folder) == "the run is gone"
    assert not processes.stopped(sleeper)
    assert [e.fault for e in read_book(folder / BOOK).events if isinstance(e, UndoOk)] == ["by-hand#0"]


def test_a_run_whose_whole_process_group_is_killed_is_healed(run: subprocess.Popen[str]) -> None:
    folder = in_force(run)
    os.killpg(run.pid, signal.SIGKILL)
    assert healed_by_watchdog(folder) == "the run is gone"


def test_the_first_reason_is_said_also_after_an_end_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that wakes up hears that its effect went, which needs no word, before its lease is found lost."""
    runner, said = Runner.__new__(Runner), list[str]()
    runner._interrupted, runner._idling, runner.interrupted = threading.Event(), False, False
    monkeypatch.setattr(runner, "_say", lambda event: said.append(event.reason))
    for reason in ("", "the lease was lost", "Ctrl-C"):
        runner.interrupt(reason)
    assert said == ["the lease was lost"]


def test_a_run_that_hangs_is_healed_and_keeps_its_hands_off_when_it_wakes_up(
    run: subprocess.Popen[str], sleeper: psutil.Process
) -> None:
    """It ends with 4, says why, and undoes nothing itself: that is the watchdog's now."""
    folder = in_force(run)
    run.send_signal(signal.SIGSTOP)
    assert "silent" in healed_by_watchdog(folder)
    assert not processes.stopped(sleeper)
    run.send_signal(signal.SIGCONT)
    assert run.wait(timeout=30) == 4
    history = read_history(folder)
    assert "lease" in next(history.of(Interruption)).reason
    assert list(history.of(UndoOk)) == []
    assert next(history.of(End)).healed


def test_a_hang_that_is_shorter_than_the_lease_is_no_trouble(run: subprocess.Popen[str]) -> None:
    folder = in_force(run)
    run.send_signal(signal.SIGSTOP)
    threading.Event().wait(1.0)
    run.send_signal(signal.SIGCONT)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=30) == 4
    assert not (folder / BOOK).exists()
    assert len(list(read_history(folder).of(UndoOk))) == 1


def test_a_fault_whose_holder_is_killed_is_undone_by_the_run_at_once(
    run: subprocess.Popen[str], state: Path, sleeper: psutil.Process
) -> None:
    folder = in_force(run)
    find_holders(folder)[0].kill()
    assert waiting.await_true(lambda: not processes.stopped(sleeper), 10)
    assert run.wait(timeout=30) == 4
    fail = next(read_history(folder).of(FaultFail))
    assert fail.lapsed
    assert fail.reason == "the fault's holder died, so the fault was undone"


def test_without_its_watchdog_a_run_keeps_nothing_in_force(run: subprocess.Popen[str], state: Path) -> None:
    folder = in_force(run)
    with_word(ours(state), "safety.watchdog")[0].kill()
    assert run.wait(timeout=30) == 4
    history = read_history(folder)
    assert "watchdog ended" in next(history.of(Interruption)).reason
    assert len(list(history.of(UndoOk))) == 1


def test_a_watchdog_that_stands_still_is_as_good_as_dead_and_does_not_stay_behind(tmp_path: Path) -> None:
    """Positive control: one that answers is no trouble for as long, nor is one in a run that stood still itself."""
    trouble: list[str] = []
    one = journal(tmp_path)
    lease = Lease([tmp_path], tmp_path / "watchdog.log", trouble.append, lease_s=1.2)
    lease.begin()
    watchdog = psutil.Process(lease._watchdog.pid)
    threading.Event().wait(2.4)
    assert trouble == []
    watchdog.suspend()
    assert waiting.await_true(lambda: bool(trouble), 10)
    assert "the watchdog stood still" in trouble[0]
    assert not watchdog.is_running()
    assert lease.lost == "", "alive and alone, the run takes back what is in force"
    lease.end(healed=True)
    one.close()


@pytest.mark.long
def test_a_run_whose_watchdog_stands_still_heals_and_ends(run: subprocess.Popen[str], state: Path) -> None:
    folder = in_force(run)
    with_word(ours(state), "safety.watchdog")[0].suspend()
    assert run.wait(timeout=30) == 4
    history = read_history(folder)
    assert "the watchdog stood still" in next(history.of(Interruption)).reason
    assert len(list(history.of(UndoOk))) == 1
    assert not (folder / BOOK).exists()


def test_when_everybody_is_killed_the_heal_command_finishes_it(
    run: subprocess.Popen[str], state: Path, tmp_path: Path, sleeper: psutil.Process
) -> None:
    in_force(run)
    at_once(ours(state))
    run.wait(timeout=10)
    assert processes.stopped(sleeper), "nobody is left to undo it"
    seen = command(state, "status", "--out", str(tmp_path))
    assert (seen.returncode, "by-hand#0 process.pause w1" in seen.stdout) == (5, True), seen.stdout
    done = command(state, "heal", "--all", "--out", str(tmp_path))
    assert done.returncode == 0
    assert "undone      by-hand#0" in done.stdout
    assert not processes.stopped(sleeper)


def test_told_twice_to_stop_it_ends_at_once_and_is_still_healed(
    run: subprocess.Popen[str], state: Path, sleeper: psutil.Process
) -> None:
    """The holder stands still, so the first Ctrl-C would take as long as the undo is waited for."""
    folder = in_force(run)
    find_holders(folder)[0].send_signal(signal.SIGSTOP)
    run.send_signal(signal.SIGINT)
    assert run.stdout is not None
    assert any("SIGINT was received" in line for line in run.stdout)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=10) == 4
    assert healed_by_watchdog(folder) == "the run was told twice to stop"
    assert not processes.stopped(sleeper)


def test_a_fault_that_outlasts_its_maximum_is_undone_though_its_holder_stands_still(
    state: Path, tmp_path: Path, sleeper: psutil.Process
) -> None:
    """Here without any holder: the watchdog alone bounds it."""
    undo = ProcessPause().prepare(Target("role:worker", ("w1",), Address(pattern=PATTERN)), Settings())
    lost: list[str] = []
    one = journal(tmp_path)
    lease = Lease([tmp_path], tmp_path / "watchdog.log", lost.append)
    try:
        lease.begin()
        ProcessPause().start(undo)
        one.write(invoke("process.pause", undo, max_s=-5.0))
        assert "in force for longer" in healed_by_watchdog(tmp_path)
        assert not processes.stopped(sleeper)
        assert waiting.await_true(lambda: bool(lost), 5)
        assert "another process is undoing" in lease.lost
    finally:
        lease.end(healed=True)
        one.close()


def test_a_watchdog_that_does_not_come_up_is_said_before_anything_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    lease = Lease([tmp_path], tmp_path / "watchdog.log", lambda reason: None)
    with pytest.raises(EquipmentError, match="watchdog: it did not come up"):
        lease.begin()
    lease.end(healed=True)


def test_a_run_whose_terminal_is_closed_heals_and_ends(state: Path, tmp_path: Path, sleeper: psutil.Process) -> None:
    """A real terminal: nobody can be told anything any more, and writing to it fails."""
    ours_end, theirs = pty.openpty()
    tell = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    run = inject(state, tmp_path / "runs", **tell, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(theirs)
    try:
        assert waiting.await_true(lambda: processes.stopped(sleeper), 60)
        journal_, *_ = (tmp_path / "runs").glob("*/events.jsonl")
        assert waiting.await_true(lambda: b'"fault-ok"' in journal_.read_bytes(), 30)
    finally:
        os.close(ours_end)
    assert run.wait(timeout=60) == 4
    assert waiting.await_true(lambda: not ours(state), 15), ours(state)
    assert not processes.stopped(sleeper)
    history = read_history(journal_)
    assert "SIGHUP was received" in [event.reason for event in history.of(Interruption)]
    assert list(history.of(UndoOk))


_FAILING = """
import errno, os, sys
real = {name: getattr(os, name) for name in ("open", "write", "fsync")}
left, operation, number = int(sys.argv[1]), sys.argv[2], getattr(errno, sys.argv[3])
journal = set()

def failing(name):
    def call(*given, **more):
        global left
        mine = name == "open" and str(given[0]).endswith("events.jsonl") or given[0] in journal
        if mine and name == operation:
            left -= 1
            if left < 0:
                raise OSError(number, os.strerror(number))
        found = real[name](*given, **more)
        if name == "open" and mine:
            journal.add(found)
        return found
    return call

for name in real:
    setattr(os, name, failing(name))
from chaoskit.cli import run
sys.exit(int(run(sys.argv[4:])))
"""


@pytest.mark.parametrize(
    ("operation", "left", "reason"),
    # In `make test` one of each operation: a folder that takes no line, one amid the run, and the first line.
    [
        ("open", 0, "EROFS"),
        *(pytest.param("write", left, "EROFS", marks=() if left == 3 else pytest.mark.long) for left in range(5)),
        *(pytest.param("fsync", left, "ENOSPC", marks=() if left == 0 else pytest.mark.long) for left in range(5)),
    ],
)
def test_a_journal_that_turns_read_only_or_cannot_be_forced_out_lets_no_fault_begin_unnoted(
    state: Path, tmp_path: Path, sleeper: psutil.Process, operation: str, left: int, reason: str
) -> None:
    """The system call of this number on the journal fails, and every one of its kind after it."""
    words = ["inject", "process.pause", "--for", "100ms", "--out", str(tmp_path / "runs"), *TARGET]
    run = subprocess.run(
        [sys.executable, "-c", _FAILING, str(left), operation, reason, *words],
        capture_output=True,
        text=True,
        env=environment(state),
        timeout=120,
        check=False,
    )
    said = run.stdout + run.stderr
    assert "Traceback" not in said
    whole = any(b'"invoke"' in file.read_bytes() for file in tmp_path.glob("runs/*/events.jsonl"))
    assert ("in force" in said) <= whole, said
    assert run.returncode in (2, 3, 4, 0), said
    assert (run.returncode == 0) <= whole, said
    assert waiting.await_true(lambda: not ours(state), 15)
    assert not processes.stopped(sleeper)


@pytest.mark.parametrize("out", ["/proc/here", "file/here"])
def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_broken(
    state: Path, tmp_path: Path, sleeper: psutil.Process, out: str
) -> None:
    (tmp_path / "file").write_text("")
    said = command(state, "inject", "process.pause", "--for", "1s", "--out", str(tmp_path / out), *TARGET)
    assert said.returncode in (2, 3)
    assert f"/{out.lstrip('/')}" in said.stderr
    assert "Traceback" not in said.stderr
    assert not processes.stopped(sleeper)


# No room at all says what a first line that cannot be written says above.
@pytest.mark.parametrize(
    "room", [900, 4096, *(pytest.param(room, marks=pytest.mark.long) for room in (0, 150, 600, 1200, 1600))]
)
def test_on_a_disk_that_fills_up_no_fault_begins_without_its_line_and_whatever_began_is_undone(
    state: Path, tmp_path: Path, sleeper: psutil.Process, room: int
) -> None:
    """Here the system allows no file beyond so many bytes; the journal's lines come to lie on both sides of that."""
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    run = inject(state, tmp_path / "runs", for_="100ms", preexec_fn=limit)
    said, _ = run.communicate(timeout=60)
    assert "Traceback" not in said
    whole = [b'"invoke"' in file.read_bytes() for file in tmp_path.glob("runs/*/events.jsonl")]
    assert ("in force" in said) <= any(whole), said
    assert (run.returncode == 0) <= any(whole), said
    assert waiting.await_true(lambda: not ours(state), 15)
    assert not processes.stopped(sleeper)
