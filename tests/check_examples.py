"""A small configuration without any finding, and how to change a line of it: what the tests of lints start from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chaoskit.alerting.config import load_config
from chaoskit.check.findings import Finding
from chaoskit.check.lint_context import LintContext
from chaoskit.check.metrics import read_metrics
from chaoskit.check.run import check
from chaoskit.run.planning import ask_faults, ask_plans
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.profile import load_profile

RULES = """\
groups:
  - name: web
    rules:
      - record: job:errors:ratio5m
        expr: sum by (job) (rate(http_errors_total[5m])) / (sum by (job) (rate(http_requests_total[5m])) > 0)
      - alert: ManyErrors
        expr: job:errors:ratio5m > 0.05
        for: 1m
        labels: {severity: critical, team: web}
        annotations:
          summary: '{{ $labels.job }} fails too often'
          runbook: https://runbooks.example.com/many-errors
      - alert: WorkerDown
        expr: worker_up == 0
        for: 2m
        labels: {severity: warning, team: work}
        annotations:
          summary: 'Worker {{ $labels.worker }} is down'
          runbook: https://runbooks.example.com/worker-down
      - alert: AllWorkersDown
        expr: max by (job) (worker_up) == 0
        for: 2m
        labels: {severity: critical, team: work}
        annotations:
          summary: 'All workers of {{ $labels.job }} are down'
          runbook: https://runbooks.example.com/all-workers-down
"""
ALERTMANAGER = """\
global: {smtp_smarthost: 'localhost:25', smtp_from: a@example.com}
route:
  receiver: everybody
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
  routes:
    - matchers: [team="web"]
      receiver: web
      group_wait: 10s
    - matchers: [team="work"]
      receiver: work
inhibit_rules:
  - source_matchers: [alertname="AllWorkersDown"]
    target_matchers: [alertname="WorkerDown"]
    equal: [job]
receivers:
  - name: everybody
    email_configs:
      - to: ops@example.com
        send_resolved: true
  - name: web
    webhook_configs:
      - url: http://localhost:9/
  - name: work
    email_configs:
      - to: ops@example.com
        send_resolved: true
"""
PROMETHEUS = """\
global: {scrape_interval: 15s, evaluation_interval: 15s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ['localhost:9093']}]}]}
scrape_configs:
  - job_name: web
  - job_name: work
"""
PROMISE = """\
chaoskit: 1
runbook: https://runbooks.example.com/
receivers:
  everybody: {recipients: [ops@example.com], resolved: true}
  web: {resolved: true}
  work: {recipients: [ops@example.com], resolved: true}
alerts:
  ManyErrors:
    notices:
      web: {for: 1m, group_wait: 10s, repeat: 4h}
  WorkerDown:
    notices:
      work: {for: 2m, group_wait: 30s, repeat: 4h}
  AllWorkersDown:
    notices:
      work: {for: 2m, group_wait: 30s, repeat: 4h}
"""
SCENARIO = """\
chaoskit: 1
title: Something breaks
steps:
  - inject: process.kill
    as: kill
    target: {role: worker}
  - wait: settled
  - inject: process.kill
    as: rest
    target: {role: worker}
  - wait: 10m
expect:
  - alert: WorkerDown
    from: kill
    notifies: [work]
  - alert: AllWorkersDown
    from: rest
  - alert: WorkerDown
    from: rest
    suppressed_by: AllWorkersDown
    control: kill
"""
PROFILE = """\
chaoskit: 1
target: local
handles: {role: {worker: {process: worker, label: worker}}}
load: {rate: 1/s, mix: {leads: 1}}
"""
METRICS = """\
http_errors_total counter
http_requests_total counter
worker_up gauge
"""
TEXTS = {
    "rules": RULES,
    "alertmanager": ALERTMANAGER,
    "prometheus": PROMETHEUS,
    "promise": PROMISE,
    "scenario": SCENARIO,
    "profile": PROFILE,
    "metrics": METRICS,
}
FILES = {
    "rules": "rules.yml",
    "alertmanager": "alertmanager.yml",
    "prometheus": "prometheus.yml",
    "promise": "promise.yml",
}

Edit = tuple[str, str, str]
"""Role, what stands there, and what is put in its place; an empty old text is the end of the file."""


def edited(edits: Iterable[Edit]) -> dict[str, str]:
    """The texts with these changes; raises AssertionError for one that changes nothing."""
    texts = dict(TEXTS)
    for role, old, new in edits:
        assert texts[role].count(old) >= 1, f"{old!r} is not in {role}"
        texts[role] = texts[role].replace(old, new, 1) if old else texts[role] + new
    return texts


def context(texts: Mapping[str, str], **more: Any) -> LintContext:
    """What lints are asked about, from texts by role; roles that are not there were not given."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for role, name in FILES.items():
            if texts.get(role):
                paths[role] = Path(folder) / name
                paths[role].write_text(texts[role])
        config = load_config(
            None,
            [str(paths["rules"])] if "rules" in paths else [],
            paths.get("alertmanager"),
            paths.get("prometheus"),
            paths.get("promise"),
        )
    scenarios = [load_scenario(texts["scenario"], "scenario.yml")] if texts.get("scenario") else []
    profiles = [load_profile(texts["profile"], "profile.yml")] if texts.get("profile") else []
    metrics = read_metrics(texts["metrics"], "metrics.txt") if texts.get("metrics") else None
    given = {
        "runbooks": frozenset({"many-errors", "worker-down", "all-workers-down"}),
        "elsewhere": {
            "promtool": (),
            "amtool": (),
            "scenario-fault": ask_faults(scenarios),
            "scenario-plan": ask_plans(scenarios, profiles, config),
        },
    }
    return LintContext(config, scenarios, profiles, metrics, **{**given, **more})


def found(edits: Sequence[Edit], **more: Any) -> tuple[Finding, ...]:
    """The findings in the configuration with these changes."""
    return check(context(edited(edits), **more)).findings


def line_of(edits: Sequence[Edit], finding: Finding) -> str:
    """The text of the line that a finding points at."""
    texts = edited(edits)
    names = {
        **{name: role for role, name in FILES.items()},
        "scenario.yml": "scenario",
        "profile.yml": "profile",
        "metrics.txt": "metrics",
    }
    lines = texts[names[Path(finding.place.file).name]].splitlines()
    return lines[finding.place.line - 1] if finding.place.line else ""
