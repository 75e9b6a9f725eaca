"""The books of a load: every request is in one place, every second exact, every percentile of all requests."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.histogram import bucket, merge, percentile_ms, value_ms
from chaoskit.load.counters import OTHER, Counters, Ticket
from chaoskit.load.messages import (
    ByName,
    LoadState,
    LoadTotals,
    LoadWindow,
    Report,
    decode_report,
    encode,
    join_windows,
)
from chaoskit.load.tally import Tally

latencies = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=300)


def totals_of(counters: Counters, **different: Any) -> LoadTotals:
    return counters.totals(**{"locust_requests": counters.finished, "locust_failures": counters.failed, **different})


@given(latencies, st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_within_two_percent_of_the_exact_one(values: list[float], share: float) -> None:
    found = percentile_ms(merge({bucket(v): 1} for v in values), share)
    exact = sorted(values)[max(1, math.ceil(share * len(values) - 1e-9)) - 1]
    assert found == pytest.approx(exact, rel=0.02, abs=0.0006)


def test_nothing_finished_has_no_percentile() -> None:
    assert percentile_ms({}, 0.99) is None


def test_a_bucket_holds_its_own_value() -> None:
    assert all(bucket(value_ms(index)) == index for index in range(-300, 800))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("bfdxu"), st.floats(0, 0.9)), max_size=120))
def test_started_is_finished_and_in_flight_and_dropped_in_every_window(steps: list[tuple[str, float]]) -> None:
    """Whatever begins, finishes, is dropped, is cut off or turns up unannounced, in any order."""
    counters, now, held, windows = Counters(1000.25), 1000.25, list[Ticket](), list[LoadWindow]()
    for what, pause in steps:
        now += pause
        if what == "b":
            held.append(counters.begin(now, "a", now - pause))
        elif what == "d":
            counters.drop(now, "b")
        elif what == "u":
            counters.unannounced(now, "c", 1.0, "HTTP 500")
        elif held and what == "f":
            assert counters.finish(now, held.pop(0), 3.0, None)
        elif held:
            counters.cut_off(held.pop(0))
        windows += counters.roll(now, level=lambda _: 0.0, cpu_s=now - 1000.25)
    windows += counters.roll(now + 0.5, level=lambda _: 0.0, cpu_s=now + 0.5 - 1000.25, end=True)
    sums = dict.fromkeys(("started", "finished", "dropped"), 0)
    for window in windows:
        for name in sums:
            sums[name] += getattr(window, name)
        assert sums["started"] == sums["finished"] + window.in_flight + sums["dropped"]
    totals = totals_of(counters)
    assert totals.reconciled
    assert (totals.started, totals.finished, totals.dropped) == tuple(sums.values())
    assert totals.in_flight == windows[-1].in_flight == len(held) + totals.cut
    assert [w.second[0] for w in windows[1:]] == [w.second[1] for w in windows[:-1]]
    assert windows[0].second[0] == 1000.25
    assert windows[-1].second[1] == now + 0.5
    assert sum(w.cpu_s for w in windows) == pytest.approx(now + 0.5 - 1000.25, abs=0.01)


def test_an_event_belongs_to_its_own_second_however_late_it_is_read() -> None:
    counters = Counters(10.0)
    for at in (10.1, 10.9, 12.5):
        counters.finish(at + 0.05, counters.begin(at, "a"), 50.0, None)
    windows = counters.roll(13.2, level=lambda _: 0.0, cpu_s=0.6)
    assert [(w.second, w.started, w.finished) for w in windows] == [
        ((10, 11), 2, 2),
        ((11, 12), 0, 0),
        ((12, 13), 1, 1),
    ]
    assert [w.p99_ms for w in windows] == [pytest.approx(50, rel=0.01), None, pytest.approx(50, rel=0.01)]
    assert counters.roll(13.9, level=lambda _: 0.0, cpu_s=0.7) == []


def test_latency_and_lag_count_from_when_it_was_due_but_never_from_the_future() -> None:
    counters = Counters(10.0)
    assert counters.begin(10.4, "a", 10.1).due_s == 10.1
    assert counters.begin(10.5, "a", 10.6).due_s == 10.5
    (window,) = counters.roll(11.0, level=lambda _: 0.0, cpu_s=0)
    assert window.lag_ms == pytest.approx(300)
    assert window.oldest_ms == pytest.approx(900)


def test_the_share_of_late_moments_counts_due_requests_and_beats_alike() -> None:
    """A request without a time at which it was due is a user's own: it cannot be late."""
    counters = Counters(10.0)
    counters.begin(10.30, "a", 10.20)
    counters.begin(10.40, "a", 10.38)
    counters.begin(10.50, "a")
    counters.beat(10.60, 10.59, users=2, level=3.0)
    counters.beat(10.90, 10.70, users=3, level=4.0)
    first, second = counters.roll(12.0, level=lambda _: 0.0, cpu_s=0.5)
    assert (first.late, first.lag_ms) == (0.5, 200.0)
    assert (second.late, second.lag_ms) == (0.0, 0.0)
    assert (first.cpu_s, first.busy) == (second.cpu_s, second.busy) == (0.25, 0.25)
    totals = totals_of(counters)
    assert (totals.late, totals.lag_ms, totals.busy, totals.cpu_s) == (0.5, 200.0, 0.25, 0.5)
    assert totals.oldest_ms == pytest.approx(1800)


def test_a_short_window_is_as_busy_as_its_own_length_says() -> None:
    """CPU is spread by time: a sliver at an end is no full core because a second's share fell into it."""
    counters = Counters(10.9)
    windows = counters.roll(12.1, level=lambda _: 0.0, cpu_s=0.6, end=True)
    assert [w.busy for w in windows] == [0.5] * 3
    assert [w.cpu_s for w in windows] == pytest.approx([0.05, 0.5, 0.05])


def test_an_answer_whose_report_is_outstanding_is_in_flight_but_not_old() -> None:
    counters = Counters(10.0)
    counters.begin(10.1, "a").answered = True
    (window,) = counters.roll(11.0, level=lambda _: 0.0, cpu_s=0)
    assert (window.in_flight, window.oldest_ms) == (1, 0.0)


def test_an_outcome_counts_once() -> None:
    counters = Counters(10.0)
    ticket = counters.begin(10.1, "a")
    assert counters.finish(10.2, ticket, 100, "timeout")
    assert not counters.finish(10.3, ticket, 100, "timeout")
    counters.cut_off(ticket)
    assert (counters.finished, counters.failed, counters.cut) == (1, 1, 0)


def test_totals_say_where_locust_disagrees() -> None:
    counters = Counters(10.0)
    counters.finish(10.2, counters.begin(10.1, "a"), 100, "timeout")
    for wrong in ({"locust_requests": 2}, {"locust_failures": 0}):
        totals = totals_of(counters, **wrong)
        assert not totals.reconciled
        assert "but Locust says" in totals.detail
    assert totals_of(counters).reconciled


def test_totals_say_where_the_sums_disagree() -> None:
    counters = Counters(10.0)
    counters.begin(10.1, "a")
    counters.open.clear()
    totals = totals_of(counters)
    assert not totals.reconciled
    assert "started 1 is not finished 0 + in flight 0 + dropped 0" in totals.detail


def test_names_without_end_are_counted_together() -> None:
    counters = Counters(10.0)
    for n in range(1000):
        counters.unannounced(10.5, f"/lead/{n}", 1.0, None)
    (window,) = counters.roll(11.0, level=lambda _: 0.0, cpu_s=0)
    assert len(window.by_name) == 201
    assert window.by_name[OTHER].finished == 800


def a_window(second: float, **different: Any) -> LoadWindow:
    return LoadWindow(**{"second": (second, second + 1), **different})


def totals_like(started: int) -> LoadTotals:
    counters = Counters(10.0)
    for _ in range(started):
        counters.unannounced(10.5, "a", 1.0, None)
    counters.roll(11.0, level=lambda _: 0.0, cpu_s=0.1)
    return totals_of(counters)


def test_two_processes_are_heard_as_one_load() -> None:
    one = a_window(10, started=3, finished=2, in_flight=1, users=2, cpu_s=0.1, latency={0: 2}, failures={"reset": 1})
    two = a_window(10, started=4, finished=4, users=3, cpu_s=0.2, oldest_ms=7.0, latency={0: 1, 900: 3})
    joined = join_windows([one, two])
    assert (joined.started, joined.finished, joined.in_flight, joined.users) == (7, 6, 1, 5)
    assert (joined.latency, joined.failures, joined.oldest_ms) == ({0: 3, 900: 3}, {"reset": 1}, 7.0)
    assert joined.p99_ms == percentile_ms({900: 1}, 1)
    assert joined.cpu_s == pytest.approx(0.3)
    slow = join_windows([a_window(10, busy=0.9, lag_ms=4, late=0.5), a_window(10, busy=0.2, lag_ms=70, late=0.1)])
    assert (slow.busy, slow.lag_ms, slow.late) == (0.9, 70, 0.3)


def test_a_second_is_told_when_no_process_can_add_to_it() -> None:
    tally = Tally(["load-0", "load-1"], 2)
    assert tally.window(0, a_window(10, started=1)) == []
    assert tally.window(0, a_window(11, started=1)) == []
    assert [w.second[0] for w in tally.window(1, a_window(11, started=5))] == [10, 11]
    assert tally.window(0, a_window(12, started=1)) == []
    windows, totals = tally.total(1, totals_like(5))
    assert [w.second[0] for w in windows] == [12]
    assert totals is None
    assert tally.window(0, a_window(13, started=2))[0].started == 2
    _, totals = tally.total(0, totals_like(5))
    assert totals is not None
    assert (totals.started, totals.locust_requests, totals.reconciled) == (10, 10, True)


def test_a_load_that_dies_leaves_what_its_windows_told() -> None:
    tally = Tally(["load-0", "load-1"], 2)
    names = {"GET a": ByName(9, 5, 1, 0, {0: 5}, {"timeout": 1})}
    told = {"by_name": names, "failures": {"timeout": 1}, "latency": {0: 5}}
    tally.window(0, a_window(10, started=9, finished=5, failed=1, in_flight=4, **told))
    tally.window(1, a_window(10, started=1, in_flight=1))
    totals = tally.without_totals("it was killed")
    assert (totals.started, totals.finished, totals.failed, totals.in_flight) == (10, 5, 1, 5)
    assert (totals.reconciled, totals.detail, totals.failures) == (False, "it was killed", {"timeout": 1})
    assert totals.span == (10, 11)


@pytest.mark.parametrize(
    "line",
    [
        LoadState(state="ready", t=1.5, detail="x"),
        a_window(10, started=1, latency={-7: 1}, failures={"HTTP 503": 1}, busy=0.5, late=0.1, lag_ms=3, oldest_ms=2),
        totals_like(3),
    ],
)
def test_a_report_survives_the_pipe_and_becomes_an_event(line: Report) -> None:
    assert decode_report(encode(line)) == line
    if not isinstance(line, LoadState):
        told, kept = msgspec.structs.asdict(line.event()), msgspec.structs.asdict(line)
        both = told.keys() & kept.keys()
        assert {name: told[name] for name in both} == {name: kept[name] for name in both}
        assert both >= {"started", "busy", "late", "lag_ms", "oldest_ms", "cpu_s"}


def test_a_window_tells_what_was_asked_for_and_who_was_there() -> None:
    """A second without a beat has no users that are known to be alive; what it asked for is worked out afterwards."""
    counters = Counters(10.0, is_open=False)
    counters.beat(10.3, 10.3, users=8, level=8)
    counters.beat(10.8, 10.8, users=7, level=8)
    counters.end_user(10.7, "it stopped itself (StopUser)")
    first, second = counters.roll(12.0, level=lambda at_s: at_s, cpu_s=0)
    assert (first.users, first.asked_users, first.asked_requests, first.beats) == (7, 8.0, None, 2)
    assert first.ended == {"it stopped itself (StopUser)": 1}
    assert (second.users, second.asked_users, second.beats) == (0, 11.5, 0)
    (half,) = Counters(10.5).roll(11.0, level=lambda _: 40.0, cpu_s=0)
    assert (half.asked_requests, half.asked_users) == (20.0, None)


def test_reasons_of_ended_users_are_bounded() -> None:
    counters = Counters(10.0)
    for number in range(100):
        counters.end_user(10.5, f"KeyError: {number}")
    (window,) = counters.roll(11.0, level=lambda _: 0.0, cpu_s=0)
    assert len(window.ended) <= 9
    assert sum(window.ended.values()) == 100
