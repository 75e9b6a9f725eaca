"""The windows are those that Prometheus and Alertmanager can produce, to the literal."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from alerting_examples import ALERTMANAGER, PROMETHEUS, RULES, load
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.alerting.model import AlertConfig, PromisedNotice, Rule
from chaoskit.alerting.windows import (
    Window,
    all_clear,
    clear,
    default_delivery_vs,
    delivery_of,
    detect,
    hold,
    largest_scale,
    live_notify,
    notify,
    up,
)
from chaoskit.errors import Place
from chaoskit.explain.recipients import Recipients
from chaoskit.explain.subject import subject_of


def bounds(window: Window) -> tuple[float, float]:
    return window.lo_vs, window.hi_vs


def rule_with(text: str) -> tuple[AlertConfig, Rule]:
    config = load(f"groups: [{{name: g, rules: [{{alert: A, expr: up == 0, {text}}}]}}]")
    return config, config.rules[0]


def test_the_worked_example_of_two_minutes_at_fifteen_seconds() -> None:
    """s = I = 15s, d <= 10s, F = 2m, GW = 30s, GI = 5m: firing in [120, 160], noticed in [150, 190], cleared by 340."""
    config = load()
    rule, route = config.rules[0], config.route
    seen, held, told = detect(config, rule), hold(rule), notify(route, 0)
    assert bounds(seen) == (0, 40)
    assert bounds(held) == (120, 120)
    assert bounds(told) == (30, 30)
    assert (seen.lo_vs + held.lo_vs, seen.hi_vs + held.hi_vs) == (120, 160)
    assert (seen.lo_vs + held.lo_vs + told.lo_vs, seen.hi_vs + held.hi_vs + told.hi_vs) == (150, 190)
    assert bounds(clear(config, rule)) == (0, 40)
    assert bounds(all_clear(route, 0)) == (0, 300)
    assert clear(config, rule).hi_vs + all_clear(route, 0).hi_vs == 340


def test_deliveries_have_a_tolerance_at_their_end_only() -> None:
    config = load()
    route = config.route
    assert bounds(notify(route, 2)) == (30, 32)
    assert bounds(all_clear(route, 5)) == (0, 305)
    assert bounds(live_notify(route, 2)) == (0, 302)


def test_for_is_rounded_up_to_evaluations() -> None:
    """A `for` of 5s at a 3s interval fires after exactly 6 s."""
    _, rule = rule_with("for: 5s")
    window = hold(replace(rule, interval_s=3))
    assert bounds(window) == (6, 6)
    assert window.setting == "for 5s, 6s in whole evaluations"


def test_an_alert_is_kept_for_keep_firing_for_in_whole_evaluations() -> None:
    config, rule = rule_with("keep_firing_for: 20s")
    assert bounds(clear(config, rule)) == (30, 70)
    assert bounds(clear(config, rule, clears_vs=100)) == (30, 170)
    assert "keep_firing_for 20s, 30s in whole evaluations" in clear(config, rule).setting


def test_what_the_service_needs_widens_only_the_end_of_detection() -> None:
    config, rule = rule_with("for: 1m")
    window = detect(config, rule, appears_vs=6)
    assert bounds(window) == (0, 46)
    assert window.setting == (
        "6s until the metrics show it + scrape_interval 15s + scrape_timeout 10s + evaluation interval 15s"
    )
    assert window.place == rule.place


def test_the_promise_counts_as_it_was_given_and_not_as_it_is_configured() -> None:
    _, rule = rule_with("for: 5m")
    promised = PromisedNotice("A", "everyone", 60, 10, 7200, Place("promise", 3))
    assert bounds(hold(rule, promised)) == (60, 60)
    assert bounds(notify(promised, 2)) == (10, 12)
    assert notify(promised, 2).place == promised.place
    assert bounds(hold(rule, replace(promised, for_s=50))) == (60, 60)


def test_the_default_tolerance_is_two_seconds_and_five_when_time_is_compressed() -> None:
    assert (default_delivery_vs(1), default_delivery_vs(2), default_delivery_vs(60)) == (2, 5, 5)
    assert delivery_of(load(), 60) == 5
    assert delivery_of(load(promise="chaoskit: 1\ndelivery: 3s\n"), 60) == 3


@pytest.mark.parametrize(("wait", "resolution_vs"), [("0s", 2), ("3s", 2), ("10s", 5), ("30s", 15), ("5m", 15)])
def test_a_notice_must_be_known_to_half_its_group_wait(wait: str, resolution_vs: float) -> None:
    config = load(alertmanager=ALERTMANAGER.replace("30s", wait))
    assert notify(config.route, 2).resolution_vs == resolution_vs


def test_the_other_hops_must_be_known_to_half_of_what_governs_them() -> None:
    config, rule = rule_with("for: 1m")
    assert detect(config, rule).resolution_vs == clear(config, rule).resolution_vs == 15
    assert detect(config, rule, 120).resolution_vs == clear(config, rule, 120).resolution_vs == 60
    assert detect(config, rule, 50).resolution_vs == 25  # the service's own delay governs
    assert detect(config, rule, 6).resolution_vs == 15
    assert hold(rule).resolution_vs == 30
    assert hold(replace(rule, for_s=30)).resolution_vs == 15
    assert all_clear(config.route, 2).resolution_vs == 60
    assert all_clear(replace(config.route, group_interval_s=60), 2).resolution_vs == 30


def test_the_largest_scale_is_where_the_uncertainty_fills_the_resolution() -> None:
    config = load(alertmanager=ALERTMANAGER.replace("30s", "10s"))
    window = notify(config.route, 5)
    assert largest_scale(window, 0.05) == 100
    assert largest_scale(window, 0) == math.inf


def test_the_slowest_job_that_can_feed_the_expression_decides() -> None:
    prometheus = PROMETHEUS.replace(
        "[{job_name: app}]",
        "[{job_name: app}, {job_name: slow, scrape_interval: 2m}, {job_name: fast, scrape_interval: 5s}]",
    )
    rules = "groups: [{name: g, rules: [{alert: A, expr: 'up{job=\"fast\"} == 0'}, {alert: B, expr: up == 0}]}]"
    config = load(rules, prometheus=prometheus)
    assert bounds(detect(config, config.rules[0])) == (0, 5 + 5 + 15)
    assert bounds(detect(config, config.rules[1])) == (0, 120 + 10 + 15)


@given(st.integers(0, 10**9), st.integers(1, 10**7))
def test_rounding_up_is_exact_to_the_millisecond(millis: int, interval_millis: int) -> None:
    rounded = Fraction(round(up(millis / 1000, interval_millis / 1000) * 1000))
    assert rounded % interval_millis == 0
    assert 0 <= rounded - millis < interval_millis


durations = st.integers(1, 3600).map(float)


@given(durations, durations, st.integers(0, 3600), st.integers(0, 3600))
def test_a_window_is_never_empty_and_never_finer_than_two_seconds(
    interval_s: float, wait_s: float, for_s: int, keep_s: int
) -> None:
    config = load()
    rule = replace(config.rules[0], interval_s=interval_s, for_s=for_s, keep_firing_for_s=keep_s)
    route = replace(config.route, group_wait_s=wait_s, group_interval_s=wait_s)
    windows = [detect(config, rule), hold(rule), notify(route, 0), clear(config, rule), all_clear(route, 0)]
    assert [window.hop for window in windows] == ["detect", "hold", "notify", "clear", "all-clear"]
    for window in windows:
        assert 0 <= window.lo_vs <= window.hi_vs
        assert window.resolution_vs >= 2
        assert window.setting
        assert window.place


TWICE = """
route:
  receiver: everyone
  group_by: [alertname]
  routes:
    - {matchers: [severity=critical], group_wait: 10s, continue: true}
    - {matchers: [component=worker], group_by: [alertname, worker], continue: true}
    - {matchers: [component=worker], group_by: [alertname, worker], group_wait: 1m, continue: true}
    - {matchers: [component=worker], receiver: quiet}
receivers:
  - {name: everyone, email_configs: [{to: a@example.com, send_resolved: true}]}
  - {name: quiet, email_configs: [{to: a@example.com}]}
"""
PROMISE = """
chaoskit: 1
alerts:
  WorkerDown:
    appears: 6s
    notices: {everyone: {for: 2m, group_wait: 10s, repeat: 4h}}
"""


def test_a_receiver_reached_by_two_routes_has_two_groups() -> None:
    config = load(alertmanager=TWICE, promise=PROMISE)
    told = Recipients(config).reach(subject_of(config, config.rules[0], {"worker": "w1"}))
    everyone, quiet = ([each for each in told.heard if each.receiver == name] for name in ("everyone", "quiet"))
    assert [(each.group_key, bounds(each.notify)) for each in everyone] == [
        ('{}/{severity="critical"}:{alertname="WorkerDown"}', (10, 12)),
        ('{}/{component="worker"}:{alertname="WorkerDown", worker="w1"}', (30, 32)),
    ]
    assert all(each.all_clear and bounds(each.all_clear) == (0, 302) for each in everyone)
    assert quiet[0].all_clear is None
    assert bounds(told.detect) == (0, 46)


def test_the_way_from_the_fault_includes_the_expressions_range() -> None:
    config = load(RULES.replace("worker_health == 0", "rate(errors[5m]) > 1").replace("for: 2m", "for: 0s"))
    told = Recipients(config).reach(subject_of(config, config.rules[0]))
    assert bounds(told.detect) == (0, 340)
    assert bounds(told.clear) == (0, 340)
    assert told.hold is None
