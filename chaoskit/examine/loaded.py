"""What an attached Prometheus and Alertmanager have loaded, against the configuration that is to be tested.

Where an expected alert's rule or route is another one there, a verdict would speak of a promise that nobody made. So
that is a problem; what else differs is a note. Spelling does not count: expressions are compared by their meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import msgspec

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.alerting.routing import match_routes
from chaoskit.diff.expressions import meaning
from chaoskit.errors import BadInput, Problem
from chaoskit.plan.model import Plan
from chaoskit.units import format_duration

_NAMED = 5
_LOAD = "load this configuration there, or name with --bundle what is loaded"


class LoadedRule(msgspec.Struct, rename="camel"):
    """One rule as the rules API shows it; its durations are seconds."""

    name: str
    query: str = ""
    duration: float = 0.0
    keep_firing_for: float = 0.0
    labels: dict[str, str] = {}


class LoadedGroup(msgspec.Struct):
    """A group of rules and its evaluation interval in seconds."""

    interval: float
    rules: list[LoadedRule]


class LoadedRules(msgspec.Struct):
    """What is read of `/api/v1/rules`."""

    groups: list[LoadedGroup]


def compare_rules(plan: Plan, groups: list[LoadedGroup], where: str, notes: list[str]) -> Iterator[Problem]:
    """One problem for each expected alert whose rule is not loaded as it is; the other rules become a note."""
    loaded = [(group.interval, rule) for group in groups for rule in group.rules]
    expected = [alert.rule for alert in plan.alerts]
    others = []
    for rule in plan.config.rules:
        wrong = wrong_with(rule, loaded) if rule.alert else ""
        if wrong and rule in expected:
            yield Problem(rule.place, f"{rule.alert}, which is expected to fire, {wrong} in {where}", _LOAD)
        elif wrong:
            others.append(f"{rule.alert} {wrong}")
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        notes.append(f"rules that differ in {where}: {'; '.join(others[:_NAMED])}{more}")


def compare_routes(
    plan: Plan, original: str, sources: Mapping[str, str], where: str, doubts: list[str]
) -> Iterator[Problem]:
    """One problem for each expected alert of which the Alertmanager there tells others, or after other waits.

    `original` is its configuration as it shows it, `sources` are the texts of the one to be tested, by role:FILE. What
    of it is not understood goes to `doubts` where an expected alert rests on it.
    """
    name = next((key for key in sources if key.startswith("alertmanager:")), "alertmanager:alertmanager.yml")
    rest = {key: text for key, text in sources.items() if not key.startswith(("scenario:", "profile:"))}
    try:
        there = load_texts({**rest, name: original})
    except BadInput as error:
        message = f"what {where} has loaded could not be compared: {error.problems[0]}"
        yield Problem(None, message, "a run whose routes are not known to be these would prove nothing")
        return
    known = {each.problem.message for each in plan.config.not_understood}
    for puzzle in replace(plan, config=replace(plan.config, not_understood=there.not_understood)).puzzles:
        if puzzle.problem.message not in known:
            doubts.append(f"loaded in {where}, and not understood: {puzzle.problem.message}")
    for alert in plan.alerts:
        ours, theirs = _told(plan.config, alert.labels), _told(there, alert.labels)
        if ours != theirs:
            message = f"{where} tells {', '.join(theirs) or 'nobody'} of {alert.rule.alert}, where this configuration "
            message += f"tells {', '.join(ours) or 'nobody'}"
            yield Problem(alert.expectation.place, message, _LOAD)


def wrong_with(rule: Rule, loaded: list[tuple[float, LoadedRule]]) -> str:
    """How the nearest of the loaded rules of that name differs; empty where one is the same."""
    named = [_differences(rule, interval, one) for interval, one in loaded if one.name == rule.alert]
    if not named:
        return "is not loaded"
    nearest = min(named, key=len)
    return " and ".join(nearest)


def _differences(rule: Rule, interval_s: float, there: LoadedRule) -> list[str]:
    found = []
    for what, ours, theirs in (
        ("for", rule.for_s, there.duration),
        ("keep_firing_for", rule.keep_firing_for_s, there.keep_firing_for),
        ("evaluation interval", rule.interval_s, interval_s),
    ):
        if abs(ours - theirs) > 1e-3:
            found.append(f"has {what}: {format_duration(theirs)} in place of {format_duration(ours)}")
    if dict(rule.labels) != there.labels:
        found.append(f"has the labels {_written(there.labels)} in place of {_written(rule.labels)}")
    if meaning(rule.expr) != meaning(there.query):
        found.append(f"has the expression `{' '.join(there.query.split())}`, which means something else")
    return found


def _told(config: AlertConfig, labels: Mapping[str, str]) -> list[str]:
    """Each receiver with the waits of its route, in words."""
    return sorted(
        f"{route.receiver} (grouped by {', '.join(sorted(route.group_by or ())) or _grouped(route.group_by)}, "
        f"group_wait {format_duration(route.group_wait_s)}, group_interval {format_duration(route.group_interval_s)}, "
        f"repeat_interval {format_duration(route.repeat_interval_s)})"
        for route in match_routes(config.route, labels)
    )


def _grouped(group_by: tuple[str, ...] | None) -> str:
    return "every label" if group_by is None else "none"


def _written(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) + "}"
