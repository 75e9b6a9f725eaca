"""The members of a pair: one of Prometheus or Alertmanager that did not answer for a while, so that the pair was none.

The words of the other are judged as ever. A group that both tell is a notice too many, which other checks find.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.hop import Hop
from chaoskit.scenario.model import Attached
from chaoskit.verify.case import Case
from chaoskit.verify.check import Check, Strict, unknown


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


PAIRS = Check("the pairs", Case, _members)
