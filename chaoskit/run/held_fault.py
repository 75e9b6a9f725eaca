"""The runner's end of a held fault: start its holder, bring the effect about, take it back, know when it lapses.

Holders come from a process that is started ahead of the first fault, for all the faults that this process begins; it
lives as long as we do, and ends by the closing of its socket however we end.

A holder is deliberately not tied to our life by a parent-death signal: it must outlive us for the moment that
healing takes. It is tied to us by the pipe on its stdin. Its stderr is the log in the run's folder, by which the
watchdog and `chaoskit heal` find it. When it dies uninvited, its effect is taken back at once.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import psutil

from chaoskit.faults import processes
from chaoskit.faults.base import FORK_SERVER, Changeable, Fault, FaultError, Seen, Undo
from chaoskit.host.lines import Lines, pipes
from chaoskit.host.process import start_untied
from chaoskit.safety.heal import HOLDER_LOG

_COME_UP_S = 20.0
_ANSWER_S = 20.0
_END_S = 5.0
_LOG = f"see {HOLDER_LOG} in the run's folder"
_ENDED = f"the fault's holder process ended by itself; {_LOG}"


class HeldFault:
    """One fault and its holder. `on_lapse` is called once, from another thread, when the effect goes uninvited.

    While `lost` says why, nothing may be touched: another process undoes what this run left. `log` lies in the run's
    folder. Raises FaultError when no holder can be started.
    """

    def __init__(
        self,
        fault: Fault[Any],
        undo: Undo,
        max_s: float,
        log: Path,
        on_lapse: Callable[[str], None],
        lost: Callable[[], str] = lambda: "",
    ) -> None:
        self._holder, self._lines = fork_holder(log)
        self._fault = fault
        self.token = undo
        """The present undo token."""
        self._on_lapse = on_lapse
        self._lost = lost
        self._begun = False
        self._ending = False
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, name="holder", daemon=True)
        self._listener.start()
        self._lines.send(json.dumps({"kind": fault.kind, "undo": undo, "max_s": max_s}).encode())

    def await_armed(self) -> None:
        """Returns once the holder is ready; raises FaultError."""
        if "armed" not in self._answer(_ANSWER_S, "arm"):
            raise FaultError(f"the fault's holder process did not start; {_LOG}")

    def start(self) -> None:
        """Asks the holder to bring the effect about; `await_effect` tells the outcome."""
        self._begun = True
        self._lines.send(b"start")

    def await_effect(self) -> Seen:
        """Returns when the effect was seen; raises FaultError when it was not."""
        return _seen(self._answer(self._within_s, "bring the effect about"), "ok", "fail")

    def change(self, altered: Undo) -> Seen:
        """Gives the fault in force the level of an altered token; raises FaultError when it was not seen."""
        self.token = altered
        self._lines.send(b"change " + json.dumps(altered).encode())
        return _seen(self._answer(_ANSWER_S, "change the effect"), "changed", "change_failed")

    def take_back(self) -> Seen:
        """Undoes the fault, by the holder or, if that is gone, by ourselves; raises FaultError."""
        self._let_go()
        try:
            answer = self._answer(self._within_s, "undo")
        except FaultError:
            answer = {}
        self._end()
        return _seen(answer, "undone", "") if "undone" in answer else self._fault.stop(self.token)

    @property
    def _within_s(self) -> float:
        return _ANSWER_S + self._fault.longest_s(self.token)

    def discard(self) -> None:
        """Ends a holder that was never asked to begin; nothing is in force, so nothing is undone."""
        self._let_go()
        self._end()

    def _let_go(self) -> None:
        self._ending = True
        self._lines.let_go()

    def _end(self) -> None:
        # Its end of the pipe closes with it, which we hear of at once; it is not our child, so there is no SIGCHLD.
        self._listener.join(_END_S)
        if self._listener.is_alive():
            processes.send(self._holder, signal.SIGKILL)
            self._listener.join(_END_S)

    def _answer(self, within_s: float, what: str) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=within_s)
        except queue.Empty:
            raise FaultError(f"the fault's holder process did not {what} within {within_s:g} s") from None
        if "gone" in answer:
            self._answers.put(answer)
            raise FaultError(_ENDED)
        return answer

    def _listen(self) -> None:
        lapsed = undone = False
        for line in self._lines:
            with contextlib.suppress(ValueError):
                answer = json.loads(line)
                if "lapsed" in answer or "expired" in answer:
                    if not lapsed:
                        lapsed = True
                        self._on_lapse(_lapse(answer))
                else:
                    undone = undone or "undone" in answer
                    self._answers.put(answer)
        self._lines.close()
        self._answers.put({"gone": True})
        if self._begun and not self._ending and not undone:
            self._orphaned()

    def _orphaned(self) -> None:
        """The holder has died and no longer bounds the effect's duration: takes the effect back at once."""
        if why := self._lost():
            self._on_lapse(f"its holder was ended: {why}")
            return
        try:
            self._fault.stop(self.token)
        except Exception as error:
            self._on_lapse(f"the fault's holder died, and the undo failed: {error}")
        else:
            self._on_lapse("the fault's holder died, so the fault was undone")


class HeldHere:
    """A fault that the run's own process shows: it ends with it by itself, so there is no holder."""

    def __init__(self, fault: Fault[Any], undo: Undo) -> None:
        self._fault = fault
        self.token = undo

    def await_armed(self) -> None:
        """Returns at once: no holder process has to come up."""

    def start(self) -> None:
        """Begins to start the fault; its effect comes with `await_effect`."""

    def discard(self) -> None:
        """Does nothing: no fault was begun."""

    def await_effect(self) -> Seen:
        """Brings the fault's effect about; raises FaultError where it cannot."""
        return self._fault.start(self.token)

    def change(self, altered: Undo) -> Seen:
        """Gives the fault the level of an altered token; raises FaultError."""
        self.token = altered
        return cast(Changeable[Any], self._fault).change(altered)

    def take_back(self) -> Seen:
        """Undoes the fault; raises FaultError where it cannot."""
        return self._fault.stop(self.token)


def _lapse(answer: dict[str, Any]) -> str:
    if "expired" in answer:
        return f"the fault's maximum duration of {answer['expired']:g} real s was over, so the fault was undone"
    return str(answer["lapsed"])


def _seen(answer: dict[str, Any], done: str, failed: str) -> Seen:
    if done in answer:
        return Seen((answer[done][0], answer[done][1]), answer.get("detail", ""))
    raise FaultError(str(answer.get(failed, answer)))


class _ForkServer:
    def __init__(self) -> None:
        self.made_in = _surroundings()
        self._asked, theirs = socket.socketpair()
        self._asked.settimeout(_COME_UP_S)
        with theirs:
            end = theirs.fileno()
            self._process = start_untied(FORK_SERVER, str(end), keep=[end])

    def is_of_use(self) -> bool:
        """Whether it lives, and was made with the environment and in the folder that we have now."""
        return self._process.poll() is None and self.made_in == _surroundings()

    def ask(self, streams: list[int]) -> int:
        """The pid of a new holder with these streams; raises FaultError, OSError (ConnectionError: it is gone)."""
        socket.send_fds(self._asked, [b"+"], streams)
        said = b""
        while not said.endswith(b"\n"):
            if not (more := self._asked.recv(200)):
                raise ConnectionResetError("the fork server, which starts the holders of faults, has ended")
            said += more
        pid, _, why = said.decode().strip().partition(" ")
        if not int(pid):
            raise FaultError(f"no holder could be started: {why}")
        return int(pid)

    def close(self) -> None:
        self._asked.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
            return
        self._process.kill()
        self._process.wait(_END_S)


_lock = threading.Lock()
_present: list[_ForkServer] = []
"""Empty, or the one there is."""


def warm_up() -> None:
    """Starts the fork server without waiting for it, so that the first fault need not."""
    with _lock:
        _ready()


def fork_holder(log: Path) -> tuple[psutil.Process, Lines]:
    """A new holder, which is found by this log, and our end of its lines; raises FaultError."""
    try:
        try:
            return _fork_holder(log)
        except ConnectionError:
            # The fork server died since. It may have forked one that we know nothing of, whose pipes are closed by now.
            return _fork_holder(log)
    except (OSError, ValueError) as error:
        raise FaultError(f"no holder could be started: {error}") from None
    except psutil.Error:
        raise FaultError(_ENDED) from None


def _fork_holder(log: Path) -> tuple[psutil.Process, Lines]:
    with log.open("ab") as errors, pipes() as (lines, told, says):
        return psutil.Process(_ask([told, says, errors.fileno()])), lines


def _ask(streams: list[int]) -> int:
    with _lock:
        fork_server = _ready()
        try:
            return fork_server.ask(streams)
        except OSError:
            # Gone, or silent; and an answer that is still to come would be taken for the next one's.
            _present.remove(fork_server)
            fork_server.close()
            raise


def _ready() -> _ForkServer:
    if _present and not _present[0].is_of_use():
        _present.pop().close()
    if not _present:
        _present.append(_ForkServer())
    return _present[0]


def _surroundings() -> tuple[str, dict[str, str]]:
    return str(Path.cwd()), dict(os.environ)


@atexit.register
def end_fork_server() -> None:
    """Ends the process that holders come from, if there is one; holders live on. A fork of ours must call it itself."""
    while _present:
        _present.pop().close()
