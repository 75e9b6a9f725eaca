"""What comes up, judges, or only burns leaves the processors to what is measured, and takes its part again.

The kernel's own word counts (`/proc/PID/autogroup`), of sessions that the tests start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaoskit import niceness
from chaoskit.events import Phase
from chaoskit.faults import slice as burners
from chaoskit.gate.job import _hear

BY = niceness.BY


def session_niceness(leader: int) -> int | None:
    """How nice a session is; None where the kernel does not group processes by session."""
    try:
        return int(Path(f"/proc/{leader}/autogroup").read_text(encoding="ascii").split()[-1])
    except (OSError, IndexError):  # a sandboxed kernel has the file and says nothing in it
        return None


groups = pytest.mark.skipif(
    session_niceness(os.getpid()) is None, reason="this kernel does not group processes by session"
)
_SAYS = """
import os, sys
from pathlib import Path
from chaoskit import niceness, waiting
from chaoskit.host.process import spawn
once = niceness._set
niceness._set = lambda leader, nice: waiting.await_true(lambda: once(leader, nice), 30, 0.03)
log = Path(sys.argv[1])
def of(pid): return Path(f"/proc/{pid}/autogroup").read_text().split()[-1]
def nice(*children): print(*[of(pid) for pid in (os.getpid(), *(c.pid for c in children))], flush=True)
before = spawn(["sleep", "60"], name="before", log=log)
nice(before)
niceness.start_low_priority()
one = spawn(["sleep", "60"], name="one", log=log)
nice(before, one)
niceness.restore()
other = spawn(["sleep", "60"], name="other", log=log)
nice(before, one, other)
niceness.restore()
niceness.give_way()
nice(before, one, other)
print(os.nice(0))
"""


@groups
def test_a_process_that_comes_up_gives_way_with_all_it_starts_meanwhile_and_no_longer(tmp_path: Path) -> None:
    # Without privileges the kernel takes one change a tenth of a second, others' included: the script is patient.
    argv = [sys.executable, "-c", _SAYS, str(tmp_path / "log")]
    said = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=60, check=True, start_new_session=True)
    assert [line.split() for line in said.stdout.splitlines()] == [
        ["0", "0"],
        [f"{BY}", "0", f"{BY}"],
        ["0", "0", "0", "0"],
        [f"{BY}", "0", "0", "0"],
        [f"{min(19, os.nice(0) + BY)}"],
    ]


@groups
def test_a_session_that_is_somebody_else_s_is_left_alone() -> None:
    """A shell's or a test runner's: whoever does not lead it changes nothing."""
    code = "from chaoskit import niceness; print(niceness.lower_own(), niceness.lift_own())"
    said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert said.stdout.split() == ["False", "False"]


def test_what_the_kernel_takes_later_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without privileges it takes one change a tenth of a second, whoever asks."""
    asked: list[tuple[int, int]] = []

    def slowly(leader: int, nice: int) -> bool:
        asked.append((leader, nice))
        return nice > 0 or len(asked) % 3 == 0

    monkeypatch.setattr(niceness, "_set", slowly)
    monkeypatch.setattr(niceness, "_AGAIN_S", 0.001)
    monkeypatch.setattr(niceness, "lower_own", lambda: True)
    me = os.getpid()
    niceness.start_low_priority()
    niceness.started(os.getppid())
    niceness.restore()
    assert asked == [(os.getppid(), BY), (me, 0), (me, 0), (os.getppid(), 0), (os.getppid(), 0), (os.getppid(), 0)]
    niceness.restore()
    assert len(asked) == 6


def test_what_has_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(niceness, "_path", lambda leader: tmp_path / str(leader))
    monkeypatch.setattr(niceness, "lower_own", lambda: False)
    (tmp_path / "1").touch()
    niceness.start_low_priority()
    niceness.started(1)
    (tmp_path / "1").unlink()
    monkeypatch.setattr(niceness, "_set", lambda leader, nice: False)
    niceness.restore()


def test_where_the_kernel_does_not_group_nothing_is_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(niceness, "_path", lambda leader: tmp_path / "none" / str(leader))
    niceness.start_low_priority()
    niceness.started(1)
    niceness.restore()
    assert not niceness.lower(1)


def test_a_stack_takes_its_full_part_from_the_moment_it_waits_for_its_steady_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    up: list[bool] = []
    monkeypatch.setattr(niceness, "restore", lambda: up.append(True))
    _hear(Phase(name="starting"))
    assert not up
    _hear(Phase(name="steady"))
    assert up


def test_burners_give_way_until_they_get_too_little_and_again_after_a_second_of_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gives_way: list[bool] = []
    monkeypatch.setattr(niceness, "lower_own", lambda: gives_way.append(True) or True)
    monkeypatch.setattr(niceness, "lift_own", lambda: gives_way.append(False) or True)
    yielding = burners._Yielding()
    for enough in (True, True, False, False, True, True, True):
        yielding.look(enough)
    assert gives_way == [True, False]
    yielding.look(True)
    yielding.look(True)
    assert gives_way == [True, False, True]


def test_burners_that_the_kernel_does_not_lift_are_lifted_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(niceness, "lower_own", lambda: True)
    monkeypatch.setattr(niceness, "lift_own", lambda: asked.append(True) or len(asked) > 1)
    yielding = burners._Yielding()
    for _ in range(3):
        yielding.look(False)
    assert len(asked) == 2
