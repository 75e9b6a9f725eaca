"""A negative control: an alert does not fire while what it measures lies on the quiet side of its threshold, near it.

PASS rests on the level that Prometheus itself measured for as long as the alert would have needed. Where the level was
not seen, or lay beyond, silence and alarm both prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.events import Level
from chaoskit.hop import Hop
from chaoskit.plan.model import PlannedControl
from chaoskit.verify.case import Case
from chaoskit.verify.check import Check, Need, Owed, Strict, broken, but, kept, unknown
from chaoskit.verify.evidence import Episode

_SEEN = 0.8
"""The share of the expected samples without which a level was not seen."""


def _judge(case: Case) -> Iterator[Strict]:
    """A row for each level just below a threshold that the scenario plays: measured there, and quiet."""
    for planned in case.plan.controls:
        yield _control(case, planned)


def _control(case: Case, planned: PlannedControl) -> Strict:
    about, control = planned.control.about, planned.control

    def unjudged(why: str) -> Strict:
        return unknown(Hop.NEVER, about, f"{about}: {why}")

    level = next((e for e in case.history.of(Level) if (e.alert, e.step) == (control.alert, control.during)), None)
    if level is None or level.low is None or level.high is None:
        why = level.detail if level else "the run ended before the step did"
        return unjudged(f"the level was not measured: {why or 'no result'}")
    begin, end = level.during
    lasted_vs = round((end - begin) * case.scale, 3)
    measured = f"{level.low:.4g} to {level.high:.4g}"
    words = ("at most", "at least") if planned.reached else ("below", "above")
    side = f"{words[not planned.below]} {planned.quiet:.6g}"
    if level.samples < _SEEN * level.expected:
        return unjudged(f"the level was seen {level.samples} of {level.expected} times")
    if not planned.quiet_at(level.low, level.high):
        return unjudged(f"the level was {measured}, not {side} all the time")
    if not planned.is_near(level.low, level.high):
        return unjudged(f"the level was {measured}, which is more than a fifth from {planned.quiet:.6g}")
    fired = [e for e in case.evidence.episodes if e.name == control.alert and _fired_in(e, begin, end, planned)]
    if fired:
        what = f"the alert fired although the level was {measured}, {side}"
        need = Need((begin, end), but(f"{about}: {what}"), begin, "the level", equipment=("target",), busy=("target",))
        return broken(Hop.NEVER, about, f"{about}: {what}", need)
    if lasted_vs < planned.least_vs:
        return unjudged(f"the level lasted {lasted_vs:.0f} s, and the alert needs {planned.least_vs:.0f} s")
    near, for_s = "", planned.rule.for_s
    if level.near_s is not None and for_s:
        near_vs = round(level.near_s * case.scale, 3)
        enough = "at least" if near_vs >= for_s else "less than"
        near = f"; within a fifth for {near_vs:.0f} s on end, {enough} its `for` ({for_s:.0f} s)"
    seen, says = ("prometheus",), but(f"{about}: the alert was not seen firing")
    silent = Need((begin, end), says, begin, "the level", seen, seen)
    return kept(Hop.NEVER, about, f"measured {measured}, {side}, for {lasted_vs:.0f} s{near}", silent)


def _fired_in(episode: Episode, begin: float, end: float, planned: PlannedControl) -> bool:
    """Whether it fired at that level: one that fired before the fault is another's, one before a change had to end."""
    if episode.firing is None or episode.firing[0] > end:
        return False
    if not planned.settle_vs:
        return episode.begun[1] >= begin
    return episode.resolved is None or episode.resolved[0] > begin


def _owes(case: Case) -> Iterator[Owed]:
    return ((planned.control.about, Hop.NEVER, "") for planned in case.plan.controls)


NEVER = Check("negative controls", Case, _judge, _owes)
