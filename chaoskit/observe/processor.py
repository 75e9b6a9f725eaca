"""How long the stack's own processes wait for a processor: what a starved machine cannot hide.

The kernel counts for each thread how long it ran and how long it was ready to run and had to wait (`schedstat`). At
60x a real second is a virtual minute, so a target that waits is slow in a way that no fault of its own explains.

    ready  |--waits--|--runs--|--waits--|--runs--|         waited, used: sums over all threads of an equipment
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from chaoskit import identity
from chaoskit.events import Event, Processor
from chaoskit.observe.poller import Looking

EVERY_S = 1.0
_NS = 1e9
_MOST_TITLE = 80

_Thread = tuple[int, int]
_Times = tuple[int, int]
"""Nanoseconds that a thread ran and that it waited, since it began."""


class ProcessorObserver(Looking):
    """Emits a Processor event each second from a thread of its own until `stop`; says nothing where no kernel tells.

    `leaders` gives the processes whose sessions are the equipment, and its names; equipment restarts, so it is asked
    each time.
    """

    def __init__(self, leaders: Callable[[], Mapping[int, str]], on_event: Callable[[Event], None]) -> None:
        super().__init__("processor-observer", EVERY_S)
        self._leaders = leaders
        self._on_event = on_event
        self._at = time.time()
        self._before: dict[_Thread, _Times] = {}

    def look_once(self) -> None:
        """Emits the CPU time that equipment used and waited for since the last look."""
        names = self._leaders()
        since, self._at = self._at, time.time()
        now: dict[_Thread, _Times] = {}
        used: dict[str, float] = defaultdict(float)
        waited: dict[str, float] = defaultdict(float)
        stopped: dict[str, list[str]] = defaultdict(list)
        for pid in psutil.pids():
            name = names.get(_session(pid), "")
            if name and (title := _stopped(pid)):
                stopped[name].append(title)
            for thread, times in _threads(pid).items() if name else ():
                now[pid, thread] = times
                before = self._before.get((pid, thread), (0, 0))
                used[name] += (times[0] - before[0]) / _NS
                waited[name] += (times[1] - before[1]) / _NS
        first, self._before = not self._before, now
        if now and not first:
            during = (since, self._at)
            self._on_event(
                Processor(during=during, used_s=_rounded(used), waited_s=_rounded(waited), stopped=dict(stopped))
            )


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0  # it has ended


def _stopped(pid: int) -> str:
    """The title of a process that a signal has stopped; empty for one that may run."""
    if not identity.stopped(pid):
        return ""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""  # it has ended
    return " ".join(words.split())[:_MOST_TITLE] or "a process"


def _threads(pid: int) -> dict[int, _Times]:
    """By thread; those that have ended since are missing, and so is everything where the kernel does not count."""
    found = {}
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            ran, waited, _ = (thread / "schedstat").read_bytes().split()
            found[int(thread.name)] = (int(ran), int(waited))
    except (OSError, ValueError):
        return found
    return found


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in sorted(seconds.items())}
