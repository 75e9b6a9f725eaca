"""The runner's end of the nursery: where holders come from, one process for all the faults that this process begins.

It is started ahead of the first fault, lives as long as we do, and ends by the closing of its socket however we end.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from chaoskit import giving_way
from chaoskit.faults.base import FaultError
from chaoskit.fresh import fresh
from chaoskit.safety.heal import NURSERY

_COME_UP_S = 20.0
_END_S = 5.0


@dataclass(frozen=True, slots=True)
class Born:
    """A holder and our ends of its pipes."""

    process: psutil.Process
    orders: IO[str]
    answers: IO[str]


class _Nursery:
    def __init__(self) -> None:
        self.made_in = _surroundings()
        self._asked, theirs = socket.socketpair()
        self._asked.settimeout(_COME_UP_S)
        with theirs:
            self._process = subprocess.Popen(
                fresh([sys.executable, "-m", NURSERY, str(theirs.fileno())]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        giving_way.started(self._process.pid)

    def is_of_use(self) -> bool:
        """Whether it lives, and was made with the environment and in the folder that we have now."""
        return self._process.poll() is None and self.made_in == _surroundings()

    def ask(self, streams: list[int]) -> int:
        """The pid of a new holder with these streams; raises FaultError, OSError (ConnectionError: it is gone)."""
        socket.send_fds(self._asked, [b"+"], streams)
        said = b""
        while not said.endswith(b"\n"):
            if not (more := self._asked.recv(200)):
                raise ConnectionResetError("the process that holders come from has ended")
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
_present: list[_Nursery] = []
"""Empty, or the one there is."""


def warm_up() -> None:
    """Starts the nursery without waiting for it, so that the first fault need not."""
    with _lock:
        _ready()


def bear(log: Path) -> Born:
    """A new holder, which tells its troubles to this log and is found by it; raises FaultError."""
    try:
        try:
            return _bear(log)
        except ConnectionError:
            # The nursery died since. It may have forked one that we know nothing of, whose pipes are closed by now.
            return _bear(log)
    except (OSError, ValueError) as error:
        raise FaultError(f"no holder could be started: {error}") from None
    except psutil.Error:
        raise FaultError("the holder ended by itself") from None


def _bear(log: Path) -> Born:
    with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
        errors = theirs.enter_context(log.open("ab"))
        told, orders = os.pipe()
        theirs.callback(os.close, told)
        sent = ours.enter_context(os.fdopen(orders, "w"))
        answers, says = os.pipe()
        theirs.callback(os.close, says)
        heard = ours.enter_context(os.fdopen(answers))
        process = psutil.Process(_ask([told, says, errors.fileno()]))
        ours.pop_all()
    return Born(process, sent, heard)


def _ask(streams: list[int]) -> int:
    with _lock:
        nursery = _ready()
        try:
            return nursery.ask(streams)
        except OSError:
            # Gone, or silent; and an answer that is still to come would be taken for the next one's.
            _present.remove(nursery)
            nursery.close()
            raise


def _ready() -> _Nursery:
    if _present and not _present[0].is_of_use():
        _present.pop().close()
    if not _present:
        _present.append(_Nursery())
    return _present[0]


def _surroundings() -> tuple[str, dict[str, str]]:
    return str(Path.cwd()), dict(os.environ)


@atexit.register
def _close() -> None:
    while _present:
        _present.pop().close()
