"""Which process is it: its pid, its start in clock ticks since boot, the boot, and the PID namespace its pid counts in.

None of the four moves when the clock is set (a creation time in seconds does). Within this process, a process that was
recognised once stays pinned by a pidfd: signals and the wait for its end use it, also after its pid is reused.
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

Token = Mapping[str, Any]
"""A process as JSON data: pid, ticks, boot, space; versions before had `created` (epoch seconds) for the ticks."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_OLD_S = 0.02
_lock = threading.RLock()
_pins: dict[tuple[object, ...], int] = {}
"""pidfds of what was recognised, by what their tokens say; -1 for what was seen to end."""


class Fate(enum.Enum):
    """The fate of a token's process, as far as it is known."""

    LIVES = enum.auto()
    ENDED = enum.auto()
    """The process ended, or its pid is free or belongs to a later process, or the machine was restarted since."""
    UNKNOWN = enum.auto()
    """Another namespace, a hidden /proc, or a token whose time does not fit, or that tells none."""


def boot_id() -> str:
    """Identity of this boot of the machine; empty where the kernel does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def space() -> int:
    """Inode of the PID namespace in which we send signals; 0 where /proc does not show that one."""
    try:
        shown = str(Path("/proc/self").readlink()) == str(os.getpid())
        return Path("/proc/self/ns/pid").stat().st_ino if shown else 0
    except OSError:
        return 0


def ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot; raises ProcessLookupError or PermissionError."""
    return int(_stat(pid)[19])


def stopped(pid: int) -> bool:
    """Whether a signal, or a debugger, has stopped the process with this pid; False where it is gone."""
    try:
        return _stat(pid)[0] in ("T", "t")
    except OSError:
        return False


def age_s(pid: int) -> float:
    """Seconds since a process started, by the boot clock, which never jumps; raises as `ticks`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks(pid) / os.sysconf("SC_CLK_TCK")


def token(pid: int) -> dict[str, Any]:
    """The process that has this pid now, as data; raises ProcessLookupError or PermissionError."""
    return {"pid": pid, "ticks": ticks(pid), **place()}


def place() -> dict[str, Any]:
    """Where a pid means something: this boot and this PID namespace."""
    return {"boot": boot_id(), "space": space()}


def name(pid: int) -> str:
    """The process that has this pid now, by a name that is the same in every PID namespace; raises as `ticks`."""
    begun, own, inode = ticks(pid), pid, space()
    with contextlib.suppress(OSError):
        inode = Path(f"/proc/{pid}/ns/pid").stat().st_ino
        shown = Path(f"/proc/{pid}/status").read_text(errors="replace").partition("\nNSpid:")[2]
        own = int(shown.partition("\n")[0].split()[-1])
    return f"process {own} (since tick {begun}, namespace {inode})"


def fate(token: Token) -> Fate:
    """Whether the very process of a token lives; a zombie has ended."""
    key = _key(token)
    with _lock:
        if key in _pins:
            if _pins[key] >= 0 and _over(_pins[key]):
                os.close(_pins[key])
                _pins[key] = -1
            return Fate.LIVES if _pins[key] >= 0 else Fate.ENDED
        if not token.get("boot") or not boot_id():
            return Fate.UNKNOWN
        if token["boot"] != boot_id():
            return Fate.ENDED
        old = token.get("ticks") is None
        comparable = token.get("created") is not None if old else bool(token.get("space")) and token["space"] == space()
        if not comparable:
            return Fate.UNKNOWN
        return _look(token, key, old)


def send(token: Token, number: signal.Signals) -> None:
    """Signals exactly the process of a token; one that ended or is not known gets none. Raises PermissionError."""
    with _lock, contextlib.suppress(ProcessLookupError):
        if fate(token) is Fate.LIVES:
            if (pin := _pins.get(_key(token))) is not None:
                signal.pidfd_send_signal(pin, number)
            else:
                os.kill(token["pid"], number)


def send_to(process: psutil.Process, number: signal.Signals) -> None:
    """Signals exactly the process that was found as this; gone already is no error. Raises PermissionError."""
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        handle = _pidfd(process.pid)
        try:
            if process.is_running():  # what has the pid now that it is pinned is what was found
                if handle is None:
                    os.kill(process.pid, number)
                else:
                    signal.pidfd_send_signal(handle, number)
        finally:
            if handle is not None:
                os.close(handle)


def _look(token: Token, key: tuple[object, ...], old: bool) -> Fate:
    pid = int(token["pid"])
    try:
        pin = _pidfd(pid)
    except ProcessLookupError:
        return Fate.ENDED
    found = _compared(token, old)
    if pin is not None:
        if _over(pin):
            found = Fate.ENDED if found is not Fate.UNKNOWN or not _exists(pid) else found
        elif found is Fate.LIVES:
            _pins[key] = pin
            return found
        os.close(pin)
    return found


def _compared(token: Token, old: bool) -> Fate:
    """The fate by what /proc says of the process that has the pid now."""
    pid = int(token["pid"])
    try:
        if old:
            same = abs(psutil.Process(pid).create_time() - token["created"]) < _OLD_S
            return Fate.UNKNOWN if not same else Fate.ENDED if _stat(pid)[0] in "ZX" else Fate.LIVES
        stat = _stat(pid)
    except (OSError, psutil.Error):
        return Fate.UNKNOWN if _exists(pid) else Fate.ENDED
    if int(stat[19]) == token["ticks"]:
        return Fate.ENDED if stat[0] in "ZX" else Fate.LIVES
    return Fate.ENDED if int(stat[19]) > token["ticks"] else Fate.UNKNOWN


def _exists(pid: int) -> bool:
    """Whether a pid is taken, also by a process that /proc hides from us."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat from field 3 (the state) on; the name before it may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        raise ProcessLookupError(f"no process {pid}") from None


def _pidfd(pid: int) -> int | None:
    """None where the kernel has no pidfds; raises ProcessLookupError."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (AttributeError, OSError):
        return None


def _over(pidfd: int) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(0))


def _key(token: Token) -> tuple[object, ...]:
    return tuple(token.get(part) for part in ("pid", "ticks", "created", "boot", "space"))
