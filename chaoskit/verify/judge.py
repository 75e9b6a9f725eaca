"""One interval against one window: how a hop that was seen is judged, strictly.

window            lo |--------------| hi
FAIL        [a b]                          the two do not meet: whatever the truth is, it is outside
PASS                     [a b]             they meet, and [a, b] is narrow enough to tell this promise
UNKNOWN       [a                    b]     from a wrong one; otherwise the truth may be on either side

What was not seen, and what has no window, the checks judge themselves. Afterwards `excuses.excuse` makes a FAIL, or a
PASS of silence, UNKNOWN where its observers did not look or its equipment could not run.
"""

from __future__ import annotations

from chaoskit.events import Interval
from chaoskit.units import seconds
from chaoskit.verify.verdict import Result

DUST_VS = 1e-3
"""What floating point may have done to a virtual instant; far below any resolution."""


def judge(observed: Interval, allowed: Interval, resolution_vs: float) -> Result:
    """The result for an observation [a, b] that certainly holds the truth, all in virtual seconds."""
    (a, b), (lo, hi) = observed, allowed
    if b < lo - DUST_VS or a > hi + DUST_VS:
        return Result.FAIL
    return Result.PASS if b - a <= resolution_vs + DUST_VS else Result.UNKNOWN


def margin_vs(observed: Interval, allowed: Interval) -> float:
    """How much earlier or later it could have been without a FAIL; negative: by how much it misses the window."""
    slack = min(observed[1] - allowed[0], allowed[1] - observed[0])
    return slack if abs(slack) > DUST_VS else 0.0


def between(later: Interval, earlier: Interval, scale: float) -> Interval:
    """The span from one uncertain instant to another, in virtual seconds, rounded to the millisecond."""
    return (round((later[0] - earlier[1]) * scale, 3), round((later[1] - earlier[0]) * scale, 3))


def outside(observed: Interval, allowed: Interval, since: str) -> str:
    """When it came and by how much that is outside: of what was observed the end nearest to the window, so that the
    figures that are shown add up."""
    late = observed[0] > allowed[1]
    near, bound = (
        (round(observed[0], 1), round(allowed[1], 1)) if late else (round(observed[1], 1), round(allowed[0], 1))
    )
    sharp = seconds(observed[0]) == seconds(observed[1])
    words = "" if sharp else "at least " if late or near < 0 else "at most "
    when = f"{words}{seconds(abs(near))} {'before' if near < 0 else 'after'} {since}"
    promised = f"at {'most' if late else 'least'} {seconds(bound)} promised"
    return f"{when}, {seconds(abs(near - bound))} too {'late' if late else 'early'} ({promised})"


def outside_span(seen: Interval, since: float, until: float) -> bool:
    """Whether what was seen happened outside [since, until] for certain."""
    return seen[1] < since or seen[0] > until
