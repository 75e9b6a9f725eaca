"""Prometheus's clock against ours: where its instants lie on the clock by which faults and notices are timed.

Each look at Prometheus measures its clock minus ours, as an interval that certainly holds the difference. Clocks
drift, by 500 ppm at most (as fast as NTP turns them), so all measurements together know more than each alone:

    measured     |-----|     |--------|   |---|
    known        |---|=========|==|=======|-|        never wider than measured, and in between wider with time

Measurements that no such drift can join mean that one of the clocks was set meanwhile. Then the difference may
have been anything that was measured, and a row that needs it more exactly stays UNKNOWN.
"""

from __future__ import annotations

import bisect
import math
import operator
from array import array
from collections.abc import Iterable
from typing import TypeAlias

from chaoskit.events import Interval, Poll

DRIFT = 500e-6
"""Seconds a second by which two clocks may part."""

_SHARED_S = 1.0
"""Real seconds within which equal measurements are one and the same."""


Ends: TypeAlias = "tuple[array[float], array[float]]"
"""A clock's difference, an interval a measurement, as lists of low and high ends: a run of days has a million."""


class Clock:
    """The difference of Prometheus's clock from ours at every instant. `times` (ours) are those of the measurements."""

    def __init__(self, polls: Iterable[Poll]) -> None:
        """Takes all looks at Prometheus; a measurement that looks close together share counts once."""
        times, raw = array("d"), (array("d"), array("d"))
        at, before = 0.0, None
        for poll in polls:
            skew = poll.skew
            if skew is None or (skew == before and poll.asked - at < _SHARED_S):
                continue
            at, before = poll.asked, skew
            times.append(at)
            raw[0].append(skew[0])
            raw[1].append(skew[1])
        if any(map(operator.ge, times, times[1:])):
            times, *ends = (array("d", column) for column in zip(*sorted(zip(times, *raw, strict=True)), strict=True))
            raw = (ends[0], ends[1])
        forward, backward = _narrowed(times, raw, 1), _narrowed(times, raw, -1)
        self.was_set = forward is None or backward is None
        """Whether the measurements contradict one another."""
        if forward is None or backward is None:
            # One interval for all instants: asked for by every look, it must not be made of all measurements each time.
            low, high = _hull(raw)
            forward = backward = (array("d", [low]), array("d", [high]))
        self.times, self.forward, self.backward = times, forward, backward
        """At each time, what this measurement and all before it say; `backward`, this one and all after it. Where a
        clock was set, one interval for all times."""

    @property
    def known(self) -> bool:
        """Whether the two clocks were ever compared."""
        return bool(self.times)

    @property
    def parted_s(self) -> float:
        """How far apart the largest and the smallest difference measured are, in real seconds."""
        low, high = _hull(self.forward) if self.known else (0.0, 0.0)
        return high - low

    def skew(self, at: float) -> Interval:
        """Prometheus's clock minus ours at an instant of ours; (0, 0) where nothing was measured."""
        if not self.known:
            return (0.0, 0.0)
        if self.was_set:
            return _hull(self.forward)
        after = bisect.bisect_right(self.times, at)
        low, high = -math.inf, math.inf
        if after > 0:
            drift = DRIFT * (at - self.times[after - 1])
            low, high = self.forward[0][after - 1] - drift, self.forward[1][after - 1] + drift
        if after < len(self.times):
            drift = DRIFT * (self.times[after] - at)
            low, high = max(low, self.backward[0][after] - drift), min(high, self.backward[1][after] + drift)
        return (low, high)

    def ours(self, theirs: Interval) -> Interval:
        """An interval of Prometheus's clock on ours; unchanged where the two were never compared."""
        begin = self._skew_at_theirs(theirs[0])
        end = begin if theirs[1] == theirs[0] else self._skew_at_theirs(theirs[1])
        return (theirs[0] - begin[1], theirs[1] - end[0])

    def _skew_at_theirs(self, theirs: float) -> Interval:
        at = theirs - _middle(self.skew(theirs))
        return self.skew(theirs - _middle(self.skew(at)))


def _narrowed(times: array[float], raw: Ends, step: int) -> Ends | None:
    """Each measurement narrowed by those before it (`step` -1: after it); None where they contradict one another."""
    lows, highs = raw[0][:], raw[1][:]
    before, low, high = 0.0, -math.inf, math.inf
    for number in range(len(times))[::step]:
        drift = DRIFT * abs(times[number] - before)
        low, high = max(lows[number], low - drift), min(highs[number], high + drift)
        if low > high:
            return None
        before, lows[number], highs[number] = times[number], low, high
    return (lows, highs)


def _hull(ends: Ends) -> Interval:
    return (min(ends[0]), max(ends[1]))


def _middle(skew: Interval) -> float:
    return (skew[0] + skew[1]) / 2
