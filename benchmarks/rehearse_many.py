"""How long a rehearsal of many alert rules takes: `python benchmarks/rehearse_many.py [COUNT]`, 200 by default.

The rules are made here, twenty kinds of condition as teams write them, with the waits of a usual Alertmanager
configuration. Exits with 1 when it took longer than two minutes, or fewer than nine tenths could be rehearsed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import yaml

from chaoskit.alerting.config import load_config
from chaoskit.rehearse.inputs import ASSUMED, Asked
from chaoskit.rehearse.output import summary
from chaoskit.rehearse.session import Session
from chaoskit.stack.binaries import require

MOST_S = 120.0
LEAST_SHARE = 0.9
INTERVAL_S = 15.0

CONDITIONS = (
    "up{{job='svc{n}'}} == 0",
    "svc{n}_queue_depth > 100",
    "rate(svc{n}_errors_total[5m]) > 1",
    "sum(rate(svc{n}_reqs_total{{code=~'5..'}}[5m])) by (job) / sum(rate(svc{n}_reqs_total[5m])) by (job) > 0.05",
    "histogram_quantile(0.95, sum by (le, job) (rate(svc{n}_seconds_bucket[5m]))) > 2",
    "svc{n}_free_bytes / svc{n}_size_bytes < 0.1",
    "increase(svc{n}_restarts_total[15m]) > 3",
    "absent(svc{n}_heartbeat)",
    "predict_linear(svc{n}_disk_free[30m], 14400) < 0",
    "time() - svc{n}_last_success_timestamp_seconds > 3600",
    "svc{n}_replicas_ready < svc{n}_replicas_wanted",
    "changes(svc{n}_leader[10m]) > 2",
    "svc{n}_temperature > 80 and svc{n}_enabled == 1",
    "count by (job) (svc{n}_healthy == 0) >= 2",
    "avg_over_time(svc{n}_load[5m]) > 4",
    "svc{n}_connected != 1",
    "max by (instance) (svc{n}_lag_seconds) > 30",
    "1 - svc{n}_cache_hits / svc{n}_cache_lookups > 0.4",
    "deriv(svc{n}_memory_bytes[10m]) > 1000",
    "svc{n}_primary == 0 unless svc{n}_maintenance == 1",
)
HOLDS = ("0s", "1m", "2m", "5m", "10m")


def say(line: str) -> None:
    """One line of standard output."""
    sys.stdout.write(f"{line}\n")


def rules(count: int) -> str:
    """A rule file with so many alerts."""
    alerts = [
        {
            "alert": f"Alert{n}",
            "expr": CONDITIONS[n % len(CONDITIONS)].format(n=n),
            "for": HOLDS[n % len(HOLDS)],
            "labels": {"severity": "critical" if n % 3 == 0 else "warning", "team": f"team{n % 4}"},
            "annotations": {"summary": "{{ $labels.instance }} is in trouble: {{ $value }}"},
        }
        for n in range(count)
    ]
    return yaml.safe_dump({"groups": [{"name": "many", "rules": alerts}]})


ALERTMANAGER = """
route:
  receiver: mail
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  routes:
    - {matchers: [severity="critical"], receiver: pager, group_wait: 10s, continue: true}
    - {matchers: [team="team1"], receiver: chat}
    - {matchers: [team="team2"], receiver: hook}
receivers:
  - {name: mail, email_configs: [{to: ops@example.com, from: a@example.com, smarthost: 'mail.example.com:25'}]}
  - {name: pager, pagerduty_configs: [{routing_key: key}]}
  - {name: chat, slack_configs: [{api_url: 'https://hooks.slack.com/services/T/B/X', channel: '#ops'}]}
  - {name: hook, webhook_configs: [{url: 'https://example.com/hook'}]}
"""


def main(count: int) -> int:
    """Makes the rules, rehearses them, prints the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in (("rules.yml", rules(count)), ("am.yml", ALERTMANAGER), ("prometheus.yml", ASSUMED)):
            (folder / file).write_text(text, encoding="utf-8")
        config = load_config(None, [str(folder / "rules.yml")], folder / "am.yml", folder / "prometheus.yml")
        begun = time.monotonic()
        found = Session(Asked(config, INTERVAL_S, folder / "run", False), require(), say).rehearse()
        took_s = time.monotonic() - begun
    for one in found.outcomes:
        if str(one.result) != "PASS":
            say(f"{one.result} {one.rule.alert}: {one.rule.expr}: {'; '.join(one.reasons)[:300]}")
    say(f"{summary(found)}; {took_s:.1f} s")
    return int(took_s > MOST_S or len(found.rehearsed) < LEAST_SHARE * count)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
