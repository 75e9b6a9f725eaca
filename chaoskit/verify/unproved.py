"""Expectations that no observer could show: FAIL where the configuration alone breaks them, else UNKNOWN."""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.hop import Hop
from chaoskit.plan.model import Plan
from chaoskit.verify.case import Case, Instance
from chaoskit.verify.check import Check, Strict, broken, unknown


def _unproved(one: Instance) -> Iterator[Strict]:
    """A row for each promise that no watched integration could show."""
    for each in one.alert.unproved:
        for hop in each.hops:
            reason = f"{one.about}, {hop}: {each.reason}"
            if each.broken:
                yield broken(hop, one.about, reason, to=each.to)
            else:
                yield unknown(hop, one.about, reason, each.to)


def _unwitnessed(case: Case) -> Iterator[Strict]:
    """A row for every integration that is promised a notice of a rule's alerts whose arrival no witness sees."""
    witnessed = any(alert.notices for alert in case.plan.alerts)
    seen = "the witness shows when the receiver is told, not" if witnessed else "no witness shows"
    for rule, name in _pairs(case.plan):
        reason = (
            f"{rule} -> {_to(name)}: {seen} whether this integration delivers "
            f"(look there yourself, and accept it by name with waive: [{name}] in the profile)"
        )
        yield unknown(Hop.NOTIFY, rule, reason, _to(name))


def _pairs(plan: Plan) -> dict[tuple[str, str], None]:
    return dict.fromkeys((alert.rule.alert, name) for alert in plan.alerts for name in alert.unwitnessed)


def _to(name: str) -> str:
    """How rows call an integration that profiles call `receiver/integration`."""
    receiver, _, integration = name.partition("/")
    return f"{receiver} ({integration.replace('/', ' ')})"


UNPROVED = Check(
    "what nothing shows",
    Instance,
    _unproved,
    lambda one: [(one.about, hop, each.to) for each in one.alert.unproved for hop in each.hops],
)
UNWITNESSED = Check(
    "who is not watched",
    Case,
    _unwitnessed,
    lambda case: [(rule, Hop.NOTIFY, _to(name)) for rule, name in _pairs(case.plan)],
)
