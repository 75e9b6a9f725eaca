"""Which process it is must hold when the clock is set, in another PID namespace, and behind a hidden /proc."""

from __future__ import annotations

import json
import os
import re
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
from chaoskit.faults.process import KillSettings, ProcessKill, ProcessPause
from chaoskit.handles.address import Address
from chaoskit.identity import Fate
from chaoskit.safety.run_registry import Owner, me, register
from tests.safety_examples import PATTERN, in_force, inject, journal, sleeper, state, twin

__all__ = ["sleeper", "state"]


def unshared(*flags: str) -> bool:
    """Whether this machine lets us have such namespaces."""
    return subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0 or not unshared("--mount"), reason="only root has a mount namespace to set the clock's btime in"
)
needs_spaces = pytest.mark.skipif(
    os.geteuid() != 0 or not unshared("--pid", "--fork", "--mount-proc"), reason="only root has PID namespaces to try"
)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    one = subprocess.Popen(["sleep", "600"])
    yield one
    one.kill()
    one.wait(timeout=10)


def paused(target: str = PATTERN) -> dict[str, Any]:
    undo = ProcessPause().prepare(Target("role:worker", ("w1",), Address(pattern=target)), Settings())
    undo = json.loads(json.dumps(undo))
    ProcessPause().start(undo)
    return undo


def test_a_process_lives_until_it_is_seen_to_end_and_its_pid_alone_is_nothing(child: subprocess.Popen[bytes]) -> None:
    token = identity.token(child.pid)
    assert set(token) == {"pid", "ticks", "boot", "space"}
    later, earlier = {**token, "ticks": token["ticks"] - 1}, {**token, "ticks": token["ticks"] + 1}
    assert [identity.fate(one) for one in (token, later, earlier)] == [Fate.LIVES, Fate.ENDED, Fate.UNKNOWN]
    assert identity.fate({**token, "boot": "another"}) is Fate.ENDED
    assert identity.fate({**token, "space": 1}) is Fate.UNKNOWN
    identity.send({**token, "ticks": 1}, signal.SIGKILL)
    assert child.poll() is None, "a stranger with its number is not signalled"
    identity.send(token, signal.SIGKILL)
    assert waiting.await_true(lambda: identity.fate(token) is Fate.ENDED, 10), "a zombie has ended"


def test_what_was_recognised_once_is_seen_to_end_though_proc_tells_nothing_more(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = identity.token(child.pid)
    assert identity.fate(token) is Fate.LIVES

    def hidden(*_: object) -> Any:
        raise ProcessLookupError

    monkeypatch.setattr(identity, "_stat", hidden)
    assert identity.fate(token) is Fate.LIVES
    child.kill()
    assert waiting.await_true(lambda: identity.fate(token) is Fate.ENDED, 10)


def test_a_pid_that_is_taken_by_what_proc_hides_is_no_free_pid(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """hidepid: /proc shows nothing of it, and kill(pid, 0) says EPERM."""
    token = identity.token(child.pid)

    def hidden(pid: int) -> Any:
        raise ProcessLookupError

    def forbidden(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(identity, "_stat", hidden)
    monkeypatch.setattr(os, "kill", forbidden)
    assert identity.fate(token) is Fate.UNKNOWN
    owner = Owner(**token)
    assert (owner.gone, owner.process) == (False, None)


def test_where_the_kernel_has_no_pidfds_the_ticks_decide(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    token = identity.token(child.pid)
    identity.send(token, signal.SIGSTOP)
    assert waiting.await_true(lambda: processes.stands_still(token), 10)
    identity.send_to(psutil.Process(child.pid), signal.SIGKILL)
    assert waiting.await_true(lambda: identity.fate(token) is Fate.ENDED, 10)


def test_a_token_of_an_older_version_is_compared_as_before_and_a_mismatch_cannot_be_told(
    sleeper: psutil.Process,
) -> None:
    paused()
    old = {
        "boot": identity.boot_id(),
        "pattern": PATTERN,
        "victims": [{"name": "w1", "pid": sleeper.pid, "created": sleeper.create_time() + 5}],
    }
    with pytest.raises(FaultError, match=r"w1 .* cannot be told"):
        ProcessPause().stop(old)
    assert processes.stopped(sleeper)
    old["victims"][0]["created"] -= 5  # type: ignore[index,operator]
    assert ProcessPause().stop(old).detail == "1 let go"
    assert not processes.stopped(sleeper)


def test_a_token_that_does_not_say_when_its_process_started_tells_nothing_of_it(sleeper: psutil.Process) -> None:
    undo = paused()
    start = undo["victims"][0].pop("ticks")
    with pytest.raises(FaultError, match=r"w1 .* cannot be told"):
        ProcessPause().stop(undo)
    assert processes.stopped(sleeper)
    undo["victims"][0]["ticks"] = start
    assert ProcessPause().stop(undo).detail == "1 let go"


def test_an_undo_says_of_a_process_that_it_ended_by_itself(sleeper: psutil.Process) -> None:
    undo = paused()
    sleeper.kill()
    assert waiting.await_true(lambda: not processes.alive(undo["victims"][0]), 10)
    with pytest.raises(Lapsed, match="w1 ended by itself"):
        ProcessPause().hold(undo, threading.Event())
    assert ProcessPause().stop(undo).detail == "0 let go, w1 ended by itself"


def test_an_undo_in_another_pid_namespace_or_as_another_user_is_no_undo(
    sleeper: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    undo = paused()
    held = ProcessKill().prepare(Target("role:worker", ("w1",), Address(pattern=PATTERN)), KillSettings(hold=True))
    for kind, one in ((ProcessPause(), undo), (ProcessKill(), held)):
        with pytest.raises(FaultError, match="another PID namespace"):
            kind.stop({**one, "space": 1})
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(FaultError, match=r"uid 0; undo it as that user|uid \d+; undo it as that user"):
        ProcessKill().stop(held)
    assert processes.stopped(sleeper)
    monkeypatch.undo()
    ProcessPause().stop(undo)


def test_several_processes_of_one_name_are_refused_with_their_pids_and_how_to_choose(sleeper: psutil.Process) -> None:
    with twin(sleeper) as pid:
        with pytest.raises(FaultError, match="several processes have one name: w1") as refused:
            ProcessPause().prepare(Target("role:worker", ("w1",), Address(pattern=PATTERN)), Settings())
        assert {str(sleeper.pid), str(pid)} <= set(re.findall(r"\d+", str(refused.value)))
        assert "group name" in str(refused.value)
    assert not processes.stopped(sleeper)


_STEPPED = """
mount --bind "$1" /proc/stat && shift && exec "$@"
"""


def stepped(tmp_path: Path, by_s: int) -> Path:
    """A copy of /proc/stat as it looks after the clock was set."""
    moved = re.sub(r"btime (\d+)", lambda m: f"btime {int(m[1]) + by_s}", Path("/proc/stat").read_text())
    (tmp_path / "stat").write_text(moved)
    return tmp_path / "stat"


@needs_mounts
@pytest.mark.parametrize("by_s", [0, 2])
def test_after_the_clock_was_set_a_crashed_runs_pause_is_let_go(
    sleeper: psutil.Process, state: Path, tmp_path: Path, by_s: int
) -> None:
    """psutil's creation time moves with btime; the step of 0 is the control."""
    undo = paused()
    token = tmp_path / "token.json"
    token.write_text(json.dumps({"undo": undo, "owner": identity.token(os.getpid())}))
    script = (
        "import json, sys; from chaoskit import identity; from chaoskit.faults.process import ProcessPause; "
        f"d = json.load(open({str(token)!r})); "
        "print(identity.fate(d['owner']).name, ProcessPause().stop(d['undo']).detail)"
    )
    shell = ["unshare", "--mount", "sh", "-c", _STEPPED, "sh", str(stepped(tmp_path, by_s))]
    done = subprocess.run(
        [*shell, sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "LIVES 1 let go\n"
    assert not processes.stopped(sleeper)


@needs_mounts
def test_a_clock_that_is_set_while_a_pause_is_in_force_changes_nothing(
    sleeper: psutil.Process, state: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = inject(state, out, "2s", before=["unshare", "--mount"])
    folder = in_force(run)
    assert processes.stopped(sleeper)
    copy = stepped(tmp_path, 2)
    subprocess.run(["nsenter", "-t", str(run.pid), "--mount", "mount", "--bind", str(copy), "/proc/stat"], check=True)
    assert run.wait(30) == 0
    assert run.stdout is not None
    run.stdout.close()
    assert '"1 let go"' in (folder / "events.jsonl").read_text()
    assert not processes.stopped(sleeper)


@needs_spaces
def test_a_live_runs_note_is_kept_by_whom_it_cannot_be_seen_from(state: Path, tmp_path: Path) -> None:
    """A container with the same state folder, and without the run's folder."""
    one = journal(tmp_path / "out" / "run")
    note = register("x", [tmp_path / "out" / "run"], [], 3.0)
    inside = ["unshare", "--pid", "--fork", "--mount-proc", "--mount", "sh", "-c"]
    hide = f'mount -t tmpfs none "{tmp_path / "out"}" && exec "$@"'
    script = (
        "from chaoskit.safety.stop_all import *; from chaoskit.safety.run_registry import *; "
        "print(sweep('x'), stop_all(0), [(e.owner.gone, e.owner.process) for _, e in entries()])"
    )
    words = [*inside, hide, "sh", sys.executable, "-c", script]
    assert subprocess.check_output(words, text=True, timeout=60) == "[] [] [(False, None)]\n"
    assert note.exists()
    one.close()


def test_a_note_of_an_older_version_is_read_and_its_owner_compared_as_before() -> None:
    mine = psutil.Process()
    old = Owner(mine.pid, identity.boot_id(), created=mine.create_time())
    assert old.process == mine
    assert not Owner(mine.pid, identity.boot_id(), created=1.0).gone
    unsure = Owner(mine.pid, identity.boot_id())
    assert (unsure.process, unsure.gone) == (None, False)
    assert me().process == mine
