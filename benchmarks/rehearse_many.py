"""How long a rehearsal of many alert rules takes, at 100, 300 and 1,000 rules, and which part of it grows how.

The rules are made here, twenty kinds of condition as teams write them, with the waits of a usual Alertmanager
configuration. Ends with an error where fewer than nine tenths of them pass: such a rehearsal's figures mean nothing.
With `--planned` nothing is played: told is what comes before it, and how long the waves may take at most.
"""

from __future__ import annotations

import itertools
import os
import re
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import yaml

from benchmarks.shared import Unusable, exponent, machine, show, verdict_on
from chaoskit.alerting.config import load_config
from chaoskit.errors import ChaoskitError
from chaoskit.rehearse.inputs import ASSUMED, Asked
from chaoskit.rehearse.outcome import RuleOutcome
from chaoskit.rehearse.output import summary
from chaoskit.rehearse.session import Session
from chaoskit.stack.binaries import require

GOALS_S = {200: 120.0, 1000: 360.0}
"""By the number of rules."""
LINEAR = 1.0
LEAST_SHARE = 0.9
INTERVAL_S = 15.0
PARTS = (("derive", "made to fire"), ("waves", "waves? on "), ("play", "UNKNOWN: once more"))
"""Each part of a rehearsal, and an expression for the line with which it ends; the last may end with all."""

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


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One rehearsal: real seconds of each of PARTS and of playing UNKNOWN ones again, CPU seconds of all programs."""

    rules: int
    parts_s: tuple[float, ...]
    cpu_s: float
    passed: int
    planned_s: float
    """The bound that the rehearsal names before it plays."""

    @property
    def total_s(self) -> float:
        return sum(self.parts_s)


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


class Planned(Exception):
    """The waves are made; nothing was played."""


def rehearse(count: int, planned: bool = False) -> Rehearsal:
    """Makes so many rules and rehearses them; `planned` ends before they are played. Raises Unusable where too few
    pass."""
    marks: list[float] = []
    bounds: list[float] = []

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - begun:7.1f} s  {line}")
        if len(marks) < len(PARTS) and re.search(PARTS[len(marks)][1], line):
            marks.append(time.monotonic())
        if bound := re.search(r" stacks?, at most (\d+) s", line):
            bounds.append(float(bound[1]))
            if planned:
                raise Planned

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in (("rules.yml", rules(count)), ("am.yml", ALERTMANAGER), ("prometheus.yml", ASSUMED)):
            (folder / file).write_text(text, encoding="utf-8")
        begun, cpu_s = time.monotonic(), _cpu_s()
        config = load_config(None, [str(folder / "rules.yml")], folder / "am.yml", folder / "prometheus.yml")
        outcomes: Sequence[RuleOutcome] = ()
        try:
            found = Session(Asked(config, INTERVAL_S, folder / "run", False), require(), say).rehearse()
            click.echo(summary(found))
            outcomes = found.outcomes
        except Planned:
            pass
        except ChaoskitError as error:
            raise Unusable(f"after {time.monotonic() - begun:.0f} s: {error}") from None
        instants = [begun, *marks, *[time.monotonic()] * (len(PARTS) + 1 - len(marks))]
        cpu_s = _cpu_s() - cpu_s
    other = [one for one in outcomes if str(one.result) != "PASS"]
    for one in other:
        click.echo(f"{one.result} {one.rule.alert}: {one.rule.expr}: {'; '.join(one.reasons)[:300]}")
    parts_s = tuple(b - a for a, b in itertools.pairwise(instants))
    passed = len(outcomes) - len(other)
    if passed < LEAST_SHARE * count and not planned:
        raise Unusable(
            f"of {count} rules {passed} passed, {sum(parts_s):.0f} s: the machine is too busy, or rules broke"
        )
    return Rehearsal(count, parts_s, cpu_s, passed, max(bounds, default=0.0))


def _cpu_s() -> float:
    """Of this process and of all whose end it, or a child of it, has awaited."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@click.command(help=__doc__)
@click.option("--sizes", default="100,300,1000", show_default=True, help="Rules, comma-separated.")
@click.option("--planned", is_flag=True, help="Make the waves, and play none.")
def main(sizes: str, planned: bool) -> None:
    found = [rehearse(int(float(word)), planned) for word in sizes.split(",")]
    rows = [
        (
            f"{one.rules:,}", *(f"{part:.1f}" for part in one.parts_s), f"{one.total_s:.1f}", f"{one.cpu_s:.0f}",
            f"{one.planned_s:.0f}", f"{one.passed:,}",
        )
        for one in found
    ]  # fmt: skip
    show(
        "A rehearsal",
        ("rules", *(f"{name} s" for name, _ in PARTS), "again s", "together s", "CPU s", "bound s", "PASS"),
        rows,
    )
    if len(found) > 1:
        for what, costs in (
            ("time", [one.total_s for one in found]),
            ("CPU", [one.cpu_s for one in found]),
            ("the bound", [one.planned_s for one in found]),
        ):
            power = exponent([one.rules for one in found], costs)
            click.echo(f"growth exponent of {what} between the last two: {verdict_on(power, LINEAR)}")
    for one in found:
        if one.rules in GOALS_S and not planned:
            click.echo(f"{one.rules:,} rules: {verdict_on(one.total_s, GOALS_S[one.rules], ' s')} (real time)")
    click.echo(f"{machine()}, load average {os.getloadavg()[0]:.0f}")


if __name__ == "__main__":
    main()
