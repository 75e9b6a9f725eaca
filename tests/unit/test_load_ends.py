"""How a load ends: at its limits, by a death, with its parent, or though it hangs. None is left, and each is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from chaoskit import waiting
from chaoskit.load import engine
from chaoskit.load.engine import LoadChild
from chaoskit.load.messages import LoadState, LoadTotals, LoadWindow, Report
from tests.load_examples import PLAIN, Heard, Start, Target, a_spec, adds_up, start, target

__all__ = ["start", "target"]


@pytest.mark.parametrize("bounded", [{"rate": 50.0, "limit_requests": 30}, {"users": 5, "limit_s": 1.2}])
def test_load_is_bounded_in_time_and_count(start: Start, bounded: dict[str, Any]) -> None:
    load, heard = start(**bounded, think_s=0.02)
    heard.wait(lambda totals: totals, LoadTotals)
    (totals,) = heard.of(LoadTotals)
    adds_up(heard, totals)
    assert heard.states() == ["ready", "ended"]
    assert "limit of" in heard.of(LoadState)[-1].detail
    if "limit_requests" in bounded:
        assert totals.started == 30
    else:
        assert 1.0 < totals.span[1] - totals.span[0] < 6
    assert load.stop() == totals


def test_a_death_is_told_once_with_what_is_known(start: Start) -> None:
    load, heard = start(rate=50.0)
    os.kill(load.pids[0], signal.SIGKILL)
    heard.wait(lambda states: states[-1].state == "down", LoadState)
    totals = load.stop()
    assert heard.states() == ["ready", "down"]
    assert "ended with -9" in heard.of(LoadState)[-1].detail
    assert not totals.reconciled
    assert "ended with -9" in totals.detail
    assert totals.started > 0
    assert not load.alive


@pytest.mark.parametrize("processes", [1, pytest.param(3, marks=pytest.mark.long)])
def test_a_killed_parent_leaves_no_load_behind(target: Target, tmp_path: Path, processes: int) -> None:
    """SIGKILL: no handler of the parent runs."""
    parent_code = """
        import sys, threading
        from pathlib import Path
        from chaoskit.load.engine import LoadChild
        import msgspec
        from chaoskit.load.model import LoadSpec
        spec = msgspec.json.decode(sys.argv[1], type=LoadSpec)
        load = LoadChild.start(spec, log=Path(sys.argv[2]), on_event=lambda event: None)
        assert load.first_window.wait(10)
        sys.stdout.write(" ".join(map(str, load.pids)) + "\\n")
        sys.stdout.flush()
        threading.Event().wait(60)
    """
    own = tmp_path / "own.py"
    own.write_text(PLAIN)
    several: dict[str, Any] = {"users": 4, "processes": 2, "locustfile": str(own)}
    spec = a_spec(target, **(several if processes > 1 else {"rate": 50.0}))
    argv = [
        sys.executable,
        "-c",
        textwrap.dedent(parent_code),
        msgspec.json.encode(spec).decode(),
        str(tmp_path / "load.log"),
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == processes
        parent.kill()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []


def test_a_closed_pipe_ends_the_load_by_itself(start: Start) -> None:
    """Where the kernel cannot tie a child's life to its parent's, the pipe does."""
    load, heard = start(rate=50.0)
    load._children[0].lines.let_go()
    heard.wait(lambda states: states[-1].state == "down", LoadState)
    assert "ended with 3" in heard.of(LoadState)[-1].detail


def test_a_listener_that_fails_is_told_instead_of_unheard_load(target: Target, tmp_path: Path) -> None:
    def listener(event: Report) -> None:
        if isinstance(event, LoadWindow):
            raise RuntimeError("disk full")

    load = LoadChild.start(a_spec(target, rate=50.0), log=tmp_path / "load.log", on_event=listener)
    load.flows(10)
    totals = load.stop()
    assert "disk full" in totals.detail
    assert not totals.reconciled


def test_a_load_that_hangs_is_killed(start: Start) -> None:
    """Stopping is bounded even where the child obeys nothing; what its windows told remains."""
    load, _ = start(rate=50.0)
    os.kill(load.pids[0], signal.SIGSTOP)
    totals = load.stop(0.2)
    assert not load.alive
    assert totals.started > 0


def test_a_parent_that_stands_still_does_not_go_on_loading_the_target(target: Target, tmp_path: Path) -> None:
    """Its load ends with its lease; one that runs keeps it."""
    parent_code = """
        import sys, threading
        from pathlib import Path
        from chaoskit.load.engine import LoadChild
        import msgspec
        from chaoskit.load.model import LoadSpec
        spec, log = msgspec.json.decode(sys.argv[1], type=LoadSpec), Path(sys.argv[2])
        load = LoadChild.start(spec, log=log, on_event=lambda event: None, lease_s=2.0)
        assert load.first_window.wait(10)
        threading.Event().wait(2.3)
        sys.stdout.write(f"{load.pids[0]} {load.alive}\\n")
        sys.stdout.flush()
        threading.Event().wait(60)
    """
    spec = a_spec(target, rate=50.0)
    argv = [
        sys.executable,
        "-c",
        textwrap.dedent(parent_code),
        msgspec.json.encode(spec).decode(),
        str(tmp_path / "load.log"),
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, alive = parent.stdout.readline().split()
        child = psutil.Process(int(pid))
        parent.send_signal(signal.SIGSTOP)
        assert alive == "True"
        assert waiting.await_true(lambda: child.status() == psutil.STATUS_ZOMBIE, 10)
        parent.kill()


@pytest.mark.long
@pytest.mark.parametrize("model", [{"rate": 50.0}, {"users": 8, "think_s": 0.05}])
def test_a_generator_that_stood_still_says_so_of_every_second(start: Start, model: dict[str, Any]) -> None:
    load, heard = start(**model)
    heard.wait(lambda windows: len(windows) >= 2)
    os.kill(load.pids[0], signal.SIGSTOP)
    threading.Event().wait(3.5)
    os.kill(load.pids[0], signal.SIGCONT)
    heard.wait(lambda windows: sum(not window.beats for window in windows) >= 2)
    assert heard.states() == ["ready"]
    still = [window for window in heard.of(LoadWindow) if not window.beats]
    assert [window.users for window in still] == [0] * len(still)
    assert all((window.asked_requests or window.asked_users) in (50.0, 8.0) for window in still)
    assert load.stop().reconciled


HANGING = """
import subprocess, sys, time
from locust import FastHttpUser, constant, task
class Hangs(FastHttpUser):
    wait_time = constant(0.1)
    @task
    def look(self):
        self.client.get("/look")
        if self.environment.runner.stats.total.num_requests > 5:
            end = time.perf_counter() + 2.5
            while time.perf_counter() < end:
                pass
            self.environment.runner.stats.reset_all()
"""


@pytest.mark.long
def test_a_generator_that_hangs_is_told_once_and_so_is_that_it_is_heard_again(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the load goes on, and its parent: with the log to look into, and without taking it for dead."""
    monkeypatch.setattr(engine, "SILENT_S", 1.0)
    own = tmp_path / "own.py"
    own.write_text(HANGING)
    heard = Heard()
    load = LoadChild.start(a_spec(target, users=1, locustfile=str(own)), log=tmp_path / "load.log", on_event=heard)
    heard.wait(lambda states: states[-1].state == "heard", LoadState)
    load.stop()
    assert heard.states()[:3] == ["ready", "silent", "heard"]
    silent = heard.of(LoadState)[1]
    assert f"load (pid {load.pids[0]}) has sent no report for 1 s: it hangs" in silent.detail
    assert "see load.log" in silent.detail


def test_a_generator_that_a_signal_stopped_is_told_as_such(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SILENT_S", 0.8)
    load, heard = start(rate=20.0)
    os.kill(load.pids[0], signal.SIGSTOP)
    heard.wait(lambda states: states[-1].state == "silent", LoadState)
    assert "a signal stopped it" in heard.of(LoadState)[-1].detail
    load.stop(0.1)
