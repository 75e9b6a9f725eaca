"""Scenarios that somebody wrote, and promtool's unit tests, as drills: the series are given, not derived."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.rehearse.derive import closure, metric_names, recording_rules
from chaoskit.rehearse.drill import Drill, patient, planned, unpromised
from chaoskit.rehearse.fault import KIND, read, wrong_with
from chaoskit.rehearse.promise import computed_notices
from chaoskit.rehearse.series import ENDLESS, Segment, Values, parse_values
from chaoskit.rehearse.written import described_values
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import Inject, Scenario
from chaoskit.units import parse_duration
from chaoskit.yaml_source import Node
from chaoskit.yaml_source import read as read_yaml

_SLACK_INTERVALS = 4


@dataclass(frozen=True, slots=True)
class Given:
    """A scenario's text; `name` is its file or that of the tests it was made from."""

    name: str
    text: str


def is_scenario(root: Node) -> bool:
    """Whether a YAML file is a scenario, not a rule file."""
    return root.get("steps") is not None


def given_drill(one: Given, config: AlertConfig, promise_given: bool, scale: float, interval_s: float) -> Drill:
    """The drill of a scenario; alerts without a promise get the computed one. Raises BadInput."""
    scenario = load_scenario(one.text, one.name)
    problems = [p for step in scenario.steps if isinstance(step, Inject) for s in step.faults for p in wrong_with(s)]
    if problems:
        raise BadInput(problems)
    own = _with_promise(config, scenario, promise_given)
    series = tuple(
        read(fault.settings, interval_s) for step in scenario.steps if isinstance(step, Inject) for fault in step.faults
    )
    beside = _elsewhere(config, {one.name for moved, _ in series for one in moved})
    plan = unpromised(patient(planned(scenario, own, scale, beside)), config, promise_given, named=True)
    plan = replace(plan, steady_vs=plan.steady_vs + _SLACK_INTERVALS * interval_s)
    return Drill(Path(one.name).stem, plan, one.text, series)


def _elsewhere(config: AlertConfig, scripted: set[str]) -> list[str]:
    """Alerts that read nothing of what a scenario scripts, such as one for a job that is not there: they may fire."""
    records = recording_rules(config.rules)
    found = []
    for rule in config.rules:
        read_by = [rule, *closure(rule, records).values()]
        if rule.alert and not any(metric_names(one.expr) & scripted for one in read_by):
            found.append(rule.alert)
    return found


def _with_promise(config: AlertConfig, scenario: Scenario, promise_given: bool) -> AlertConfig:
    notices = dict(config.promise.notices)
    promised = {alert for alert, _ in notices} if promise_given else set()
    for expectation in scenario.expect:
        for rule in config.alert_rules(expectation.alert):
            if rule.alert not in promised:
                notices |= computed_notices(config, rule, [expectation.labels])
    return replace(config, promise=replace(config.promise, notices=notices))


def from_tests(text: str, file: str, rules: Iterable[Rule]) -> tuple[list[Given], list[str]]:
    """A scenario for each test group of a promtool unit test that expects an alert, and notes on what was left out.

    What a test's series end with goes on, so that the alert stays until the series are taken away. Raises BadInput.
    """
    names = {rule.alert for rule in rules if rule.alert}
    root = read_yaml(text, file)
    document = root.plain()
    groups = document.get("tests") if isinstance(document, dict) else None
    if not isinstance(groups, list):
        raise BadInput(Problem(Place(file), "holds no tests", "give a file for `promtool test rules`"))
    found: list[Given] = []
    notes: list[str] = []
    problems: list[Problem] = []
    for number, group in enumerate(groups, 1):
        expected = _expected(group)
        missing = [name for name in expected if name not in names]
        notes += [f"{file}: test {number} expects {name}, which no given rule is called" for name in missing]
        expect = [
            {"alert": name, "from": "script", **({"instances": count} if count > 1 else {})}
            for name, count in expected.items()
            if name in names
        ]
        if not expect:
            continue
        try:
            series = [_series(one) for one in group.get("input_series") or []]
        except ValueError as error:
            problems.append(Problem(Place(file), f"test {number}: {error}"))
            continue
        title = str(group.get("name") or f"test {number} of {Path(file).name}")
        interval = str(group.get("interval") or document.get("evaluation_interval") or "1m")
        parse_duration(interval)
        document_ = {
            "chaoskit": 1,
            "title": title,
            "steps": [
                {"inject": KIND, "as": "script", "with": {"interval": interval, "series": series}},
                {"wait": "settled"},
                {"undo": "script", "as": "rest"},
                {"wait": "settled"},
            ],
            "expect": expect,
        }
        name = f"{Path(file).stem}-test-{number}.yml"
        found.append(Given(name, yaml.safe_dump(document_, sort_keys=False, width=1_000_000)))
    if problems:
        raise BadInput(problems)
    return found, notes


def _expected(group: Any) -> dict[str, int]:
    """By alert, the most instances that a test expects at any instant."""
    found: dict[str, int] = {}
    for one in group.get("alert_rule_test") or [] if isinstance(group, dict) else []:
        count = len(one.get("exp_alerts") or [])
        if count:
            name = str(one.get("alertname"))
            found[name] = max(found.get(name, 0), count)
    return found


def _series(one: Any) -> dict[str, Any]:
    values = parse_values(str(one["values"]))
    *first, last = values.segments
    if last.count > 1 or last.start is None:
        last = Segment(last.start, last.step, ENDLESS)
    return {"series": str(one["series"]), "values": described_values(Values((*first, last))), "rest": "_"}
