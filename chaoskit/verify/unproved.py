"""Expectations that no observer could show: FAIL where the configuration alone breaks them, else UNKNOWN."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from chaoskit.events import Deliveries
from chaoskit.hop import Hop
from chaoskit.plan.model import Plan
from chaoskit.plan.witnesses import WITNESS, unseen
from chaoskit.units import amount, listed
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


def _given_up(case: Case) -> Iterator[Strict]:
    """FAIL where Alertmanager gave up notifications of an integration that no witness sees, waived or not.

    UNKNOWN where its counters were not read, or do not tell whose notification it was.
    """
    looks = list(case.history.of(Deliveries))
    target = case.plan.profile.target
    if not looks or target == "local":
        return
    asked = dict.fromkeys((alert.rule.alert, name) for alert in case.plan.alerts for name in alert.receivers)
    for rule, name in asked:
        receiver = case.plan.config.receivers[name]
        for integration in unseen(target, receiver):
            kind = integration.split("/")[1]
            about, to = rule, _to(integration)
            if why := _unread(looks, case.since):
                reason = f"{rule} -> {to}: whether Alertmanager gave up notifying is not known: {why}"
                yield unknown(Hop.NOTIFY, about, reason, to)
            elif times := max(_rise(looks, case.since, f"{kind}/{name}"), _rise(looks, case.since, kind)):
                counter = "alertmanager_notifications_failed_total"
                reason = f"{rule} -> {to}: Alertmanager gave up {amount(times, 'notifications')} by {kind} ({counter})"
                others = _others(case, kind) if _rise(looks, case.since, kind) else ""
                if others:
                    yield unknown(Hop.NOTIFY, about, f"{reason}, which may have been {others}'s", to)
                else:
                    yield broken(Hop.NOTIFY, about, reason, to=to)


def _unread(looks: list[Deliveries], since: float) -> str:
    """Why the counters are not known before or after; empty where they are."""
    if not any(one.failed is not None and one.seen[0] <= since for one in looks):
        return f"the counters were not read before the first step ({looks[0].detail or 'nothing says why'})"
    return f"the counters were not read at the end ({looks[-1].detail})" if looks[-1].failed is None else ""


def _rise(looks: list[Deliveries], since: float, key: str) -> int:
    """By how much a counter rose from the first step on; one that began anew counts from zero."""
    read = [one for one in looks if one.failed is not None]
    before = [one for one in read if one.seen[0] <= since]
    values = [(one.failed or {}).get(key, 0.0) for one in (*before[-1:], *read[len(before) :])]
    return int(sum(max(0.0, later - was) if later >= was else later for was, later in itertools.pairwise(values)))


def _others(case: Case, kind: str) -> str:
    """Which receivers that nothing is expected of were told by this kind of integration too; empty for none."""
    receivers = {one for event in case.evidence.suppressions for one in event.receivers}
    receivers -= {receiver for alert in case.plan.alerts for receiver in alert.receivers}
    known = case.plan.config.receivers
    having = [one for one in receivers if one not in known or any(i.kind == kind for i in known[one].integrations)]
    return listed(sorted({*having, *_witness(case, kind)}))


def _witness(case: Case, kind: str) -> list[str]:
    """The witness, where it was down: Alertmanager tells it by webhook too."""
    down = case.evidence.outage((WITNESS,), case.since, case.until)
    return [WITNESS] if kind == "webhook" and down else []


GIVEN_UP = Check("deliveries given up", Case, _given_up)
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
