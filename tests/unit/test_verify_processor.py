"""A machine that lets nothing run says nothing of what is tested: UNKNOWN. A machine that has time excuses nothing.

Literals in virtual seconds after the fault; one real second is a virtual minute. The kernel's word is in real seconds.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from chaoskit.events import AlertState, AnyEvent, Event, FaultOk, Notice, Processor, Suppression, UndoBegin
from chaoskit.history import History
from chaoskit.observe.processor import ProcessorObserver
from chaoskit.verify.excuses import MOST_S, SECOND, SHARE, on_the_way_s, starved
from chaoskit.verify.verdict import Result, Verdict
from chaoskit.verify.verify import plan_of, verify
from tests.golden.doctored import DOORS, Truth, mapped, recorded, results, told, with_events

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN
SCALE = 60.0
STRAY = {"alertname": "HighLatencyP95", "severity": "warning", "component": "api"}
CALM, WAITING, BUSY = (0.10, 0.15), (0.25, 1.20), (0.05, 0.95)
"""Real seconds that equipment uses and waits in each real second."""


def fault_of(history: History) -> float:
    return next(history.of(FaultOk)).effect[0]


def with_stray(history: History, pending_vs: float, firing_vs: float) -> History:
    """The history in which an alert fired that nobody promised."""
    begun = fault_of(history)
    pending, firing = begun + pending_vs / SCALE, begun + firing_vs / SCALE
    strays = [
        AlertState(t=pending, labels=STRAY, state="pending", at=pending, previous=pending - 0.25, active_at=pending),
        AlertState(t=firing, labels=STRAY, state="firing", at=firing, previous=firing - 0.25, active_at=pending),
    ]
    return merged(history, strays)


def running(history: History, spans: Iterator[tuple[float, float]], busy: tuple[float, float], name: str) -> History:
    """The history of a machine that is busy in these spans of virtual seconds after the fault, and calm otherwise."""
    begun, told_by_kernel, at, busy_in = fault_of(history), list[AnyEvent](), history.events[0].t, list(spans)
    while at < history.last_t:
        after_vs = (at - begun) * SCALE
        used, waited = busy if any(a <= after_vs < b for a, b in busy_in) else CALM
        seen = Processor(t=at + 1, during=(at, at + 1), used_s={name: used}, waited_s={name: waited})
        told_by_kernel.append(seen)
        at += 1
    return merged(history, told_by_kernel)


def merged(history: History, more: list[AnyEvent]) -> History:
    events = list[Event](sorted([*history.events[1:-1], *more], key=lambda event: event.t))
    kept = [e for e in events if e.t <= history.last_t]
    return with_events(history, [history.events[0], *kept, history.events[-1]])  # type: ignore[list-item]


def seconds(share: float, *busy: int) -> list[Processor]:
    """Half a minute in which the target waits for this share of the busy seconds, and for little of the others."""
    waits = [share if second in busy else 0.4 for second in range(30)]
    return [
        Processor(during=(n, n + 1.0), used_s={"target": 1 - waited}, waited_s={"target": waited})
        for n, waited in enumerate(waits)
    ]


def always() -> Iterator[tuple[float, float]]:
    return iter([(-1e6, 1e6)])


def finding(verdict: Verdict) -> str:
    return " ".join(row.reason for row in verdict.rows if row.hop == "finding")


def test_an_alert_nobody_promised_on_a_machine_with_time_is_a_failure() -> None:
    history = with_stray(told(Truth()), 30, 60)
    assert results(verify(history), "finding") == {FAIL}
    assert results(verify(running(history, iter([]), BUSY, "target")), "finding") == {FAIL}


def test_an_alert_nobody_promised_while_the_target_waited_for_a_processor_is_unknown_and_says_why() -> None:
    verdict = verify(running(with_stray(told(Truth()), 30, 60), always(), BUSY, "target"))
    assert results(verdict, "finding") == {UNKNOWN}
    assert "the target waited for a processor for 95% of the time" in finding(verdict)
    assert "neither expects nor allows it" in finding(verdict)


def test_a_busy_machine_at_another_time_excuses_nothing() -> None:
    """The rule looks back five minutes; the machine was busy only after the alert had fired."""
    history = with_stray(told(Truth()), 30, 60)
    assert results(verify(running(history, iter([(125.0, 1e6)]), BUSY, "target")), "finding") == {FAIL}


def test_only_the_target_s_own_waiting_explains_an_alert() -> None:
    history = with_stray(told(Truth()), 30, 60)
    assert results(verify(running(history, always(), BUSY, "load")), "finding") == {FAIL}


def test_in_real_time_a_busy_machine_excuses_nothing() -> None:
    """Who uses a service that waits for a processor suffers from it too."""
    seen = [Processor(during=(0.0, 1.0), used_s={"target": 0.1}, waited_s={"target": 0.9})]
    assert starved(seen, ("target",), 0.0, 1.0, 60.0)
    assert not starved(seen, ("target",), 0.0, 1.0, 1.0)


@pytest.mark.parametrize(("share", "excused"), [(SECOND - 0.01, False), (SECOND + 0.01, True)])
def test_one_second_in_which_hardly_anything_ran_is_enough_and_only_within_the_span(
    share: float, excused: bool
) -> None:
    """It is a virtual minute: requests meet their deadlines in it, though the mean of the span looks healthy."""
    seen = seconds(share, 10)
    assert bool(starved(seen, ("target",), 0.0, 30.0, SCALE)) is excused
    assert not starved(seen, ("target",), 0.0, 10.0, SCALE)
    assert not starved(seen, ("target",), 11.0, 30.0, SCALE)


@pytest.mark.parametrize(("share", "excused"), [(SHARE - 0.01, False), (SHARE + 0.01, True)])
def test_two_seconds_in_a_row_are_enough_and_two_that_are_apart_are_not(share: float, excused: bool) -> None:
    assert bool(starved(seconds(share, 10, 11), ("target",), 0.0, 30.0, SCALE)) is excused
    assert not starved(seconds(share, 10, 20), ("target",), 0.0, 30.0, SCALE)
    assert not starved(seconds(share, 10, 11), ("target",), 11.0, 30.0, SCALE)


def test_an_alert_that_was_pending_before_the_fault_is_a_failure_unless_the_target_was_starved_just_then() -> None:
    """It stays, so what the fault brings about is not seen; that it was there at all is a finding besides."""
    history = told(Truth(pending_vs=-60.0, held_vs=120.0))
    verdict = verify(running(history, iter([]), BUSY, "target"))
    assert results(verdict, "detect") == results(verdict, "finding") == {FAIL}
    assert "was pending already 59.9 s before the fault" in " ".join(row.reason for row in verdict.rows)
    verdict = verify(running(history, iter([(-180.0, -60.0)]), BUSY, "target"))
    assert results(verdict, "detect") == results(verdict, "finding") == {UNKNOWN}
    assert verdict.result is UNKNOWN


def test_what_was_pending_before_the_fault_is_said_of_that_instance_and_of_no_other() -> None:
    """Two workers are promised; one's alert stood before, the other's never came."""
    history = told(Truth(pending_vs=-60.0, held_vs=120.0))
    plan = plan_of(history.header)
    alert = plan.alerts[0]
    both = replace(alert, names=(*alert.names, "worker-nobody-killed"), count=2)
    verdict = verify(history, replace(plan, alerts=(both, *plan.alerts[1:])))
    said = {row.about: row.reason for row in verdict.rows if row.hop == "detect"}
    assert "was pending already" in said[f"{alert.rule.alert} {alert.names[0]}"]
    assert "never became pending" in said[f"{alert.rule.alert} worker-nobody-killed"]


@pytest.mark.parametrize(("waited_s", "excused"), [(SHARE - 0.01, False), (SHARE + 0.01, True)])
def test_the_share_of_its_ready_time_decides(waited_s: float, excused: bool) -> None:
    seen = [Processor(during=(0.0, 1.0), used_s={"target": 1 - waited_s}, waited_s={"target": waited_s})]
    assert bool(starved(seen, ("target",), 0.0, 1.0, 60.0)) is excused


def test_who_waits_for_most_of_what_is_next_to_nothing_is_not_starved() -> None:
    """An idle process that wakes up now and then is late by what it waited, which is not what a window is wide."""
    seen = [Processor(during=(0.0, 1.0), used_s={"alertmanager": 0.01}, waited_s={"alertmanager": 0.09})]
    assert not starved(seen, ("alertmanager",), 0.0, 1.0, 60.0)


@pytest.mark.parametrize(
    ("truth", "hop"),
    [(Truth(pending_vs=90.0), "detect"), (Truth(held_vs=120.0), "hold"), (Truth(cleared_vs=120.0), "clear")],
    ids=["detect", "hold", "clear"],
)
def test_what_comes_late_is_unknown_on_a_starved_machine_and_a_failure_on_a_calm_one(truth: Truth, hop: str) -> None:
    history = told(truth)
    assert results(verify(running(history, iter([]), BUSY, "target")), hop) == {FAIL}
    verdict = verify(running(history, always(), BUSY, "target"))
    assert results(verdict, hop) == {UNKNOWN}
    assert verdict.result is UNKNOWN


def test_a_hold_that_is_too_short_has_no_excuse() -> None:
    """Nothing fires before its time for want of a processor."""
    assert results(verify(running(told(Truth(held_vs=30.0)), always(), BUSY, "target")), "hold") == {FAIL}


def test_an_alert_that_resolves_before_the_undo_is_a_failure_unless_the_scrapes_just_before_were_starved() -> None:
    """Samples of a scrape that takes too long are missing, and an alert without samples resolves."""
    history = told(Truth())
    undo = next(event.t for event in history.events if isinstance(event, UndoBegin))

    def earlier(event: AnyEvent) -> AnyEvent:
        if not (isinstance(event, AlertState) and event.state == "inactive"):
            return event
        return msgspec.structs.replace(event, t=undo - 0.1, at=undo - 0.15, previous=undo - 0.2)

    moved = merged(mapped(history, earlier), [])
    assert results(verify(running(moved, iter([]), BUSY, "target")), "clear") == {FAIL}
    before_vs = (undo - fault_of(history)) * SCALE - 60
    assert results(verify(running(moved, iter([(before_vs - 60, before_vs + 60)]), BUSY, "target")), "clear") == {
        UNKNOWN
    }
    assert results(verify(running(moved, iter([(200, 1e6)]), BUSY, "target")), "clear") == {FAIL}


def test_a_notice_that_is_told_again_is_a_failure_on_a_calm_machine_and_unknown_on_a_starved_one() -> None:
    history = told(Truth())
    first = next(n for n in history.of(Notice) if n.status == "firing")
    again = msgspec.structs.replace(first, t=first.t + 0.2, sent=(first.sent[0] + 0.2, first.sent[1] + 0.2))
    twice = merged(history, [again])
    assert results(verify(running(twice, iter([]), BUSY, "target")), "finding") == {FAIL}
    verdict = verify(running(twice, always(), BUSY, "target"))
    assert results(verdict, "finding") == {UNKNOWN}
    assert "notified of the same again" in finding(verdict)


def test_what_ended_and_fired_anew_is_rightly_told_again() -> None:
    """A mail without an all-clear says the same both times."""
    history = told(Truth())
    first = next(n for n in history.of(Notice) if n.status == "firing")
    at = first.sent[1]
    fired = next(
        e
        for e in history.of(AlertState)
        if e.state == "firing" and e.labels["alertname"] == first.alerts[0].labels["alertname"]
    )
    anew = [
        msgspec.structs.replace(fired, t=t, at=t, previous=t - 0.02, state=state, active_at=active_at)
        for t, state, active_at in (
            (at + 0.05, "inactive", None), (at + 0.1, "pending", at + 0.1),
            (at + 0.15, "firing", at + 0.1),
        )
    ]  # fmt: skip
    again = msgspec.structs.replace(first, t=at + 0.2, sent=(first.sent[0] + 0.2, first.sent[1] + 0.2))
    verdict = verify(running(merged(history, [*anew, again]), iter([]), BUSY, "target"))
    assert "fired once more than expected" in finding(verdict)
    assert "notified of the same again" not in finding(verdict)


@pytest.mark.parametrize(
    ("late_vs", "waits", "expected"),
    [(15.0, WAITING, UNKNOWN), (15.0, CALM, FAIL), (35.0, WAITING, FAIL), (2.0, WAITING, PASS)],
    ids=["late", "late on a calm machine", "later than that explains", "in time"],
)
def test_a_notice_is_unknown_where_it_is_no_later_than_its_way_waited_for_a_processor(
    late_vs: float, waits: tuple[float, float], expected: Result
) -> None:
    """Of five seconds after the earliest instant; an evaluation's share of Prometheus's waiting is 18 virtual s."""
    assert WAITING[1] / sum(WAITING) < SHARE
    door = ("worker-alerts", "email")
    history = told(Truth(notified_vs=dict.fromkeys(DOORS, 0.0) | {door: late_vs}))
    verdict = verify(running(history, always(), waits, "prometheus"))
    [row] = [row for row in verdict.rows if row.hop == "notify" and row.to == "worker-alerts (email)"]
    assert row.result is expected
    assert ("on the way of the notice" in row.reason) is (expected is UNKNOWN)


def test_a_notice_s_way_excuses_nothing_in_real_time_and_no_other_hop() -> None:
    seen = [Processor(during=(0.0, 1.0), used_s={}, waited_s={"prometheus": 0.8, "alertmanager": 0.1})]
    assert on_the_way_s(seen, [], 0.25, 0.0, 1.0, 60.0) == pytest.approx(0.3)
    assert on_the_way_s(seen, [], 0.25, 1.0, 2.0, 60.0) == 0.0
    assert on_the_way_s(seen, [], 0.25, 0.0, 1.0, 1.0) == 0.0
    readings = [(1.0, 0.0), (2.0, 0.0), (3.0, 0.1), (4.0, 0.1), (5.0, 9.0)]
    spans = ((1.5, 2.5), (3.5, 3.9), (0.0, 9.0), (4.0, 9.0))
    assert [on_the_way_s([], readings, 0.25, *span, SCALE) for span in spans] == [0.1, 0.0, 0.0, MOST_S]
    assert on_the_way_s([], readings, 0.25, 4.0, 9.0, 1.0) == 0.0
    late = told(Truth(pending_vs=90.0))
    assert results(verify(running(late, always(), WAITING, "prometheus")), "detect") == {FAIL}


def test_a_starved_machine_makes_no_promise_kept_unknown() -> None:
    assert verify(running(told(Truth()), always(), BUSY, "target")).result is PASS


def test_an_observer_counts_what_a_session_of_processes_uses() -> None:
    """A process that computes without pause is seen to use its time; the kernel's waiting is never negative."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    heard: list[Event] = []
    observer = ProcessorObserver(lambda: {busy.pid: "target"}, heard.append)
    try:
        observer.look_once()
        end = time.monotonic() + 20
        while sum(event.used_s["target"] for event in heard if isinstance(event, Processor)) < 0.1:
            assert time.monotonic() < end
            observer.look_once()
        assert all(event.stopped == {} for event in heard if isinstance(event, Processor))
        busy.send_signal(signal.SIGSTOP)
        os.waitpid(busy.pid, os.WUNTRACED)
        observer.look_once()
    finally:
        busy.kill()
        busy.wait(10)
    assert isinstance(heard[-1], Processor)
    (title,) = heard[-1].stopped["target"]
    assert "while True: pass" in title
    seen = [event for event in heard if isinstance(event, Processor)]
    assert all(event.waited_s["target"] >= 0 for event in seen)
    assert all(a.during[1] == b.during[0] for a, b in itertools.pairwise(seen))


@pytest.mark.parametrize(("routed", "expected"), [(True, UNKNOWN), (False, FAIL)])
def test_a_notice_that_no_route_leads_to_its_receiver_is_a_failure_however_busy_the_machine(
    routed: bool, expected: Result
) -> None:
    """It cannot come, so it is not late for want of a processor; where a route does lead there, it may be."""
    quiet = {"critical-alerts"}
    history = mapped(told(Truth()), lambda e: None if isinstance(e, Notice) and e.receiver in quiet else e)
    if not routed:
        header, name = history.header, "alertmanager:alertmanager.yml"
        text = header.sources[name].replace("- 'severity=\"critical\"'", "- 'severity=\"fatal\"'")
        assert text != header.sources[name]
        history = replace(history, header=msgspec.structs.replace(header, sources=header.sources | {name: text}))
    verdict = verify(running(history, always(), BUSY, "target"))
    assert results(verdict, "notify", "critical-alerts") == {expected}


@pytest.mark.parametrize(
    ("lapsed", "busy", "expected"),
    [(True, BUSY, UNKNOWN), (True, CALM, FAIL), (False, BUSY, FAIL)],
    ids=["lapsed on a starved machine", "lapsed on a calm one", "in force all the time"],
)
def test_a_notice_that_a_muter_should_have_held_back_is_unknown_only_where_the_muter_lapsed_on_a_starved_machine(
    lapsed: bool, busy: tuple[float, float], expected: Result
) -> None:
    """A muter without samples resolves, and mutes nobody until it fires again."""
    history = recorded("not-suppressed")
    muter = next(e for e in history.of(AlertState) if e.state == "firing" and "Multiple" in e.labels["alertname"])
    [muted] = [row.about for row in verify(history).rows if row.hop == "suppressed"]
    worker = muted.removeprefix("WorkerUnhealthy ")
    told_at = min(n.sent[0] for n in history.of(Notice) if any(a.labels.get("worker_name") == worker for a in n.alerts))
    lives = [("inactive", -0.5), ("pending", 0.1), ("firing", 0.5)] if lapsed else []
    between = [
        msgspec.structs.replace(muter, t=told_at + at, state=state, at=told_at + at, previous=told_at + at - 0.25)
        for state, at in lives
    ]
    verdict = verify(running(merged(history, between), always(), busy, "target"))
    assert results(verdict, "suppressed") == {expected}
    reasons = " ".join(row.reason for row in verdict.rows if row.hop == "suppressed")
    assert ("the source had ended for a while, and this machine was too busy" in reasons) is (expected is UNKNOWN)


@pytest.mark.parametrize(("busy", "expected"), [(BUSY, UNKNOWN), (CALM, FAIL)], ids=["starved", "calm"])
def test_an_alert_never_shown_as_suppressed_is_a_failure_on_a_calm_machine_and_unknown_on_a_starved_one(
    busy: tuple[float, float], expected: Result
) -> None:
    history = mapped(recorded("suppressed"), lambda e: None if isinstance(e, Suppression) and e.inhibited_by else e)
    assert results(verify(running(history, always(), busy, "prometheus")), "suppressed") == {expected}
