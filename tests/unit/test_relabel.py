"""alert_relabel_configs: under which labels Alertmanager gets an alert, and which it never gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.routing import match_routes, sent_labels, told_by
from chaoskit.errors import BadInput
from chaoskit.fold import Episode

RULES = "groups: [{name: g, rules: [{alert: A, expr: a > 1}]}]\n"
ROUTES = "route: {receiver: mail}\nreceivers: [{name: mail}]\n"
ALERT = {"alertname": "A", "replica": "b", "zone": "eu-1", "severity": "page"}


def config(steps: str, outer: str = "{cluster: c1, replica: a}") -> AlertConfig:
    prometheus = f"global: {{external_labels: {outer}}}\nalerting: {{alert_relabel_configs: [{steps}]}}\n"
    prometheus += "scrape_configs: [{job_name: any}]\n"
    return load_texts({"rules:r.yml": RULES, "alertmanager:am.yml": ROUTES, "prometheus:prometheus.yml": prometheus})


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
