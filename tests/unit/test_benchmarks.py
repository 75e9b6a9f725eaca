"""The benchmarks' pure parts and their arguments; what they measure is not asserted, for time is luck."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import click
import psutil
import pytest
from click.testing import CliRunner

from benchmarks import (
    footprint,
    fuzz,
    gate,
    gate_series,
    judge_scale,
    locust_overhead,
    poll_gaps,
    rule_cost,
    run_overhead,
    scales,
    soak,
)
from benchmarks.cheap_server import requests_in
from benchmarks.locust_overhead import Cost
from benchmarks.poll_gaps import Look
from benchmarks.run_overhead import Part
from benchmarks.shared import Unusable, exponent, quantile, verdict_on
from chaoskit.events import End, FaultOk, LoadTotals, LoadWindow, Notice, encode
from chaoskit.history import History, parse_history, read_history
from chaoskit.load.messages import LoadWindow as LoadWindowLine
from chaoskit.load.model import LoadSpec, RequestSpec
from chaoskit.verify.verify import plan_of, verify

KEPT = read_history(Path(__file__).parents[1] / "golden" / "kept.jsonl")
SPEC = LoadSpec(
    host="http://127.0.0.1:1",
    users=2,
    mix={"list": 3, "make": 1},
    requests={
        "list": RequestSpec(path="/things?limit=10"),
        "make": RequestSpec(path="/things/{n%5}", method="POST", json={"name": "Thing {n}", "amount": 7}),
    },
)


def without(kind: type[object]) -> History:
    return dataclasses.replace(KEPT, events=tuple(e for e in KEPT.events if not isinstance(e, kind)))


def test_a_runs_parts_add_up_to_its_wall_time_and_none_is_negative() -> None:
    started, ended = KEPT.header.t - 0.5, KEPT.last_t + 0.2
    found = run_overhead.parts(KEPT, plan_of(KEPT.header), started, ended)
    assert sum(part.taken_s for part in found) == pytest.approx(ended - started)
    assert all(part.taken_s >= 0 for part in found)
    assert run_overhead.ratio(found) > 1


@pytest.mark.parametrize(
    ("kind", "named"), [(FaultOk, "fault in force"), (Notice, "notice between"), (End, "end")], ids=str
)
def test_a_run_that_lacks_what_the_floor_is_made_of_has_no_ratio(kind: type[object], named: str) -> None:
    with pytest.raises(Unusable, match=named):
        run_overhead.parts(without(kind), plan_of(KEPT.header), KEPT.header.t, KEPT.last_t)


def test_the_ratio_is_taken_over_needed() -> None:
    assert run_overhead.ratio([Part("a", 6.0, 4.0), Part("b", 3.0, 2.0)]) == 1.5


def test_a_goal_that_is_missed_is_said_so() -> None:
    assert verdict_on(1.2, 1.25).endswith("met)")
    assert "NOT met" in verdict_on(1.3, 1.25)


def test_a_quantile_is_one_of_the_values() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([float(n) for n in range(1, 101)], 0.99) == 99.0
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_only_what_exceeds_the_period_is_a_gap() -> None:
    looks = [Look(at, 0.01, True) for at in (0.0, 0.1, 0.35, 0.4)]
    assert poll_gaps.beyond_ms(looks, 0.1) == [pytest.approx(0.0), pytest.approx(150.0), 0.0]


def test_instants_are_virtual_seconds_from_the_fault_in_order() -> None:
    found = scales.instants(KEPT)
    assert list(found.values()) == sorted(found.values())
    assert found["firing"] - found["pending"] == pytest.approx(60.0, abs=0.5)
    assert {"resolved", "fault undone", "all-clear worker-alerts (email)"} <= set(found)
    hop = scales.hops(found)["notice critical-alerts (webhook), after firing"]
    assert hop == pytest.approx(found["notice critical-alerts (webhook)"] - found["firing"])
    with pytest.raises(Unusable, match="no fault"):
        scales.instants(without(FaultOk))


def test_what_one_scale_lacks_is_a_dash_and_the_spread_is_of_the_others() -> None:
    rows = scales.side_by_side([{"pending": 20.0}, {"pending": 23.5, "firing": 80.0}])
    assert rows == [("pending", "20.0", "23.5", "3.5"), ("firing", "-", "80.0", "0.0")]


def test_slow_scales_get_longer_limits_and_bad_ones_are_refused() -> None:
    assert "limits.run=30m" in scales.settings_at(1, ())
    assert scales.settings_at(60, ("seed=1",)) == ("seed=1",)
    assert scales.parse_scales(None, None, "10,60") == [10.0, 60.0]
    for wrong in ("0.5", "ten", ""):
        with pytest.raises(click.BadParameter):
            scales.parse_scales(None, None, wrong)


def test_a_grown_history_is_read_whole_and_judged_as_the_recording() -> None:
    grown = judge_scale.grow(KEPT.events, 2_000)
    again = parse_history(b"".join(encode(event) + b"\n" for event in grown), "grown")
    assert len(again.events) >= 2_000
    assert [event.n for event in again.events] == list(range(len(again.events)))
    judged, recorded = (
        [(row.about, row.hop, row.to, row.observed, row.allowed, row.result, row.reason) for row in verify(each).rows]
        for each in (again, KEPT)
    )
    assert judged == recorded
    totals = next(again.of(LoadTotals))
    assert totals.started == sum(window.started for window in again.of(LoadWindow))


def test_a_recording_without_a_steady_phase_cannot_be_grown() -> None:
    with pytest.raises(Unusable, match="steady"):
        judge_scale.grow(KEPT.events[:20], 1_000)


def test_what_grows_in_a_soak_is_named_and_noise_of_memory_is_not() -> None:
    looks = [{"memory MiB": 60.0 + n / 20, "file handles": 7.0, "temporary files": n // 30} for n in range(100)]
    rows, grown = soak.rows_and_growth(looks)
    assert grown == ["temporary files"]
    assert [row[0] for row in rows] == ["memory MiB", "file handles", "temporary files"]
    assert (
        soak.rows_and_growth([{**look, "memory MiB": look["memory MiB"] * 3} for look in looks])[1][0] == "memory MiB"
    )


def test_growth_is_an_exponent_between_the_last_two_sizes() -> None:
    assert exponent([10, 100, 1000], [1.0, 10.0, 1000.0]) == pytest.approx(2.0)


def test_the_plain_locustfile_sends_what_the_spec_says() -> None:
    """Valid Python, the same weights, methods, paths and bodies; counters only where something counts."""
    text = locust_overhead.plain_locustfile(SPEC)
    compile(text, "plain_locustfile.py", "exec")
    assert "@task(3)" in text
    assert "self.client.request('GET', '/things?limit=10', name='list')" in text
    assert (
        """self.client.request('POST', f'/things/{n%5}', json={'name': f'Thing {n}', 'amount': 7}, name='make')"""
        in text
    )
    assert text.count("itertools.count()") == 1


def test_counts_of_plain_locust_are_read_from_what_it_prints() -> None:
    assert locust_overhead.told("noise\ncounted [0.5, 1000, 5.0, 2]\n", "") == Cost(0.5, 1000, 5.0, 2)
    assert Cost(0.5, 1000, 5.0).us == 500.0
    with pytest.raises(Unusable, match="counted no requests"):
        locust_overhead.told("", "its log")


@pytest.mark.parametrize(("requests", "failed"), [(0, 0), (100, 2)])
def test_a_load_that_failed_has_no_cost(requests: int, failed: int) -> None:
    """Failing costs something else than being answered: no ratio may come of it."""
    with pytest.raises(Unusable):
        Cost(1.0, requests, 1.0, failed).sound()


def test_the_start_and_the_last_second_of_a_load_are_not_counted() -> None:
    windows = [LoadWindowLine(second=(float(at), at + 1.0), finished=10 * at, cpu_s=0.1 * at) for at in range(1, 8)]
    cost = locust_overhead.counted(windows)
    assert (cost.requests, cost.span_s) == (40 + 50 + 60, 3.0)
    assert cost.cpu_s == pytest.approx(1.5)


def test_processes_are_told_apart_by_their_command_lines() -> None:
    assert footprint.part_of(["python", "-m", "chaoskit", "run"], root=True) == footprint.RUN
    assert footprint.part_of(["crm[ab12] worker worker-1"], root=False) == "CRM"
    assert footprint.part_of(["/x/prometheus", "--storage.tsdb.path=/chaoskit"], root=False) == "prometheus"
    assert footprint.part_of(["/x/prometheus-alertmanager", "--cluster.listen-address="], root=False) == "alertmanager"
    assert footprint.part_of(["python", "-m", "chaoskit.load.child"], root=False) == "load (Locust)"
    assert footprint.part_of(["sh"], root=False) == footprint.OTHER


def test_the_cheap_server_counts_whole_requests_only() -> None:
    get, post = b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    assert requests_in(get + post) == (2, b"")
    assert requests_in(post[:-1]) == (0, post[:-1])
    assert requests_in(get + b"GET /") == (1, b"GET /")


@pytest.mark.parametrize(
    "module",
    [run_overhead, locust_overhead, poll_gaps, scales, judge_scale, footprint, gate, rule_cost, soak, fuzz],
    ids=str,
)
def test_each_benchmark_explains_itself_and_refuses_nonsense(module: object) -> None:
    command: click.Command = module.main  # type: ignore[attr-defined]
    told = CliRunner().invoke(command, ["--help"])
    assert told.exit_code == 0
    assert "Usage" in told.output
    assert CliRunner().invoke(command, ["--no-such-option"]).exit_code == 2


def test_judging_starts_as_a_command(tmp_path: Path) -> None:
    """The smallest of them is run as its reader would run it."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.judge_scale", "--sizes", "400"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "machine:" in run.stdout
    assert not list(tmp_path.iterdir())


def test_a_gate_s_bound_and_each_scenario_s_last_result_are_read_from_what_it_said() -> None:
    said = (
        "3 scenarios in 2 stacks, 2 side by side: \nabout 2:05 (real)\nPASS  one, 3.0 s\nUNKNOWN  two, 4.1 s\n"
        "PASS  two, 5.0 s (second attempt, on a fresh stack)\n"
    )
    assert gate.read_gate(said) == (125.0, {"one": "PASS", "two": "PASS"})
    with pytest.raises(Unusable, match="no schedule"):
        gate.read_gate("nothing")


def test_scenarios_that_end_differently_are_named_with_each_end() -> None:
    one = gate.Played(1, 10.0, 9.0, 0, {"a": "PASS", "b": "PASS"}, (0.0, 0.0))
    two = dataclasses.replace(one, ended={"a": "PASS", "b": "FAIL"})
    assert gate.differing([one, one]) == []
    assert gate.differing([one, two]) == ["b: PASS, FAIL"]


def test_a_gate_of_a_series_says_what_failed_and_what_was_tried_twice() -> None:
    said = (
        "UNKNOWN  two, 4.1 s\nFAIL  one, 3.0 s\nPASS  two, 5.0 s (second attempt, on a fresh stack)\n"
        " \u2022 one: Alert, notify: never \nnotified\n \u2022 one: load: died\nproven: 1 of 2\n"
    )
    played = gate_series.read(said, 1, 9.0)
    assert (played.ended, played.again) == ({"one": "FAIL", "two": "PASS"}, 1)
    assert gate_series.blamed(played) == ["FAIL one: Alert, notify: never notified; load: died"]


def test_processes_that_compute_end_with_whoever_wanted_them() -> None:
    before = psutil.Process().children()  # whatever the tests before this one have
    with gate_series.busy(2):
        children = [child for child in psutil.Process().children() if child not in before]
        assert len(children) == 2
    assert not any(child.is_running() for child in children)


def test_a_counter_s_series_are_summed_and_others_of_a_longer_name_are_not() -> None:
    page = 'took_sum{group="a"} 1.5\ntook_sum{group="b"} 2\ntook_sum_total 9\n# HELP took_sum x\n'
    assert rule_cost.counter(page, "took_sum") == 3.5
    assert rule_cost.counter(page, "absent") == 0.0
