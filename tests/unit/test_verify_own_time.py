"""What nobody promised stands against the scenarios whose time it was in, and against no other of the same stack.

A scenario's own time is from its first step to the end of its tail. Literals in real seconds beside these instants; one
real second is a virtual minute.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from chaoskit.events import AlertState, AnyEvent, Notice, Phase
from chaoskit.history import History
from chaoskit.verify.verdict import Result, Verdict
from chaoskit.verify.verify import verify
from tests.golden.doctored import Truth, results, told, with_events

STRAY = {"alertname": "HighLatencyP95", "severity": "warning", "component": "api"}
BEFORE = "fired before the first step, and waited for until they had ended: HighLatencyP95"
AFTER = "fired after the end of this scenario's tail, while others played on in its stack: HighLatencyP95"


def began(history: History, phase: str) -> float:
    return next(event.t for event in history.of(Phase) if event.name == phase)


def later(event: AnyEvent, by_s: float) -> AnyEvent:
    return msgspec.structs.replace(event, t=event.t + by_s)


def shared(history: History, *more: AnyEvent) -> History:
    """A journal goes on until its stack is stopped, half a minute after this scenario's end."""
    *rest, last = history.events
    events: list[AnyEvent] = sorted([*rest, later(last, 30), *more], key=lambda event: event.t)
    return with_events(history, events)


def stray(pending: float, firing: float, inactive: float) -> list[AlertState]:
    """An alert that nobody promised, each instant known within a quarter of a second."""
    instants = {"pending": pending, "firing": firing, "inactive": inactive}
    return [
        AlertState(t=at, labels=STRAY, state=state, at=at, previous=at - 0.25, active_at=pending)  # type: ignore[arg-type]
        for state, at in instants.items()
    ]


def notice(history: History, sent: float, labels: dict[str, str]) -> Notice:
    """A mail to critical-alerts that tells of these labels firing."""
    like = next(event for event in history.of(Notice) if event.receiver == "critical-alerts")
    alert = msgspec.structs.replace(like.alerts[0], labels=labels, status="firing")
    return msgspec.structs.replace(like, t=sent, sent=(sent, sent), alerts=[alert])


def notes(verdict: Verdict) -> list[str]:
    return [note for note in verdict.notes if note.startswith("fired ")]


@pytest.mark.parametrize(
    ("phase", "after_s", "result", "noted"),
    [
        ("steps", -0.5, Result.PASS, [BEFORE]),
        ("steps", 0.5, Result.FAIL, []),
        ("stopping", -0.5, Result.FAIL, []),
        ("stopping", 0.5, Result.PASS, [AFTER]),
    ],
)
def test_an_alert_counts_from_the_first_step_to_the_end_of_the_tail_and_is_noted_otherwise(
    phase: str, after_s: float, result: Result, noted: list[str]
) -> None:
    history = told(Truth())
    firing = began(history, phase) + after_s
    verdict = verify(shared(history, *stray(firing - 1, firing, firing + 2)))
    assert results(verdict, "finding") == {result}
    assert notes(verdict) == noted
    assert verdict.result is result


def test_an_instant_that_may_be_of_its_time_is() -> None:
    """The alert fired between an evaluation before the end of the tail and one after it."""
    history = told(Truth())
    firing = began(history, "stopping") + 0.1
    assert results(verify(shared(history, *stray(firing - 1, firing, firing + 2))), "finding") == {Result.FAIL}


@pytest.mark.parametrize(("after_s", "result"), [(-0.5, Result.FAIL), (0.5, Result.PASS)])
def test_a_notice_that_nobody_was_promised_counts_until_the_end_of_the_tail(after_s: float, result: Result) -> None:
    history = told(Truth())
    heard = notice(history, began(history, "stopping") + after_s, STRAY)
    assert results(verify(shared(history, heard)), "finding") == {result}


@pytest.mark.parametrize(("after_s", "result"), [(-0.5, Result.FAIL), (0.5, Result.PASS)])
def test_a_notice_that_comes_again_too_early_counts_until_the_end_of_the_tail(after_s: float, result: Result) -> None:
    """Another scenario's alert, told twice within a second; repeat_interval is hours."""
    history = told(Truth())
    labels = {"alertname": "CircuitBreakerOpen", "severity": "critical", "component": "resilience"}
    again = began(history, "stopping") + after_s
    header = msgspec.structs.replace(history.header, beside=["CircuitBreakerOpen"])
    told_twice = shared(history, notice(history, again - 0.4, labels), notice(history, again, labels))
    beside = replace(with_events(told_twice, [header, *told_twice.events[1:]]), header=header)
    assert results(verify(beside), "finding") == {result}
