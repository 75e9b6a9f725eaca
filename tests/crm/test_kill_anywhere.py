"""The benchmark `kill_anywhere` in small: every way to kill, on a CRM that outlives it; and its eyes can see."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.kill_anywhere import GOAL_S, MODES, trial, trials
from benchmarks.kill_commands import COMMANDS, blow
from benchmarks.outliving import Outliving, outliving, until_right
from chaoskit.faults import processes
from chaoskit.faults.slice import MARK
from chaoskit.handles.practice import VARIABLE
from chaoskit.waiting import await_true


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outliving]:
    folder = tmp_path_factory.mktemp("outliving")
    with outliving(folder) as one:
        one.out.mkdir()
        yield one


@pytest.mark.parametrize(
    ("mode", "kind"),
    list(zip(MODES, ["http.error", "process.kill", "db.slow", "queue.flood", "cpu.burn", "disk.fill"], strict=True)),
)
def test_whatever_is_killed_while_a_fault_is_in_force_nothing_stays_broken(
    target: Outliving, mode: str, kind: str
) -> None:
    done = trial(target, mode, kind, "fault-ok", 0.05)
    assert done.in_force
    assert done.wrong == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", list(MODES))
def test_fifty_kills_at_any_instant_leave_nothing_and_take_no_longer_than_promised(
    target: Outliving, mode: str
) -> None:
    for done in trials(target, mode, 50, random.Random(7), list(target.orders())):
        assert done.wrong == [], done
        assert done.took_s <= GOAL_S, done


def test_what_is_wrong_with_the_target_is_seen(target: Outliving) -> None:
    """The judge of the trials can say no."""
    assert until_right(target, GOAL_S)[1] == []
    worker = processes.find(rf"crm\[{target.slice}\] worker (?P<name>\S+)")["worker-2"]
    fill = target.folder / "data" / "chaoskit-fill-x"
    worker.send_signal(signal.SIGSTOP)
    assert await_true(lambda: worker.status() == psutil.STATUS_STOPPED, 10)
    fill.touch()
    Path(target.folder / "flag").touch()
    burner = subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: "x", VARIABLE: target.slice})
    try:
        wrong = target.wrong()
        assert "worker-2 stands still" in wrong
        assert "chaoskit-fill-x is left" in wrong
        assert "the flag of a command is left" in wrong
        assert f"a burner: process {burner.pid}" in wrong
    finally:
        burner.kill()
        burner.wait(10)
        worker.send_signal(signal.SIGCONT)
        fill.unlink()
        (target.folder / "flag").unlink()
    assert until_right(target, GOAL_S)[1] == []


@pytest.mark.long
@pytest.mark.stack
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT])
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("check", "doctor")])
def test_a_command_that_is_killed_leaves_no_process(name: str, how: signal.Signals, tmp_path: Path) -> None:
    done = blow(name, how, COMMANDS[name].longest_s / 2, tmp_path)
    assert done.struck
    assert done.left == []
