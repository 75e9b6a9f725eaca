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
from collections.abc import Iterable
from dataclasses import dataclass

from chaoskit.events import Interval, Poll

DRIFT = 500e-6
"""Seconds a second by which two clocks may part."""

_SHARED_S = 1.0
"""Real seconds within which equal measurements are one and the same."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The difference at every instant. `times` (ours) are those of the measurements."""

    times: tuple[float, ...]
    forward: tuple[Interval, ...]
    """At each time, what this measurement and all before it say; `backward`, this one and all after it. Where a
    clock was set, one interval for all times."""
    backward: tuple[Interval, ...]
    was_set: bool
    """Whether the measurements contradict one another."""

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
        said = []
        if after > 0:
            said.append(_wider(self.forward[after - 1], at - self.times[after - 1]))
        if after < len(self.times):
            said.append(_wider(self.backward[after], self.times[after] - at))
        return (max(low for low, _ in said), min(high for _, high in said))

    def ours(self, theirs: Interval) -> Interval:
        """An interval of Prometheus's clock on ours; unchanged where the two were never compared."""
        begin = self._skew_at_theirs(theirs[0])
        end = begin if theirs[1] == theirs[0] else self._skew_at_theirs(theirs[1])
        return (theirs[0] - begin[1], theirs[1] - end[0])

    def _skew_at_theirs(self, theirs: float) -> Interval:
        at = theirs - _middle(self.skew(theirs))
        return self.skew(theirs - _middle(self.skew(at)))


def compare(polls: Iterable[Poll]) -> Clock:
    """Prometheus's clock, from all looks at it; a measurement that looks close together share counts once."""
    measured: list[tuple[float, Interval]] = []
    for poll in polls:
        if poll.skew is None:
            continue
        again = bool(measured) and measured[-1][1] == poll.skew and poll.asked - measured[-1][0] < _SHARED_S
        if not again:
            measured.append((poll.asked, poll.skew))
    measured.sort()
    forward = _pass(measured)
    backward = _pass([(-at, skew) for at, skew in reversed(measured)])
    if forward is None or backward is None:
        # One interval for all instants: asked for by every look, it must not be made of all measurements each time.
        raw = (_hull(skew for _, skew in measured),)
        return Clock(tuple(at for at, _ in measured), raw, raw, was_set=True)
    return Clock(tuple(at for at, _ in measured), tuple(forward), tuple(reversed(backward)), was_set=False)


def _pass(measured: list[tuple[float, Interval]]) -> list[Interval] | None:
    """Each measurement narrowed by those before it; None where they contradict one another."""
    known: list[Interval] = []
    for number, (at, skew) in enumerate(measured):
        if number:
            low, high = _wider(known[-1], at - measured[number - 1][0])
            skew = (max(skew[0], low), min(skew[1], high))
        if skew[0] > skew[1]:
            return None
        known.append(skew)
    return known


def _wider(skew: Interval, after_s: float) -> Interval:
    return (skew[0] - DRIFT * after_s, skew[1] + DRIFT * after_s)


def _hull(intervals: Iterable[Interval]) -> Interval:
    low, high = zip(*intervals, strict=True)
    return (min(low), max(high))


def _middle(skew: Interval) -> float:
    return (skew[0] + skew[1]) / 2
