"""Targets against rules: each lint speaks where they differ, at the right line, and is silent where they agree."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chaoskit.alerting.config import load_config
from chaoskit.alerting.model import AlertConfig
from chaoskit.bundle.render import render
from chaoskit.check.findings import LINTS, Finding, Severity
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.check.service_levels import Level, heard, watches
from chaoskit.errors import Place
from tests.check_examples import Edit, context, edited

R, A, P, PROM, M = "rules", "alertmanager", "promise", "prometheus", "metrics"
AT = Place("targets.yml", 3)
ERRORS = Level("errors", 0.001, ("http_requests_total", "http_errors_total"), AT)
UP = Level("uptime", 0.001, ("up",), AT, time=True)
SLOW = Level("latency", 0.05, ("http_seconds_bucket",), AT, histogram="http_seconds", threshold_s=5.0)
RATIO = "(rate(http_errors_total[1h]) / rate(http_requests_total[1h]))"
SHORT = RATIO.replace("1h", "5m")
BUCKETS = "".join(f'http_seconds_bucket{{le="{le}"}} 1\n' for le in ("1", "5.0", "+Inf"))


def rule(expr: str, name: str = "Extra", more: str = "") -> Edit:
    return (R, "", f"      - alert: {name}\n        expr: {expr}\n{more}")


def burn(factor: str) -> Edit:
    return rule(f"{RATIO} > {factor} and {SHORT} > {factor}")


def quick(receiver: str = "web") -> Edit:
    promised = f"  Extra:\n    notices:\n      {receiver}: {{for: 0s, group_wait: 10s, repeat: 4h}}\n"
    return (P, "", promised)


def average(expr: str) -> list[Edit]:
    return [(R, "", f"      - record: all:errors\n        expr: {expr}\n")]


# id, changes, levels, severity, part of the message
FAULTS: list[tuple[str, list[Edit], list[Level], Severity, str]] = [
    ("sla-burn-objective", [burn("14.4 * 0.005")], [ERRORS], Severity.ERROR, "by 0.005, and errors at targets.yml:3"),
    ("sla-burn-objective", [burn("0.01 * 14.4")], [ERRORS], Severity.ERROR, "by 0.01"),
    ("sla-burn-windows", [burn("10 * 0.001")], [ERRORS], Severity.WARNING, "1.39% of a month of 30 days"),
    ("sla-burn-windows", [burn("14.4 * 0.001")], [ERRORS], Severity.INFO, "2.00% of 30 days: 1.94% of 31 days"),
    ("sla-no-alert", [], [ERRORS, UP], Severity.WARNING, "no alert reads up, by which uptime is judged"),
    ("sla-bucket", [(M, "", BUCKETS.replace("5.0", "4"))], [SLOW], Severity.ERROR, "asks for 5 s"),
    ("sla-retention", [], [ERRORS], Severity.INFO, "for 15d (unless the flag"),
    (
        "sla-retention",
        [(PROM, "", "storage: {tsdb: {retention: {time: 30d}}}\n")],
        [ERRORS],
        Severity.WARNING,
        "Prometheus keeps samples for 30d, and",
    ),
    ("sla-average-of-averages", average("avg(avg_over_time(up[1h]))"), [UP], Severity.WARNING, "all:errors averages"),
    ("sla-average-of-averages", average("avg_over_time(job:errors:ratio5m[30d])"), [ERRORS], Severity.WARNING, ""),
    (
        "sla-average-of-averages",
        average("sum_over_time(job:errors:ratio5m[30d]) / count_over_time(job:errors:ratio5m[30d])"),
        [ERRORS],
        Severity.WARNING,
        "",
    ),
    ("sla-average-of-averages", average(f"avg by (job) {RATIO}"), [ERRORS], Severity.WARNING, ""),
    ("sla-late", [(P, "web: {for: 1m", "web: {for: 5m")], [ERRORS], Severity.WARNING, "12.5% to 13.7%"),
]

HARMLESS: list[tuple[str, list[Edit], list[Level]]] = [
    ("sla-burn-objective", [burn("14.4 * 0.001"), rule("up < 7 * 0.1", "Other")], [ERRORS]),
    ("sla-burn-objective", [burn("0.0144")], [ERRORS]),
    ("sla-burn-windows", [rule("job:errors:ratio5m > 0.05")], [ERRORS]),
    ("sla-no-alert", [rule("min_over_time(up[5m]) == 0")], [ERRORS, UP]),
    ("sla-bucket", [(M, "", BUCKETS)], [SLOW]),
    ("sla-bucket", [], [SLOW]),
    ("sla-retention", [(PROM, "", "storage: {tsdb: {retention: {time: 31d}}}\n")], [ERRORS]),
    (
        "sla-average-of-averages",
        average("1 - sum(sum_over_time(up[1h])) / sum(count_over_time(up[1h]))"),
        [UP, ERRORS],
    ),
    ("sla-average-of-averages", average("avg(worker_up) / avg_over_time(worker_up[1d])"), [UP, ERRORS]),
    ("sla-late", [], [ERRORS]),
    ("sla-late", [(P, "web: {for: 1m", "web: {for: 5m"), burn("14.4 * 0.001"), quick()], [ERRORS]),
]


def found(edits: Sequence[Edit], levels: Sequence[Level]) -> tuple[Finding, ...]:
    return check(context(edited(edits), levels=levels)).findings


@pytest.mark.parametrize(
    ("id_", "edits", "levels", "severity", "said"), FAULTS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_difference_is_found(id_: str, edits: list[Edit], levels: list[Level], severity: Severity, said: str) -> None:
    mine = [each for each in found(edits, levels) if each.id == id_]
    assert [each.severity for each in mine] == [severity]
    assert said in mine[0].message
    assert mine[0].place.line or not mine[0].message.startswith("of a total")


@pytest.mark.parametrize(("id_", "edits", "levels"), HARMLESS, ids=[f"{c[0]}-{i}" for i, c in enumerate(HARMLESS)])
def test_what_agrees_is_left_alone(id_: str, edits: list[Edit], levels: list[Level]) -> None:
    assert [each for each in found(edits, levels) if each.id == id_] == []


def test_every_lint_of_levels_has_both_cases_and_says_nothing_without_targets() -> None:
    mine = {id_ for id_, one in LINTS.items() if one.topic == "levels"}
    assert {case[0] for case in FAULTS} == mine
    assert {case[0] for case in HARMLESS} == mine
    outcome = check(context(edited([burn("14.4 * 0.005")])))
    assert not [each for each in outcome.findings if each.id in mine]
    assert {id_ for each in outcome.skipped if "targets" in each.reason for id_ in each.lints} == mine


# What the shipped configuration comes to, with both of its parts turned on.
SHIPPED = (
    Level("uptime", 0.001, ("up",), AT, time=True),
    Level("errors", 0.001, ("insa_agent_requests_total",), AT),
)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> AlertConfig:

    out = tmp_path_factory.mktemp("rendered") / "bundle"
    render(out, ("monitoring", "sla"))
    return load_config(out)


@pytest.mark.parametrize(
    ("alert", "bad", "seconds", "spent"),
    [
        ("MetricsEndpointDown", 1.0, (70, 100), (0.027, 0.0386)),
        ("SLAUptimeFastBurn", 1.0, (55, 130), (0.0212, 0.0502)),
        ("HighErrorRate", 0.95, (326, 356), (0.1194, 0.1304)),
    ],
)
def test_what_is_spent_when_the_phone_rings(
    shipped: AlertConfig, alert: str, bad: float, seconds: tuple[int, int], spent: tuple[float, float]
) -> None:
    (watch,) = [one for one in watches(shipped, SHIPPED) if one.rule.alert == alert]
    first = heard(shipped, watch, bad)[0]
    assert first.receiver == "critical-alerts"
    assert (round(first.lo_s), round(first.hi_s)) == seconds
    assert first.cost(bad, 0.001) == pytest.approx(spent, abs=5e-5)


def test_an_alert_that_such_a_trouble_does_not_raise_is_never_heard(shipped: AlertConfig) -> None:
    (watch,) = [one for one in watches(shipped, SHIPPED) if one.rule.alert == "HighErrorRate"]
    assert heard(shipped, watch, 0.05) == []


def test_the_shipped_rules_keep_to_their_own_targets(shipped: AlertConfig) -> None:
    told = check(LintContext(shipped, levels=SHIPPED)).findings
    worse = [each for each in told if LINTS[each.id].topic == "levels" and each.severity > Severity.INFO]
    assert worse == []
