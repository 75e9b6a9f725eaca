"""Children whose lives are tied to ours: however we end, even by SIGKILL, none of them stays behind.

Each child leads a session and a process group of its own, inherits no descriptors but its three standard
ones, and asks the kernel to be killed when its parent goes (PR_SET_PDEATHSIG, Linux only). That signal
belongs to the *thread* that forked: were it an executor's thread, the child would die whenever the pool
shrinks. So `spawn` insists on the main thread unless told that the calling thread outlives the child.

The signal reaches the child alone, not what the child started: a child that has children of its own must
start them with `spawn` too.

A child is reaped in `stop` and nowhere else. Until then its pid, and the number of its process group, cannot
be given to another process, so a signal can never hit a stranger.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from chaoskit import identity, niceness, waiting
from chaoskit.errors import EquipmentError
from chaoskit.fresh import fresh
from chaoskit.host import warm
from chaoskit.host.lines import Lines, pipes

_long_lived = threading.local()
STILL_S = 10.0
"""Real seconds after which a child that is stopped is not waited for any more."""
_TAIL_BYTES = 64 * 1024
_LAST_S = 5.0
"""How long a child that says no more may take to end."""

# setpriv sets the signal and then becomes the shell, which leaves unless its parent is still us (we may have
# died before the signal was set) and then becomes the program: one process all along, so one pid.
_SHELL_GATE = '[ "$PPID" = "$0" ] && exec "$@"'
# The same without util-linux. A preexec_fn would run between fork and exec, where threads make it unsafe.
_PYTHON_GATE = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "
    "os.getppid() == int(sys.argv[1]) or os._exit(1); os.execvp(sys.argv[2], sys.argv[2:])"
)


class Child:
    """A process that we started, known by its pid and its start in clock ticks; made by `spawn` or `fork`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes] | Forked,
        name: str,
        log: Path,
        log_start: int,
        lines: Lines | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.pid = process.pid
        self._process = process
        self._log_start = log_start
        self._lines = lines
        self.identity = identity.token(process.pid)
        self._reaped = False
        self._still_since = 0.0

    def __repr__(self) -> str:
        return f"<Child {self.name} pid {self.pid} {'alive' if self.alive else f'ended {self.returncode}'}>"

    @property
    def lines(self) -> Lines:
        """Our end of what it is told and says, where it was started to talk."""
        assert self._lines is not None
        return self._lines

    @property
    def alive(self) -> bool:
        """Whether the child runs; a paused child is alive, one that has ended and waits to be reaped is not."""
        return not self._reaped and self._ending() is None

    @property
    def returncode(self) -> int | None:
        """None while the child runs, then its exit status, or the negative number of the signal that ended it."""
        return self._process.returncode if self._reaped else self._ending()

    def stands_still(self, longer_than_s: float = STILL_S) -> bool:
        """Whether a signal had stopped it at every look for so long; to be asked again and again."""
        if self.alive and identity.stopped(self.pid):
            self._still_since = self._still_since or time.monotonic()
            return time.monotonic() - self._still_since > longer_than_s
        self._still_since = 0.0
        return False

    def wait(self, timeout_s: float) -> bool:
        """Wait at most that long for the child to end; whether it has ended. Does not reap it."""
        if not self.alive:
            return True
        try:
            handle = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # no Linux, or an old one
            return waiting.await_true(lambda: not self.alive, timeout_s, 0.01)
        try:
            poller = select.poll()
            poller.register(handle, select.POLLIN)
            return bool(poller.poll(max(0.0, timeout_s) * 1000))
        finally:
            os.close(handle)

    def hello(self, within_s: float, what: str) -> bytes:
        """The child's first line, which means `what`; raises EquipmentError where none comes in time."""
        try:
            line = self.lines.hear(within_s)
        except TimeoutError:
            raise EquipmentError(self.name, f"not within {within_s:g} s: {what}", _log_of(self)) from None
        if line:
            return line
        self.wait(_LAST_S)
        raise EquipmentError(self.name, f"ended with {self.returncode} before: {what}", _log_of(self))

    def terminate(self) -> None:
        """Asks the child, without its own children, to end; returns at once."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)  # not reaped, so the number is still its own

    def kill(self) -> None:
        """End the child's process group at once; it is reaped by `stop` alone."""
        if not self._reaped:  # so the number is still its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def stop(self, grace_s: float = 5.0) -> int | None:
        """End the child's process group and reap the child; idempotent; gives its return code.

        SIGTERM first (and SIGCONT, for a paused process would not hear it); what remains of the group once
        the child has ended, or after the grace period, gets SIGKILL. Raises EquipmentError if the child
        outlives even that.
        """
        if self._reaped:
            return self.returncode
        if self.alive:
            self._signal_group(signal.SIGTERM)
            self._signal_group(signal.SIGCONT)
            self.wait(grace_s)
        self._signal_group(signal.SIGKILL)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            raise EquipmentError(
                self.name, f"pid {self.pid} does not end, even after SIGKILL", "see the state of this pid with ps -l"
            ) from None
        self._reaped = True
        if self._lines is not None:
            self._lines.close()
        return self.returncode

    def tail(self, lines: int = 20) -> str:
        """The last lines that this child (not an earlier one with the same log file) wrote to its log."""
        try:
            with self.log.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - _TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _ending(self) -> int | None:
        try:
            state = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # something else reaped it: it is gone, how it ended is not known
            return self._process.poll() or 0
        if state is None:
            return None
        return state.si_status if state.si_code == os.CLD_EXITED else -state.si_status

    def _signal_group(self, number: signal.Signals) -> None:
        # Unreaped, the number is certainly still ours; the start is asked all the same.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if identity.ticks(self.pid) == self.identity["ticks"]:
                os.killpg(self.pid, number)


class Forked:
    """A fork, with as much of what subprocess gives for a program as a Child needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """None while the child runs, then its exit code: 0 where something else has reaped it, as subprocess has it."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float) -> None:
        """Waits for the child's end and reaps it; raises subprocess.TimeoutExpired."""
        if not waiting.await_true(lambda: self.poll() is not None, timeout):
            raise subprocess.TimeoutExpired([], timeout)

    def kill(self) -> None:
        """Kills the child where it still runs; `poll` and `wait` reap it."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def ended(children: Iterable[Child]) -> list[Child]:
    """The children that have ended, to be asked for again and again: one that stands still is killed, and so ends."""
    every = list(children)
    for child in every:
        if child.stands_still():
            child.kill()
    return [child for child in every if not child.alive]


def declare_long_lived_thread() -> None:
    """The calling thread promises to outlive every child that it spawns from now on."""
    _long_lived.yes = True


def spawn(
    argv: Sequence[str | Path],
    *,
    name: str,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    talks: bool = False,
    any_thread: bool = False,
) -> Child:
    """Start a child that dies with us; standard error, and output unless it goes elsewhere, are appended to `log`.

    `stdin`, `stdout` and `stderr` may be descriptors: input is empty by default, and the reader of `stderr` writes the
    log itself. One that `talks` has `lines` for input and output instead. Outside the main thread it raises
    RuntimeError unless `any_thread` says that the calling thread outlives the child.
    Raises EquipmentError when the program cannot be started.
    """
    _insist_on_a_long_life(name, any_thread)
    words = [str(word) for word in argv]
    found = shutil.which(words[0], path=(env or os.environ).get("PATH"))
    if found is None:
        raise EquipmentError(name, f"{words[0]} is not an executable program", "install it, or correct PATH")
    program = str(Path(found).absolute())  # it is started from `cwd`
    log.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as opened:
        output = opened.enter_context(log.open("ab"))
        lines = None
        if talks:
            lines, stdin, stdout = opened.enter_context(pipes())
        start = output.seek(0, os.SEEK_END)
        try:
            process = subprocess.Popen(
                fresh([*_tied_to_us(), program, *words[1:]]),
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=output if stdout is None else stdout,
                stderr=output if stderr is None else stderr,
                env=None if env is None else dict(env),
                cwd=cwd,
                close_fds=True,
                start_new_session=True,
            )
        except OSError as error:
            raise EquipmentError(name, f"{program} could not be started: {error}", "install it anew") from error
    niceness.started(process.pid)
    return Child(process, name, log, start, lines)


def fork(main: Callable[[], int], *, name: str, log: Path, title: str) -> Child:
    """Start a child like one of `spawn` that talks, but warm: `main` with all that we have imported.

    In the main thread. `title` is its command line. Raises EquipmentError where it cannot be started.
    """
    _insist_on_a_long_life(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output, pipes() as (lines, told, says):
        start = output.seek(0, os.SEEK_END)
        try:
            pid = warm.fork(main, title, (told, says, output.fileno()), apart=True)
        except OSError as error:
            raise EquipmentError(name, f"the process could not be forked: {error}", "see `ulimit -u`") from error
        niceness.started(pid)
        return Child(Forked(pid), name, log, start, lines)


def start_untied(
    module: str,
    *arguments: str,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int = 2,
    keep: Sequence[int] = (),
) -> subprocess.Popen[bytes] | Forked:
    """Start a module of ours, by its `main`, in a session of its own and with a life of its own: it ends by itself.

    It inherits the descriptors to `keep`. Where we are a warm process with one thread it is a warm one too. Raises
    OSError where this machine has no room for it.
    """
    process: subprocess.Popen[bytes] | Forked
    if warm.may_fork(module):

        def main() -> int:
            sys.argv = [module, *arguments]
            return int(importlib.import_module(module).main())

        with Path(os.devnull).open("r+b", 0) as null:
            streams = [null.fileno() if one == subprocess.DEVNULL else one for one in (stdin, stdout, stderr)]
            process = Forked(warm.fork(main, module, streams, apart=True, keep=keep, tied=False))
    else:
        process = subprocess.Popen(
            fresh([sys.executable, "-m", module, *arguments]),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=keep,
            start_new_session=True,
        )
    niceness.started(process.pid)
    return process


def _insist_on_a_long_life(name: str, any_thread: bool = False) -> None:
    long_lived = any_thread or getattr(_long_lived, "yes", False)
    if not long_lived and threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            f"{name} would die with {threading.current_thread().name}, the thread that starts it: "
            "spawn from the main thread, or pass any_thread=True if this one outlives the child"
        )


def wait_until(
    condition: Callable[[], object],
    *,
    timeout_s: float,
    what: str | Callable[[], str],
    child: Child | None = None,
) -> None:
    """Wait until the condition holds, asking ever more slowly (10 to 100 ms apart), for at most `timeout_s`.

    `what` says what is awaited, such as "it answers on port 9090", or gives at the end what is still missing.
    Raises EquipmentError, with the end of the child's log, when the time is up, and at once when the child ends.
    """
    start = time.monotonic()
    pause_s = 0.01
    while not condition():
        left_s = start + timeout_s - time.monotonic()
        if child is not None and not child.alive:
            raise EquipmentError(child.name, f"ended with {child.returncode} before: {_said(what)}", _log_of(child))
        if left_s <= 0:
            name = child.name if child else "chaoskit"
            hint = _log_of(child) if child else ""
            raise EquipmentError(name, f"not within {timeout_s:g} s: {_said(what)}", hint)
        if child is not None:
            child.wait(min(pause_s, left_s))
        else:
            time.sleep(min(pause_s, left_s))  # for conditions that announce nothing
        pause_s = min(pause_s * 1.5, 0.1)


def tied(argv: Sequence[str | Path]) -> list[str]:
    """The command with what binds its life to that of the thread that starts it, and must wait for it.

    Raises FileNotFoundError where there is no such program.
    """
    words = [str(word) for word in argv]
    found = shutil.which(words[0])
    if found is None:
        raise FileNotFoundError(errno.ENOENT, f"{words[0]} is not an executable program")
    return fresh([*_tied_to_us(), found, *words[1:]])


def run(
    argv: Sequence[str | Path],
    within_s: float,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    given: str = "",
    together: bool = False,
) -> subprocess.CompletedProcess[str]:
    """How a program ended that reads what is `given`, and its output; it ends with us, and hears no Ctrl-C of ours.

    `together` has what it says on both streams in one, so that a complaint follows the name of what it is about.
    Raises OSError where it cannot be started, subprocess.TimeoutExpired where it is not done in time.
    """
    return subprocess.run(
        tied(argv),
        cwd=cwd,
        env=env,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        timeout=within_s,
        check=False,
        start_new_session=True,
    )


def _tied_to_us() -> list[str]:
    """The words in front of a command that bind its life to ours; none where the kernel cannot."""
    if not sys.platform.startswith("linux"):
        return []
    setpriv, shell = shutil.which("setpriv"), shutil.which("sh")
    if setpriv and shell:
        return [setpriv, "--pdeathsig", "KILL", "--", shell, "-c", _SHELL_GATE, str(os.getpid())]
    return [sys.executable, "-I", "-S", "-c", _PYTHON_GATE, str(os.getpid())]


def _said(what: str | Callable[[], str]) -> str:
    return what if isinstance(what, str) else what()


def _log_of(child: Child) -> str:
    return f"the end of {child.log}:\n{child.tail()}"
