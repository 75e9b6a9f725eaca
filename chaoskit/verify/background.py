"""Was there as much traffic of the system's own as the profile wants, from before the first step to the last?

Too little, and where nothing told, it is UNKNOWN: alerts on requests may have stayed silent for want of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.events import Equipment
from chaoskit.hop import Hop
from chaoskit.scenario.model import BACKGROUND, Attached, Background
from chaoskit.verify.case import Case
from chaoskit.verify.check import Check, Owed, Strict, kept, unknown


def wanted(case: Case) -> Background | None:
    """The traffic that the profile wants; None where it wants none."""
    target = case.plan.profile.target
    return target.background if isinstance(target, Attached) else None


def _judge(case: Case) -> Iterator[Strict]:
    """One row, where the profile wants traffic."""
    if (background := wanted(case)) is None:
        return
    state, why = "", list[str]()
    for event in case.history.of(Equipment):
        if event.name != BACKGROUND:
            continue
        if event.t <= case.since:
            state, before = event.state, event
            why = [before.detail] if before.state != "up" else []
        elif event.t <= case.until and event.state != "up":
            why.append(f"{event.detail}, {event.t - case.since:.0f} s after the first step")
    if not state:
        yield unknown(Hop.LOAD, BACKGROUND, f"nothing told before the first step how much '{background.query}' is")
    elif why:
        yield unknown(Hop.LOAD, BACKGROUND, f"too little traffic, or none known: {'; '.join(why)}")
    else:
        yield kept(Hop.LOAD, BACKGROUND, f"at least {background.at_least:g} by '{background.query}'")


def _owes(case: Case) -> Iterator[Owed]:
    if wanted(case) is not None:
        yield BACKGROUND, Hop.LOAD, ""


BACKGROUND_TRAFFIC = Check("the background traffic", Case, _judge, _owes)
