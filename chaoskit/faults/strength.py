"""Whether a fault is as strong as it was asked to be, measured where it acts: a weaker one says nothing of an alert."""

from __future__ import annotations

import math
import time

from chaoskit.faults.base import Lapsed

ENOUGH = 0.9
"""Which part of what was asked for is still the fault that was asked for."""


class Strength:
    """Measured again and again; what is too weak for `for_s` real seconds, at two looks at least, has lapsed."""

    def __init__(self, unit: str, for_s: float = 0.0) -> None:
        self._unit = unit
        self._for_s = for_s
        self._weak_since: float | None = None

    def look(self, got: float, asked: float) -> None:
        """Takes one measurement; raises Lapsed, as "0.5 of 1.2 cores"."""
        if got >= ENOUGH * asked:
            self._weak_since = None
            return
        now = time.monotonic()
        if self._weak_since is None:
            self._weak_since = now
        elif now - self._weak_since >= self._for_s:
            raise Lapsed(told(got, asked, self._unit))


def told(got: float, asked: float, unit: str) -> str:
    """A strength in words."""
    return f"weaker than asked for: {got:.3g} of {asked:.3g} {unit}"


def too_few(hit: int, seen: int, ratio: float) -> bool:
    """Whether of so many calls fewer were hit than a share of them, drawn by count or by chance, would be."""
    expected = seen * ratio
    return hit < math.floor(expected) - 3 * math.sqrt(expected * (1 - ratio)) and hit < ENOUGH * expected
