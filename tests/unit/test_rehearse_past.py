"""What takes too long to be waited for is written as a past: its instants, its text, and its bounds."""

from __future__ import annotations

import itertools
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from chaoskit.alerting.model import AlertConfig
from chaoskit.events import AlertState, AnyEvent, FaultOk, Invoke
from chaoskit.faults.series import Scripted, constant, slope
from chaoskit.history import History
from chaoskit.hop import Hop
from chaoskit.observe.poller import MERGED_S
from chaoskit.rehearse.derive import Subject
from chaoskit.rehearse.drill import wave_drill
from chaoskit.rehearse.outcome import RESTORED, judge_wave
from chaoskit.rehearse.past import Far, Remembered, ahead_s, begun, openmetrics, restores, write_blocks
from chaoskit.rehearse.proof import Engine, edges, prove
from chaoskit.rehearse.waves import held_to_s, make_waves, needed_s, with_a_past
from chaoskit.stack.binaries import require
from chaoskit.verify.case import Case
from chaoskit.verify.verdict import Result
from chaoskit.verify.verify import plan_of, verify
from tests.golden.doctored import mapped
from tests.rehearse_examples import KEPT, alerts, as_wave, config, proven
from tests.unit.test_rehearse_derive import rule

__all__ = ["config"]

DAY_S = 86400.0
NOW = 1_700_000_000.25


def remembered(for_s: float, rise_s: float = 600.0, *series: Scripted) -> Remembered:
    found = series or (Scripted("queue", (("instance", "m"),), constant(1), constant(9)),)
    return Remembered(found, ({"alertname": "Queue", "instance": "m"},), 300.0, 15.0, for_s, Far(rise_s, 30.0, True))


@pytest.mark.parametrize("scale", [10.0, 60.0, 200.0])
@pytest.mark.parametrize("for_s", [7200.0, DAY_S, 7 * DAY_S])
def test_what_is_left_of_a_long_for_is_the_same_whatever_its_length(for_s: float, scale: float) -> None:
    when = begun(remembered(for_s), NOW, 14.0, scale, 15.0)
    assert when.restored
    assert when.pending == int(when.pending), "Prometheus keeps whole seconds"
    left_s = when.pending + for_s / scale - int(NOW)
    assert 16.0 <= left_s < 17.0
    assert when.rest < when.fault == when.pending - 315.0 / scale


def test_what_has_no_long_for_becomes_pending_in_sight() -> None:
    when = begun(remembered(0.0, DAY_S), NOW, 14.0, 60.0, 15.0)
    assert not when.restored
    assert when.pending == NOW + 14.75
    assert when.fault == pytest.approx(NOW + 14.75 - DAY_S / 60.0)
    assert not restores(300.0, 60.0, 14.0)


def test_the_blocks_hold_the_rest_the_fault_and_the_alerts_state_and_reach_beyond_the_start() -> None:
    grows = Scripted("errors_total", (("job", "api"),), slope(0, 1), slope(0, 15), counter=True)
    one = remembered(7200.0, 600.0, grows)
    lines = list(openmetrics([one], NOW, 60.0, 15.0, "chaoskit-series", "127.0.0.1:1"))
    assert lines[-1] == "# EOF\n"
    (state,) = [line for line in lines if line.startswith("ALERTS_FOR_STATE")]
    when = begun(one, NOW, ahead_s([one]), 60.0, 15.0)
    assert state == f'ALERTS_FOR_STATE{{alertname="Queue",instance="m"}} {when.pending:.0f} {int(NOW)}\n'
    samples = [re.fullmatch(r"(\S+) (\S+) (\S+)\n", line) for line in lines if line.startswith("errors_total")]
    assert samples[0]
    assert samples[0][1] == 'errors_total{instance="127.0.0.1:1",job="api"}'
    values = [(float(match[3]), float(match[2])) for match in samples if match]
    assert values[0][0] == pytest.approx(when.rest, abs=0.001)
    assert values[-1][0] > NOW + 13.0 - 0.3
    slopes = {round((b - a) / (u - t) / 60, 1) for (t, a), (u, b) in itertools.pairwise(values)}
    assert {0.1, 1.0} <= slopes, "a fifteenth a second at rest, one in the fault, as rules see it"


def test_promtool_makes_blocks_of_it(tmp_path: Path) -> None:
    lines = openmetrics([remembered(7200.0)], NOW, 60.0, 15.0, "j", "i")
    write_blocks(require().promtool, lines, tmp_path / "past.txt", tmp_path / "data")
    listed = subprocess.run(
        [require().promtool, "tsdb", "list", tmp_path / "data"], capture_output=True, text=True, check=True
    )
    assert len(listed.stdout.splitlines()) == 2, listed.stdout


def test_the_instants_at_which_a_condition_changes_are_found_to_the_interval(tmp_path: Path) -> None:
    subject = Subject(7, rule("avg_over_time(queue[6h]) > 100"), 21600.0)
    promtool = require().promtool
    (one,), _ = prove([subject], Engine({}, promtool, tmp_path, 15.0))
    rise_s, fall_s = edges([one], Engine({}, promtool, tmp_path / "edges", 15.0))[7]
    (series,) = one.guess.series
    low, high = (values.at(0.0) or 0.0 for values in (series.rest, series.values))
    assert rise_s == pytest.approx(21600.0 * (100 - low) / (high - low), abs=30.0)
    assert fall_s == pytest.approx(21600.0 * (high - 100) / (high - low), abs=30.0)


def test_a_range_of_a_week_is_proven_on_sparser_series(tmp_path: Path) -> None:
    expr = "min_over_time(free[1w]) > total * 0.8"
    subject = Subject(7, rule(expr), 7 * DAY_S)
    assert subject.every_s(15.0) == 75.0
    (one,), lacking = prove([subject], Engine({}, require().promtool, tmp_path, 15.0))
    assert not lacking
    (rise_s, fall_s) = edges([one], Engine({}, require().promtool, tmp_path / "edges", 15.0))[7]
    assert rise_s == pytest.approx(7 * DAY_S, abs=180.0)
    assert fall_s <= 180.0


def test_the_end_is_played_where_it_comes_in_time(config: AlertConfig) -> None:
    one = proven(alerts(config)[1], 1, "queue", span_s=7 * DAY_S)
    soon, scale = with_a_past(one, (7 * DAY_S, 30.0), 15.0, None, 60.0)
    left_s = one.subject.rule.for_s
    assert soon.far == Far(7 * DAY_S, 30.0, True, left_s)
    assert scale == 60.0
    late, scale = with_a_past(one, (30.0, 7 * DAY_S), 15.0, None, 60.0)
    assert late.far == Far(30.0, 7 * DAY_S, False, left_s)
    assert scale == 60.0
    assert with_a_past(one, (30.0, 11_000.0), 15.0, None, 60.0)[1] == 200.0
    assert with_a_past(one, (30.0, 11_000.0), 15.0, 10.0, 60.0) == (
        replace(one, far=Far(30.0, 11_000.0, False, left_s)),
        10.0,
    )


def test_what_ends_by_itself_has_what_is_left_after_its_past(config: AlertConfig) -> None:
    held = replace(alerts(config)[1], for_s=3600.0)
    one = replace(proven(held, 1, "queue", span_s=DAY_S), lasts_s=DAY_S, within_s=0.0)
    far = replace(one, far=Far(60.0, 0.0, False))
    assert needed_s(config, far) == needed_s(config, one) - 3600.0
    assert held_to_s(far) == DAY_S - 3660.0


def test_an_end_that_takes_too_long_is_not_waited_for_and_said(config: AlertConfig) -> None:
    held = replace(alerts(config)[2], for_s=7200.0)
    config = replace(config, rules=tuple(held if one.alert == held.alert else one for one in config.rules))
    one = replace(proven(held, 1, "queue", span_s=DAY_S), far=Far(DAY_S, DAY_S, False))
    drill = wave_drill("w", replace(config, inhibit_rules=()), [one], False, 60.0, 15.0)
    assert drill.plan.longest_real_s < 120
    assert drill.stay == {one.guess.series[0].key}
    assert drill.plan.steady_vs / 60.0 > MERGED_S, "each observer has said something before the first step"
    assert "until: never" in drill.text
    said = drill.how["AllQueues"]
    assert "`for` restored: pending for 2h" in said
    assert "looks back 1d" in said
    assert "end not played: that takes 1440 s more; raise --longest" in said


def test_what_prometheus_was_to_restore_and_did_not_is_not_rehearsed() -> None:
    """Its hold would be that of a `for` which began at the start of Prometheus, and so say nothing."""
    plan = plan_of(KEPT.header)
    name = plan.alerts[0].rule.alert
    case = Case(as_wave(KEPT), plan)
    by_name = judge_wave(case, "w", derived=True, how={name: f"{RESTORED}: pending for 6h"})[1]
    assert by_name[name].result is None
    assert "did not restore" in by_name[name].reasons[0]
    assert judge_wave(case, "w", derived=True, how={name: "end not played"})[1][name].how == "end not played"


def test_a_hold_that_is_restored_ends_at_the_next_evaluation_and_no_later() -> None:
    """As it does after a restart, even where it began a moment after one: a for that is shorter by a second or longer
    by more than an interval is a FAIL, and so is any other that is not exact."""
    plan = plan_of(KEPT.header)
    planned = next(alert for alert in plan.alerts if alert.rule.for_s)
    name, every_s = planned.rule.alert, planned.rule.interval_s / plan.time_scale

    def began(earlier_s: float, restored: bool = True) -> History:
        def change(event: AnyEvent) -> AnyEvent:
            if isinstance(event, AlertState) and event.labels["alertname"] == name and event.active_at is not None:
                return msgspec.structs.replace(event, active_at=event.active_at - earlier_s)
            if isinstance(event, FaultOk):
                return msgspec.structs.replace(event, effect=(event.effect[0] - 1, event.effect[1] - 1))
            if isinstance(event, Invoke):
                return msgspec.structs.replace(event, t=event.t + (1000 if restored else -1000))
            return event

        return as_wave(mapped(KEPT, change))

    def result(history: History) -> set[Result]:
        return {r.result for r in verify(history).rows if r.hop == Hop.HOLD and r.about.startswith(name)}

    holds = [result(began(s * every_s)) for s in (0.0, 0.4, 0.995, -0.4, 1.4)]
    assert holds == [{Result.PASS}, {Result.PASS}, {Result.PASS}, {Result.FAIL}, {Result.FAIL}]
    assert result(began(0.995 * every_s, restored=False)) == {Result.FAIL}


def test_what_ends_by_itself_waits_only_for_what_is_told_in_time(config: AlertConfig) -> None:
    """A `for` that begins in sight is played whole, although a past is behind it."""
    rules = [replace(rule, for_s=for_s) for rule, for_s in zip(alerts(config)[1:4], (0.0, 900.0, 86400.0), strict=True)]
    brief, held, restored = (replace(proven(one, n, f"queue{n}", span_s=DAY_S)) for n, one in enumerate(rules))
    brief = replace(brief, lasts_s=600.0, within_s=0.0)
    all_far = [with_a_past(one, (15.0, 30.0), 15.0, None, 60.0)[0] for one in (brief, held, restored)]
    brief, held, restored = all_far
    assert held_to_s(brief) == 585.0
    assert needed_s(config, held) >= 900.0
    assert needed_s(config, restored) < DAY_S
    calm = replace(config, inhibit_rules=())
    waves = make_waves(calm, {}, all_far)
    assert sorted(len(wave.members) for wave in waves) == [1, 2]
