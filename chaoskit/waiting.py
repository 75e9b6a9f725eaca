"""Bounded waiting for changes that send no event: a foreign process stops, a file is let go, a page changes.

Changes that send an event are awaited by it instead (a thread's Event, a pipe's end, a child's pidfd).
"""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK_S = 0.005
"""Between two looks at what costs next to nothing, in real seconds."""


def since_true(condition: Callable[[], bool], within_s: float, every_s: float = LOOK_S) -> tuple[float, float] | None:
    """Looks until the condition holds: the last look at which it did not and the first at which it did.

    Both are seconds since the epoch. None when the time is over; the condition is looked at once at least.
    """
    end = time.monotonic() + within_s
    before = time.time()
    while not condition():
        if time.monotonic() > end:
            return None
        before = time.time()
        time.sleep(every_s)  # for conditions that announce nothing
    return before, time.time()


def await_true(condition: Callable[[], bool], within_s: float, every_s: float = LOOK_S) -> bool:
    """Looks until the condition holds; False when the time is over."""
    return since_true(condition, within_s, every_s) is not None
