"""Promises beside notices and receivers against the configuration: labels, ways, mutes, hours, jobs and groups.

The one idea: each promised figure is compared with the one that the whole configuration comes to, as `explain` shows
it, without any tolerance; a finding names the lines on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from chaoskit.alerting.model import ALWAYS, AlertConfig, PromisedAlert, PromisedTime, Route, Rule, TimeInterval
from chaoskit.alerting.time_intervals import HORIZON, changes_at, holds, named_by, tells
from chaoskit.alerting.windows import Span, to_all_clear, to_phone
from chaoskit.check.findings import AGREE, Severity, Violation, lint
from chaoskit.check.lint_context import LintContext
from chaoskit.check.lints.promised_notices import ROUTED
from chaoskit.check.lints.routes import called
from chaoskit.errors import Place
from chaoskit.units import format_duration


@lint("promise-labels", Severity.ERROR, "promise", ("promise", "rules"))
def labels(context: LintContext) -> Iterator[Violation]:
    """An alert does not carry a label as it is promised.

    Routes, inhibitions and people match on this label, so the alert goes another way than promised.
    """
    for promised, alert in context.of_name(context.config.promise.alerts.values()):
        for name, wanted in promised.labels.items():
            carried = alert.value(name)
            if carried == wanted or (carried is None and "{{" in alert.rule.labels.get(name, "")):
                continue  # only a run sees what a template comes to
            has = f"carries {carried}" if carried else "carries none"
            has = "leaves it to the series" if carried is None else has
            message = f"{alert.name} is promised with {name}: {wanted}, and its rule at {alert.rule.place} {has}"
            yield Violation(promised.at("labels"), message, f"give the rule {name}: {wanted}, or change the promise")


_Way = Callable[[AlertConfig, Rule, Route], Span]


def _late(
    context: LintContext, what: str, bounds: Callable[[PromisedAlert], Mapping[str, PromisedTime]], way: _Way
) -> Iterator[Violation]:
    """Each bound that is not kept by the quickest route that certainly leads there, or else the slowest that may."""
    for promised, alert in context.of_name(context.config.promise.alerts.values()):
        for receiver, bound in bounds(promised).items():
            reached = [each for each in context.reached(alert) if each.route.receiver == receiver]
            certain = any(each.certain for each in reached)
            routes = [each.route for each in reached if each.certain or not certain]
            ways = [(way(context.config, alert.rule, each)[1], each.path, each) for each in routes]
            found = (min if certain else max)(ways, default=None)
            todo = "correct the settings, or tell people the longer time"
            promise = f"{promised.alert} is promised {what} at {receiver} within {format_duration(bound.seconds)}"
            if found is None:
                yield Violation(bound.place, f"{promise}, and no route leads there", "correct the labels or the routes")
            elif found[0] > bound.seconds:
                route = found[2]
                settings = f"its rule at {alert.rule.place} and {called(route)} at {route.place}"
                yield Violation(bound.place, f"{promise}, and {settings} take up to {format_duration(found[0])}", todo)


@lint("promise-phone", Severity.ERROR, "promise", (*ROUTED, "prometheus"))
def phone(context: LintContext) -> Iterator[Violation]:
    """From a fault to a receiver's first notice it takes longer than promised.

    People learn of the fault later than promised.
    """
    yield from _late(context, "the first notice", lambda alert: alert.phone, to_phone)


@lint("promise-all-clear", Severity.ERROR, "promise", (*ROUTED, "prometheus"))
def all_clear(context: LintContext) -> Iterator[Violation]:
    """From the end of a fault to the notice of it takes longer than promised, or no notice of it is sent.

    People go on working on a fault that has ended.
    """
    yield from _late(context, "the all-clear", lambda alert: alert.all_clear, to_all_clear)
    for promised in context.config.promise.alerts.values():
        for name, bound in promised.all_clear.items():
            receiver = context.config.receivers.get(name)
            if receiver and not any(each.send_resolved for each in receiver.integrations):
                message = f"{promised.alert} is promised the all-clear at {name}, which sends none ({receiver.place})"
                yield Violation(bound.place, message, "set send_resolved: true, or take the promise back")


@lint("promise-muted-by", Severity.ERROR, "promise", ROUTED)
def muted_by(context: LintContext) -> Iterator[Violation]:
    """An alert may be muted by another one than promised, or not by one that is.

    It stays quiet where the promise says that it is told, or is told beside the alert that explains it.
    """
    for promised, alert in context.of_name(context.config.promise.alerts.values()):
        if promised.muted_by is None:
            continue
        muting = {mute.source.name: mute.rule for mute in reversed(context.mutes.of(alert))}
        for name in muting.keys() - set(promised.muted_by):
            message = f"{alert.name} may be muted by {name}, by the inhibition at {muting[name].place}"
            todo = f"add {name} to muted_by, or narrow the inhibition"
            yield Violation(promised.at("muted_by"), f"{message}, and its muted_by does not name {name}", todo)
        for name in dict.fromkeys(promised.muted_by):
            if name not in muting and name in context.by_name:
                message = f"{alert.name} ({alert.rule.place}) is promised to be muted by {name}, and no inhibition does"
                yield Violation(
                    promised.at("muted_by"), message, "write the inhibition, or take the name out of muted_by"
                )


@lint("promise-muted-within", Severity.ERROR, "promise", ROUTED)
def muted_within(context: LintContext) -> Iterator[Violation]:
    """An inhibition that mutes an alert compares other labels than promised.

    With one less, a cause in one place mutes alerts of another place; with one more, alerts of one cause are all told.
    """
    for promised, alert in context.of_name(context.config.promise.alerts.values()):
        wanted = promised.muted_within
        rules = {mute.rule.place: mute.rule for mute in context.mutes.of(alert)} if wanted is not None else {}
        for place, rule in rules.items():
            if set(rule.equal) != set(wanted or ()):
                agree, has = (", ".join(sorted(each)) or "no label" for each in (wanted or (), rule.equal))
                message = (
                    f"{alert.name} is promised to be muted by alerts that agree in {agree}, and {place} compares {has}"
                )
                yield Violation(promised.at("muted_within"), message, "correct equal, or the promise")


@lint("promise-hours", Severity.ERROR, "promise", ROUTED)
def hours(context: LintContext) -> Iterator[Violation]:
    """A route is silent at other times than promised.

    An alert is told when it should not be, or kept quiet when it should be told.
    """
    intervals = context.config.intervals
    seen: dict[tuple[object, ...], datetime | None] = {}
    for promised, alert in context.of_name(context.config.promise.alerts.values()):
        none = TimeInterval(promised.hours, (), promised.place)
        wanted = None if promised.hours == ALWAYS else intervals.get(promised.hours, none)
        for each in context.reached(alert) if promised.hours else ():
            route = each.route
            key = (route.muted_in, route.active_in, promised.hours)
            at = seen[key] = seen[key] if key in seen else _departs(context, route, wanted)
            if at is not None:
                said = [f"only in {', '.join(route.active_in)}"] if route.active_in else []
                said += [f"silent in {', '.join(route.muted_in)}"] if route.muted_in else []
                told = "told" if tells(route, intervals, at) else "silent"
                message = (
                    f"{alert.name} is promised hours: {promised.hours}, and {called(route)} at {route.place} tells"
                    f" {' and '.join(said) or ALWAYS}: at {at:%a %Y-%m-%d %H:%M} UTC it is {told}"
                )
                yield Violation(promised.at("hours"), message, "set the route's time intervals accordingly")


def _departs(context: LintContext, route: Route, wanted: TimeInterval | None) -> datetime | None:
    """The first instant at which the route is silent though it should tell, or tells though it should not; None without
    one in the next 28 years. `wanted` is the interval in which it should tell, None for always."""
    intervals = context.config.intervals
    if wanted is not None and (route.muted_in, route.active_in) == ((), (wanted.name,)):
        return None

    def right(at: datetime) -> bool:
        return tells(route, intervals, at) == (wanted is None or holds(wanted, at))

    since = context.now
    asked = [*named_by(route, intervals), *([wanted] if wanted else [])]
    return changes_at(right, asked, since, since + HORIZON) if right(since) else since


@lint("promise-scrape", Severity.ERROR, "promise", ("promise", "prometheus"))
def scrape(context: LintContext) -> Iterator[Violation]:
    """A job is not scraped as often as promised, or given up sooner or later, or is not there.

    Every alert that reads its samples knows of a fault earlier or later than people were told, or loses a slow page.
    """
    jobs = {job.name: job for job in context.config.jobs}
    promise = context.config.promise
    for name, promised in promise.jobs.items():
        if name not in jobs:
            todo = context.near(name, jobs) or "write the job, or take the promise back"
            yield Violation(
                promised.place, f"the job {name} is promised, and is not in the Prometheus configuration", todo
            )
        elif jobs[name].interval_s != promised.seconds:
            place = context.at(jobs[name].place, "scrape_interval")
            yield _other_interval(promised, f"the job {name} is promised to be scraped", place, jobs[name].interval_s)
        most = promise.timeouts.get(name)
        if most is not None and name in jobs and jobs[name].timeout_s != most.seconds:
            place, timeout_s = context.at(jobs[name].place, "scrape_timeout"), jobs[name].timeout_s
            told = f"a scrape of the job {name} is promised to take {format_duration(most.seconds)} at most"
            message = f"{told}, and at {place} Prometheus gives it up after {format_duration(timeout_s)}"
            yield Violation(most.place, message, AGREE)


@lint("promise-interval", Severity.ERROR, "promise", ("promise", "rules"))
def interval(context: LintContext) -> Iterator[Violation]:
    """A group of rules is not evaluated as often as promised, or is not there.

    Its alerts notice and hold earlier or later than people were told.
    """
    groups: dict[str, list[Rule]] = {}
    for rule in context.config.rules:
        groups.setdefault(rule.group, []).append(rule)
    for name, promised in context.config.promise.groups.items():
        if name not in groups:
            todo = context.near(name, groups) or "write the group, or take the promise back"
            yield Violation(promised.place, f"the group {name} is promised, and no rule file has it", todo)
        # Groups of several files may share a name.
        first = {rule.interval_s: rule.place for rule in reversed(groups.get(name, ()))}
        for seconds, place in first.items():
            if seconds != promised.seconds:
                yield _other_interval(promised, f"the group {name} is promised to be evaluated", place, seconds)


def _other_interval(promised: PromisedTime, what: str, place: Place, seconds: float) -> Violation:
    message = f"{what} every {format_duration(promised.seconds)}, and at {place}: every {format_duration(seconds)}"
    return Violation(promised.place, message, AGREE)
