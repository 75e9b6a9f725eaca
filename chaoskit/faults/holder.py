"""The holder: a child process that keeps one fault in force exactly as long as somebody holds its stdin open.

However the runner ends (normally, by an exception, by SIGKILL), the kernel closes its end of the pipe, and the
holder undoes the fault. It speaks one JSON line an answer:

    <- {"kind": ..., "undo": {...}, "max_s": ...}      what to hold
    -> {"armed": true}
    <- start
    -> {"ok": [a, b], "detail": ...} | {"fail": reason}
    -> {"lapsed": reason} | {"expired": max_s}         while in force, at most once
    <- change {...}                                    the altered token, while in force
    -> {"changed": [a, b], "detail": ...} | {"change_failed": reason}
    <- EOF, or undo
    -> {"undone": [a, b], "detail": ...} | {"undo_failed": reason}

Signals that a terminal or a service manager sends to everybody are left to the runner: the holder outlives them,
and hands none of that on to the programs that it starts.
It is forked by the nursery.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any, cast

from chaoskit.faults.base import Changeable, Fault, FaultError, Lapsed, Undo
from chaoskit.faults.registry import known
from chaoskit.fresh import outlive


def leave_signals_to_the_runner() -> None:
    """Whoever ends everything at once ends the runner by it; what holds a fault must outlive that to take it back."""
    outlive((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE))


def main() -> int:
    """Runs the protocol above on stdin and stdout; 0 when the fault is undone, 1 when it could not be."""
    order = json.loads(sys.stdin.readline() or "null")
    if order is None:
        return 0
    fault = known()[order["kind"]]
    undo: Undo = order["undo"]
    _say(armed=True)
    if sys.stdin.readline().strip() != "start":
        return 0
    ended = threading.Event()
    threading.Thread(target=_listen, args=(fault, undo, ended), daemon=True).start()
    threading.Thread(target=_limit, args=(order["max_s"], ended), daemon=True).start()
    try:
        _bring_about(fault, undo, ended)
    finally:
        ended.set()
        code = _take_back(fault, undo)
    sys.stdout.flush()
    os._exit(code)


def _bring_about(fault: type[Fault], undo: Undo, ended: threading.Event) -> None:
    try:
        seen = fault.start(undo)
    except Exception as error:
        _say(fail=_reason(error))
        return
    _say(ok=seen.between, detail=seen.detail)
    try:
        fault.hold(undo, ended)
    except Lapsed as lapse:
        _say(lapsed=str(lapse))
    except Exception as error:
        _say(lapsed=_reason(error))
    ended.wait()


def _take_back(fault: type[Fault], undo: Undo) -> int:
    try:
        seen = fault.stop(undo)
    except Exception as error:
        _say(undo_failed=_reason(error))
        return 1
    _say(undone=seen.between, detail=seen.detail)
    return 0


def _listen(fault: type[Fault], undo: Undo, ended: threading.Event) -> None:
    """Carries out changes until anything else, or the end, comes in."""
    try:
        while (word := sys.stdin.readline().partition(" "))[0] == "change" and not ended.is_set():
            # The token first: from here on, healing undoes the new level too.
            undo.update(json.loads(word[2]))
            _change(fault, undo)
    finally:
        ended.set()


def _change(fault: type[Fault], undo: Undo) -> None:
    try:
        seen = cast(type[Changeable], fault).change(undo)
    except Exception as error:
        _say(change_failed=_reason(error))
        return
    _say(changed=seen.between, detail=seen.detail)


def _limit(max_s: float, ended: threading.Event) -> None:
    if not ended.wait(max_s):
        _say(expired=max_s)
        ended.set()


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, FaultError) else f"{type(error).__name__}: {error}"


def _say(**answer: Any) -> None:
    try:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    except OSError:
        # The runner is gone; healing must go on all the same.
        return
