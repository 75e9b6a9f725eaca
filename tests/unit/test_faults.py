"""Faults against real processes: the effect is seen, the undo needs nothing but its token, the holder heals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaoskit import identity, waiting
from chaoskit.faults import processes
from chaoskit.faults.base import FaultError, Lapsed, Settings, Target
from chaoskit.faults.process import KillSettings, ProcessKill, ProcessPause, _Replacements
from chaoskit.handles.address import Address
from chaoskit.run.held_fault import HeldFault

MARK = f"faulttest{os.getpid()}"
PATTERN = rf"{MARK} worker (?P<name>\S+)"
SUPERVISOR = f"""
import os, signal, sys, time
from setproctitle import setproctitle
def birth():
    pid = os.fork()
    if pid == 0:
        setproctitle("{MARK} worker w1")
        while True:
            time.sleep(0.05)
    return pid
pid = birth()
print(pid, flush=True)
while True:
    os.waitpid(pid, 0)
    pid = birth()
    print(pid, flush=True)
"""


@pytest.fixture
def supervisor() -> Iterator[subprocess.Popen[str]]:
    """A parent that replaces its only worker as soon as it dies; says each pid."""
    parent = subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    parent.stdout.readline()
    assert waiting.await_true(lambda: "w1" in processes.find(PATTERN), 10)
    yield parent
    children = psutil.Process(parent.pid).children()
    parent.kill()
    for child in children:
        child.kill()
    parent.wait(timeout=10)
    parent.stdout.close()


def target(*names: str) -> Target:
    return Target("role:worker", names or ("w1",), Address(pattern=PATTERN))


def worker() -> psutil.Process:
    found: dict[str, psutil.Process] = {}  # looked at once, for the next look may meet a newborn without its title
    assert waiting.await_true(lambda: bool(found.update(processes.find(PATTERN)) or "w1" in found), 10)
    return found["w1"]


def test_pause_stops_the_process_and_its_token_lets_it_go(supervisor: object) -> None:
    undo = json.loads(json.dumps(ProcessPause().prepare(target(), Settings())))
    assert not processes.stopped(worker()), "prepare changes nothing"
    seen = ProcessPause().start(undo)
    assert processes.stopped(worker())
    assert seen.between[0] <= seen.between[1]
    ProcessPause().stop(undo)
    assert not processes.stopped(worker())
    ProcessPause().stop(undo)  # idempotent


def test_a_pause_that_somebody_else_ends_lapses(supervisor: object) -> None:
    undo = ProcessPause().prepare(target(), Settings())
    ProcessPause().start(undo)
    worker().send_signal(signal.SIGCONT)
    with pytest.raises(Lapsed, match="w1 is no longer paused"):
        ProcessPause().hold(undo, threading.Event())


def test_a_kill_without_hold_is_seen_and_replaced(supervisor: subprocess.Popen[str]) -> None:
    before = worker()
    undo = ProcessKill().prepare(target(), KillSettings())
    ProcessKill().start(undo)
    assert not processes.alive(undo["victims"][0])
    assert supervisor.stdout is not None
    assert int(supervisor.stdout.readline()) != before.pid
    ProcessKill().stop(undo)


def test_a_process_that_is_not_there_is_named_and_nothing_happens(supervisor: object) -> None:
    with pytest.raises(FaultError, match=r"no such process: w7 \(role:worker; running: w1\)"):
        ProcessKill().prepare(target("w7"), KillSettings())
    assert worker().is_running()


def test_a_token_of_another_process_with_the_same_pid_hits_nobody(supervisor: object) -> None:
    """A pid alone is not an identity: the start in ticks must fit."""
    undo = ProcessPause().prepare(target(), Settings())
    undo["victims"][0]["ticks"] -= 100
    with pytest.raises(FaultError, match="ended before"):
        ProcessPause().start(undo)
    assert not processes.stopped(worker())


def test_a_token_of_an_earlier_boot_is_void(supervisor: object) -> None:
    undo = ProcessPause().prepare(target(), Settings())
    ProcessPause().start(undo)
    assert "restarted" in ProcessPause().stop(undo | {"boot": "another"}).detail
    assert processes.stopped(worker()), "not misapplied"
    ProcessPause().stop(undo)


def held(kind: Any, undo: dict[str, Any], tmp_path: Path, lapses: list[str], max_s: float = 60) -> HeldFault:
    one = HeldFault(kind, undo, max_s, tmp_path / "holder.log", lapses.append)
    one.await_armed()
    one.start()
    one.await_effect()
    return one


def test_a_held_kill_keeps_every_replacement_stopped_until_it_is_taken_back(
    supervisor: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Also a replacement's replacement; afterwards the last one runs."""
    undo = ProcessKill().prepare(target(), KillSettings(hold=True))
    one = held(ProcessKill(), undo, tmp_path, [])
    try:
        assert waiting.await_true(lambda: processes.stopped(worker()), 5)
        worker().kill()
        assert waiting.await_true(lambda: "w1" in processes.find(PATTERN) and processes.stopped(worker()), 5)
    finally:
        seen = one.take_back()
    assert "let go" in seen.detail
    assert not processes.stopped(worker())


def test_a_replacement_that_gets_its_title_just_after_a_look_is_stopped_at_the_next(
    supervisor: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first reading finds the parent's title, a second one must not take it for another worker."""
    undo = ProcessKill().prepare(target(), KillSettings(hold=True))
    ProcessKill().start(undo)
    assert supervisor.stdout is not None
    newborn = int(supervisor.stdout.readline())
    assert worker().pid == newborn
    real, read = processes.title, [0]

    def titled_late(process: psutil.Process) -> str:
        read[0] += process.pid == newborn
        return MARK if process.pid == newborn and read[0] == 1 else real(process)

    monkeypatch.setattr(processes, "title", titled_late)
    looks = _Replacements(undo)
    looks.look()
    assert read == [1]
    looks.look()
    assert waiting.await_true(lambda: processes.stopped(psutil.Process(newborn)), 5)
    assert "1 let go" in ProcessKill().stop(undo).detail


def test_a_replacement_is_known_by_its_ticks_whatever_the_clock_says(
    supervisor: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A creation time in seconds moves when the clock is set; by it, nothing would be born later."""
    undo = ProcessKill().prepare(target(), KillSettings(hold=True))
    ProcessKill().start(undo)
    newborn = worker()
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: 0.0)
    newborn.send_signal(signal.SIGSTOP)
    assert waiting.await_true(lambda: processes.stopped(newborn), 5)
    # A tick is 10 ms, in which a process may be born, killed and replaced.
    undo["victims"][0]["ticks"] = identity.ticks(newborn.pid)
    assert "1 let go" in ProcessKill().stop(undo).detail
    assert not processes.stopped(newborn)


def test_a_newborn_without_a_title_is_looked_at_for_some_seconds(
    supervisor: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full machine it waits for a processor before it can call itself anything."""
    undo = ProcessKill().prepare(target(), KillSettings(hold=True))
    monkeypatch.setattr(processes, "title", lambda _: MARK)
    looks = _Replacements(undo)
    assert [looks._decide(supervisor.pid, now) for now in (0.0, 4.0, 6.0)] == [False, False, True]


def test_a_holder_whose_runner_is_killed_heals(supervisor: object, tmp_path: Path) -> None:
    """SIGKILL of the runner closes the pipe, and nothing more is needed."""
    undo = ProcessPause().prepare(target(), Settings())
    script = (
        "import json, sys, pathlib; from chaoskit.run.held_fault import HeldFault; "
        "from chaoskit.faults.process import ProcessPause; P = ProcessPause(); "
        f"h = HeldFault(P, json.loads(sys.argv[1]), 60, pathlib.Path({str(tmp_path / 'h.log')!r}), print); "
        "h.await_armed(); h.start(); h.await_effect(); print('held', flush=True); sys.stdin.read()"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(undo)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert runner.stdout is not None
    assert runner.stdin is not None
    assert runner.stdout.readline() == "held\n"
    assert processes.stopped(worker())
    runner.kill()
    runner.wait(timeout=10)
    assert waiting.await_true(lambda: not processes.stopped(worker()), 10)
    runner.stdout.close()
    runner.stdin.close()


def test_a_holder_that_is_killed_leaves_an_undo_that_the_runner_can_do(supervisor: object, tmp_path: Path) -> None:
    undo = ProcessPause().prepare(target(), Settings())
    one = held(ProcessPause(), undo, tmp_path, [])
    one._holder.kill()
    assert "let go" in one.take_back().detail
    assert not processes.stopped(worker())


def test_a_fault_is_undone_at_its_maximum_duration_and_that_is_said(supervisor: object, tmp_path: Path) -> None:
    undo = ProcessPause().prepare(target(), Settings())
    lapses: list[str] = []
    one = held(ProcessPause(), undo, tmp_path, lapses, max_s=0.3)
    assert waiting.await_true(lambda: not processes.stopped(worker()), 10)
    assert waiting.await_true(lambda: bool(lapses), 5)
    assert "maximum duration" in lapses[0]
    one.take_back()
