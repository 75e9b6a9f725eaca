"""The fork server: one process imports the kinds of faults, every holder is forked from it, and none depends on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from chaoskit import waiting
from chaoskit.faults import fork_server as theirs
from chaoskit.faults import processes
from chaoskit.faults.base import FaultError, Settings, Target
from chaoskit.faults.command import Command, CommandSettings
from chaoskit.faults.process import ProcessPause
from chaoskit.handles.address import Address
from chaoskit.run import held_fault as fork_server
from chaoskit.run.held_fault import HeldFault
from chaoskit.safety.heal import HOLDER_LOG, find_holders
from tests.safety_examples import PATTERN, sleeper

__all__ = ["sleeper"]

Hold = Callable[..., HeldFault]


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Hold]:
    """Makes holders that wait to begin, each in a run's folder of that name; whatever is left is taken back."""
    made: list[HeldFault] = []

    def one(
        run: str = "run", kind: object = ProcessPause(), undo: object = None, lapses: list[str] | None = None
    ) -> HeldFault:
        (tmp_path / run).mkdir(exist_ok=True)
        said = [] if lapses is None else lapses
        held = HeldFault(kind, undo or {"boot": "another", "victims": []}, 60, tmp_path / run / HOLDER_LOG, said.append)  # type: ignore[arg-type]
        made.append(held)
        held.await_armed()
        return held

    yield one
    for held in made:
        held.take_back()


def parents(*held: HeldFault) -> list[int]:
    return [one._holder.ppid() for one in held]


def paused(sleeper: psutil.Process, hold: Hold, lapses: list[str]) -> HeldFault:
    undo = ProcessPause().prepare(Target("role:worker", ("w1",), Address(pattern=PATTERN)), Settings())
    held = hold(undo=undo, lapses=lapses)
    held.start()
    held.await_effect()
    assert processes.stopped(sleeper)
    return held


def test_holders_are_forked_from_one_process_that_was_there_before_them(hold: Hold) -> None:
    fork_server.warm_up()
    mother = fork_server._present[0]._process.pid
    assert parents(hold(), hold("another")) == [mother, mother]


def test_a_holder_is_found_by_the_folder_of_its_run_and_the_fork_server_by_none(hold: Hold, tmp_path: Path) -> None:
    one, another = hold(), hold("another")
    assert find_holders(tmp_path / "run") == [one._holder]
    assert find_holders(tmp_path / "another") == [another._holder]
    assert find_holders(tmp_path) == []


def test_a_holder_has_a_session_of_its_own_and_none_of_the_others_pipes(hold: Hold) -> None:
    """Whoever holds another's stdin open as well would keep its effect in force when the runner dies."""
    hold()
    later = hold()
    pid = later._holder.pid
    assert os.getsid(pid) == pid
    open_ones = {int(file.name): str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
    assert [number for number, what in open_ones.items() if what.startswith(("pipe:", "socket:"))] == [0, 1]


def test_an_effect_outlives_the_fork_server_and_the_next_holder_has_a_new_one(
    sleeper: psutil.Process, hold: Hold
) -> None:
    lapses: list[str] = []
    held = paused(sleeper, hold, lapses)
    mother = psutil.Process(parents(held)[0])
    mother.kill()
    later = hold("another")
    assert parents(later) != [mother.pid]
    assert processes.stopped(sleeper)
    assert lapses == []
    assert "let go" in held.take_back().detail
    assert not processes.stopped(sleeper)


def test_a_fork_server_that_is_found_dead_only_when_it_is_asked_is_replaced(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold()
    mother = fork_server._present[0]
    monkeypatch.setattr(mother, "is_of_use", lambda: True)
    mother._process.kill()
    mother._process.wait(10)
    assert parents(hold("another")) == [fork_server._present[0]._process.pid] != [mother._process.pid]


def test_a_fork_server_that_answers_nothing_is_a_fault_that_cannot_begin_and_is_not_asked_again(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says late must not be taken for an answer to the next question."""
    hold()
    mother = fork_server._present[0]
    mother._asked.settimeout(0.05)
    psutil.Process(mother._process.pid).suspend()
    monkeypatch.setattr(fork_server, "_END_S", 0.05)
    with pytest.raises(FaultError, match="no holder could be started: timed out"):
        hold("another")
    assert mother._process.returncode is not None, "ended"
    assert parents(hold("a third")) != [mother._process.pid]


def test_a_holder_has_the_environment_of_the_runner_at_that_time(
    hold: Hold, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also a variable that was set after the fork server came up."""
    hold()
    monkeypatch.setenv("SET_LATER", "yes")
    out = tmp_path / "said"
    start = ["/bin/sh", "-c", f"echo $SET_LATER > {out}"]
    settings = CommandSettings.model_validate({"start": start, "stop": ["/bin/true"], "env": ["SET_LATER"]})
    undo = Command().prepare(Target("", (), Address(max_s=60)), settings)
    held = hold("another", Command(), undo)
    held.start()
    held.await_effect()
    assert out.read_text() == "yes\n"


def test_the_fork_server_ends_with_a_runner_that_is_killed() -> None:
    script = (
        "import sys; from chaoskit.run import held_fault; held_fault.warm_up(); "
        "print(held_fault._present[0]._process.pid, flush=True); sys.stdin.read()"
    )
    runner = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with runner:
        assert runner.stdout is not None
        mother = psutil.Process(int(runner.stdout.readline()))
        runner.kill()
    assert waiting.await_true(lambda: not mother.is_running(), 20)


def test_a_runner_that_ends_in_order_leaves_no_fork_server() -> None:
    script = (
        "from chaoskit.run.held_fault import warm_up, _present; warm_up(); print(_present[0]._process.pid, flush=True)"
    )
    said = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert not psutil.pid_exists(int(said.stdout))
    assert said.stderr == ""


def test_without_all_three_streams_there_is_no_holder_and_it_is_said_why() -> None:
    """The kernel drops descriptors for which a process has no room."""
    assert theirs._answer([0]) == "0 too many files are open"


def test_the_log_of_a_run_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match=r"no holder could be started.*gone/holder.log"):
        fork_server.fork_holder(tmp_path / "gone" / HOLDER_LOG)
