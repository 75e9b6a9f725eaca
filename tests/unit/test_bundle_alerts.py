"""The shipped rules say what is documented, all that a reader needs, and nothing that cannot be run or compressed."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from chaoskit.alerting.config import load_config
from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.routing import alert_labels, match_routes
from chaoskit.alerting.virtual import scale_rules
from chaoskit.alerting.windows import from_fault, from_undo
from chaoskit.alerting.windows_expression import range_of, recording_delay, selectors
from chaoskit.bundle import folder
from chaoskit.bundle.render import render
from chaoskit.crm.contract import metrics
from chaoskit.units import format_duration, parse_duration
from tests.bundle_rules import CASES
from tests.bundle_rules.case import FILES, alerts, parsed
from tests.bundle_rules.documented import DOCUMENTED_RULES, LOOKS_BACK, kebab

RULE_TESTS = sorted((Path(__file__).parents[1] / "bundle_rules").glob("*.yml"))
CONFIG = load_config(folder(), complete=True)
RULES = {rule.alert: rule for rule in CONFIG.rules if rule.alert}


def test_there_are_eight_groups_and_at_least_thirty_rules() -> None:
    components = dict.fromkeys(component for component, _, _ in DOCUMENTED_RULES.values())
    assert list(dict.fromkeys(rule.group for rule in CONFIG.rules)) == [
        f"insa-crm-{component.replace('_', '-')}" for component in components
    ]
    assert len(components) == 8
    assert len(CONFIG.rules) >= 30


def test_the_rules_are_the_documented_ones() -> None:
    found = {
        name: (rule.labels["component"], format_duration(rule.for_s), rule.labels["severity"])
        for name, rule in RULES.items()
    }
    assert found == DOCUMENTED_RULES


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_tells_whoever_reads_it_what_to_do(alert: str) -> None:
    rule = RULES[alert]
    assert rule.labels["team"] == (
        "infrastructure" if rule.labels["component"] in ("database", "system") else "platform"
    )
    assert rule.group == f"insa-crm-{rule.labels['component'].replace('_', '-')}"
    assert rule.annotations["summary"]
    assert "\n" not in rule.annotations["summary"]
    description = rule.annotations["description"]
    assert "{{ $value" in description
    sections = ["\n\nImpact: ", "\n\nCommon causes:\n- ", "\n\nTroubleshooting:\n1. "]
    assert [description.count(section) for section in sections] == [1, 1, 1]
    assert rule.annotations["runbook"] == f"https://docs.insa-crm.com/runbooks/{kebab(alert)}"


@pytest.mark.parametrize("part", ["monitoring", "sla"])
def test_the_optional_alerts_tell_as_much(part: str) -> None:
    for alert, (file, rule) in alerts().items():
        if file != f"{part}_alerts.yml":
            continue
        assert rule["labels"]["component"] == part
        assert rule["labels"].keys() == {"severity", "component", "team"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}
        assert alert == "Watchdog" or "{{ $value" in rule["annotations"]["description"]
        for section in ("\n\nImpact: ", "\n\nCommon causes:\n- ", "\n\nTroubleshooting:\n1. "):
            assert rule["annotations"]["description"].count(section) == 1
        assert rule["annotations"]["runbook"] == f"https://docs.insa-crm.com/runbooks/{kebab(alert)}"


def test_no_optional_alert_is_loaded_unasked() -> None:
    loaded = {alert for alert, (file, _) in alerts().items() if file == "prometheus_alerts.yml"}
    assert RULES.keys() == loaded < alerts().keys()


@pytest.mark.parametrize("file", ["prometheus_alerts.yml", "sla_alerts.yml"])
def test_rules_read_only_what_the_service_exports(file: str) -> None:
    """Every metric, and every value of a label that is asked for by name."""
    exported = {metric.name: metric for metric in metrics(("worker-1",), "local")}
    rules = [rule for group in parsed(file)["groups"] for rule in group["rules"]]
    records = {rule["record"] for rule in rules if "record" in rule}
    for rule in rules:
        for selector in selectors(rule["expr"]):
            asked = {each.label: each.value for each in selector.matchers}
            name = re.sub(r"_bucket$", "", asked.pop("__name__"))
            if name in records or name == "up" or name.startswith("chaoskit_sla_"):
                continue  # the last are chaoskit's own: test_sla_export.py
            metric = exported[name]
            for label, value in asked.items():
                assert value in {values[metric.labels.index(label)] for values in metric.label_sets}, (name, label)


@pytest.mark.parametrize("file", FILES)
def test_every_rule_can_be_compressed_for_virtual_time(file: str) -> None:
    scaled, refused = scale_rules(parsed(file), 60, 15)
    assert not refused
    written = [str(rule["expr"]) for group in parsed(file)["groups"] for rule in group["rules"]]
    divided = [str(rule["expr"]) for group in scaled["groups"] for rule in group["rules"]]
    for before, after in zip(written, divided, strict=True):
        ranges = [parse_duration(each) for each in re.findall(r"\[(\w+)\]", before)]
        assert [60 * parse_duration(each) for each in re.findall(r"\[(\w+)\]", after)] == ranges


@pytest.mark.parametrize("alert", RULES)
def test_a_rule_reads_what_was_recorded_in_the_same_turn(alert: str) -> None:
    assert recording_delay(CONFIG, RULES[alert]) == 0


def test_every_alert_is_tested_firing_and_not_firing() -> None:
    cases: dict[str, set[bool]] = defaultdict(set)
    for file in RULE_TESTS:
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for case in group.get("alert_rule_test", []):
                cases[case["alertname"]].add(bool(case["exp_alerts"]))
    for table in CASES:
        cases[table.alert].add(bool(table.fires))
    assert cases == {alert: {True} if alert == "Watchdog" else {True, False} for alert in alerts()}


@pytest.mark.parametrize("alert", RULES)
def test_what_an_alert_says_is_tested(alert: str) -> None:
    told = {case.alert for case in CASES if case.said is not None}
    assert alert in told or RULES[alert].labels["component"] == "worker", "worker.yml spells its annotations out"


@pytest.mark.parametrize("alert", RULES)
def test_what_a_rule_looks_back_over_is_known_through_its_records(alert: str) -> None:
    assert range_of(CONFIG, RULES[alert]) == LOOKS_BACK[alert]


@pytest.mark.parametrize("alert", RULES)
def test_the_promise_speaks_of_the_service_and_the_configuration_adds_its_own(alert: str) -> None:
    """Ranges, scrape and evaluation stand in the windows once, however the promise is read."""
    promise = CONFIG.promise
    seen_s = 15 + 10 + 15
    kept_s = RULES[alert].keep_firing_for_s
    assert from_fault(CONFIG, RULES[alert]).hi_vs == promise.appears_s[alert] + LOOKS_BACK[alert] + seen_s
    assert from_undo(CONFIG, RULES[alert]).hi_vs == promise.clears_s[alert] + LOOKS_BACK[alert] + seen_s + kept_s


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> AlertConfig:
    """The configuration with its optional parts."""
    out = tmp_path_factory.mktemp("rendered") / "all"
    render(out, ("monitoring", "sla"))
    return load_config(out, complete=True)


@pytest.mark.parametrize("alert", alerts())
def test_the_promise_is_kept_by_the_routes_with_the_optional_parts_as_well(alert: str, everything: AlertConfig) -> None:
    (rule,) = everything.alert_rules(alert)
    routes = match_routes(everything.route, alert_labels(everything, rule, {}))
    implied = {route.receiver: (rule.for_s, route.group_wait_s, route.repeat_interval_s) for route in routes}
    promised = {
        receiver: (notice.for_s, notice.group_wait_s, notice.repeat_s)
        for (name, receiver), notice in everything.promise.notices.items()
        if name == alert
    }
    assert promised == implied


def test_no_person_is_told_of_the_watchdog(everything: AlertConfig) -> None:
    (rule,) = everything.alert_rules("Watchdog")
    (route,) = match_routes(everything.route, alert_labels(everything, rule, {}))
    kinds = {integration.kind for integration in everything.receivers[route.receiver].integrations}
    assert "email" not in kinds
