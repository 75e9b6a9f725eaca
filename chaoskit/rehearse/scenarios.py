"""Scenarios that somebody wrote, or that a unit test was made into, as drills: the series are given, not derived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chaoskit.alerting.model import AlertConfig, Labels
from chaoskit.alerting.routing import alert_labels
from chaoskit.alerting.windows_expression import range_of
from chaoskit.errors import BadInput
from chaoskit.faults.scripted import Scripted
from chaoskit.faults.series import SeriesSettings
from chaoskit.rehearse.apart import with_a_group_of_theirs
from chaoskit.rehearse.derive import closure, key_of, recording_rules, watched_by
from chaoskit.rehearse.drill import Drill, patient, planned, unpromised, wrong_with
from chaoskit.rehearse.promise import computed_notices
from chaoskit.rehearse.tested import GivenTest
from chaoskit.rehearse.waves import by_metric, finds
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import Inject, Scenario
from chaoskit.yaml_source import Node

_SLACK_INTERVALS = 4


@dataclass(frozen=True, slots=True)
class Given:
    """A scenario's text; `name` is its file or that of the tests it was made from."""

    name: str
    text: str
    test: GivenTest | None = None


def is_scenario(root: Node) -> bool:
    """Whether a YAML file is a scenario, not a rule file."""
    return root.get("steps") is not None


def given_drill(one: Given, config: AlertConfig, promise_given: bool, scale: float, interval_s: float) -> Drill:
    """The drill of a scenario; alerts without a promise get the computed one. Raises BadInput."""
    scenario = load_scenario(one.text, one.name)
    injected = [spec for step, spec in scenario.faults() if isinstance(step, Inject)]
    problems = [problem for spec in injected for problem in wrong_with(spec)]
    if problems:
        raise BadInput(problems)
    test = one.test
    series = tuple(SeriesSettings.model_validate(dict(fault.settings)).scripted(interval_s) for fault in injected)
    if test is None:
        beside = _elsewhere(config, [one for moved, _ in series for one in moved])
        config = with_a_group_of_theirs(config, _expected(config, scenario)) if beside else config
    else:
        expected = {each.alert for each in scenario.expect}
        beside = [rule.alert for rule in config.rules if rule.alert and rule.alert not in expected]
    loaded = config if test is None else _loaded(config, test)
    own = _with_promise(loaded, scenario, promise_given, test.results if test else {})
    plan = unpromised(patient(planned(scenario, own, scale, beside)), config, promise_given, named=test is None)
    # Nothing of a test played before on the same stack is in sight of any rule that is loaded.
    spans = [range_of(loaded, rule) for rule in loaded.rules if test and rule.alert]
    plan = replace(plan, steady_vs=max([plan.steady_vs, *spans]) + _SLACK_INTERVALS * interval_s)
    rules, hasty = (test.rules, test.hasty) if test else (None, True)
    return Drill(Path(one.name).stem, plan, one.text, series, rules, hasty, test=test)


def _loaded(config: AlertConfig, test: GivenTest) -> AlertConfig:
    """The configuration with only the rules of a test, and with its series' lead-in."""
    rules = tuple(rule for rule in config.rules if key_of(rule) in test.rules)
    return replace(config, rules=rules, promise=replace(config.promise, appears_s=test.appears_s))


def _elsewhere(config: AlertConfig, scripted: Sequence[Scripted]) -> list[str]:
    """Alerts that read nothing of what a scenario scripts, such as one for a job that is not there: they may fire."""
    records, shown = recording_rules(config.rules), by_metric(scripted)
    return [
        rule.alert
        for rule in config.rules
        if rule.alert and not finds(watched_by([rule.expr, *(r.expr for r in closure(rule, records).values())]), shown)
    ]


def _expected(config: AlertConfig, scenario: Scenario) -> list[Labels]:
    """The labels with which a scenario expects its alerts."""
    return [
        alert_labels(config, rule, each.labels) for each in scenario.expect for rule in config.alert_rules(each.alert)
    ]


def _with_promise(
    config: AlertConfig, scenario: Scenario, promise_given: bool, results: Mapping[str, Sequence[Mapping[str, str]]]
) -> AlertConfig:
    """`results`: by alert the labels of each instance, where they are known."""
    notices = dict(config.promise.notices)
    promised = {alert for alert, _ in notices} if promise_given else set()
    for expectation in scenario.expect:
        for rule in config.alert_rules(expectation.alert):
            if rule.alert not in promised:
                notices |= computed_notices(config, rule, results.get(rule.alert) or [expectation.labels])
    return replace(config, promise=replace(config.promise, notices=notices))
