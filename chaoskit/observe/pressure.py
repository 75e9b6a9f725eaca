"""How long programs that were ready had to wait for a core, as the kernel counts it: what a busy machine adds.

    idle_cores   before anything of ours begins: have others the cores already?
    is_busy      the same by the last ten seconds
    Busy         under way, asked again and again: does what runs here wait for a core?
    Idle         the same: how many cores have nothing to do?
    Readings     for the history, from which verify tells how much of a delay may have been its doing

Minutes are played in seconds, so what a busy machine adds to a delivery is soon as long as a group_wait. The
kernel keeps the sum of all time in which a task waited for a core (`/proc/pressure/cpu`); read again and again, it
says for any span how much of it that was.
"""

from __future__ import annotations

import bisect
import re
import time
from collections import deque
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import ClassVar

import psutil

from chaoskit.observe.poller import Looking

_FILE = Path("/proc/pressure/cpu")
_SOME = re.compile(r"^some avg10=(?P<lately>[\d.]+) .*total=(?P<total>\d+)$", re.MULTILINE)
_BUSY_PERCENT = 50.0
_LATELY_S = 5.0
_AT_LEAST_S = 2.0
_BUSY = 0.75
_EVERY_S = 0.05


def _told() -> re.Match[str] | None:
    try:
        return _SOME.search(_FILE.read_text(encoding="ascii"))
    except OSError:
        return None


def _stalled_s() -> float | None:
    match = _told()
    return int(match["total"]) / 1e6 if match else None


def _idle_s() -> float:
    """Seconds that cores had nothing to do since the machine came up, of all cores together."""
    return float(psutil.cpu_times().idle)


def idle_cores(for_s: float = 0.5) -> float:
    """How many cores had nothing to do, over the next so many real seconds."""
    idle: float = psutil.cpu_times_percent(for_s).idle
    return idle / 100 * (psutil.cpu_count() or 1)


def is_busy() -> bool:
    """Whether in the last 10 s a task waited for a core half of the time; False where the kernel does not tell."""
    match = _told()
    return match is not None and float(match["lately"]) >= _BUSY_PERCENT


class _Lately:
    """By how much a sum grew a second, lately, asked again and again; None until it was asked for a while, and where
    the kernel does not tell it.
    """

    _kernel: ClassVar[Callable[[], float | None]]
    """Where the sum is read, unless told otherwise."""

    def __init__(
        self, read: Callable[[], float | None] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read or type(self)._kernel
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()

    def rate(self) -> float | None:
        value, now = self._read(), self._clock()
        if value is None:
            return None
        self._seen.append((now, value))
        while len(self._seen) > 1 and now - self._seen[1][0] >= _LATELY_S:
            self._seen.popleft()
        since, before = self._seen[0]
        return (value - before) / (now - since) if now - since >= _AT_LEAST_S else None


class Busy(_Lately):
    """Whether lately a task waited for a core most of the time; False until it was asked for a while."""

    _kernel = staticmethod(_stalled_s)

    def __call__(self) -> bool:
        return (self.rate() or 0.0) >= _BUSY


class Idle(_Lately):
    """How many cores had nothing to do lately; 0 until it was asked for a while."""

    _kernel = staticmethod(_idle_s)

    def __call__(self) -> float:
        return self.rate() or 0.0


class Readings(Looking):
    """Reads the sum until `stop`, in a thread of its own; nothing where the kernel keeps none."""

    def __init__(self, stalled_s: Callable[[], float | None] = _stalled_s) -> None:
        super().__init__("pressure", _EVERY_S)
        self._stalled_s = stalled_s
        self._seen: list[tuple[float, float]] = []

    def look_once(self) -> None:
        """Takes one reading of the kernel's pressure now."""
        self.read(time.time())

    def read(self, at: float) -> None:
        """Reads once how long each process has waited for a processor until now."""
        if (found := self._stalled_s()) is not None:
            self._seen.append((at, found))

    def readings(self, begin: float, end: float) -> list[tuple[float, float]]:
        """The readings in [begin, end] and the one before: instants and sums; of equal ones the first and the last."""
        first = max(0, bisect.bisect_right(self._seen, begin, key=itemgetter(0)) - 1)
        some = self._seen[first : bisect.bisect_left(self._seen, end, key=itemgetter(0)) + 1]
        kept = [b for a, b, c in zip(some, some[1:], some[2:], strict=False) if not a[1] == b[1] == c[1]]
        return [*some[:1], *kept, *some[1:][-1:]]
