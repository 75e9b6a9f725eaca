"""The promise that a configuration implies: every figure as computed, for people to review before it is one.

The one idea: what `explain` shows is written down, so that from then on a change is judged against it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from chaoskit.alerting.model import (
    ALWAYS,
    AlertConfig,
    Promise,
    PromisedAddresses,
    PromisedAlert,
    PromisedNotice,
    PromisedReceiver,
    PromisedTime,
)  # fmt: skip
from chaoskit.alerting.prometheus_shown import Shown, added_labels, targets
from chaoskit.alerting.windows import to_all_clear, to_phone
from chaoskit.explain.recipients import Delivery, Reach, Recipients
from chaoskit.yaml_source import Node

T = TypeVar("T")
SHOW_GROUPS = ("email", "webhook")
"""Integrations whose messages show a run the labels of their group; where a receiver has none, no group is promised."""


def computed_promise(config: AlertConfig, alerts: Collection[str] | None = None) -> Promise:
    """The promise that the configuration implies for these alerts (None: all); delays of the service stay as promised.

    An alert is promised to the receivers that it certainly reaches, or to those that it may where none is certain.
    """
    recipients = Recipients(config)
    notices: dict[tuple[str, str], PromisedNotice] = {}
    beside: dict[str, PromisedAlert] = {}
    for subject in recipients.subjects:
        reach = recipients.reach(subject)
        if alerts is None or subject.rule.alert in alerts:
            heard = [each for each in reach.heard if each.certain] or list(reach.heard)
            for each in reversed(heard):
                notices[subject.rule.alert, each.receiver] = _notice(config, reach, each)
            beside[subject.rule.alert] = _alert(recipients, reach, heard)
    reached = dict.fromkeys(receiver for _, receiver in notices)
    promise = config.promise
    own = {name for name, _ in notices}
    shown = Shown(config)
    return Promise(
        notices,
        {name: _receiver(config, name) for name in reached if name in config.receivers},
        only(promise.appears_s, own),
        only(promise.clears_s, own),
        promise.delivery_s,
        promise.runbook_base,
        promise.subject_contains,
        beside,
        {job.name: PromisedTime(job.interval_s, job.place) for job in config.jobs if job.place.file},
        {r.group: PromisedTime(r.interval_s, r.place) for r in config.rules if r.record or r.alert in own},
        promise.volume,
        {name: at for name, job in shown.jobs.items() if (at := _addresses(targets(job)))},
        {name: tuple(sorted(added_labels(job))) for name, job in shown.jobs.items()},
        _addresses(shown.targets),
        {job.name: PromisedTime(job.timeout_s, job.place) for job in config.jobs if job.place.file},
    )


def _addresses(nodes: Iterable[Node]) -> PromisedAddresses | None:
    written = {each.raw: each.place for each in nodes}
    return PromisedAddresses(tuple(written), next(iter(written.values()))) if written else None


def only(promised: Mapping[str, T], names: Collection[str]) -> dict[str, T]:
    """The part of what is promised that is about these names."""
    return {name: each for name, each in promised.items() if name in names}


def _notice(config: AlertConfig, reach: Reach, heard: Delivery) -> PromisedNotice:
    route, receiver = heard.route, config.receivers.get(heard.receiver)
    shown = receiver is not None and any(each.kind in SHOW_GROUPS for each in receiver.integrations)
    return PromisedNotice(
        reach.subject.rule.alert,
        heard.receiver,
        reach.subject.rule.for_s,
        route.group_wait_s,
        route.repeat_interval_s,
        route.place,
        route.group_interval_s,
        (("...",) if route.group_by is None else route.group_by) if shown else None,
    )


def _alert(recipients: Recipients, reach: Reach, heard: Iterable[Delivery]) -> PromisedAlert:
    rule, alert, config = reach.subject.rule, reach.subject.alert, recipients.config
    hours = {(each.route.muted_in, each.route.active_in) for each in heard}
    muted, active = hours.pop() if len(hours) == 1 else ((), ("?", "?"))
    when = ALWAYS if not muted and not active else active[0] if not muted and len(active) == 1 else ""
    phone = {e.receiver: PromisedTime(to_phone(config, rule, e.route)[1], rule.place) for e in heard}
    ends = {e.receiver: PromisedTime(to_all_clear(config, rule, e.route)[1], rule.place) for e in heard if e.all_clear}
    labels = {name: value for name, value in alert.labels.items() if name in rule.labels}
    mutes = recipients.mutes.of(alert)
    sources = dict.fromkeys(mute.source.name for mute in mutes)
    equal = {tuple(sorted(mute.rule.equal)) for mute in mutes}
    within = equal.pop() if len(equal) == 1 else None
    return PromisedAlert(rule.alert, rule.place, labels, None, phone, ends, tuple(sources), when, muted_within=within)


def _receiver(config: AlertConfig, name: str) -> PromisedReceiver:
    receiver = config.receivers[name]
    to = dict.fromkeys(a for each in receiver.integrations for a in each.to if "{{" not in a)
    kinds = tuple(each.kind for each in receiver.integrations)
    at = tuple(dict.fromkeys(each.at for each in receiver.integrations if each.at and "<secret>" not in each.at))
    ends = any(each.send_resolved for each in receiver.integrations)
    return PromisedReceiver(name, tuple(to), ends, receiver.place, kinds, at or None)
