"""Joins what several load processes report into one load, second by second, and keeps the sums.

The sums are what remains to be told when a process dies before it could tell its totals.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import msgspec

from chaoskit.load.messages import LoadTotals, LoadWindow, join_totals, join_windows, joined

CLOCK_S = 0.5
"""How far the clock of another machine may be off: half a window."""
_SAMPLES = 10
WHOLE_S = 0.99
"""Windows at the edges of a load are shorter, and may be too short for a beat."""


class Skew:
    """How far the clock of another machine is behind ours: each sample is the instant of arrival less that of sending.

    Of the last few samples the least counts, for a network only adds. A machine that was paused falls behind later on.
    """

    def __init__(self) -> None:
        self.s = 0.0
        """Seconds that the clock was behind at the worst; below 0 where it is ahead."""
        self._last: deque[float] = deque(maxlen=_SAMPLES)

    def take(self, sample_s: float) -> None:
        """Takes a sample; one alone may have been held up, so the first few count together."""
        self._last.append(sample_s)
        least_s = min(self._last)
        if len(self._last) < _SAMPLES or abs(least_s) > abs(self.s):
            self.s = least_s


class Tally:
    """Windows and totals of the processes with these names, of which the first `bearing` make requests. A joined window
    is given out when no process can add to it."""

    def __init__(self, names: Sequence[str], bearing: int) -> None:
        self._names, self._bearing, shards = names, bearing, len(names)
        self._skew_s = [0.0] * shards
        self._users = [0] * shards
        """That each process had when it was last heard of."""
        self.totals: LoadTotals | None = None
        self._waiting: dict[int, list[LoadWindow]] = {}
        self._newest = [-1] * shards
        self._parts: list[LoadTotals | None] = [None] * shards
        self._in_flight = [0] * shards
        self._whole: LoadWindow | None = None
        """All windows so far, joined into one."""

    def window(self, shard: int, window: LoadWindow) -> list[LoadWindow]:
        """Take one process's window; gives the joined windows that are complete now."""
        second = math.floor(window.second[0])
        if window.beats:
            self._users[shard] = window.users
        elif len(self._parts) > 1 and window.second[1] - window.second[0] >= WHOLE_S:
            window = msgspec.structs.replace(window, still={self._names[shard]: self._share(shard)})
        self._newest[shard] = second
        self._in_flight[shard] = window.in_flight
        self._waiting.setdefault(second, []).append(window)
        self._whole = join_windows([window] if self._whole is None else [self._whole, window])
        return self._complete()

    def total(self, shard: int, totals: LoadTotals) -> tuple[list[LoadWindow], LoadTotals | None]:
        """Take one process's totals; gives the windows it held back, and the joined totals after the last one."""
        self._parts[shard] = totals
        windows = self._complete()
        parts = [part for part in self._parts if part is not None]
        if len(parts) == len(self._parts):
            self.totals = msgspec.structs.replace(join_totals(parts), astray=self._astray())
        return windows, self.totals

    def skewed(self, shard: int, skew_s: float) -> None:
        """Records how far a worker's clock is behind ours (below 0: before it)."""
        self._skew_s[shard] = skew_s

    def bore(self, shard: int) -> str:
        """The share of one of several processes, as a clause with its commas; empty where there is one only."""
        users = sum(self._users)
        if len(self._parts) == 1:
            return ""
        if shard >= self._bearing:
            return ", which shares out the users,"
        part = f"{self._users[shard]} of {users} users" if users else f"{self._share(shard):.0%} of the load"
        return f", which bore {part},"

    def has_total(self, shard: int) -> bool:
        return self._parts[shard] is not None

    def rest(self) -> list[LoadWindow]:
        """The windows that were held back for processes which say nothing any more: they stood still in them."""
        seconds = sorted(self._waiting)
        for shard, newest in enumerate(self._newest):
            for second in seconds:
                if self._parts[shard] is None and second > newest:
                    span = self._waiting[second][0].second
                    still = {self._names[shard]: self._share(shard)}
                    self._waiting[second].append(LoadWindow(second=span, in_flight=self._in_flight[shard], still=still))
        return [join_windows(self._waiting.pop(second)) for second in seconds]

    def silent(self) -> str:
        """The processes that told no totals, each with what hangs on it."""
        return "; ".join(
            f"none from {self._names[shard]}{self.bore(shard).rstrip(',')}"
            for shard, part in enumerate(self._parts)
            if part is None and len(self._parts) > 1
        )

    def without_totals(self, why: str) -> LoadTotals:
        """Totals made of the windows, for a load that did not end by itself: not reconciled, for the reason `why`."""
        whole = self._whole or LoadWindow(second=(0.0, 0.0))
        told = joined([whole]) | {"in_flight": sum(self._in_flight), "late": 0.0, "cpu_s": round(whole.cpu_s, 4)}
        told |= {"cut": 0, "locust_requests": 0, "locust_failures": 0, "reconciled": False, "detail": why}
        return LoadTotals(span=whole.second, astray=self._astray(), **told)

    def _astray(self) -> list[str]:
        """A sentence for each worker whose clock is off: its windows may be in the wrong second."""
        return [
            f"the clock of worker {self._names[shard]}{self.bore(shard)} is {abs(skew_s):.1f} s "
            f"{'slow' if skew_s > 0 else 'fast'}, so its seconds are not those of the run"
            for shard, skew_s in enumerate(self._skew_s)
            if abs(skew_s) > CLOCK_S
        ]

    def _share(self, shard: int) -> float:
        """The part of the load that one process bears."""
        users = sum(self._users)
        if shard >= self._bearing:
            return 0.0
        return round(self._users[shard] / users if users else 1 / self._bearing, 3)

    def _complete(self) -> list[LoadWindow]:
        running = [new for new, total in zip(self._newest, self._parts, strict=True) if total is None]
        bound = min(running, default=math.inf)
        return [join_windows(self._waiting.pop(second)) for second in sorted(self._waiting) if second <= bound]
