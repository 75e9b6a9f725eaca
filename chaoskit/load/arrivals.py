"""The schedule of an open load: when each request is due, as a pure function of the rate over time."""

from __future__ import annotations

from collections.abc import Callable

_STEP_S = 0.01


class Arrivals:
    """The instants at which requests are due, whatever became of earlier ones.

    Arrivals are where the integral of the rate passes whole numbers: evenly spaced at a constant rate, without a
    gap or a burst where the rate changes. Only ever asked about the near future, so that a change takes effect at once.
    """

    def __init__(self, rate: Callable[[float], float], start_s: float, phase: float = 0.0) -> None:
        """`rate` maps an instant (same clock as `start_s`) to arrivals per second; `phase` in [0, 1) is the part
        of an arrival already due at the start, by which several processes interleave."""
        self.rate = rate
        self._t = start_s
        self._due = phase

    def until(self, end_s: float) -> list[float]:
        """The arrivals after everything asked so far, up to `end_s`."""
        found: list[float] = []
        while self._t < end_s:
            step_s = min(_STEP_S, end_s - self._t)
            rate = self.rate(self._t + step_s / 2)
            due = self._due + rate * step_s
            found += [self._t + (k - self._due) / rate for k in range(1, int(due) + 1)]
            self._due = due - int(due)
            self._t += step_s
        return found
