"""alert_relabel_configs: under which labels Alertmanager gets an alert, and which it never gets."""

from __future__ import annotations

import dataclasses
import json
import random
from dataclasses import replace
from functools import partial

import msgspec
import pytest
from alerting_examples import NAMES, random_labels, random_step

from chaoskit.alerting.alert import Answer
from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.relabel import passes, relabelled, value_after
from chaoskit.alerting.routing import match_routes, sent_labels, told_by
from chaoskit.check.lint_context import LintContext
from chaoskit.diff.compare import diff
from chaoskit.errors import BadInput
from chaoskit.events import AnyEvent, Notice, Suppression
from chaoskit.explain.alert import explain
from chaoskit.fold import Episode
from chaoskit.gate.coverage import could_prove
from chaoskit.rehearse.drill import computed_notices, planned
from chaoskit.scenario.loader import load_scenario
from chaoskit.verify.verdict import Result
from chaoskit.verify.verify import verify
from tests.golden.doctored import mapped, recorded, with_events

RULES = "groups: [{name: g, rules: [{alert: A, expr: a > 1}]}]\n"
ROUTES = "route: {receiver: mail}\nreceivers: [{name: mail}]\n"
RENAMED = "{source_labels: [severity], regex: page, target_label: severity, replacement: critical}"
ROUTED = """route:
  receiver: mail
  routes: [{receiver: phone, group_by: [severity], matchers: ['cluster="c1"', severity="critical"]}]
receivers: [{name: mail}, {name: phone, webhook_configs: [{url: "http://127.0.0.1:1/"}]}]
"""
SCENARIO = """chaoskit: 1
title: it fires
steps: [{inject: series, as: s, with: {series: [{series: a, values: "2"}]}}, {undo: s, as: rest}]
expect: [{alert: A, from: s, notifies: {phone: {within: 2m}}}]
"""
ALERT = {"alertname": "A", "replica": "b", "zone": "eu-1", "severity": "page"}


def config(steps: str, outer: str = "{cluster: c1, replica: a}") -> AlertConfig:
    prometheus = f"global: {{external_labels: {outer}}}\nalerting: {{alert_relabel_configs: [{steps}]}}\n"
    prometheus += "scrape_configs: [{job_name: any}]\n"
    return load_texts({"rules:r.yml": RULES, "alertmanager:am.yml": ROUTES, "prometheus:prometheus.yml": prometheus})


def routed(alerting: str) -> AlertConfig:
    """One alert, `severity: page`; `phone` is told of critical ones in the cluster c1, `mail` of the rest."""
    prometheus = f"global: {{external_labels: {{cluster: c1}}}}\nalerting: {{{alerting}}}\n"
    rules = "groups: [{name: g, rules: [{alert: A, expr: sum(a) > 1, labels: {severity: page}}]}]\n"
    prometheus += "scrape_configs: [{job_name: any}]\n"
    return load_texts({"prometheus:prometheus.yml": prometheus, "rules:r.yml": rules, "alertmanager:am.yml": ROUTED})


@pytest.mark.parametrize(
    ("step", "changed"),
    [
        ("{target_label: team, replacement: db}", {"team": "db"}),
        ("{source_labels: [severity], regex: page, target_label: severity, replacement: critical}",
         {"severity": "critical"}),
        ("{source_labels: [severity], regex: pag, target_label: severity, replacement: critical}", {}),
        ("{source_labels: [zone, severity], separator: '-', regex: '(.*)-(\\d)-(?P<s>.*)', target_label: 'z$2',"
         " replacement: '${1}/$s/$$/$9'}", {"z1": "eu/page/$/"}),
        ("{source_labels: [zone], target_label: zone, replacement: ''}", {"zone": None}),
        ("{source_labels: [zone], target_label: zone, action: uppercase}", {"zone": "EU-1"}),
        ("{source_labels: [zone], target_label: zone, action: Lowercase}", {}),
        ("{regex: replica|cluster, action: labeldrop}", {"replica": None, "cluster": None}),
        ("{regex: 'alertname|zone', action: labelkeep}", {"replica": None, "cluster": None, "severity": None}),
        ("{regex: 'z(.*)', replacement: 'y$1', action: labelmap}", {"yone": "eu-1"}),
        ("{source_labels: [zone], target_label: shard, modulus: 4, action: hashmod}", {"shard": "2"}),
        ("{source_labels: [severity], regex: info, action: drop}", {}),
        ("{source_labels: [severity], regex: page, action: keep}", {}),
        ("{source_labels: [zone], target_label: severity, action: dropequal}", {}),
    ],
)  # fmt: skip
def test_each_action_does_what_prometheus_does(step: str, changed: dict[str, str | None]) -> None:
    wanted = {**ALERT, "cluster": "c1", **changed}
    assert sent_labels(config(step), ALERT) == {k: v for k, v in wanted.items() if v is not None}


@pytest.mark.parametrize(
    "step",
    [
        "{source_labels: [severity], regex: page, action: drop}",
        "{source_labels: [severity], regex: info, action: keep}",
        "{source_labels: [zone], target_label: severity, action: keepequal}",
        "{regex: none, action: labelkeep}",
    ],
)
def test_an_alert_that_is_dropped_has_no_route_and_is_known_again_in_nothing(step: str) -> None:
    own = config(step)
    assert sent_labels(own, ALERT) == {}
    assert match_routes(own.route, sent_labels(own, ALERT)) == ()
    assert not Episode(ALERT, told_by(own, ALERT)).is_in(ALERT)


def test_steps_go_on_from_what_the_one_before_made() -> None:
    first = "{target_label: team, replacement: db}"
    assert sent_labels(config(f"{first}, {{source_labels: [team], regex: db, action: drop}}"), ALERT) == {}


def test_an_alert_is_known_again_by_what_is_left_of_its_labels_and_not_by_what_came_on_top() -> None:
    own = config("{regex: replica, action: labeldrop}")
    episode = Episode(ALERT, told_by(own, ALERT))
    rest = {k: v for k, v in ALERT.items() if k != "replica"}
    assert episode.is_in(rest)
    assert episode.is_in({**rest, "cluster": "another"})
    assert not Episode(ALERT, told_by(replace(own, relabels=()), ALERT)).is_in(rest)


def test_a_pattern_that_does_not_parse_is_named_with_its_place() -> None:
    with pytest.raises(BadInput, match=r"prometheus.yml:2: regex: '\('"):
        config("{regex: '(', action: labeldrop}")


def open_but_for(labels: dict[str, str], hidden: set[str], name: str) -> str | None:
    return None if name in hidden else labels.get(name, "")


def test_what_is_known_before_the_series_are_there_never_contradicts_what_comes() -> None:
    """Random steps, random labels of which some are left to the series: a value that is told is the right one."""
    reach = 0
    for seed in range(200):
        rng = random.Random(seed)
        own = config(", ".join(json.dumps(random_step(rng)) for _ in range(3)), "{}")
        labels = random_labels(rng)
        hidden = set(rng.sample(NAMES, rng.randint(0, 3)))

        known = partial(open_but_for, labels, hidden)
        seen = relabelled(own.relabels, labels)
        passed = passes(own.relabels, known, labels)
        assert passed in (None, bool(seen)), seed
        for name in (*NAMES, "made1", "cluster") if seen else ():
            value = value_after(own.relabels, name, known)
            assert value in (None, seen.get(name, "")), (seed, name)
            reach += value is not None
        if not hidden and seen and not any(step.action == "labelmap" for step in own.relabels):
            assert passed
    assert reach > 500


@pytest.mark.parametrize(
    "alerting",
    [
        f"alert_relabel_configs: [{RENAMED}]",
        f"alertmanagers: [{{static_configs: [], alert_relabel_configs: [{RENAMED}]}}]",
    ],
)
def test_every_command_routes_an_alert_by_the_labels_that_alertmanager_sees(alerting: str) -> None:
    """The route asks for an external label and for a severity that only relabelling makes."""
    own = routed(alerting)
    scenario = load_scenario(SCENARIO, "s.yml")
    context = LintContext(own, [scenario])
    (alert,) = context.alerts
    assert [(each.route.receiver, each.certain) for each in context.reached(alert)] == [("phone", True)]
    (explained,) = explain(own, "A")
    assert [each.receiver for each in explained.reach.heard] == ["phone"]
    assert explained.reach.heard[0].group_key == '{}/{cluster="c1",severity="critical"}:{severity="critical"}'
    plan = planned(scenario, own, 60.0, ())
    assert plan.alerts[0].labels == {"alertname": "A", "severity": "critical", "cluster": "c1"}
    (notice,) = plan.alerts[0].notices
    assert notice.configured is not None
    assert could_prove(plan)["routes"] == {"phone (am.yml:3)"}
    assert [r for _, r in computed_notices(own, own.rules[0], [{}])] == ["phone"]
    found = diff(routed(""), own)
    assert [(c.kind, c.receiver) for c in found.changes if c.alert == "A"] == [("lost", "mail"), ("gained", "phone")]


def test_an_alert_that_relabelling_drops_is_promised_and_explained_to_nobody() -> None:
    own = routed("alert_relabel_configs: [{source_labels: [severity], regex: page, action: drop}]")
    assert LintContext(own).reached(LintContext(own).alerts[0]) == ()
    (explained,) = explain(own, "A")
    assert (explained.reach.heard, explained.reach.subject.alert.sent) == ((), Answer.NO)
    lost = [change for change in diff(routed(""), own).changes if change.kind == "lost"]
    assert [(change.receiver, change.why) for change in lost] == [
        ("mail", "alert_relabel_configs drop the alert (prometheus.yml:2)")
    ]


def test_alertmanagers_that_are_sent_different_labels_leave_open_which_of_them_is_meant() -> None:
    own = routed(f"alertmanagers: [{{alert_relabel_configs: [{RENAMED}]}}, {{static_configs: []}}]")
    (puzzle,) = own.not_understood
    assert (puzzle.of, str(puzzle.problem.place)) == ((), "prometheus.yml:2")
    assert "differ" in puzzle.problem.message


def test_what_a_relabelled_alert_tells_is_judged_like_any_other() -> None:
    """The alert is `team: platform` in Prometheus and in the scenario, and is told as `team: ops`."""
    history = recorded("kept")
    sources = dict(history.header.sources)
    step = "  alert_relabel_configs: [{source_labels: [team], regex: platform, target_label: team, replacement: ops}]"
    for role, old, new in (
        ("prometheus:", "alerting:\n", f"alerting:\n{step}\n"),
        ("scenario:", "  - alert: WorkerUnhealthy #", "  - alert: WorkerUnhealthy\n    labels: {team: platform} #"),
    ):
        key = next(key for key in sources if key.startswith(role))
        assert old in sources[key]
        sources[key] = sources[key].replace(old, new, 1)
    header = msgspec.structs.replace(history.header, sources=sources)
    history = dataclasses.replace(with_events(history, [header, *history.events[1:]]), header=header)
    reach = mapped(history, partial(as_ops, linked=True))
    kept = [(row.hop, row.to, row.result) for row in verify(recorded("kept")).rows]
    assert [(row.hop, row.to, row.result) for row in verify(reach).rows] == kept
    unlinked = verify(mapped(history, partial(as_ops, linked=False)))
    assert any("links the runbook" in row.reason for row in unlinked.rows if row.result is Result.FAIL)


def as_ops(event: AnyEvent, *, linked: bool) -> AnyEvent:
    """What Alertmanager tells, of another team; without its annotations where it does not link the runbook."""
    if isinstance(event, Suppression):
        return msgspec.structs.replace(event, labels={**event.labels, "team": "ops"})
    if not isinstance(event, Notice):
        return event
    alerts = [msgspec.structs.replace(each, labels={**each.labels, "team": "ops"}) for each in event.alerts]
    alerts = alerts if linked else [msgspec.structs.replace(each, annotations={}) for each in alerts]
    return msgspec.structs.replace(event, alerts=alerts)
