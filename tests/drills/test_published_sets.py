"""Rules, routes and tests as other people publish them, all in one folder and one rehearsal: each is played, or a row
with its reason, and none of them ends the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drills.test_rehearse import Team, by_alert

pytestmark = [pytest.mark.drill, pytest.mark.stack, pytest.mark.long]

FILES = {
    "alertmanager.yml": """\
route:
  receiver: chat
  group_by: [namespace]
  group_wait: 10s
  group_interval: 1m
  repeat_interval: 4h
  routes:
    - {matchers: [severity="critical"], receiver: pager}
    - {matchers: [team="lab"], receiver: lab}
receivers:
  - {name: chat, webhook_configs: [{url: http://example.com/c}]}
  - {name: pager, webhook_configs: [{url: http://example.com/p}]}
  - {name: lab}
""",
    "prometheus.yml": """\
global: {scrape_interval: 10s, evaluation_interval: 10s}
scrape_configs: [{job_name: shop, static_configs: [{targets: ['127.0.0.1:9100']}]}]
""",
    "rules.yml": """\
groups:
  - name: shop
    rules:
      - {alert: NoLeader, expr: 'sum(is_leader{app="shop"}) or vector(0) == 0', for: 1m, labels: {severity: warning}}
      - {alert: LabDown, expr: lab_up == 0, for: 30s, labels: {team: lab}}
      - {alert: NodeGone, expr: 'up{job="node"} == 0', for: 1m, labels: {severity: critical}}
      - alert: Failing
        expr: rate(sent_failed_total[5m]) / ignoring (reason) group_left rate(sent_total[5m]) > 0.02
        for: 30s
        labels: {severity: warning}
""",
    "manifest.yaml": """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: cart, labels: {release: x}}
spec:
  groups:
    - name: cart
      rules:
        - &slow
          alert: CartWaits
          expr: cart_wait_seconds > 3
          for: 30s
          labels: &team {team: cart, severity: warning}
        - <<: *slow
          alert: CartHangs
          expr: cart_wait_seconds > 12
          labels: {<<: *team, severity: critical}
""",
    "broken.yml": """\
groups:
  - name: broken
    rules:
      - {alert: Unreadable, expr: 'sum(x', labels: {severity: warning}}
      - {alert: Readable, expr: x > 5, labels: {severity: warning}}
""",
    "tested.yml": """\
groups:
  - name: tested
    rules:
      - {alert: PodDown, expr: 'up{job="pod"} == 0', for: 10m, labels: {severity: warning}}
      - {alert: VolumeFull, expr: volume_free < 0.05, for: 1m, labels: {severity: critical}}
      - alert: VolumeFull
        expr: volume_free < 0.2 and predict_linear(volume_free[10m], 600) < 0
        for: 5m
        labels: {severity: warning}
      - {alert: DoorGone, expr: 'absent(up{job="door"})', for: 5m, labels: {severity: critical}}
""",
    "down.yml": """\
chaoskit: 1
title: a node goes away
steps:
  - inject: series
    as: down
    with: {series: [{series: 'up{job="node",instance="a:80"}', values: '0', rest: '1'}]}
  - wait: settled
  - undo: down
  - wait: settled
expect:
  - {alert: NodeGone, from: down}
""",
    "t.test.yml": """\
rule_files: [tested.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{series: 'up{job="pod",instance="a:80"}', values: '1x10 0x15 1x10'}]
    alert_rule_test:
      - {eval_time: 19m, alertname: PodDown, exp_alerts: []}
      - eval_time: 23m
        alertname: PodDown
        exp_alerts: [{exp_labels: {severity: warning, job: pod, instance: 'a:80'}}]
      - {eval_time: 30m, alertname: PodDown, exp_alerts: []}
  - interval: 1m
    input_series: [{series: 'volume_free{pvc="a"}', values: '0.02x10'}]
    alert_rule_test:
      - {eval_time: 4m, alertname: VolumeFull, exp_alerts: [{exp_labels: {severity: critical, pvc: a}}]}
  - interval: 1m
    input_series: [{series: 'up{job="door",instance="a:80"}', values: '1x2 _x30'}]
    alert_rule_test:
      - {eval_time: 4m, alertname: DoorGone, exp_alerts: []}
      - {eval_time: 18m, alertname: DoorGone, exp_alerts: [{exp_labels: {severity: critical, job: door}}]}
""",
}
TOLD = {
    "LabDown": set(), "NodeGone": {"pager"}, "Failing": {"chat"}, "CartWaits": {"chat"}, "CartHangs": {"pager"},
    "Readable": {"chat"}, "PodDown": {"chat"}, "DoorGone": {"pager"},
}  # fmt: skip
"""The receivers that hear of each alert that is rehearsed."""


@pytest.fixture
def team(tmp_path: Path) -> Team:
    team = Team(tmp_path)
    for name, text in FILES.items():
        team.write(name, text)
    return team


def test_a_folder_as_it_is_published_is_rehearsed_whole(team: Team) -> None:
    """The scale is one that ten seconds take; routes by namespace share no group; a wait is group_wait."""
    more = ("manifest.yaml", "broken.yml", "tested.yml", "down.yml")
    code, said = team.rehearse(*more, "--prometheus", "prometheus.yml", "--from-tests", "t.test.yml")
    rules = by_alert(said)
    assert "Unreadable" not in rules
    (row,) = [one for one in said["findings"] if "broken.yml" in f"{one['about']} {one['reason']}"]
    assert row["result"] == "UNKNOWN"
    assert "broken.yml:4" in f"{row['about']} {row['reason']}"
    assert rules["NoLeader"]["result"] == "NOT REHEARSED"
    assert rules["NoLeader"]["reasons"]
    assert {name: rules[name]["result"] for name in TOLD} == dict.fromkeys(TOLD, "PASS"), said
    assert {name: {n["receiver"] for n in rules[name]["notices"]} for name in TOLD} == TOLD
    waits = [n["after_firing_s"] for name in TOLD for n in rules[name]["notices"]]
    assert all(8 <= wait <= 16 for wait in waits), waits
    assert "lab" in rules["LabDown"]["told_to_nobody"]
    full = [one["result"] for one in said["rules"] if one["alert"] == "VolumeFull"]
    assert full == ["PASS", "PASS"], said
    assert [(row["result"], row["line"]) for row in said["tests"]] == [("PASS", 4), ("PASS", 12), ("PASS", 16)], said
    assert code == 3, said
