"""Whole rehearsals, as a team with only its rules and routes starts them."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaoskit.history import read_history
from chaoskit.rehearse.derive import Subject, recording_rules
from chaoskit.rehearse.proof import Engine, prove
from chaoskit.stack.binaries import require
from chaoskit.verify.verify import verify
from tests.unit.test_rehearse_derive import rule

pytestmark = [pytest.mark.drill, pytest.mark.stack]

RULES = """\
groups:
  - name: api
    interval: 15s
    rules:
      - record: job:errors:ratio5m
        expr: sum by (job) (rate(r_total{code=~"5.."}[5m])) / sum by (job) (rate(r_total[5m]))
      - alert: ManyErrors
        expr: job:errors:ratio5m > 0.05
        for: 2m
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.job }} fails"}
      - alert: QueueFull
        expr: queue_depth > 100
        for: 1m
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.instance }} is full"}
      - alert: Watchdog
        expr: vector(1)
        labels: {severity: info}
"""
ROUTES = """\
route:
  receiver: chat
  group_by: [alertname, job]
  group_wait: 30s
  group_interval: 2m
  routes:
    - {matchers: [severity="critical"], receiver: pager, group_wait: 10s, continue: true}
    - {matchers: [severity="critical"], receiver: mail}
receivers:
  - {name: chat, slack_configs: [{api_url: https://hooks.slack.com/services/T/B/X, channel: '#a', send_resolved: true}]}
  - {name: pager, pagerduty_configs: [{routing_key: k}], telegram_configs: [{bot_token: t, chat_id: 1}]}
  - {name: mail, email_configs: [{to: a@example.com, from: b@example.com, smarthost: 'mail.example.com:25'}]}
  - {name: unused, webhook_configs: [{url: http://example.com/}]}
"""
PROMISE = """\
chaoskit: 1
alerts:
  QueueFull:
    notices:
      chat: {for: 1m, group_wait: 1m, repeat: 4h}
"""
SCENARIO = """\
chaoskit: 1
title: one queue fills up
steps:
  - inject: series
    as: full
    with:
      interval: 1m
      series: [{series: 'queue_depth{job="shop",instance="a:80"}', values: '50 500x100', rest: '1'}]
  - wait: settled
  - undo: full
  - wait: settled
expect:
  - alert: QueueFull
    from: full
"""
TESTS = """\
rule_files: [rules.yml]
tests:
  - interval: 1m
    input_series: [{series: 'queue_depth{instance="b:80"}', values: '1x9 500x10'}]
    alert_rule_test:
      - {alertname: QueueFull, eval_time: 10m, exp_alerts: []}
      - alertname: QueueFull
        eval_time: 12m
        exp_alerts: [{exp_labels: {instance: 'b:80', severity: warning}, exp_annotations: {summary: b:80 is full}}]
  - interval: 1m
    input_series: [{series: 'queue_depth{instance="b:80"}', values: '1x9'}]
    promql_expr_test: [{expr: queue_depth > 9, eval_time: 5m}]
"""


@dataclass
class Team:
    """A folder with rules and routes, and the command in it."""

    folder: Path

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def rehearse(self, *more: str) -> tuple[int, dict[str, Any]]:
        command = [sys.executable, "-m", "chaoskit", "rehearse", "rules.yml", "--alertmanager", "alertmanager.yml"]
        ended = subprocess.run(
            [*command, "--format", "json", *more],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
        assert ended.stdout, ended.stderr
        return ended.returncode, json.loads(ended.stdout)


@pytest.fixture
def team(tmp_path: Path) -> Team:
    team = Team(tmp_path)
    team.write("rules.yml", RULES)
    team.write("alertmanager.yml", ROUTES)
    return team


def by_alert(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["alert"]: one for one in document["rules"]}


def test_a_team_with_only_rules_and_routes_learns_who_would_be_paged_when_and_with_what(team: Team) -> None:
    code, said = team.rehearse("--write-promise", "promise.yml", "--junitxml", "junit.xml", "--time-scale", "50")
    rules = by_alert(said)
    assert {name: one["result"] for name, one in rules.items()} == {
        "ManyErrors": "PASS",
        "QueueFull": "PASS",
        "Watchdog": "NOT REHEARSED",
    }, said
    assert code == 0
    assert (said["source"], said["detect"], said["promise"]) == ("synthetic", "not proven", "computed")
    notices = {(n["receiver"], n["integration"]): n for n in rules["ManyErrors"]["notices"]}
    assert set(notices) == {("pager", "pagerduty"), ("pager", "telegram"), ("mail", "email")}
    assert "ManyErrors" in notices["pager", "pagerduty"]["text"]
    assert all(one["text"] and "chaoskit" not in one["text"] for one in notices.values())
    assert notices["pager", "pagerduty"]["after_firing_s"] >= 9
    assert said["unreached_receivers"] == ["unused"]
    assert "always fires" in rules["Watchdog"]["reasons"][0]
    assert "inject: series" in rules["Watchdog"]["stub"]
    assert "group_wait: 10s" in (team.folder / "promise.yml").read_text()
    assert 'failures="0"' in (team.folder / "junit.xml").read_text()
    summary = (team.folder / "chaoskit-runs" / "latest" / "summary.md").read_text()
    assert summary.startswith("## chaoskit rehearse\n\n2 of 3 alert rules rehearsed")
    assert "| ManyErrors | pager (pagerduty) |" in summary
    (history,) = (team.folder / "chaoskit-runs").glob("2*/**/events.jsonl")
    assert {row.result for row in verify(read_history(history)).rows if row.hop == "notify"} == {"PASS"}


SAME_NAME = """\
      - alert: QueueFull
        expr: queue_depth > 500
        labels: {severity: critical}
"""


@pytest.mark.long
def test_a_later_wave_loses_no_notice_to_the_reload_before_it(team: Team) -> None:
    """Alerts of one name are played one after another, and a reload makes Prometheus forget its Alertmanagers."""
    team.write("rules.yml", RULES + SAME_NAME)
    code, said = team.rehearse("--alert", "QueueFull", "-j", "1")
    assert [(one["result"], bool(one["notices"])) for one in said["rules"]] == [("PASS", True)] * 2, said
    assert code == 0


BROKEN = RULES.replace(
    '{summary: "{{ $labels.instance }} is full"}', "{summary: '{{ humanizeDuration \"x\" }} is full'}"
)


def test_a_template_that_fails_only_with_an_alert_in_hand_is_a_failure_at_its_rule(team: Team) -> None:
    team.write("rules.yml", BROKEN)
    code, said = team.rehearse("--alert", "QueueFull")
    (rule_,) = said["rules"]
    assert (code, rule_["result"]) == (1, "FAIL"), said
    assert any("humanizeDuration" in reason and "rules.yml:12" in reason for reason in rule_["reasons"]), said


def test_a_broken_promise_fails_and_names_the_setting(team: Team) -> None:
    team.write("promise.yml", PROMISE)
    code, said = team.rehearse("--promise", "promise.yml", "--alert", "QueueFull")
    (rule_,) = said["rules"]
    assert (code, rule_["result"]) == (1, "FAIL"), said
    assert any("group_wait 1m" in reason and "alertmanager.yml" in reason for reason in rule_["reasons"])


@pytest.mark.long
def test_a_route_that_leads_nowhere_is_seen(team: Team) -> None:
    team.write("alertmanager.yml", ROUTES.replace("{name: mail, email", "{name: mail, webhook").replace(
        "[{to: a@example.com, from: b@example.com, smarthost: 'mail.example.com:25'}]", "[]"))  # fmt: skip
    _, said = team.rehearse("--alert", "ManyErrors")
    (rule_,) = said["rules"]
    assert "mail" in rule_["receivers"]
    assert "mail" not in {notice["receiver"] for notice in rule_["notices"]}


def test_a_scenario_of_ones_own_and_promtools_tests_script_the_series(team: Team) -> None:
    scenario, tests = team.write("full.yml", SCENARIO), team.write("tests.yml", TESTS)
    code, said = team.rehearse(scenario, "--from-tests", tests, "--alert", "QueueFull")
    (rule_,) = said["rules"]
    assert (code, rule_["alert"], rule_["result"]) == (0, "QueueFull", "PASS"), said
    assert rule_["notices"][0]["receiver"] == "chat"
    assert [(row["result"], row["line"]) for row in said["tests"]] == [("PASS", 3), ("NOT PLAYED", 10)]


def test_a_scenario_whose_series_do_not_cross_the_threshold_does_not_pass(team: Team) -> None:
    scenario = team.write("full.yml", SCENARIO.replace("50 500x100", "50x100"))
    code, said = team.rehearse(scenario, "--alert", "QueueFull")
    assert (code, said["rules"][0]["result"]) == (3, "UNKNOWN"), said
    assert "did not make the alert fire" in said["rules"][0]["reasons"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rules.yml"], "needs rule files and an Alertmanager configuration"),
        (["rules.yml", "--alertmanager", "alertmanager.yml", "--alert", "None"], "no rule is called None"),
        (["nothing.yml", "--alertmanager", "alertmanager.yml"], "leads to no file"),
    ],
)
def test_bad_input_is_said_in_a_sentence(team: Team, arguments: list[str], message: str) -> None:
    command = [sys.executable, "-m", "chaoskit", "rehearse", *arguments]
    ended = subprocess.run(command, cwd=team.folder, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def awaited(running: subprocess.Popen[str], configuration: str) -> list[psutil.Process]:
    """Everything that the command has started, once a program with this configuration is among it."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        started = psutil.Process(running.pid).children(recursive=True)
        for child in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(word.startswith("--config.file") and word.endswith(configuration) for word in child.cmdline()):
                    return started
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"it ended with {running.wait(0.1)}")
    return pytest.fail(f"nothing was started with {configuration}")


def test_a_signal_to_the_command_alone_ends_every_stack_in_order(team: Team) -> None:
    command = [sys.executable, "-m", "chaoskit", "rehearse", "rules.yml", "--alertmanager", "alertmanager.yml"]
    with subprocess.Popen(
        command, cwd=team.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as running:
        try:
            started = awaited(running, "alertmanager.yml")
            running.send_signal(signal.SIGTERM)
            said, _ = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 4, said
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


CONDITIONS = {
    "comparison": "a > 10",
    "rate": "rate(a_total[5m]) > 1",
    "ratio": 'sum(rate(a_total{code="500"}[5m])) / sum(rate(a_total[5m])) > 0.1',
    "quantile": "histogram_quantile(0.99, sum by (le) (rate(a_bucket[5m]))) > 3",
    "absent": "absent(a)",
    "and": "a > 10 and on(instance) b == 1",
    "or": "a > 10 or b > 10",
    "unless": "a > 10 unless b == 1",
    "count": "count by (job) (a == 0) > 1",
    "matching": "a / on(instance) group_left(x) b > 2",
    "recorded": "job:a:rate5m > 3",
    "age": "time() - a_timestamp_seconds > 7200",
    "prediction": "predict_linear(a[1h], 14400) < 0",
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_engine_confirms_the_series_of_each_construct(name: str, tmp_path: Path) -> None:
    record = rule("sum by (job) (rate(a_total[5m]))", record="job:a:rate5m")
    subject = Subject(7, rule(CONDITIONS[name]), 3600.0 if name == "prediction" else 300.0)
    proven, unproven = prove([subject], Engine(recording_rules((record,)), require().promtool, tmp_path, 15.0))
    assert not unproven
    assert proven[0].results


def test_the_engine_refutes_series_for_what_can_never_be_true(tmp_path: Path) -> None:
    proven, (unproven,) = prove(
        [Subject(7, rule("count(a) == 0"), 300.0)], Engine({}, require().promtool, tmp_path, 15.0)
    )
    assert not proven
    assert "do not make it true" in unproven.reason


@pytest.mark.parametrize(
    ("expr", "hasty"),
    [
        ("absent(a)", True),
        ("(sum(a) or vector(0)) < 1", True),
        ("increase(a_total[30m]) < 5", True),
        ("a > 10", False),
        ("rate(a_total[5m]) > 1", False),
    ],
)
def test_the_engine_tells_which_alerts_are_true_before_their_series_are_at_rest(
    expr: str, hasty: bool, tmp_path: Path
) -> None:
    (proven,), _ = prove([Subject(7, rule(expr), 1800.0)], Engine({}, require().promtool, tmp_path, 15.0))
    assert proven.hasty == hasty


def test_the_engine_renders_the_labels_by_which_an_alert_is_routed(tmp_path: Path) -> None:
    labels = {
        "severity": "{{ if gt $value 10.0 }}high{{ else }}low{{ end }} in {{ $externalLabels.site }}",
        "team": "a",
    }
    subject = Subject(7, replace(rule("sum by (disk) (a) > 11"), labels=labels), 0.0)
    (proven,), _ = prove([subject], Engine({}, require().promtool, tmp_path, 15.0, {"site": "x"}))
    assert proven.results == ({"disk": "rehearsal-7", "severity": "high in x", "team": "a"},)


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ('{{ query "count(b)" | first | value }}', "with the series of its rule alone the template does not fail"),
        ('{{ query "count(b)" | first | humanizeDuration }}', ""),
        ('{{ query "hour() > 24" | first | value }}', "chaoskit found no series for the template's query hour() > 24"),
    ],
)
def test_a_template_that_queries_is_to_blame_only_where_the_engine_had_all_that_it_asks_for(
    text: str, doubt: str, tmp_path: Path
) -> None:
    subject = Subject(7, rule("a > 10", annotations={"summary": text}), 0.0)
    (proven,), _ = prove([subject], Engine({}, require().promtool, tmp_path, 15.0))
    assert proven.doubt == doubt


SHARED = """\
groups:
  - name: shop
    interval: 15s
    rules:
      - {alert: First, expr: "first_errors > 5", for: 1m, labels: {severity: critical, namespace: shop}}
      - {alert: Second, expr: "second_errors > 5", for: 2m, labels: {severity: critical, namespace: shop}}
      - alert: Gone
        expr: absent(shop_up == 1)
        for: 1m
        labels: {severity: '{{ if eq $value 1.0 }}critical{{ else }}info{{ end }}', namespace: shop}
        annotations: {summary: '{{ with query "sum(shop_orders)" }}{{ . | first | value }} orders{{ end }} wait'}
      - {alert: Late, expr: "in_timestamp_seconds - out_timestamp_seconds > 120", labels: {severity: info}}
      - {alert: Muted, expr: "noise > 5", labels: {severity: debug}}
"""
BY_NAMESPACE = """\
route:
  receiver: none
  GROUP_BY
  group_wait: 10s
  group_interval: 5m
  routes:
    - {matchers: [severity="critical"], receiver: pager}
    - {matchers: [severity="raised"], receiver: chat, group_wait: 20s}
receivers:
  - name: none
  - {name: pager, webhook_configs: [{url: http://example.com/p}]}
  - {name: chat, webhook_configs: [{url: http://example.com/c}]}
"""
RELABELS = """\
global: {scrape_interval: 15s, evaluation_interval: 15s, external_labels: {replica: a}}
alerting:
  alert_relabel_configs:
    - {action: labeldrop, regex: replica|instance}
    - {source_labels: [severity], regex: info, target_label: severity, replacement: raised}
    - {source_labels: [severity], regex: debug, action: drop}
"""


@pytest.mark.long
@pytest.mark.parametrize("group_by", ["group_by: [namespace]", "", "group_by: ['...']"])
def test_every_alert_is_told_at_its_receiver_group_wait_after_it_fires_however_routes_group(
    team: Team, group_by: str
) -> None:
    team.write("rules.yml", SHARED)
    team.write("alertmanager.yml", BY_NAMESPACE.replace("GROUP_BY", group_by))
    code, said = team.rehearse("--prometheus", team.write("prometheus.yml", RELABELS))
    rules = by_alert(said)
    assert (code, {one["result"] for one in rules.values()}) == (0, {"PASS"}), said
    told = {name: {n["receiver"]: n["after_firing_s"] for n in one["notices"]} for name, one in rules.items()}
    assert {name: set(one) for name, one in told.items()} == {
        "First": {"pager"}, "Second": {"pager"}, "Gone": {"pager"}, "Late": {"chat"}, "Muted": set()
    }  # fmt: skip
    waits = {name: 20 if name == "Late" else 10 for name in told}
    assert all(waits[name] - 2 <= after <= waits[name] + 6 for name, one in told.items() for after in one.values()), (
        told
    )
    assert rules["Gone"]["notices"][0]["text"].endswith("orders wait")
    assert "alert_relabel_configs" in rules["Muted"]["told_to_nobody"]
    assert not any(n["told_with"] for one in rules.values() for n in one["notices"])


@pytest.mark.long
def test_a_wrong_group_wait_fails_though_alerts_share_a_group_or_are_true_without_series(team: Team) -> None:
    team.write("rules.yml", SHARED)
    team.write("alertmanager.yml", BY_NAMESPACE.replace("GROUP_BY", "group_by: [namespace]"))
    names = ("First", "Second", "Gone")
    owed = "".join(f"  {name}: {{notices: {{pager: {{for: {n}m, group_wait: 1m, repeat: 4h}}}}}}\n"
                   for name, n in zip(names, (1, 2, 1), strict=True))  # fmt: skip
    promise = team.write("promise.yml", f"chaoskit: 1\nalerts:\n{owed}")
    asked = [word for name in names for word in ("--alert", name)]
    code, said = team.rehearse("--promise", promise, *asked)
    assert (code, {one["alert"]: one["result"] for one in said["rules"]}) == (1, dict.fromkeys(names, "FAIL")), said
    assert all("group_wait 1m" in one["reasons"][0] for one in said["rules"])


LONG = """\
groups:
  - name: long
    rules:
      - {alert: Kept, expr: queue > 100, for: 6h, labels: {severity: warning}}
      - {alert: TooLong, expr: backlog > 100, for: 5h, labels: {severity: warning}}
      - {alert: TooShort, expr: waiting > 100, for: 4h, labels: {severity: warning}}
      - {alert: LooksFarBack, expr: "min_over_time(free[1d]) > total * 0.8", labels: {severity: warning}}
      - {alert: Both, expr: "increase(failed_total[1d]) > 5", for: 1h, labels: {severity: warning}}
"""
OWED = """\
chaoskit: 1
alerts:
  Kept: {notices: {chat: {for: 6h, group_wait: 30s, repeat: 4h}}}
  TooLong: {notices: {chat: {for: 4h55m, group_wait: 30s, repeat: 4h}}}
  TooShort: {notices: {chat: {for: 4h5m, group_wait: 30s, repeat: 4h}}}
  LooksFarBack: {notices: {chat: {for: 0s, group_wait: 30s, repeat: 4h}}}
  Both: {notices: {chat: {for: 1h, group_wait: 30s, repeat: 4h}}}
"""


@pytest.mark.long
def test_a_for_of_hours_and_a_range_of_a_day_are_played_on_a_past_and_judged_to_the_interval(team: Team) -> None:
    """Prometheus restores what has been pending; five minutes more or less than promised in hours are a FAIL."""
    team.write("rules.yml", LONG)
    code, said = team.rehearse("--promise", team.write("promise.yml", OWED))
    rules = by_alert(said)
    ended = {name: (one["result"], one["reasons"]) for name, one in rules.items()}
    assert {name: result for name, (result, _) in ended.items()} == {
        "Kept": "PASS",
        "TooLong": "FAIL",
        "TooShort": "FAIL",
        "LooksFarBack": "PASS",
        "Both": "PASS",
    }, ended
    assert code == 1
    assert "5h" in " ".join(rules["TooLong"]["reasons"]), ended
    assert all("restored" in rules[name]["how"] for name in ("Kept", "TooLong", "TooShort", "Both"))
    assert "looks back 1d" in rules["LooksFarBack"]["how"]
    assert "end not played" in rules["Both"]["how"]
    assert all(one["notices"] for one in rules.values())
    assert said["took_s"] < 170
