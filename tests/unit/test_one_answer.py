"""One answer each to which labels an alert carries, which alert mutes which, and what of a configuration is covered."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
import yaml
from alerting_examples import (
    RECEIVERS,
    alertmanager_text,
    load,
    mutes,
    random_matchers,
    random_route,
    random_step,
)

from chaoskit import bundle
from chaoskit.alerting.alert import alert_of
from chaoskit.alerting.config import ConfigFiles, load_config
from chaoskit.alerting.inhibition import conditions
from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.routing import alert_labels, match_routes
from chaoskit.check.lint_context import LintContext
from chaoskit.gate.coverage import _named, could_prove, everything
from chaoskit.inputs import Inputs
from chaoskit.run.planning import Asked, plan_for, plan_inputs
from chaoskit.scenario.catalog import find_profile, scenario_names
from chaoskit.scenario.loader import load_scenario, load_scenario_file
from chaoskit.scenario.model import Scenario
from chaoskit.scenario.profile import load_profile_file

EXPRESSIONS = ("up == 0", "sum by (zone, team) (up) == 0", "count(up) == 0", "up * on (zone) group_left (team) up > 1")
LIMITS = ("limits.fault=3h", "limits.run=3h")
FIXED = ("critical", "api", "{{ $labels.x }}")
OPEN = {"zone": ("", "a", "7"), "team": ("", "api", "db"), "component": ("", "critical", "api")}


def configured(seed: int) -> AlertConfig:
    """Rules that fix some labels and leave others to their series, with routes and inhibitions on both."""
    rng = random.Random(seed)
    rules = [
        {
            "alert": f"A{number}",
            "expr": rng.choice(EXPRESSIONS),
            "labels": {
                n: rng.choice(("critical", "api", "{{ $labels.x }}")) for n in rng.sample(("severity", *OPEN), 2)
            },
        }
        for number in range(5)
    ]
    inhibitions = [
        random_matchers(rng, "source_") | random_matchers(rng, "target_") | {"equal": rng.sample(tuple(OPEN), 1)}
        for _ in range(4)
    ]
    steps = [random_step(rng) for _ in range(rng.choice((0, 0, 2)))]
    prometheus = {
        "global": {"external_labels": rng.choice(({}, {"cluster": "x", "zone": "a"}))},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "app"}],
        "alerting": {"alert_relabel_configs": steps},
    }
    return load(
        yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}),
        alertmanager_text(random_route(rng, 3), inhibit_rules=inhibitions),
        yaml.safe_dump(prometheus),
    )


def filled(config: AlertConfig, rng: random.Random) -> Iterator[tuple[dict[str, str], LintContext, int]]:
    """Each alert's number, with labels at Alertmanager for a series that its expression may bring."""
    context = LintContext(config)
    for number, alert in enumerate(context.alerts):
        for _ in range(4):
            series = {name: rng.choice(values) for name, values in OPEN.items() if alert.open.may_have(name)}
            yield alert_labels(config, alert.rule, {n: v for n, v in series.items() if v}), context, number


@pytest.mark.parametrize("seed", range(10))
def test_labels_that_are_known_before_an_alert_fires_are_those_it_is_sent_with(seed: int) -> None:
    """And the routes that they allow are the routes it takes."""
    config = configured(seed)
    for labels, context, number in filled(config, random.Random(seed)):
        alert = context.alerts[number]
        for name in (*OPEN, "severity", "cluster", "alertname"):
            known = alert.value(name)
            assert not labels or known is None or known == labels.get(name, ""), (alert.rule, name)
        taken = {route.path for route in match_routes(config.route, labels)}
        may = {each.route.path: each.certain for each in context.reached(alert)}
        assert taken <= set(may)
        assert not labels or taken >= {path for path, certain in may.items() if certain}


@pytest.mark.parametrize("seed", range(10))
def test_alerts_that_mute_each_other_for_some_labels_are_those_of_which_it_is_said(seed: int) -> None:
    """Never, whenever it fires, or under conditions: for all labels, none, or some."""
    config = configured(seed)
    labelled = list(filled(config, random.Random(seed)))
    alerts = LintContext(config).alerts
    for rule in config.inhibit_rules:
        for source, _, one in labelled:
            for target, _, other in labelled:
                found, does = conditions(rule, alerts[one], alerts[other]), mutes(rule, source, target)
                if source and target:
                    assert not (does and found is None)
                    assert not (found == () and not does)


@cache
def shipped() -> AlertConfig:
    return load_config(bundle.folder(), complete=True)


def by_check(config: AlertConfig, *scenarios: Scenario) -> dict[str, frozenset[str]]:
    """What check says of them, in the gate's names."""
    return _named(config, LintContext(config, scenarios).exercised)


def test_check_and_gate_agree_on_the_shipped_configuration_and_every_scenario() -> None:
    config = shipped()
    assert everything(config) == _named(config, LintContext(config).parts)
    all_: dict[str, frozenset[str]] = {}
    for file in scenario_names().values():
        plan = plan_for(Asked(str(file), "local", ConfigFiles(bundle.folder()), LIMITS, 1))[0]
        mine = could_prove(plan)
        assert mine == by_check(config, load_scenario_file(file)), file
        all_ = {kind: all_.get(kind, frozenset()) | names for kind, names in mine.items()}
    assert all_ == everything(config), "all is covered"


@pytest.mark.parametrize("seed", range(10))
def test_check_and_gate_agree_on_generated_configurations(seed: int) -> None:
    config, rng = configured(seed), random.Random(seed)
    assert everything(config) == _named(config, LintContext(config).parts)
    steps = "steps:\n  - {inject: process.kill, as: kill, target: {role: worker, count: 1}}\n  - wait: settled\n"
    text = f"chaoskit: 1\ntitle: t\n{steps}expect:\n"
    for number in range(5):
        heard = {name: {"within": "5m"} for name in rng.sample(RECEIVERS, 3)}
        muted = {"suppressed_by": f"A{(number + 1) % 5}", "control": "worker-unhealthy"}
        how = muted if number % 2 else {"notifies": heard}
        given = {"labels": {"component": "api"}} if "component" not in config.rules[number].labels else {}
        expected = {"alert": f"A{number}", "from": "kill", **how, **given}
        text += f"  - {yaml.safe_dump(expected, default_flow_style=True, width=1000)}"
    scenario = load_scenario(text, "s.yml")
    plan = plan_inputs(Inputs(scenario, load_profile_file(find_profile("local")), config))
    assert could_prove(plan) == by_check(config, scenario)


def routed(*routes: str, inhibitions: str = "[]") -> AlertConfig:
    rules = "[{alert: Down, expr: up == 0, labels: {team: a}}, {alert: All, expr: count(up) == 0}]"
    receivers = ", ".join(f"{{name: {name}, webhook_configs: [{{url: 'http://x/'}}]}}" for name in ("r", "s"))
    tree = f"route: {{receiver: r, routes: [{', '.join(routes)}]}}"
    return load(
        f"groups: [{{name: g, rules: {rules}}}]", f"{tree}\nreceivers: [{receivers}]\ninhibit_rules: {inhibitions}\n"
    )


def expecting(how: str) -> Scenario:
    steps = "steps:\n  - {inject: process.kill, as: kill, target: {role: worker, count: 1}}\n  - wait: settled\n"
    return load_scenario(f"chaoskit: 1\ntitle: t\n{steps}expect:\n  - {{alert: Down, from: kill, {how}}}\n", "s.yml")


def test_a_notice_proves_a_route_only_where_no_other_may_have_brought_it() -> None:
    """Two routes by a label that the series decide lead to one receiver: neither is proven; each alone is."""
    both = routed("{matchers: [job=x], receiver: s}", "{matchers: [job=y], receiver: s}")
    found = by_check(both, expecting("notifies: [s]"))
    assert (found["receivers"], found["routes"]) == ({"s"}, frozenset())
    one = routed("{matchers: [job=x], receiver: s}")
    assert len(by_check(one, expecting("notifies: [s]"))["routes"]) == 1
    told = expecting("notifies: [s], labels: {job: y}")
    assert len(by_check(both, told)["routes"]) == 1, "the expectation says which"
    assert by_check(one, told)["routes"] == frozenset(), "it goes elsewhere"


def test_an_alert_that_is_held_back_proves_an_inhibition_only_where_no_other_may_have_done_it() -> None:
    rule = "{source_matchers: [alertname=All], target_matchers: [%s]}"
    both = routed(inhibitions=f"[{rule % 'job=x'}, {rule % 'job=y'}]")
    assert by_check(both, expecting("suppressed_by: All, control: worker-unhealthy"))["inhibition rules"] == frozenset()
    sure = routed(inhibitions=f"[{rule % 'job=x'}, {rule % 'team=a'}]")
    assert len(by_check(sure, expecting("suppressed_by: All, control: worker-unhealthy"))["inhibition rules"]) == 1
    none = routed(inhibitions=f"[{rule % 'team=b'}]")
    assert by_check(none, expecting("suppressed_by: All, control: worker-unhealthy"))["inhibition rules"] == frozenset()


def test_a_route_with_children_is_to_be_proven_where_an_alert_can_end_on_it() -> None:
    caught = routed("{matchers: ['alertname=~\".+\"'], receiver: s}")
    assert len(everything(caught)["routes"]) == 1
    falls = routed("{matchers: [team=a], receiver: s}")
    assert len(everything(falls)["routes"]) == 2, "All, which has no team, ends on the root"
    assert everything(falls)["receivers"] == {"r", "s"}
    assert everything(caught)["receivers"] == {"s"}, "no route that counts names r"


def test_an_alert_that_always_stands_cannot_be_proven() -> None:
    config, profile = shipped(), load_profile_file(find_profile("local"))
    standing = replace(profile, standing=frozenset({"DiskSpaceLow"}))
    for profiles, missing in (((standing,), {"DiskSpaceLow"}), ((standing, profile), set()), ((), set())):
        parts = LintContext(config, profiles=profiles).parts
        assert {rule.alert for rule in config.rules if rule.alert} - set(parts["alerts"]) == missing
    assert "DiskSpaceLow" not in everything(config, ["DiskSpaceLow"])["alerts"]


def test_an_alert_of_another_series_is_the_same_but_for_what_its_rule_sets() -> None:
    rule = configured(0).rules[0]
    alert = alert_of(rule, {}).with_labels({"zone": "a", "alertname": "no"})
    assert (alert.value("alertname"), alert.name) == (rule.alert, rule.alert)
