"""Was a running system what its profile says: with as much traffic of its own, and each member of a pair there?

Too little traffic, and where nothing told, it is UNKNOWN: alerts on requests may have stayed silent for want of them.
Where one of a pair of Prometheus or Alertmanager did not answer, the pair was none. The words of the other are judged
as ever; a group that both tell is a notice too many, which other checks find.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.events import Equipment
from chaoskit.hop import Hop
from chaoskit.scenario.model import BACKGROUND, Attached, Background
from chaoskit.verify.case import Case
from chaoskit.verify.check import Check, Strict, kept, unknown


def _members(case: Case) -> Iterator[Strict]:
    """One for each member that was down after the first step."""
    target = case.plan.profile.target
    if not isinstance(target, Attached):
        return
    names = [*(f"prometheus {url}" for url in target.replicas), *(f"alertmanager {url}" for url in target.peers)]
    for name in names:
        mine = [one for one in case.evidence.outages if one.equipment == name]
        spans = [(one.begin - case.since, (case.until if one.end is None else one.end) - case.since) for one in mine]
        down = [(max(0.0, low), high) for low, high in spans if high > 0]
        if down:
            when = ", ".join(f"{low:.0f} to {high:.0f} s" for low, high in down)
            reason = (
                f"was silent from {when} after the first step: the run saw nothing of this member, and no pair stood"
            )
            yield unknown(Hop.CONFIGURATION, name, reason)


def _wanted(case: Case) -> Background | None:
    """The traffic that the profile wants; None where it wants none."""
    target = case.plan.profile.target
    return target.background if isinstance(target, Attached) else None


def _background(case: Case) -> Iterator[Strict]:
    """One row, where the profile wants traffic."""
    if (background := _wanted(case)) is None:
        return
    state, why = "", list[str]()
    for event in case.history.of(Equipment):
        if event.name != BACKGROUND:
            continue
        if event.t <= case.since:
            state, why = event.state, [event.detail] if event.state != "up" else []
        elif event.t <= case.until and event.state != "up":
            why.append(f"{event.detail}, {event.t - case.since:.0f} s after the first step")
    if not state:
        yield unknown(Hop.LOAD, BACKGROUND, f"nothing told before the first step how much '{background.query}' is")
    elif why:
        yield unknown(Hop.LOAD, BACKGROUND, f"too little traffic, or none known: {'; '.join(why)}")
    else:
        yield kept(Hop.LOAD, BACKGROUND, f"at least {background.at_least:g} by '{background.query}'")


PAIRS = Check("the pairs", Case, _members)
BACKGROUND_TRAFFIC = Check(
    "the background traffic", Case, _background, lambda case: [(BACKGROUND, Hop.LOAD, "")] if _wanted(case) else []
)
