"""Explain one alert from the configuration: labels, receivers, mutes, promise, proofs.

The one idea: an explanation is collected from what the rest of chaoskit already computes (windows, routes,
inhibitions, lints, scenarios); it decides nothing of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import chaoskit.check.lints  # noqa: F401 - fills the registry
from chaoskit.alerting.model import AlertConfig, PromisedAlert, PromisedNotice, Route, Rule
from chaoskit.alerting.routing import down
from chaoskit.alerting.windows import Span
from chaoskit.alerting.windows_expression import feeding_jobs
from chaoskit.check.findings import LINTS, Finding
from chaoskit.check.lint_context import LintContext
from chaoskit.check.mutes import Mute
from chaoskit.explain.promise import only
from chaoskit.explain.recipients import Delivery, Reach, Recipients
from chaoskit.explain.subject import Subject, find_subjects
from chaoskit.explain.when import Told, told_at
from chaoskit.scenario.model import Expectation, Scenario


def departures(context: LintContext) -> tuple[Finding, ...]:
    """Everything in which this configuration departs from its promise, by place; nothing where none is given."""
    lints = (each for each in LINTS.values() if each.topic == "promise" and all(map(context.has, each.needs)))
    found = {(each.place, each.id, each.message): each for lint in lints for each in lint.findings(context)}
    return tuple(found[key] for key in sorted(found))


def departures_of(config: AlertConfig, rule: Rule, receivers: set[str], muting: set[str]) -> tuple[Finding, ...]:
    """The departures from the promise that concern this rule's alert, these receivers and those that it is promised to,
    and what may mute it.
    """
    promise = config.promise
    notices = {key: notice for key, notice in promise.notices.items() if key[0] == rule.alert}
    alerts = only(promise.alerts, {rule.alert})
    concerned = receivers | {receiver for _, receiver in notices}
    jobs = {job.name for job in feeding_jobs(config, rule)}
    own = replace(
        promise,
        notices=notices,
        receivers=only(promise.receivers, concerned),
        appears_s=only(promise.appears_s, {rule.alert}),
        clears_s=only(promise.clears_s, {rule.alert}),
        alerts=alerts,
        jobs=only(promise.jobs, jobs),
        timeouts=only(promise.timeouts, jobs),
        groups=only(promise.groups, {rule.group}),
    )
    others = muting.union(*(each.muted_by or () for each in alerts.values())) - {rule.alert}
    rules = tuple(each for each in config.rules if each is rule or each.record or each.alert in others)
    found = departures(LintContext(replace(config, rules=rules, promise=own)))
    return tuple(each for each in found if each.id != "not-promised" or each.place == rule.place)


def without_places(message: str, files: frozenset[str]) -> str:
    """The message without file names and lines, to compare messages of two configurations."""
    for file in sorted(files, key=len, reverse=True):
        if file in message:
            message = re.sub(re.escape(file) + r"(?::\d+)?", "", message)
    return message


@dataclass(frozen=True, slots=True)
class MutedBy:
    """One alert that can hold this one back, and when."""

    mute: Mute
    firing_s: Span
    """From the source's fault to its firing, where the mute begins."""
    resolved_s: Span
    """From the source's undo to its end, where the mute ends."""
    too_late: bool
    """Begun together, every first notice is out before the source can fire at all."""


@dataclass(frozen=True, slots=True)
class Explanation:
    reach: Reach
    passed: Mapping[tuple[int, ...], tuple[Route, ...]]
    """By route: the routes from the root's child down to it."""
    muted_by: tuple[MutedBy, ...]
    promised: tuple[PromisedNotice, ...]
    """Everything promised for the alert, also to receivers that no route leads to."""
    beside: PromisedAlert
    """The promise for the alert itself, beside its notices."""
    departures: tuple[Finding, ...]
    proofs: tuple[tuple[Scenario, Expectation], ...]
    """The scenarios that prove something about the alert: that it is told, or that it is suppressed."""
    missing: tuple[str, ...]
    """Parts that were not shown: prometheus, alertmanager, promise."""
    others: int
    """How many further rules of this name were left out, since the given labels exclude them."""
    at: datetime | None = None
    """The instant that is asked about."""
    told: Mapping[tuple[int, ...], Told] = field(default_factory=dict)
    """By route: whether it notifies at the instant asked about; empty where none was."""

    @property
    def open_labels(self) -> tuple[str, ...]:
        """Labels that only the series know and that routes, groups or inhibitions ask about."""
        alert = self.reach.subject.alert
        asked = {each for heard in self.reach.heard for each in heard.route.group_by or ()}
        asked |= {m.label for routes in self.passed.values() for route in routes for m in route.matchers}
        for muted in self.muted_by:
            asked |= {*muted.mute.rule.equal, *(m.label for m in muted.mute.rule.target)}
        return tuple(sorted(label for label in asked if alert.value(label) is None))


def explain(
    config: AlertConfig,
    name: str,
    given: Mapping[str, str] | None = None,
    scenarios: Iterable[Scenario] = (),
    at: datetime | None = None,
) -> tuple[Explanation, ...]:
    """One explanation for each rule of this name that fits the given labels; with `at`, of that instant.

    Raises BadInput where there is none, or where no rule of that name can carry these labels.
    """
    recipients = Recipients(config)
    subjects = find_subjects(config, name, given or {})
    others = len(config.alert_rules(name)) - len(subjects)
    known = tuple(scenarios)
    return tuple(_explained(recipients, subject, known, others, at) for subject in subjects)


def _explained(
    recipients: Recipients, subject: Subject, scenarios: tuple[Scenario, ...], others: int, at: datetime | None
) -> Explanation:
    reach, config = recipients.reach(subject), recipients.config
    muted = tuple(_muted_by(recipients, reach, mute) for mute in recipients.mutes.of(subject.alert))
    promised = tuple(each for (alert, _), each in config.promise.notices.items() if alert == subject.rule.alert)
    return Explanation(
        reach,
        {each.route.path: tuple(down(config.route, each.route)) for each in reach.heard},
        muted,
        promised,
        config.promise.alerts.get(subject.rule.alert) or PromisedAlert(subject.rule.alert, subject.rule.place),
        departures_of(
            config, subject.rule, {each.receiver for each in reach.heard}, {each.mute.source.name for each in muted}
        ),
        tuple((one, each) for one in scenarios for each in one.expect if subject.alert.fits(each.alert, each.labels)),
        tuple(part for part in ("prometheus", "alertmanager", "promise") if not config.shows(part)),
        others,
        at,
        {each.route.path: told_at(config, each.route, at) for each in reach.heard} if at else {},
    )


def _muted_by(recipients: Recipients, reach: Reach, mute: Mute) -> MutedBy:
    source = recipients.reach(Subject(mute.source, {}, {}))
    last = max((heard.phone_s[1] for heard in reach.heard), default=0.0)
    return MutedBy(mute, source.firing_s, source.resolved_s, bool(reach.heard) and source.firing_s[0] > last)


def first_to_hear(heard: Iterable[Delivery]) -> Span | None:
    """From the fault to the first phone that rings; None where no receiver certainly hears of it."""
    certain = [each.phone_s for each in heard if each.certain]
    if not certain:
        return None
    return min(lo for lo, _ in certain), min(hi for _, hi in certain)
