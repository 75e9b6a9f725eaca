"""Whether a machine left the stack so little processor time that what it did says nothing of what is tested.

Also how much later a notice may have come where it left enough for that, but not at once (`on_the_way_s`).

At 60x a real second is a virtual minute: a target that waits for a processor is slow, raises alerts that nobody
promised, and lets others flap. The kernel's own count of the waiting decides, never the symptom:

    share = waited / (waited + used)        of the time in which threads of the equipment were ready to run

Where it is SHARE or more in the very span in which a failure came about, or in two seconds in a row of it, or SECOND in
one second, and no trifle, a failure that slowness can bring about is UNKNOWN. It never makes a failure pass, and says
nothing of what was sent to whom. A second or two are enough, for at 60x they are minutes: in them every request in
flight meets its deadline, or four scrapes in a row fail and an alert resolves for want of samples. (Of the pairs of
seconds in gates whose scenarios all passed, none to four in 400 reach SHARE, all of them where a wave begins.)
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

from chaoskit.events import Interval, Processor

SHARE = 0.85
"""The part of its ready time that equipment spends waiting from which on it is starved.

Threads that wake for a moment wait long in proportion to what they run, so the share is high even in health. Measured
on two cores, as the mean of a run and its worst second: one drill alone 0.42 (0.58), two stacks side by side that kept
every promise 0.49 to 0.64 (0.81), and a machine with ten ready processes a core, where alerts of latency fired, 0.88
to 0.98.
"""
SECOND = 0.90
"""The same for a single second. Of some 350 seconds in which a target waited for a quarter or more, one reached that in
a gate of three stacks on idle cores, none in gates of two beside two busy loops that kept every promise, and 27 in one
with a third stack beside those, in which alerts of latency fired and others flapped.
"""
MOST_S = 0.2
"""Real seconds of lateness that waiting of no matter which program may explain: more is somebody's setting."""
PART = 0.25
"""How much of the span it must have waited besides, in sum: who hardly has anything to do waits for most of that, and
is late by next to nothing."""


def starved(seen: Sequence[Processor], equipment: Sequence[str], begin: float, end: float, scale: float) -> str:
    """Which of the equipment was starved in [begin, end], in words for a reason; empty where none was.

    In real time slowness is what people would suffer too, so there it excuses nothing.
    """
    if scale <= 1:
        return ""
    inside = _inside(seen, begin, end)
    pairs = [[one, other] for one, other in itertools.pairwise(inside)]
    spells = [(inside, SHARE), *((pair, SHARE) for pair in pairs), *(([each], SECOND) for each in inside)]
    found = [one for spell, least in spells for name in equipment if (one := _waiting(spell, name, least))]
    if not found:
        return ""
    share, waited, ready, name = max(found)
    return (
        f"this machine was too busy: the {name} waited for a processor for {share:.0%} of the time in which it was "
        f"ready to run ({waited:.2f} of {ready:.2f} real s)"
    )


def on_the_way_s(
    seen: Sequence[Processor], readings: Sequence[Interval], every_s: float, begin: float, end: float, scale: float
) -> float:
    """How much later a notice may have come for want of a processor on its way in [begin, end], in real seconds.

    Prometheus tells of an alert at the end of an evaluation, one each `every_s`, and what it waited for in a second is
    shared among those of that second; Alertmanager does nothing but pass on, so all that it waited for may have been
    this notice's. In a second in which Prometheus waited for 1.2 s in sum a notice was 0.24 s late, though neither was
    starved. Where the kernel told only for how long any program waited (`readings`, instants with the sum until then),
    it may have been this notice, for MOST_S. No time in real time, where slowness is real.
    """
    if scale <= 1:
        return 0.0
    inside = _inside(seen, begin, end)
    evaluating = max((_waited(each, "prometheus") * every_s for each in inside), default=0.0)
    passing_on = max((_waited(each, "alertmanager") for each in inside), default=0.0)
    return max(evaluating + passing_on, min(_any_waited_s(readings, begin, end), MOST_S))


def _any_waited_s(readings: Sequence[Interval], begin: float, end: float) -> float:
    first = bisect.bisect_right(readings, begin, key=_instant) - 1
    last = min(bisect.bisect_left(readings, end, key=_instant), len(readings) - 1)
    return readings[last][1] - readings[first][1] if first >= 0 else 0.0


def _instant(reading: Interval) -> float:
    return reading[0]


def _inside(seen: Sequence[Processor], begin: float, end: float) -> list[Processor]:
    return [each for each in seen if each.during[0] < end and each.during[1] > begin]


def _waited(each: Processor, name: str) -> float:
    """Seconds waited in a second."""
    return each.waited_s.get(name, 0.0) / max(1e-3, each.during[1] - each.during[0])


def _waiting(seen: Sequence[Processor], name: str, least: float) -> tuple[float, float, float, str] | None:
    """The share, the seconds waited and those ready of equipment, where they are enough to call it starved."""
    span_s = sum(each.during[1] - each.during[0] for each in seen)
    waited = sum(each.waited_s.get(name, 0.0) for each in seen)
    ready = waited + sum(each.used_s.get(name, 0.0) for each in seen)
    if waited <= 0 or waited < least * ready or waited < PART * span_s:
        return None
    return waited / ready, waited, ready, name
