"""What the verdict says of the load: its books balance or nobody knows, and its latencies are not the generator's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaoskit.events import AnyEvent, Equipment, FaultOk, LoadTotals, LoadWindow, Phase, UndoOk, decode, encode
from chaoskit.history import History, parse_history
from chaoskit.verify.case import Case
from chaoskit.verify.load import GAP_S, LOAD, load_notes
from chaoskit.verify.verdict import Result, Row
from chaoskit.verify.verify import plan_of, verify
from tests.golden.doctored import with_events

KEPT = parse_history((Path(__file__).parents[1] / "golden" / "kept.jsonl").read_bytes(), "kept.jsonl")
PLAN = plan_of(KEPT.header)


def a_window(begin: float, **different: Any) -> LoadWindow:
    """A healthy second of 40 requests."""
    settings: dict[str, Any] = {
        "t": begin + 1, "second": (begin, begin + 1), "started": 40, "finished": 40, "failed": 0, "in_flight": 0,
        "dropped": 0, "users": 0, "p50_ms": 5.0, "p95_ms": 20.0, "p99_ms": 40.0, "cpu_s": 0.05, "busy": 0.05,
        "lag_ms": 8.0,
    }  # fmt: skip
    return LoadWindow(**{**settings, **different})


def some_load(windows: list[LoadWindow], **different: Any) -> History:
    """A history of a load: steps begin after its second window and end with its last."""
    sums = {name: sum(getattr(w, name) for w in windows) for name in ("started", "finished", "failed", "dropped")}
    settings: dict[str, Any] = {
        **sums, "t": windows[-1].t, "in_flight": windows[-1].in_flight, "locust_requests": sums["finished"],
        "locust_failures": sums["failed"], "p50_ms": 5.0, "p95_ms": 20.0, "p99_ms": 40.0, "reconciled": True,
    }  # fmt: skip
    begin = Phase(name="steps", t=windows[min(2, len(windows) - 1)].second[0])
    end = Phase(name="stopping", t=windows[-1].second[1])
    events: list[AnyEvent] = [KEPT.events[0], begin, *windows, end, LoadTotals(**{**settings, **different})]
    return with_events(KEPT, events)


def judge_load(history: History) -> list[Row]:
    return [one.row for one in LOAD.judge(Case(history, PLAN))]


def judged(history: History) -> list[str]:
    """The reasons why the load is not passed; empty when it is, by one row."""
    rows = judge_load(history)
    assert all(row.hop == row.about == "load" for row in rows)
    assert {row.result for row in rows} <= {Result.PASS, Result.UNKNOWN}
    if rows[0].result is Result.PASS:
        assert len(rows) == 1
        return []
    return [row.reason for row in rows]


def seconds(count: int, first: float = 1000.0, **different: Any) -> list[LoadWindow]:
    return [a_window(first + n, **different) for n in range(count)]


def test_a_load_whose_books_balance_passes() -> None:
    """Also with failures, drops, and requests in flight for a while and at the end."""
    assert judged(some_load(seconds(20))) == []
    frozen = [
        *seconds(5),
        a_window(1005, finished=0, in_flight=40, p95_ms=None),
        a_window(1006, finished=0, in_flight=70, dropped=10, p95_ms=None, oldest_ms=2000.0),
        a_window(1007, finished=100, failed=60, in_flight=10, p95_ms=2900.0),
    ]
    assert judged(some_load(frozen)) == []
    assert judged(KEPT) == []


DOCTORED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"in_flight": 1}, {}, "windows do not add up"),
    ({"started": 41}, {}, "windows do not add up"),
    ({"finished": 39}, {}, "windows do not add up"),
    ({"dropped": 2}, {}, "windows do not add up"),
    ({"failed": 1}, {"failed": 0, "locust_failures": 0}, "windows and its totals disagree"),
    ({}, {"started": 801}, "totals do not add up"),
    ({}, {"in_flight": 3}, "totals do not add up"),
    ({}, {"started": 810, "finished": 810, "locust_requests": 810}, "windows and its totals disagree"),
    ({}, {"locust_requests": 799}, "Locust's own statistics say 799"),
    ({}, {"locust_failures": 1}, "Locust's own statistics say 800 and 1"),
    ({}, {"reconciled": False, "detail": "because"}, "do not add up: because"),
]


@pytest.mark.parametrize(("in_a_window", "in_totals", "said"), DOCTORED)
def test_a_sum_that_does_not_come_out_is_unknown(
    in_a_window: dict[str, Any], in_totals: dict[str, Any], said: str
) -> None:
    """Made again from the windows: what the generator says of itself does not help it."""
    windows = seconds(20)
    windows[9] = msgspec.structs.replace(windows[9], **in_a_window)
    assert any(said in reason for reason in judged(some_load(windows, **in_totals)))


@pytest.mark.parametrize("name", ["started", "finished", "dropped", "in_flight"])
def test_no_doctored_window_of_a_recorded_run_passes(name: str) -> None:
    for number, event in enumerate(KEPT.events):
        if isinstance(event, LoadWindow):
            wrong = msgspec.structs.replace(event, **{name: getattr(event, name) + 1})
            doctored = with_events(KEPT, [*KEPT.events[:number], wrong, *KEPT.events[number + 1 :]])
            assert judged(doctored)
    verdict = verify(doctored)
    assert {row.result for row in verdict.rows if row.hop == "load"} == {Result.UNKNOWN}
    assert {row.result for row in verdict.rows if row.hop == "notify"} == {Result.PASS}
    assert verdict.exit_code == 3


def test_a_lost_window_is_unknown() -> None:
    windows = seconds(20)
    history = some_load(windows)
    lost = [event for event in history.events if event is not history.events[12]]
    assert any("disagree" in reason for reason in judged(with_events(history, lost)))


def test_no_totals_a_death_and_a_silence_are_unknown() -> None:
    history = some_load(seconds(20))
    without = [event for event in history.events if not isinstance(event, LoadTotals)]
    assert judged(with_events(history, without)) == ["the load generator sent no totals at its end; see load.log"]
    died = [*history.events, Equipment(name="load", state="down", detail="killed", t=1010.0)]
    assert "died during the run (killed)" in judged(with_events(history, died))[0]
    silent = [*seconds(5), *seconds(5, first=1005 + GAP_S + 1)]
    assert any("no word from the load generator" in reason for reason in judged(some_load(silent)))


def test_a_generator_near_a_full_core_makes_its_latencies_unknown() -> None:
    windows = [*seconds(17), *seconds(3, first=1017.0, busy=0.93, cpu_s=0.93)]
    (reason,) = judged(some_load(windows))
    assert "used up to 93% of a core, and at least 90% in 3 of 18 seconds" in reason
    assert "more about the generator than about the service" in reason
    assert "load.processes" in reason


def test_one_busy_process_of_several_is_enough() -> None:
    """CPU seconds of several processes may be more than one a second while each has time left."""
    assert judged(some_load(seconds(20, busy=0.6, cpu_s=1.2))) == []
    assert judged(some_load(seconds(20, busy=0.95, cpu_s=1.2)))


def test_a_schedule_that_lags_makes_its_latencies_unknown() -> None:
    """Though it uses little CPU: a starved machine gave it none."""
    windows = [*seconds(15), *seconds(5, first=1015.0, late=0.4, lag_ms=812.0)]
    (reason,) = judged(some_load(windows))
    assert "behind its own schedule by more than 50 ms for 11% of its requests, by up to 812 ms" in reason


QUIET: dict[str, list[LoadWindow]] = {
    "one busy second": [*seconds(17), a_window(1017.0, busy=1.0), *seconds(2, first=1018.0)],
    "busy before the first step": [*seconds(2, busy=1.0, late=1.0), *seconds(20, first=1002.0)],
    "busy slivers at both ends": [
        *seconds(20),
        a_window(1020.0, second=(1020.0, 1020.1), busy=1.0, late=1.0),
        a_window(1020.1, second=(1020.1, 1020.2), busy=1.0, late=1.0),
    ],
    "few of many requests": [*seconds(98), *seconds(2, first=1098.0, busy=0.99, late=0.9, lag_ms=900.0)],
    "a moment stolen": [*seconds(19), a_window(1019.0, late=0.2, lag_ms=150.0)],
    "busy, not full": seconds(20, busy=0.85),
    "histories that did not tell": seconds(20, busy=None),
}


@pytest.mark.parametrize("windows", QUIET.values(), ids=QUIET)
def test_what_cannot_have_moved_a_percentile_is_let_pass(windows: list[LoadWindow]) -> None:
    assert judged(some_load(windows)) == []


def test_a_frozen_target_is_not_the_generators_doing() -> None:
    """Seconds of latency, and a generator that only waits."""
    frozen = [a_window(1008.0 + n, finished=0, in_flight=40 * (n + 1), oldest_ms=1000.0 * (n + 1)) for n in range(5)]
    after = a_window(1013.0, finished=240, p95_ms=4700.0, p99_ms=4900.0)
    assert judged(some_load([*seconds(8), *frozen, after])) == []


def test_answers_that_were_never_reported_are_named_and_cost_nothing_else() -> None:
    """Locust does not count them; whatever else it does not count is still UNKNOWN."""
    told = {"locust_requests": 790, "unreported": {"forgot": 7, "lost": 3}}
    assert judged(some_load(seconds(20), **told)) == []
    assert "10 requests were answered and never reported" in load_notes(some_load(seconds(20), **told))[1]
    assert "forgot 7, lost 3" in load_notes(some_load(seconds(20), **told))[1]
    assert "Locust's own statistics" in " ".join(judged(some_load(seconds(20), **{**told, "locust_requests": 789})))


def test_what_the_end_cut_short_is_noted() -> None:
    told = ["a user of Clerk had not ended when 4.5 s were over, and was cut off in own.py:7"]
    assert f"load: {told[0]};" in load_notes(some_load(seconds(20), cut_short=told))[1]


def test_the_notes_tell_what_the_generator_cost() -> None:
    told = {"span": (1000.0, 1020.0), "cpu_s": 1.24, "busy": 0.31, "lag_ms": 48.2, "late": 0.012, "oldest_ms": 730.0}
    first, second = load_notes(some_load(seconds(20), **told))
    assert first.startswith(
        "load: 800 requests started, 800 finished, 0 failed, 0 in flight at the end, 0 dropped; P95"
    )
    assert "1.2 s of CPU in 20.0 s, 31% of a core" in second
    assert "at most 48 ms late, 1.2% of the time more than 50 ms" in second
    assert "730 ms" in second
    assert len(load_notes(some_load(seconds(20)))) == 1


def test_a_history_from_before_these_figures_is_still_read() -> None:
    """What was written without them gets their defaults, and says nothing about the generator."""
    old = (
        b'{"type":"load","n":1,"t":2.0,"second":[1.0,2.0],"started":3,"finished":3,"failed":0,"in_flight":0,"dropped":0,'
        b'"users":0,"p50_ms":1.0,"p95_ms":1.0,"p99_ms":1.0,"cpu_s":0.1,"failures":{}}'
    )
    window = decode(old)
    assert isinstance(window, LoadWindow)
    assert (window.oldest_ms, window.lag_ms, window.late, window.busy) == (0.0, 0.0, 0.0, None)
    assert decode(encode(window)) == window
    totals = decode(
        b'{"type":"load-totals","n":1,"t":2.0,"started":3,"finished":3,"failed":0,"in_flight":0,"dropped":0,'
        b'"locust_requests":3,"locust_failures":0,"p50_ms":1.0,"p95_ms":1.0,"p99_ms":1.0,"reconciled":true,"detail":""}'
    )
    assert isinstance(totals, LoadTotals)
    assert (totals.busy, totals.span, totals.cpu_s) == (None, None, 0.0)


def asked(windows: list[LoadWindow], *, users: float | None = None, rate: float | None = None) -> list[LoadWindow]:
    """The same windows of a generator that told what it was asked for, and gave twenty signs of life a second."""
    told = {"asked_users": users, "asked_requests": rate, "beats": 20, "users": int(users or 0)}
    return [msgspec.structs.replace(window, **told) for window in windows]


def altered(windows: list[LoadWindow], first: int, last: int, **different: Any) -> list[LoadWindow]:
    """The same with the seconds from the first to before the last told differently."""
    return [msgspec.structs.replace(w, **different) if first <= n < last else w for n, w in enumerate(windows)]


NONE_SENT = {"started": 0, "finished": 0, "p50_ms": None, "p95_ms": None, "p99_ms": None}


def test_users_that_are_gone_are_unknown_with_how_many_since_when_and_why() -> None:
    """The first half of a load is no load for the second half."""
    windows = asked(seconds(20), users=8)
    gone = altered(windows, 10, 20, users=0, **NONE_SENT)
    gone = altered(gone, 9, 10, ended={"it stopped itself (StopUser)": 8})
    (reason,) = judged(some_load(gone))
    assert "0 of 8 users were alive" in reason
    assert "for 10 s of the time from the first step on (18.0 s, real)" in reason
    assert "the first user to end did so" in reason
    assert "it stopped itself (StopUser)" in reason
    assert "load.log" in reason
    assert judged(some_load(windows)) == []


def test_a_generator_that_stood_still_is_unknown_in_both_models() -> None:
    """Its seconds without a sign of life count as none, whatever they say of users."""
    for model in ({"users": 8.0}, {"rate": 40.0}):
        windows = asked(seconds(20), **model)
        (reason,) = judged(some_load(altered(windows, 6, 12, beats=0, **NONE_SENT)))
        assert "the generator stood still for 6 s of it" in reason


def test_one_of_several_processes_that_stood_still_is_unknown_with_its_share() -> None:
    """However much the others did: half of the users alive is half of the load. A master bears none."""
    windows = asked(seconds(20), users=8)
    (reason,) = judged(some_load(altered(windows, 6, 12, users=4, still={"load-1": 0.5})))
    assert "process load-1 of the load generator, which bore 50% of the load, stood still for 6 s" in reason
    assert judged(some_load(altered(windows, 6, 7, users=4, still={"load-1": 0.5}))) == []
    assert judged(some_load(altered(windows, 6, 12, still={"load-master": 0.0}))) == []


def test_requests_that_were_due_and_never_begun_are_unknown_and_dropped_ones_were_begun() -> None:
    windows = asked(seconds(20), rate=40)
    few = altered(windows, 6, 12, started=19, finished=19)
    assert "19 of 40 requests that were due had begun" in judged(some_load(few))[0]
    assert judged(some_load(altered(windows, 6, 12, started=20, finished=20))) == []
    assert judged(some_load(altered(windows, 6, 12, finished=0, dropped=40))) == []


def test_less_than_two_seconds_or_a_tenth_of_load_may_be_absent() -> None:
    windows = asked(seconds(42), rate=40)
    assert judged(some_load(altered(windows, 6, 7, **NONE_SENT))) == []
    assert judged(some_load(altered(windows, 6, 10, **NONE_SENT))) == []
    assert judged(some_load(altered(windows, 6, 11, **NONE_SENT))) != []


def test_in_a_short_fault_two_seconds_are_enough() -> None:
    windows = asked(seconds(42), rate=40)
    history = some_load(altered(windows, 20, 22, **NONE_SENT))
    fault = [FaultOk(fault="kill#0", effect=(1019.5, 1019.6)), UndoOk(fault="kill#0", gone=(1024.0, 1024.1))]
    assert judged(history) == []
    (reason,) = judged(with_events(history, [*history.events[:-1], *fault, history.events[-1]]))
    assert "for 2 s of the time in force (4.6 s, real)" in reason


def test_a_level_of_nothing_asks_for_nothing_and_a_rising_one_gets_a_second() -> None:
    soaked = asked(seconds(20), users=0)
    assert judged(some_load(altered(soaked, 0, 20, **NONE_SENT))) == []
    doubled = [*asked(seconds(10), users=4), *asked(seconds(10, first=1010), users=40)]
    assert judged(some_load(altered(doubled, 10, 11, users=5))) == []


def test_a_slow_load_is_judged_over_enough_of_its_requests() -> None:
    """At one request in two seconds every other second is empty, and that is what was asked for."""
    slow = asked([a_window(1000.0 + n, started=n % 2, finished=n % 2) for n in range(40)], rate=0.5)
    assert judged(some_load(slow)) == []
    assert judged(some_load(altered(slow, 8, 40, started=0, finished=0))) != []


def test_a_history_that_does_not_tell_what_was_asked_for_is_judged_as_before() -> None:
    assert judged(some_load(altered(seconds(20), 6, 12, **NONE_SENT))) == []


def test_exceptions_of_the_locustfile_are_told_in_row_and_notes() -> None:
    """They make no verdict by themselves; beside a load that is UNKNOWN they may be why."""
    reason = "TypeError: nothing (own.py:7)"
    history = some_load(seconds(20, raised={reason: 2}))
    (row,) = judge_load(history)
    assert (row.result, row.rests_on) == (Result.PASS, "800 requests, 40 exceptions in the locustfile")
    assert f"load: the locustfile's own code raised 40 exceptions: {reason}: 40 times; see load.log" in load_notes(
        history
    )
    without = [event for event in history.events if not isinstance(event, LoadTotals)]
    assert reason in judged(with_events(history, without))[0]
