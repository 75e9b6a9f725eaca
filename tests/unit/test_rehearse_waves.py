"""Which rules may share a wave and a stack, who mutes whom, and what the computed promise owes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit.alerting.config import load_config, load_texts
from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.promise_text import COMPUTED, promise_text
from chaoskit.explain.promise import computed_promise
from chaoskit.faults.series import Scripted, constant
from chaoskit.rehearse.drill import Drill, wave_drill
from chaoskit.rehearse.inputs import ASSUMED, Asked
from chaoskit.rehearse.lanes import partition
from chaoskit.rehearse.perform import scaled_rules, with_rules
from chaoskit.rehearse.session import Session
from chaoskit.rehearse.unit_tests import GivenTest
from chaoskit.rehearse.waves import make_waves, muted_by, scale_for
from chaoskit.scenario.loader import load_scenario
from chaoskit.stack.binaries import Binaries, require
from tests.rehearse_examples import ROUTES, alerts, config, proven
from tests.unit.test_rehearse_derive import rule

__all__ = ["config"]


def calm(config: AlertConfig) -> AlertConfig:
    return replace(config, inhibit_rules=())


def test_rules_that_do_not_disturb_each_other_share_a_wave(config: AlertConfig) -> None:
    errors, queue, *_ = alerts(config)
    waves = make_waves(calm(config), {}, [proven(errors, 1, "errors_total"), proven(queue, 2, "queue")])
    assert [len(wave.members) for wave in waves] == [2]


def test_a_rule_over_all_series_shares_no_wave_with_one_that_scripts_some_of_them(config: AlertConfig) -> None:
    _, queue, every, _ = alerts(config)
    waves = make_waves(calm(config), {}, [proven(queue, 1, "queue"), proven(every, 2, "queue", {})])
    assert [len(wave.members) for wave in waves] == [1, 1]


def test_alerts_of_one_name_share_no_wave(config: AlertConfig) -> None:
    _, queue, _, critical = alerts(config)
    waves = make_waves(calm(config), {}, [proven(queue, 1, "queue"), proven(critical, 2, "queue")])
    assert [len(wave.members) for wave in waves] == [1, 1]


def test_an_alert_shares_no_wave_with_the_one_that_mutes_it(config: AlertConfig) -> None:
    errors, queue, *_ = alerts(config)
    waves = make_waves(config, {}, [proven(errors, 1, "errors_total"), proven(queue, 2, "queue")])
    assert [len(wave.members) for wave in waves] == [1, 1]


def test_who_mutes_whom_is_told_from_the_labels_that_alerts_carry(config: AlertConfig) -> None:
    errors, queue, *_ = alerts(config)
    seen = {one.key: (one, [{"instance": f"m{n}"}], f"m{n}") for n, one in enumerate((errors, queue))}
    assert muted_by(config, seen) == {queue.key: ("Errors",)}
    labelled = {
        **seen,
        errors.key: (errors, [{"cluster": "eu"}], "m0"),
        queue.key: (queue, [{"cluster": "m1"}], "m1"),
    }
    assert muted_by(config, labelled) == {queue.key: ("Errors",)}, "a made-up label may have that value in life"
    elsewhere = {**labelled, queue.key: (queue, [{"cluster": "us"}], "m1")}
    assert muted_by(config, elsewhere) == {}
    apart = replace(config.inhibit_rules[0], equal=("severity",))
    assert muted_by(replace(config, inhibit_rules=(apart,)), seen) == {}


@pytest.mark.parametrize(
    ("span_s", "asked", "scale"),
    [(60, None, 60), (2000, None, 120), (10_000, None, 200), (100_000, None, None), (60, 10.0, 10), (9000, 10.0, None)],
)
def test_who_looks_far_back_gets_a_larger_scale_or_none_in_time(
    config: AlertConfig, span_s: float, asked: float | None, scale: float | None
) -> None:
    one = proven(alerts(config)[1], 1, "queue", span_s=span_s)
    assert scale_for(one, 15.0, asked, 60.0) == scale
    assert scale_for(one, 15.0, asked, 60.0, 120.0) == (scale if asked or scale != 60 else 120)


def test_no_scale_makes_evaluations_indistinguishable(config: AlertConfig) -> None:
    scale = scale_for(proven(alerts(config)[1], 1, "queue"), 1.0, None, 60.0)
    assert scale is not None
    assert 1.0 / scale >= 0.05
    hurried = proven(replace(alerts(config)[1], interval_s=3.0), 1, "queue")
    assert scale_for(hurried, 15.0, None, 60.0, 120.0) == 3.0 / 0.075


def test_work_is_dealt_out_evenly_and_scales_are_kept_apart(config: AlertConfig) -> None:
    rules = alerts(config)
    drills = [
        wave_drill(f"w{scale}-{n}", calm(config), [proven(rules[1], n, "queue")], False, scale, 15.0)
        for scale in (60.0, 120.0)
        for n in range(3)
    ]
    lanes = partition(drills, 2, config)
    assert sorted(d.name for lane in lanes for d in lane.drills) == sorted(d.name for d in drills)
    assert all(len({d.plan.time_scale for d in lane.drills}) == 1 for lane in lanes)
    assert len({lane.name for lane in lanes}) == len(lanes)


@pytest.mark.parametrize(
    ("by_scale", "places", "lengths"),
    [
        ({60.0: 16, 120.0: 2}, 2, [80, 80, 20]),
        ({60.0: 4, 120.0: 4}, 4, [20, 20, 20, 20]),
        ({60.0: 2}, 1, [20]),
        ({60.0: 1, 120.0: 1}, 2, [10, 10]),
    ],
)
def test_the_longest_lane_is_split_so_that_all_end_together(
    config: AlertConfig, by_scale: dict[float, int], places: int, lengths: list[int]
) -> None:
    """Of drills of 10 s each; and in no more stacks than that takes."""
    drills = []
    for scale, number in by_scale.items():
        one = wave_drill("w", calm(config), [proven(alerts(config)[1], 0, "queue")], False, scale, 15.0)
        plan = replace(one.plan, steps=(), steady_vs=0.0, end_vs=0.0)
        plan = replace(plan, end_vs=(10.0 - plan.longest_real_s) * scale)
        drills += [replace(one, name=f"w{scale}-{n}", plan=plan) for n in range(number)]
    found = [round(sum(d.plan.longest_real_s for d in lane.drills)) for lane in partition(drills, places, config)]
    assert found == lengths


def test_unit_tests_share_stacks_and_a_given_scenario_has_its_own(config: AlertConfig) -> None:
    one = wave_drill("w", calm(config), [proven(alerts(config)[1], 0, "queue")], False, 60.0, 15.0)
    test = GivenTest(frozenset(), {}, 60.0, {})
    drills = [replace(one, name=f"t{n}", test=test if n else None) for n in range(5)]
    assert sorted(len(lane.drills) for lane in Session._partitioned(drills, config, 2)) == [1, 2, 2]


def test_an_alert_that_other_series_at_rest_make_true_is_played_without_them(
    config: AlertConfig, tmp_path: Path
) -> None:
    """As where a critical alert's series lie above the warning's threshold from the beginning."""
    of = Session(Asked(calm(config), 15.0, tmp_path, False), require(), print)
    warning, critical, third = alerts(config)[:3]
    low = proven(replace(warning, expr="queue > 5", for_s=0.0), 1, "queue")
    high = proven(replace(critical, expr="queue > 50"), 2, "queue")
    high = replace(high, guess=replace(high.guess, series=(replace(high.guess.series[0], rest=constant(40)),)))
    other = proven(replace(third, expr="other > 5"), 3, "other")
    waves = [{one.subject.number for one in wave} for wave in of._waves([low, high, other], 120)]
    assert sorted(waves, key=len) == [{1}, {2, 3}]


def test_a_core_bears_two_stacks_whose_waves_are_small_unless_their_number_is_given(
    config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    small = wave_drill("w", calm(config), [proven(alerts(config)[1], 0, "queue")], False, 60.0, 15.0)
    large = replace(small, plan=replace(small.plan, alerts=small.plan.alerts * 100))

    none = Path("/nonexistent")

    def places(drill: Drill, asked: int | None = None) -> int:
        of = Session(
            Asked(config, 15.0, tmp_path, False, side_by_side=asked), Binaries(none, none, none, none, {}), print
        )
        return of._places([drill])

    assert [places(small), places(large), places(small, 1), places(large, 3)] == [4, 2, 1, 3]


def test_a_waves_stack_has_only_its_rules_and_those_that_feed_them(config: AlertConfig) -> None:
    drill = wave_drill("w", config, [proven(alerts(config)[0], 1, "errors_total")], False, 60.0, 15.0)
    (text,) = [text for key, text in with_rules(config, drill.rules).items() if key.startswith("rules:")]
    assert "Errors" in text
    assert "job:errors:rate5m" in text
    assert "Queue" not in text
    (scaled,) = scaled_rules(config, drill.rules, 60.0).values()
    assert "2s" in scaled


def test_a_waves_scenario_names_the_receivers_that_the_routes_lead_to(config: AlertConfig) -> None:
    drill = wave_drill("w", config, [proven(alerts(config)[0], 1, "errors_total")], False, 60.0, 15.0)
    (alert,) = drill.plan.alerts
    assert {notice.receiver for notice in alert.notices} == {"pager"}
    assert alert.notices[0].notify.lo_vs == 10
    assert load_scenario(drill.text, "w.yml").expect[0].labels == {"instance": "rehearsal-1"}


def test_the_computed_promise_is_a_promise_file_that_holds_for_its_own_configuration(
    config: AlertConfig, tmp_path: Path
) -> None:
    file = tmp_path / "promise.yml"
    names = {each.alert for each in alerts(config)[:3]}
    file.write_text(promise_text(computed_promise(config, names), COMPUTED), encoding="utf-8")
    read_back = load_config(None, [str(tmp_path / "rules.yml")], tmp_path / "am.yml", tmp_path / "prometheus.yml", file)
    assert read_back.promise.notices["Errors", "pager"].group_wait_s == 10
    assert read_back.promise.notices["Errors", "pager"].for_s == 120


TEMPLATED = """\
groups:
  - name: one
    rules:
      - alert: Disk
        expr: used > 85
        labels: {severity: '{{ if gt $value 90.0 }}critical{{ else }}warning{{ end }}'}
"""


def planned(results: list[dict[str, str]], relabel: str = "") -> list[tuple[dict[str, str], int, dict[str, float]]]:
    """By expectation of the wave of one rule: labels, instances, and by receiver the earliest notice (-1: never)."""
    prometheus = f"{ASSUMED}alerting: {{alert_relabel_configs: [{relabel}]}}\n"
    own = load_texts({"rules:r.yml": TEMPLATED, "alertmanager:am.yml": ROUTES, "prometheus:prometheus.yml": prometheus})
    one = replace(proven(own.rules[0], 1, "used"), results=tuple(results))
    return [
        (
            dict(alert.expectation.labels),
            alert.count,
            {n.receiver: -1.0 if n.ask.mode == "never" else n.notify.lo_vs for n in alert.notices},
        )
        for alert in wave_drill("w", own, [one], False, 60.0, 15.0).plan.alerts
    ]


CRITICAL = {"instance": "rehearsal-1", "severity": "critical"}


def test_an_alert_is_expected_where_the_label_leads_that_its_template_became() -> None:
    assert planned([CRITICAL]) == [(CRITICAL, 1, {"pager": 10.0})]
    warning = {**CRITICAL, "severity": "warning"}
    assert planned([warning]) == [(warning, 1, {"mail": 30.0})]


def test_instances_that_different_routes_take_are_expected_each_at_its_own() -> None:
    warning = {"instance": "rehearsal-1-2", "severity": "warning"}
    assert planned([CRITICAL, warning]) == [(CRITICAL, 1, {"pager": 10.0}), (warning, 1, {"mail": 30.0})]


def test_an_alert_is_expected_where_its_relabelled_labels_lead_and_one_that_is_dropped_nowhere() -> None:
    lower = "{source_labels: [severity], regex: critical, target_label: severity, replacement: info}"
    assert planned([CRITICAL], lower) == [(CRITICAL, 1, {"mail": 30.0})]
    assert planned([CRITICAL], "{source_labels: [severity], regex: critical, action: drop}") == [
        (CRITICAL, 1, {"mail": -1.0})
    ]


def test_rules_whose_texts_query_what_another_scripts_share_no_wave(config: AlertConfig) -> None:
    errors, queue, *_ = alerts(config)
    asks = replace(
        errors, annotations={"summary": '{{ with query "sum(queue) by (job)" }}{{ . | first | value }}{{ end }}'}
    )
    waves = make_waves(calm(config), {}, [proven(asks, 1, "errors_total"), proven(queue, 2, "queue")])
    assert [len(wave.members) for wave in waves] == [1, 1]


@pytest.mark.parametrize(
    ("selector", "apart"),
    [
        ('jobs{team="b"}', False),
        ('jobs{team=~"a|b"}', True),
        ("jobs", True),
        ('{__name__=~"jobs.*",team="b"}', False),
        ('{__name__=~"jobs.*"}', True),
    ],
)
def test_rules_of_one_metric_share_a_wave_where_neither_finds_the_others_series(selector: str, apart: bool) -> None:
    """Results without a mark of their own: what else has the metric, and is found, would count as theirs."""
    members = []
    for number, (team, reads) in enumerate((("a", 'jobs{team="a"}'), ("b", selector))):
        one = proven(rule(f"absent({reads})", f"No{team}"), number, "jobs", {"team": team})
        series = (Scripted("jobs", (("team", team),), constant(1), constant(0)),)
        members.append(replace(one, guess=replace(one.guess, series=series)))
    own = load_texts({"rules:r.yml": TEMPLATED, "alertmanager:am.yml": ROUTES, "prometheus:prometheus.yml": ASSUMED})
    for some in (members, members[::-1]):
        assert len(make_waves(calm(own), {}, some)) == 1 + apart


@pytest.mark.parametrize(
    ("expr", "apart"),
    [
        ("up * on(host) group_left(rack) info == 0", True),
        ("up * on(host, disk) group_left(rack) info == 0", False),
        ("info * on(host) group_right() up == 0", True),
        ("info * on(host) group_left() up == 0", False),
        ("up == ignoring(disk) info", True),
        ("up - info > 1", False),
        ("up and on(host) info", False),
        ("up * on(host) group_left() max by (host) (info) == 0", False),
    ],
)
def test_rules_share_no_wave_where_the_series_of_one_would_end_the_other_with_an_error(expr: str, apart: bool) -> None:
    """Two series of `info` for one host: a match that allows only one of them fails as a whole."""
    join, count = rule(expr, "Join"), rule("count(info) by (host) > 1", "Count")
    two = tuple(Scripted("info", (("disk", f"d{n}"), ("host", "m")), constant(0), constant(1)) for n in (1, 2))
    counting = proven(count, 2, "info")
    counting = replace(counting, guess=replace(counting.guess, series=two))
    own = load_texts({"rules:r.yml": TEMPLATED, "alertmanager:am.yml": ROUTES, "prometheus:prometheus.yml": ASSUMED})
    for members in ([proven(join, 1, "up"), counting], [counting, proven(join, 1, "up")]):
        assert len(make_waves(calm(own), {}, members)) == 1 + apart
