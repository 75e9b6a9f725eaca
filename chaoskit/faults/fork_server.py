"""The process that has imported the kinds of faults once, and the holders that it forks, one for each fault.

An interpreter with our imports takes a third of a second of processor time to come up, and the drills of a wave begin
all at once. Ten of them together leave a target that runs beside them on two cores nothing for seconds; what it does
then is our doing, not the fault's. A fork takes some milliseconds.

    <- a byte and three descriptors      the holder's stdin, stdout and stderr
    -> its pid, or 0 and why there is none
    <- EOF                               nothing more is asked for; the holders live on by themselves

Which run a holder belongs to is told by its stderr, the holder log in that run's folder. It keeps its fault in force
exactly as long as its stdin is held open: however the runner ends (by SIGKILL, say), the kernel closes that pipe, and
the holder undoes the fault. It says one line of JSON an answer:

    <- {"kind": ..., "undo": {...}, "max_s": ...}      what to hold
    -> {"armed": true}
    <- start
    -> {"ok": [a, b], "detail": ...} | {"fail": reason}
    -> {"lapsed": reason} | {"expired": max_s}         while in force, at most once
    <- change {...}                                    the altered token, while in force
    -> {"changed": [a, b], "detail": ...} | {"change_failed": reason}
    <- EOF, or undo
    -> {"undone": [a, b], "detail": ...} | {"undo_failed": reason}

Signals that a terminal or a service manager sends to all processes are left to the runner: the holder outlives them,
and hands none of that on to the programs that it starts.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, cast

from chaoskit.faults.base import FORK_SERVER, Changeable, Fault, FaultError, Lapsed, Seen, Undo
from chaoskit.faults.registry import known
from chaoskit.fresh import outlive
from chaoskit.host import warm
from chaoskit.host.lines import Lines

_STREAMS = 3
_RUNNER = Lines(1, 0)
"""A holder's lines, by the streams that it becomes."""


def leave_signals_to_the_runner() -> None:
    """Ignores the signals that end the runner: a process that holds a fault must outlive them to take it back."""
    outlive((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE))


def main() -> int:
    """Serves the protocol above on the socket whose descriptor is the first argument, until its other end is closed."""
    leave_signals_to_the_runner()
    # Holders are waited for by no process here, so the kernel shall not keep them for that.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    known()
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        while True:
            word, streams, _, _ = socket.recv_fds(asked, 1, _STREAMS, socket.MSG_CMSG_CLOEXEC)
            if not word:
                return 0
            asked.sendall(_answer(streams).encode() + b"\n")
            for stream in streams:
                os.close(stream)


def _answer(streams: list[int]) -> str:
    if len(streams) != _STREAMS:
        return "0 too many files are open"
    try:
        return str(warm.fork(hold, FORK_SERVER, streams, apart=True, tied=False))
    except OSError as error:
        return f"0 {error.strerror}"


def hold() -> int:
    """Runs the protocol above on stdin and stdout; 0 when the fault is undone, 1 when it could not be."""
    leave_signals_to_the_runner()
    order = json.loads(_RUNNER.hear() or "null")
    if order is None:
        return 0
    fault = known()[order["kind"]]
    undo: Undo = order["undo"]
    _say(armed=True)
    if _RUNNER.hear().strip() != b"start":
        return 0
    ended = threading.Event()
    threading.Thread(target=_listen, args=(fault, undo, ended), daemon=True).start()
    threading.Thread(target=_limit, args=(order["max_s"], ended), daemon=True).start()
    try:
        if _tried("ok", "fail", lambda: fault.start(undo)):
            _hold(fault, undo, ended)
    finally:
        ended.set()
        healed = _tried("undone", "undo_failed", lambda: fault.stop(undo))
    return 0 if healed else 1


def _hold(fault: Fault[Any], undo: Undo, ended: threading.Event) -> None:
    try:
        fault.hold(undo, ended)
    except Lapsed as lapse:
        _say(lapsed=str(lapse))
    except Exception as error:
        _say(lapsed=_reason(error))
    ended.wait()


def _listen(fault: Fault[Any], undo: Undo, ended: threading.Event) -> None:
    """Carries out changes until anything else, or the end, comes in."""
    try:
        while (word := _RUNNER.hear().partition(b" "))[0] == b"change" and not ended.is_set():
            # The token first: from here on, healing undoes the new level too.
            undo.update(json.loads(word[2]))
            _tried("changed", "change_failed", lambda: cast(Changeable[Any], fault).change(undo))
    finally:
        ended.set()


def _tried(done: str, failed: str, work: Callable[[], Seen]) -> bool:
    """Whether the work succeeded; reports `done` or `failed`."""
    try:
        seen = work()
    except Exception as error:
        _say(**{failed: _reason(error)})
        return False
    _say(**{done: seen.between}, detail=seen.detail)
    return True


def _limit(max_s: float, ended: threading.Event) -> None:
    if not ended.wait(max_s):
        _say(expired=max_s)
        ended.set()


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, FaultError) else f"{type(error).__name__}: {error}"


def _say(**answer: Any) -> None:
    _RUNNER.send(json.dumps(answer).encode())  # where the runner is gone, healing goes on all the same


if __name__ == "__main__":
    sys.exit(main())
