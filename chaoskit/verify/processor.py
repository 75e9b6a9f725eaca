"""Whether a machine left the stack so little processor time that what it did says nothing of what is tested.

At 60x a real second is a virtual minute: a target that waits for a processor is slow, raises alerts that nobody
promised, and lets others flap. The kernel's own count of the waiting decides, never the symptom:

    share = waited / (waited + used)        of the time in which threads of the equipment were ready to run

Where it is SHARE or more, and no trifle, a failure that slowness can bring about is UNKNOWN. It never makes a failure
pass, says nothing of what was sent to whom, and counts only within the very span in which the failure came about.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.events import Processor

SHARE = 0.85
"""The part of its ready time that equipment spends waiting from which on it is starved.

Threads that wake for a moment wait long in proportion to what they run, so the share is high even in health. Measured
on two cores, as the mean of a run and its worst second: one drill alone 0.42 (0.58), two stacks side by side that kept
every promise 0.49 to 0.64 (0.81), and a machine with ten ready processes a core, where alerts of latency fired, 0.88
to 0.98.
"""
PART = 0.25
"""How much of the span it must have waited besides, in sum: who hardly has anything to do waits for most of that, and
is late by next to nothing."""


def starved(seen: Sequence[Processor], equipment: Sequence[str], begin: float, end: float, scale: float) -> str:
    """Which of the equipment was starved in [begin, end], in words for a reason; empty where none was.

    In real time slowness is what people would suffer too, so there it excuses nothing.
    """
    if scale <= 1:
        return ""
    inside = [each for each in seen if each.during[0] < end and each.during[1] > begin]
    span_s = sum(each.during[1] - each.during[0] for each in inside)
    found = []
    for name in dict.fromkeys(equipment):
        waited = sum(each.waited_s.get(name, 0.0) for each in inside)
        used = sum(each.used_s.get(name, 0.0) for each in inside)
        if waited > 0 and waited >= SHARE * (waited + used) and waited >= PART * span_s:
            found.append((waited / (waited + used), waited, waited + used, name))
    if not found:
        return ""
    share, waited, ready, name = max(found)
    return (
        f"this machine was too busy: the {name} waited for a processor for {share:.0%} of the time in which it was "
        f"ready to run ({waited:.2f} of {ready:.2f} real s)"
    )
