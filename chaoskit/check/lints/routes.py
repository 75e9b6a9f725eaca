"""Does every route lead somewhere, can it be reached, and do its times mean what they seem to?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from chaoskit.alerting.model import Matcher, Route, TimeInterval
from chaoskit.alerting.routing import values_of
from chaoskit.alerting.silences import written
from chaoskit.alerting.time_intervals import HORIZON, changes_at, holds, named_by, tells
from chaoskit.alerting.windows import repeats_after
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext
from chaoskit.check.reach import dead_routes
from chaoskit.units import format_duration

_SENT = ("ChaoskitCanary",)
"""Alerts that no rule defines: doctor's, whose route `witness config` writes."""


@lint("unreachable-route", Severity.ERROR, "routes", ("alertmanager",))
def unreachable_route(context: LintContext) -> Iterator[Violation]:
    """No alert can reach a route: an earlier one without `continue` takes it all, or its matchers exclude each other.

    Its receiver waits for alerts that others get.
    """
    for dead in dead_routes(context.config.route):
        route = dead.route
        if dead.hidden_by is None:
            message = (
                f"{called(route)} cannot match: its matchers and those above it leave no value for {dead.contradiction}"
            )
            todo = "correct the matchers, or remove the route"
        else:
            message = f"{called(route)} is never reached: the one at {dead.hidden_by.place} takes all its alerts"
            todo = "move this route up, or add continue: true to the other one"
        yield Violation(route.place, message, todo)


@lint("unused-receiver", Severity.WARNING, "routes", ("alertmanager",))
def unused_receiver(context: LintContext) -> Iterator[Violation]:
    """A receiver to which no route leads.

    Its readers expect notices and never get one.
    """
    used = {route.receiver for route in context.tree.routes}
    for name, receiver in context.config.receivers.items():
        if name not in used:
            yield Violation(receiver.place, f"no route leads to the receiver {name}", "add one, or remove the receiver")


@lint("group-wait-longer", Severity.WARNING, "routes", ("alertmanager",))
def group_wait_longer(context: LintContext) -> Iterator[Violation]:
    """group_wait is longer than group_interval.

    The first notice of a group then takes longer than the news after it: new problems come later than known ones.
    """
    for route in _own_times(context.config.route, None, "group_wait_s", "group_interval_s"):
        if route.group_wait_s > route.group_interval_s:
            message = (
                f"{called(route)} has group_wait {format_duration(route.group_wait_s)} and group_interval"
                f" {format_duration(route.group_interval_s)}"
            )
            place = context.at_route(route, "group_wait")
            yield Violation(place, message, "make group_wait the shorter one")


@lint("repeat-off-beat", Severity.WARNING, "routes", ("alertmanager",))
def repeat_off_beat(context: LintContext) -> Iterator[Violation]:
    """repeat_interval is no multiple of group_interval.

    A group speaks only at its ticks, so a repeat comes at the first tick after repeat_interval: later than written.
    """
    for route in _own_times(context.config.route, None, "group_interval_s", "repeat_interval_s"):
        real = repeats_after(route)
        if real > route.repeat_interval_s:
            message = (
                f"{called(route)} repeats every {format_duration(route.repeat_interval_s)}, but speaks only every"
                f" {format_duration(route.group_interval_s)}: it repeats after {format_duration(real)}"
            )
            place = context.at_route(route, "repeat_interval")
            yield Violation(place, message, f"write repeat_interval: {format_duration(real)}")


def _own_times(route: Route, above: Route | None, *names: str) -> Iterator[Route]:
    """The routes at which these times differ from the parent's, so that inherited times are reported once."""
    if above is None or any(getattr(route, name) != getattr(above, name) for name in names):
        yield route
    for child in route.children:
        yield from _own_times(child, route, *names)


@lint("resolved-off", Severity.WARNING, "routes", ("alertmanager",))
def resolved_off(context: LintContext) -> Iterator[Violation]:
    """An integration does not send resolved notices, which is the default for mail and Slack.

    People go on working on what has ended, or learn to ignore what never ends.
    """
    for name, receiver in context.config.receivers.items():
        if name in context.config.promise.receivers:
            continue  # the promise says what is wanted, and is compared by a lint of its own
        for integration in receiver.integrations:
            if not integration.send_resolved:
                message = f"{integration.kind} of {name} does not send resolved notices"
                place = context.at(receiver.place, f"{integration.kind}_configs")
                yield Violation(place, message, "add send_resolved: true, or promise resolved: false")


@lint("matcher-without-alert", Severity.WARNING, "routes", ("alertmanager", "rules"))
def matcher_without_alert(context: LintContext) -> Iterator[Violation]:
    """A route's or an inhibition's matcher names an alert that no rule defines.

    Most often the alert was renamed: it takes another route now, or is no longer muted.
    """
    places = [(route.matchers, route.place, called(route)) for route in context.tree.routes]
    for rule in context.config.inhibit_rules:
        places.append(((*rule.source, *rule.target), rule.place, "an inhibition"))
    for matchers, place, what in places:
        for name in sorted(_alert_names(matchers) - {*context.by_name, *_SENT} - context.config.unread):
            near = context.near(name, context.by_name)
            yield Violation(place, f"{what} names the alert {name}, which no rule defines", near or "correct the name")


def _alert_names(matchers: tuple[Matcher, ...]) -> set[str]:
    return {name for m in matchers if m.label == "alertname" for name in values_of(m) or () if name}


@lint("interval-constant", Severity.WARNING, "routes", ("alertmanager",))
def interval_constant(context: LintContext) -> Iterator[Violation]:
    """A time interval that a route names holds always or never, or a route's intervals leave no time in which it tells.

    A mute that always holds keeps the receiver from every notice, and one that never holds wakes people at night. Only
    the 28 years from now on count: an interval whose years are over never holds.
    """
    since = context.now
    until = since + HORIZON
    named: dict[str, TimeInterval] = {}
    for route in context.tree.routes:
        mine = named_by(route, context.config.intervals)
        named |= {each.name: each for each in mine}
        silent = not tells(route, context.config.intervals, since)
        if silent and changes_at(partial(tells, route, context.config.intervals), mine, since, until) is None:
            message = f"{called(route)} never tells: its time intervals leave no time to notify"
            yield Violation(route.place, message, "correct mute_time_intervals and active_time_intervals")
    for name, interval in named.items():
        if changes_at(partial(holds, interval), [interval], since, until) is None:
            always = "always" if holds(interval, since) else "never"
            message = f"the time interval {name} {always} holds in the 28 years from {since:%Y-%m-%d} on"
            yield Violation(interval.place, message, "correct the interval, or take it out of the routes")


def called(route: Route) -> str:
    """A route as a person finds it: by its matchers and its receiver."""
    if not route.path:
        return "the root route"
    said = written(route.matchers) or "without matchers"
    return f"the route {said} to {route.receiver}"
