"""A few rules and routes to be rehearsed, and guesses that were proven for them, and a run that kept its promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaoskit.alerting.config import load_config
from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.events import SCHEMA, AnyEvent, Rehearsal
from chaoskit.faults.series import Scripted, constant
from chaoskit.history import History
from chaoskit.rehearse.derive import Guess, Subject
from chaoskit.rehearse.inputs import ASSUMED
from chaoskit.rehearse.proof import Proven
from tests.golden.doctored import recorded, with_events

RULES = """\
groups:
  - name: one
    rules:
      - {record: "job:errors:rate5m", expr: "sum by (job) (rate(errors_total[5m]))"}
      - {alert: Errors, expr: "job:errors:rate5m > 1", for: 2m, labels: {severity: critical}}
      - {alert: Queue, expr: "queue > 100", labels: {severity: warning}}
      - {alert: AllQueues, expr: "sum(queue) > 1000", labels: {severity: warning}}
      - {alert: Queue, expr: "queue > 500", labels: {severity: critical}}
"""
ROUTES = """\
route:
  receiver: mail
  group_by: [alertname]
  routes:
    - {matchers: [severity="critical"], receiver: pager, group_wait: 10s}
receivers:
  - {name: mail, webhook_configs: [{url: http://example.com/}]}
  - {name: pager, pagerduty_configs: [{routing_key: k}]}
inhibit_rules:
  - {source_matchers: [severity="critical"], target_matchers: [severity="warning"], equal: [cluster]}
"""


KEPT = recorded("kept")
"""The history of a run in which every promise was kept."""


def as_wave(history: History, *told: AnyEvent, **judged_by: Any) -> History:
    """The history of a run as if it had been a wave of a rehearsal, with further events before its end."""
    header = msgspec.structs.replace(history.header, schema=SCHEMA, rehearsal=Rehearsal(**judged_by))
    last = history.events[-1]
    events = [header, *history.events[1:-1], *(msgspec.structs.replace(one, t=last.t) for one in told), last]
    return replace(with_events(history, events), header=header)


@pytest.fixture
def config(tmp_path: Path) -> AlertConfig:
    return config_of(tmp_path, RULES)


def config_of(folder: Path, rules: str) -> AlertConfig:
    """What is loaded of these rules, with the routes above and no Prometheus configuration."""
    for name, text in (("rules.yml", rules), ("am.yml", ROUTES), ("prometheus.yml", ASSUMED)):
        (folder / name).write_text(text, encoding="utf-8")
    return load_config(None, [str(folder / "rules.yml")], folder / "am.yml", folder / "prometheus.yml")


def alerts(config: AlertConfig) -> list[Rule]:
    return [rule for rule in config.rules if rule.alert]


def proven(
    rule: Rule, number: int, metric: str, result: Mapping[str, str] | None = None, span_s: float = 0.0
) -> Proven:
    mark = f"rehearsal-{number}"
    series = (Scripted(metric, (("instance", mark),), constant(0), constant(9)),)
    guess = Guess(Subject(number, rule, span_s), series)
    return Proven(guess, ({"instance": mark} if result is None else result,))
