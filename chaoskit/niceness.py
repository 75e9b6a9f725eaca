"""Lower the CPU priority of processes that are starting or judging, so that other runs' measurements are undisturbed.

A process's niceness does nothing here: kernels that group processes by session (autogroup, on in Debian's and
Ubuntu's) share the processors among sessions first, and every child of ours leads one. Only the niceness of the
session counts, and unlike a process's own it can be taken back without privileges. With five sessions computing without
pause on two cores, one wake-up in twenty of another process was 7.5 ms late, with or without a niceness of 10 of those
processes; 3 ms where their sessions had one of 5, 0.5 ms with 10. Where control groups share the processors out
instead, none of this has an effect.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

BY = 8
"""How nice a session is that gives way: it still comes up beside two processes that compute without pause."""
_AGAIN_S = 0.11
"""Without privileges one session a tenth of a second may be changed, counted over the whole machine."""
_PATIENCE_S = 5.0

_lock = threading.Lock()
_lowered: list[int] | None = None
"""The sessions that give way until we have come up, None where none is to."""


def start_low_priority() -> None:
    """Lower the CPU priority of this process's session and of what it starts, until `restore`."""
    global _lowered
    with _lock:
        _lowered = [os.getpid()] if lower_own() else []


def started(leader: int) -> None:
    """Says that a session was started: it gives way where this process only comes up, else nothing happens."""
    with _lock:
        if _lowered is not None and lower(leader):
            _lowered.append(leader)


def restore() -> None:
    """Restore the priority of the sessions that gave way. Waits at most 5 s; a second call does nothing."""
    global _lowered
    with _lock:
        leaders, _lowered = _lowered or [], None
    end = time.monotonic() + _PATIENCE_S
    for leader in leaders:
        while not _set(leader, 0) and _path(leader).exists() and time.monotonic() < end:
            time.sleep(_AGAIN_S)  # the kernel takes one change at a time and announces nothing


def give_way() -> None:
    """Lower this process's priority for good: its session's, and its own where the kernel does not group by session."""
    lower_own()
    os.nice(BY)


def lower(leader: int) -> bool:
    """Lower a session's CPU priority from now on; whether the kernel took it."""
    return _set(leader, BY)


def lower_own() -> bool:
    """Lower the session of this process if the process leads it: else it may be a user's terminal."""
    return os.getsid(0) == os.getpid() and lower(os.getpid())


def lift_own() -> bool:
    """Restore the CPU priority of the session that this process leads; whether the kernel took it."""
    return os.getsid(0) == os.getpid() and _set(os.getpid(), 0)


def _set(leader: int, nice: int) -> bool:
    try:
        _path(leader).write_text(str(nice), encoding="ascii")
    except OSError:
        return False
    return True


def _path(leader: int) -> Path:
    return Path(f"/proc/{leader}/autogroup")
