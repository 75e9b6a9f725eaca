"""What an expression looks at decides how late an alert can be."""

from __future__ import annotations

import pytest
from alerting_examples import load

from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.windows import detect
from chaoskit.alerting.windows_expression import feeding_jobs, range_of, recording_delay, selectors


@pytest.mark.parametrize(
    ("expr", "reach_s"),
    [
        ("up == 0", 0),
        ("vector(1) > 0", 0),
        ("rate(a[5m]) / rate(b[10m]) > 0.05", 600),
        ("max_over_time(rate(a[5m])[30m:1m]) > 1", 2100),
        ("rate(a[5m] offset 10m)", 900),
        ("rate(a[5m] offset -10m)", 0),
        ("max_over_time(up[1h:] offset 30m)", 5400),
        ("topk(scalar(max_over_time(a[7m])), b)", 420),
        ("-(absent(a) or histogram_quantile(0.9, sum by (le) (rate(b[4m]))))", 240),
    ],
)
def test_ranges_subqueries_and_offsets_add_up(expr: str, reach_s: float) -> None:
    assert max((each.reach_s for each in selectors(expr)), default=0) == reach_s


def config(*groups: tuple[str, str, list[str]]) -> AlertConfig:
    written = [
        f"{{name: {name}, interval: {interval}, rules: [{', '.join(rules)}]}}" for name, interval, rules in groups
    ]
    return load(f"groups: [{', '.join(written)}]")


def recording(name: str, expr: str) -> str:
    return f"{{record: '{name}', expr: '{expr}'}}"


def alert(expr: str) -> str:
    return f"{{alert: A, expr: '{expr}'}}"


def the_alert(found: AlertConfig) -> tuple[float, float]:
    (rule,) = found.alert_rules("A")
    return range_of(found, rule), recording_delay(found, rule)


def test_recording_rules_are_followed_through_other_groups() -> None:
    found = config(
        ("alerts", "15s", [alert("top > 1")]),
        ("second", "1m", [recording("top", "max_over_time(low[10m])")]),
        ("first", "30s", [recording("low", "rate(raw[5m])")]),
    )
    assert the_alert(found) == (900, 90)
    assert detect(found, found.rules[0]).hi_vs == 15 + 10 + 90 + 15
    assert "recording rules and query offset 1m30s" in detect(found, found.rules[0]).setting


def test_what_another_process_found_of_its_rules_counts_for_no_rule_here() -> None:
    found = config(("alerts", "15s", [alert("rate(raw[5m]) > 1"), recording("other", "raw")]))
    rule, other = found.rules
    found.found["range_of", id(rule)] = other, 1.0  # by chance the identity that another rule had there
    assert range_of(found, rule) == 300


def test_of_two_ways_through_recording_rules_the_longer_counts() -> None:
    found = config(
        ("alerts", "15s", [alert("a / b > 1")]),
        ("one", "1m", [recording("a", "rate(raw[5m])")]),
        ("two", "2m", [recording("b", "rate(raw[1m])")]),
    )
    assert the_alert(found) == (300, 120)


def test_a_recording_rule_costs_nothing_before_its_reader_in_one_group_and_an_interval_behind_it() -> None:
    before = config(("g", "15s", [recording("a", "up"), alert("a > 1")]))
    behind = config(("g", "15s", [alert("a > 1"), recording("a", "up")]))
    assert the_alert(before) == (0, 0)
    assert the_alert(behind) == (0, 15)


def test_a_metric_named_by_a_matcher_is_followed_too() -> None:
    found = config(("g", "1m", [alert('{__name__=~"a.+"} > 1')]), ("h", "1m", [recording("ab", "rate(raw[5m])")]))
    assert the_alert(found) == (300, 60)
    assert the_alert(config(("g", "1m", [alert('{__name__=~"a"} > 1')]), ("h", "1m", [recording("ab", "up")]))) == (
        0,
        0,
    )


def test_rules_that_read_each_other_come_to_an_end() -> None:
    found = config(
        ("g", "1m", [alert("a > 1")]),
        ("h", "1m", [recording("a", "max_over_time(b[5m])"), recording("b", "a or b or up")]),
    )
    assert the_alert(found) == (300, 120)


def test_a_groups_query_offset_delays_what_it_sees() -> None:
    found = load("groups: [{name: g, query_offset: 30s, rules: [{alert: A, expr: up == 0}]}]")
    assert the_alert(found) == (0, 30)


def test_jobs_are_followed_through_recording_rules() -> None:
    prometheus = "scrape_configs: [{job_name: a}, {job_name: b, scrape_interval: 5m}]\n"
    rules = """
groups:
  - name: g
    rules:
      - {record: r, expr: 'up{job="a"}'}
      - {alert: A, expr: r == 0}
      - {alert: B, expr: 'up{job=~"x.*"} == 0'}
"""
    found = load(rules, prometheus=prometheus)
    assert [job.name for job in feeding_jobs(found, found.rules[1])] == ["a"]
    assert [job.name for job in feeding_jobs(found, found.rules[2])] == ["a", "b"], "an unknown job may be any"


def test_many_rules_that_all_read_one_another_are_walked_once_each() -> None:
    """Forty of them have more ways through one another than anybody could walk."""
    names = [f"r{number}" for number in range(40)]
    written = [recording(name, 'max_over_time({job="x"}[1m])') for name in names]
    found = config(("alerts", "15s", [alert("r0 > 1")]), ("all", "1m", written))
    range_s, delay_s = the_alert(found)
    assert 60 <= range_s <= 41 * 60
    assert 60 <= delay_s <= 41 * 60
    assert feeding_jobs(found, found.alert_rules("A")[0]) == found.jobs
