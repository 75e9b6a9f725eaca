"""Children end with us, however we end, and a stop reaches all of a child's group and nobody else."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import psutil
import pytest

from chaoskit import identity
from chaoskit.errors import EquipmentError
from chaoskit.host import process
from chaoskit.host.lines import Lines
from chaoskit.host.process import spawn, wait_until

PARENT = """
import json, sys, time
from pathlib import Path
from chaoskit.host import process
if sys.argv[2] == "python":
    process.shutil.which = lambda name, path=None: None if name == "setpriv" else name
spawned = lambda name, **of: process.spawn(["/bin/sleep", "1000"], name=name, **of)
forked = lambda name, **of: process.fork(lambda: time.sleep(1000), name=name, title="sleep", **of)
child = lambda name: (forked if sys.argv[2] == "fork" else spawned)(name, log=Path(sys.argv[1]))
print(json.dumps([child("one").pid, child("two").pid]), flush=True)
sys.stdin.read()
"""


def is_running(pid: int) -> bool:
    """Whether a process that is not our child runs; a zombie that nobody reaps does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("tie", ["setpriv", "python", "fork"])
def test_a_parent_killed_with_sigkill_leaves_no_child(tie: str, tmp_path: Path) -> None:
    """All ways of asking for the parent-death signal: util-linux's setpriv, without it, and in a fork."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path / "log", tie], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout
        pids = json.loads(parent.stdout.readline())
        # Past the gate: only then does the kernel's promise hold for the program itself.
        wait_until(lambda: all("sleep" in psutil.Process(pid).name() for pid in pids), timeout_s=10, what="both sleep")
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    wait_until(lambda: not any(map(is_running, pids)), timeout_s=10, what=f"{pids} are gone")


def test_without_the_tie_children_do_stay_behind() -> None:
    """The control: an ordinary child outlives its killed parent, so the test above can fail."""
    code = "import subprocess, sys; print(subprocess.Popen(['/bin/sleep', '1000']).pid, flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        orphan = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait(10)
    try:
        assert is_running(orphan.pid)
    finally:
        orphan.kill()


@pytest.mark.parametrize("gate", ["shell", "python"])
def test_a_child_whose_parent_died_first_never_runs_the_program(gate: str, tmp_path: Path) -> None:
    """Death between fork and the request for the signal: the gate sees a stranger for its parent, and leaves."""
    witness = tmp_path / "ran"
    stranger = str(os.getppid())
    words = {
        "shell": ["sh", "-c", process._SHELL_GATE, stranger],
        "python": [sys.executable, "-I", "-S", "-c", process._PYTHON_GATE, stranger],
    }[gate]
    run = subprocess.run([*words, "touch", str(witness)], check=False, timeout=10)
    assert run.returncode != 0
    assert not witness.exists()
    words[-1] = str(os.getpid())
    subprocess.run([*words, "touch", str(witness)], check=True, timeout=10)
    assert witness.exists()


def test_the_thread_that_starts_a_child_must_outlive_it(tmp_path: Path) -> None:
    """The kernel ties the child to the forking thread, not to the process."""
    raised: list[BaseException] = []

    def start() -> None:
        try:
            spawn(["sleep", "1"], name="sleeper", log=tmp_path / "log")
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=start, name="pool-1")
    thread.start()
    thread.join(10)
    assert "sleeper would die with pool-1" in str(raised[0])


def test_stop_ends_the_whole_group_and_is_idempotent(tmp_path: Path) -> None:
    script = "sleep 1000 & echo $!; wait"
    child = spawn(["sh", "-c", script], name="pair", log=tmp_path / "log", talks=True)
    grandchild = int(child.lines.hear())
    assert child.alive
    assert child.returncode is None
    assert child.stop() == -signal.SIGTERM
    wait_until(lambda: not is_running(grandchild), timeout_s=10, what="the grandchild is gone")
    assert child.stop() == child.returncode == -signal.SIGTERM
    assert not child.alive


def test_what_is_left_of_a_group_after_its_leader_ended_by_itself_is_killed(tmp_path: Path) -> None:
    child = spawn(["sh", "-c", "sleep 1000 & echo $!"], name="leader", log=tmp_path / "log", talks=True)
    left = int(child.lines.hear())
    assert child.wait(10)
    assert is_running(left)
    assert child.stop() == 0
    wait_until(lambda: not is_running(left), timeout_s=10, what="the rest of the group is gone")


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 1000 & wait; done"
    child = spawn(["sh", "-c", script], name="stubborn", log=tmp_path / "log", talks=True)
    child.lines.hear()
    assert child.stop(grace_s=0.2) == -signal.SIGKILL


def test_a_fork_begins_as_a_program_does_without_our_handlers_descriptors_or_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says at last and the code it ends with are heard; what it raises is in its log, and its code is 1."""

    def main() -> int:
        open_here = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
        handled = [int(number) for number in signal.valid_signals() if callable(signal.getsignal(number))]
        defaults = [number for number in handled if signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN)]
        Lines(1, 0).send(json.dumps([len(open_here), defaults, os.getsid(0) == os.getpid()]).encode())
        if told.get("raises"):
            raise ValueError("of no use")
        return 3

    def with_a_thread() -> int:
        """What Python 3.12 and later say of a fork where there are threads, as the test suite's own workers have."""
        warnings.warn(
            "This process is multi-threaded, use of fork() may lead to deadlocks", DeprecationWarning, stacklevel=2
        )
        return forked()

    forked = os.fork
    monkeypatch.setattr(os, "fork", with_a_thread)
    told: dict[str, bool] = {}
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with (tmp_path / "open").open("w"):
            child = process.fork(main, name="warm", log=tmp_path / "log", title="warm one")
            assert json.loads(child.lines.hear(10)) == [4, [], True]  # the fourth is that of the look
            assert child.wait(10)
            assert child.stop() == child.returncode == 3
            told["raises"] = True
            child = process.fork(main, name="warm", log=tmp_path / "log", title="warm one")
            assert child.wait(10)
            assert (child.stop(), child.tail(1)) == (1, "ValueError: of no use")
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_fork_for_which_the_machine_has_no_room_is_named_and_leaves_no_descriptor_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    before = sum(1 for _ in Path("/dev/fd").iterdir())
    with pytest.raises(EquipmentError, match=r"could not be forked.*temporarily unavailable"):
        process.fork(lambda: 0, name="warm", log=tmp_path / "log", title="warm one")
    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before


UNTIED = """
import os, sys, time
from pathlib import Path
def main():
    parent = os.getppid()
    print(os.getpid(), flush=True)
    while os.getppid() == parent:
        time.sleep(0.01)
    Path(sys.argv[1]).write_text("outlived it")
if __name__ == "__main__":
    main()
"""


STARTER = """
import sys, threading, time
from pathlib import Path
from chaoskit.host import process
folder, warm = Path(sys.argv[1]), sys.argv[2] == "warm"
def main():
    if not warm:
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    made = process.start_untied("untied", str(folder / "told"), stdout=1)
    assert isinstance(made, process.Forked) is warm
    return int(made.wait(timeout=1000) or 0)
starter = process.fork(main, name="starter", log=folder / "log", title="starter")
print(int(starter.lines.hear(20)), flush=True)
sys.stdin.read()
starter.kill()
starter.stop()
"""


@pytest.mark.parametrize("warm", ["warm", "cold"])
def test_what_is_started_untied_outlives_its_starter_and_is_warm_where_that_has_one_thread(
    warm: str, tmp_path: Path
) -> None:
    """Either is found by its module, and by its environment."""
    (tmp_path / "untied.py").write_text(UNTIED)
    surroundings = {**os.environ, "PYTHONPATH": str(tmp_path)}
    words = [sys.executable, "-c", STARTER, tmp_path, warm]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=surroundings) as starter:
        assert starter.stdout
        untied = psutil.Process(int(starter.stdout.readline()))
        try:
            assert "untied" in untied.cmdline()
            assert untied.environ()["PYTHONPATH"] == str(tmp_path)
            starter.communicate(timeout=20)
            wait_until((tmp_path / "told").exists, timeout_s=10, what="it goes on")
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                untied.kill()


def test_a_paused_child_is_alive_and_hears_a_stop(tmp_path: Path) -> None:
    child = spawn(["sleep", "1000"], name="paused", log=tmp_path / "log")
    os.kill(child.pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED, timeout_s=10, what="it is paused")
    assert child.alive
    assert child.stop() == -signal.SIGTERM


def test_a_stranger_with_the_childs_number_is_not_signalled(tmp_path: Path) -> None:
    """Pid and creation time together are the identity: with another time, no signal is sent."""
    child = spawn(["sleep", "1000"], name="sleeper", log=tmp_path / "log")
    own, child.identity = child.identity, identity.token(os.getpid())
    child._signal_group(signal.SIGKILL)
    assert not child.wait(0.05)
    child.identity = own
    assert child.stop() == -signal.SIGTERM


def test_only_the_standard_descriptors_are_inherited(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        child = spawn(["sh", "-c", "ls /proc/$$/fd"], name="ls", log=tmp_path / "log", talks=True)
        listed = {int(number) for number in b"".join(child.lines).split()}
        child.stop()
        assert write not in listed
        assert {0, 1, 2} <= listed
    finally:
        os.close(read)
        os.close(write)


def test_a_child_leads_a_session_of_its_own(tmp_path: Path) -> None:
    child = spawn(["sleep", "1000"], name="sleeper", log=tmp_path / "log")
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    assert child.identity["ticks"] == identity.ticks(child.pid)
    child.stop()


def test_the_tail_is_this_childs_output_and_no_earlier_ones(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    for word in ("first", "second"):
        child = spawn(["sh", "-c", f"echo {word} 1; echo {word} 2 >&2; echo {word} 3"], name="x", log=log)
        assert child.wait(10)
        child.stop()
        assert child.tail() == f"{word} 1\n{word} 2\n{word} 3"
        assert child.tail(1) == f"{word} 3"
    assert log.read_text().startswith("first 1")


def test_waiting_ends_as_soon_as_the_child_does_and_shows_its_log(tmp_path: Path) -> None:
    child = spawn(["sh", "-c", "echo no such port; exit 3"], name="server", log=tmp_path / "log")
    with pytest.raises(EquipmentError, match=r"server: ended with 3 before: it answers [\s\S]*no such port"):
        wait_until(lambda: False, timeout_s=60, what="it answers", child=child)
    child.stop()


def test_waiting_is_bounded_and_says_what_is_missing() -> None:
    with pytest.raises(EquipmentError, match=r"not within 0\.05 s: still 2 of 3"):
        wait_until(lambda: False, timeout_s=0.05, what=lambda: "still 2 of 3")


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(EquipmentError, match="x: no-such-program is not an executable program"):
        spawn(["no-such-program"], name="x", log=tmp_path / "log")
