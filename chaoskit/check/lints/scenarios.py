"""Do the scenarios speak of what is configured, and do their faults stay clear of the thresholds?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chaoskit.alerting.alert import Answer, takes
from chaoskit.alerting.expression import Expr, expression, walk
from chaoskit.alerting.quantity import comparison
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext
from chaoskit.errors import Place
from chaoskit.plan.silences import silences
from chaoskit.scenario.model import Change, Expectation, Inject, Scenario
from chaoskit.scenario.profile import profile_kinds
from chaoskit.units import parse_ratio

_NEEDS = ("scenarios", "rules")
_NEAR = 0.1
_LEVELS = ("ratio", "level")


def _expected(context: LintContext) -> Iterator[tuple[Scenario, Expectation]]:
    return ((scenario, each) for scenario in context.scenarios for each in scenario.expect)


@lint("scenario-unknown-alert", Severity.ERROR, "scenarios", _NEEDS)
def unknown_alert(context: LintContext) -> Iterator[Violation]:
    """A scenario or a profile names an alert that no rule defines.

    The scenario cannot pass, or allows nothing.
    """
    names: list[tuple[str, Place]] = []
    for scenario in context.scenarios:
        names += [(each.alert, each.place) for each in scenario.expect]
        names += [(each.suppressed_by, each.place) for each in scenario.expect if each.suppressed_by]
        names += [(each.alert, each.place) for each in scenario.allow]
    for profile in context.profiles:
        names += [(name, profile.place) for name in profile.standing]
        names += [(each.alert, each.place) for each in profile.abort if each.alert]
    for name, place in names:
        if name not in context.by_name and name not in context.config.unread:
            yield Violation(
                place, f"no rule defines the alert {name}", context.near(name, context.by_name) or "correct the name"
            )


@lint("scenario-unknown-handle", Severity.ERROR, "scenarios", ("scenarios", "profiles"))
def unknown_handle(context: LintContext) -> Iterator[Violation]:
    """A scenario's fault or action is aimed at a handle that no profile defines.

    There is nothing behind the name, so that the scenario cannot be planned.
    """
    for scenario in context.scenarios:
        for _, spec in scenario.faults():
            for kind in (each for each in profile_kinds() if each in spec.target):
                name = spec.target[kind]
                known = {name for profile in context.profiles for name in profile.handles.of(kind)}
                if name not in known:
                    todo = context.near(str(name), known) or f"profiles define: {', '.join(sorted(known)) or 'none'}"
                    yield Violation(spec.place, f"no profile defines the {kind} {name}", todo)


@lint("scenario-labels", Severity.ERROR, "scenarios", _NEEDS)
def labels(context: LintContext) -> Iterator[Violation]:
    """A scenario expects labels that no rule of the alert's name can give.

    The expected alert cannot fire, so the run fails even where the fault takes effect.
    """
    for _, each in _expected(context):
        if each.labels and each.alert in context.by_name and not context.rules_meant_by(each):
            wanted = ", ".join(f"{name}={value}" for name, value in each.labels.items())
            yield Violation(each.place, f"no rule called {each.alert} gives an alert {wanted}", "correct the labels")


@lint("scenario-not-routed", Severity.ERROR, "scenarios", (*_NEEDS, "alertmanager"))
def not_routed(context: LintContext) -> Iterator[Violation]:
    """A scenario expects a notice at a receiver that the alert cannot reach, or that is not defined.

    The run waits for it in vain, and fails.
    """
    for _, each in _expected(context):
        wanted = [name for name, notify in (each.notifies or {}).items() if notify.mode != "never"]
        reached = {found.route.receiver for alert in context.rules_meant_by(each) for found in context.reached(alert)}
        for name in wanted:
            if reached and name not in reached:
                hint = context.near(name, reached) or f"it goes to {', '.join(sorted(reached))}"
                yield Violation(each.place, f"{each.alert} is expected at {name}, and no route takes it there", hint)


@lint("scenario-missing-receiver", Severity.ERROR, "scenarios", (*_NEEDS, "alertmanager"))
def missing_receiver(context: LintContext) -> Iterator[Violation]:
    """A scenario names an alert's receivers and leaves out one that the alert certainly reaches.

    Exactly the named ones are expected, so that the notice to the other one is a finding, and fails the run.
    """
    for _, each in _expected(context):
        alerts = context.rules_meant_by(each)
        if each.notifies is None or each.suppressed_by is not None or len(alerts) != 1:
            continue
        certain = dict.fromkeys(found.route.receiver for found in context.reached(alerts[0]) if found.certain)
        for name in certain:
            silent = not context.config.receivers[name].integrations if name in context.config.receivers else True
            if name not in each.notifies and not silent:
                message = f"{each.alert} reaches {name} as well, which notifies: leaves out"
                yield Violation(each.place, message, f"add {name} to notifies:")


@lint("scenario-not-promised", Severity.ERROR, "scenarios", (*_NEEDS, "promise"))
def not_promised(context: LintContext) -> Iterator[Violation]:
    """A scenario expects a notice as promised, and nothing is promised for that alert and receiver.

    There is no window to judge the notice against, so that the scenario cannot be planned.
    """
    promised = context.config.promise.notices
    for _, each in _expected(context):
        if each.suppressed_by is not None or each.alert not in context.by_name:
            continue
        if each.notifies is None and not any(alert == each.alert for alert, _ in promised):
            yield Violation(
                each.place, f"nothing is promised for {each.alert}", "add the alert to the promise, or say notifies:"
            )
        for name, notify in (each.notifies or {}).items():
            if notify.mode == "promised" and (each.alert, name) not in promised:
                message = f"{each.alert} is expected at {name} as promised, and nothing is promised there"
                yield Violation(each.place, message, "add the row to the promise, or give it a within:")


@lint("scenario-not-muted", Severity.ERROR, "scenarios", (*_NEEDS, "alertmanager"))
def not_muted(context: LintContext) -> Iterator[Violation]:
    """A scenario expects an alert to be suppressed by another or by a silence, and no inhibition or matcher does that.

    The notice goes out, and the run fails.
    """
    for scenario, each in _expected(context):
        found = [matchers for _, _, matchers in silences(scenario, each.silenced_by)] if each.silenced_by else []
        rules = context.rules_meant_by(each)
        if found and rules and not any(takes(one, alert) is not Answer.NO for one in found for alert in rules):
            message = f"{each.alert} is to be silenced by {each.silenced_by}, whose matchers the alert does not meet"
            yield Violation(each.place, message, "correct the matchers, or the expectation")
        sources = context.by_name.get(each.suppressed_by or "", ())
        pairs = [(source, target) for source in sources for target in context.rules_meant_by(each)]
        if pairs and not any(sides.may_mute(*pair) for sides in context.inhibitions for pair in pairs):
            message = f"{each.alert} is expected to be muted by {each.suppressed_by}, and no inhibition mutes it so"
            yield Violation(each.place, message, "add the inhibition, or correct the expectation")


@lint("scenario-control", Severity.ERROR, "scenarios", ("scenarios",))
def control(context: LintContext) -> Iterator[Violation]:
    """The control of a suppressed alert names no step, and no scenario in which the alert is delivered.

    Silence alone proves nothing: an alert without a route is silent too.
    """
    by_name = {scenario.name: scenario for scenario in context.scenarios}
    for scenario, each in _expected(context):
        if each.control is None or any(step.name == each.control for step in scenario.steps):
            continue  # A step was looked at when the scenario was read.
        found = by_name.get(each.control)
        if found is None:
            todo = context.near(each.control, by_name) or "name a step here, or a scenario"
            yield Violation(each.place, f"the control '{each.control}' is no step here, and no scenario", todo)
        elif not any(one.alert == each.alert and one.suppressed_by is None for one in found.expect):
            message = f"the control '{each.control}' does not expect {each.alert} to be delivered"
            yield Violation(each.place, message, f"name a scenario that expects {each.alert} without suppressed_by")


@lint("level-near-threshold", Severity.WARNING, "scenarios", _NEEDS)
def level_near_threshold(context: LintContext) -> Iterator[Violation]:
    """A fault's ratio or level lies within 10 % of the threshold of the rule that it should trip or clear.

    So near to it every evaluation is a coin toss, and so is the verdict.
    """
    for scenario in context.scenarios:
        told: set[tuple[Place, str]] = set()
        for each in scenario.expect:
            thresholds = {
                t
                for alert in context.rules_meant_by(each)
                for t in _thresholds(context, expression(alert.rule.expr), ())
            }
            for place, key, written, level in _levels(scenario, each):
                near = next((t for t in sorted(thresholds) if _is_near(key, level, t)), None)
                if near is not None and (place, key) not in told:
                    told.add((place, key))
                    message = f"{key} {written} is within 10 % of the threshold {near:g} of {each.alert}"
                    yield Violation(place, message, "choose a level clearly above or below")


def _levels(scenario: Scenario, expectation: Expectation) -> Iterator[tuple[Place, str, object, float]]:
    """The levels that an expectation's own steps set: the fault that begins it, and the change that ends it."""
    for step in scenario.steps:
        if step.name not in (expectation.from_step, expectation.until_step):
            continue
        if isinstance(step, Inject):
            found = [(each.place, each.settings) for each in step.faults]
        elif isinstance(step, Change):
            found = [(step.place, step.settings)]
        else:
            continue
        for place, settings in found:
            for key in _LEVELS:
                level = _number(settings, key)
                if level is not None:
                    yield place, key, settings[key], level


def _number(settings: Mapping[str, Any], key: str) -> float | None:
    value = settings.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return parse_ratio(value) if key == "ratio" else float(value)
    except ValueError:
        return None


def _is_near(key: str, level: float, threshold: float) -> bool:
    # A ratio may be compared as it is or as a percentage.
    values = (level, level * 100) if key == "ratio" and threshold > 1 else (level,)
    return any(threshold > 0 and abs(value - threshold) <= _NEAR * threshold * (1 + 1e-9) for value in values)


def _thresholds(context: LintContext, tree: Expr, seen: tuple[str, ...]) -> Iterator[float]:
    """The numbers that the expression, and the recorded ones it reads, compare with; 0 aside."""
    for node in walk(tree):
        compared = comparison(node) if node.filters() else None
        if compared is not None and compared[2] > 0:
            yield compared[2]
        if node.kind == "selector" and node.name not in seen:
            for rule in context.config.recorded.get(node.name, ()):
                yield from _thresholds(context, expression(rule.expr), (*seen, node.name))
