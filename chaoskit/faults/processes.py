"""Finding processes by their title, and signalling exactly those: a process is its pid *and* its creation time.

Titles are matched by a pattern with the named group `name`, which is what the target calls the process.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from chaoskit.faults.base import FaultError, Target

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Identity of this boot of the machine; a token of an earlier one names no process any more."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"boot-{psutil.boot_time():.0f}"


def title(process: psutil.Process) -> str:
    """The process's command line as one string; empty for one that is gone or a zombie."""
    try:
        return " ".join(process.cmdline()).strip("\x00 ")
    except psutil.Error:
        return ""


def find(pattern: str) -> dict[str, psutil.Process]:
    """The live processes whose title matches, by the pattern's group `name`."""
    wanted = re.compile(pattern)
    found = {}
    for process in psutil.process_iter():
        match = wanted.fullmatch(title(process))
        if match:
            found[match["name"]] = process
    return found


def token(process: psutil.Process, name: str) -> dict[str, Any]:
    """The process as data for an undo token."""
    return {"name": name, "pid": process.pid, "created": process.create_time()}


def alive(victim: dict[str, Any]) -> psutil.Process | None:
    """The very process of a token, unless it is gone (or only a zombie is left of it)."""
    try:
        process = psutil.Process(victim["pid"])
        same = abs(process.create_time() - victim["created"]) < 0.02
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def stopped(process: psutil.Process) -> bool:
    """Whether the process stands still because of a stop signal."""
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Signals exactly this process (psutil compares the creation time first); gone already is no error."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise FaultError(f"not allowed to signal process {process.pid}; run as its user") from None


def children(parent: int) -> Iterator[int]:
    """Pids of a process's direct children, cheaply where the kernel lists them."""
    tasks = Path(f"/proc/{parent}/task")
    try:
        for task in tasks.iterdir():
            yield from (int(pid) for pid in (task / "children").read_text().split())
    except OSError:
        try:
            yield from (child.pid for child in psutil.Process(parent).children())
        except psutil.Error:
            return


def prepare(target: Target) -> dict[str, Any]:
    """The token that process faults share: boot, pattern, and the victims; raises FaultError for missing ones."""
    pattern = str(target.address["pattern"])
    found = find(pattern)
    missing = [name for name in target.names if name not in found]
    if missing:
        there = ", ".join(sorted(found)) or "none"
        raise FaultError(f"no such process: {', '.join(missing)} ({target.handle}; running: {there})")
    victims = [token(found[name], name) for name in target.names]
    return {"boot": boot_id(), "pattern": pattern, "victims": victims}
