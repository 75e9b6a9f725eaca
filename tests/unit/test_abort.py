"""Abort conditions: told once, with the place they stand at; a condition nobody can watch aborts as well."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from chaoskit.errors import Place
from chaoskit.events import AlertState, Event, Phase
from chaoskit.fold import Fold
from chaoskit.run import abort
from chaoskit.run.abort import AbortWatch, wrong_with
from chaoskit.scenario.model import Abort

ALERT = Abort(None, "RealTrouble", Place("p.yml", 7))
QUERY = Abort("up == 0", None, Place("p.yml", 8))


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abort, "EVERY_S", 0.01)
    monkeypatch.setattr(abort, "BLIND_S", 0.2)


class Told:
    """Hears of an abort; how often, and why."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.heard = threading.Event()

    def __call__(self, reason: str) -> None:
        self.reasons.append(reason)
        self.heard.set()


def alert(state: str, name: str = "RealTrouble", instance: str = "a") -> AlertState:
    return AlertState(
        labels={"alertname": name, "instance": instance},
        state=state,  # type: ignore[arg-type]
        at=1.0,
        previous=None,
    )


def watch(
    told: Told, *conditions: Abort, answers: bool | None = False, excused: bool = False, fold: Fold | None = None
) -> AbortWatch:
    return AbortWatch(conditions, lambda query: answers, lambda: excused, told, (fold or Fold()).firing)


def feeding(told: Told, *conditions: Abort) -> tuple[AbortWatch, Callable[[Event], None]]:
    """A watch, and what gives an event to the fold and then to it."""
    fold = Fold()
    one = watch(told, *conditions, fold=fold)

    def feed(event: Event) -> None:
        fold.take(event)
        one.feed(event)

    return one, feed


def test_a_forbidden_alert_that_fires_aborts_once_and_names_its_line() -> None:
    told = Told()
    one, feed = feeding(told, ALERT)
    one.start()
    feed(alert("pending"))
    feed(alert("firing", name="Another"))
    feed(Phase(name="tail"))
    assert not told.heard.wait(0.05)
    feed(alert("firing"))
    feed(alert("firing", instance="b"))
    assert told.heard.wait(5)
    one.stop()
    assert told.reasons == ["abort condition (p.yml:7): RealTrouble is firing"]


def test_what_fired_and_was_over_before_the_first_step_aborts_nothing_what_still_fires_does() -> None:
    told = Told()
    one, feed = feeding(told, ALERT)
    feed(alert("firing"))
    feed(alert("inactive"))
    one.start()
    assert not told.heard.wait(0.05)
    other, feed = feeding(told, ALERT)
    feed(alert("firing"))
    assert not told.heard.wait(0.05)
    other.start()
    assert told.heard.wait(5)


def test_a_query_with_a_result_aborts() -> None:
    told = Told()
    one = watch(told, QUERY, answers=True)
    one.start()
    assert told.heard.wait(5)
    one.stop()
    assert told.reasons == ["abort condition (p.yml:8): 'up == 0' has a result"]


def test_a_query_without_a_result_does_not() -> None:
    told = Told()
    one = watch(told, QUERY, answers=False)
    one.start()
    assert not told.heard.wait(0.5)
    one.stop()


def test_a_condition_that_nobody_can_look_at_aborts_unless_the_scenario_took_prometheus_down() -> None:
    blind, excused = Told(), Told()
    first, second = watch(blind, QUERY, answers=None), watch(excused, QUERY, answers=None, excused=True)
    first.start()
    second.start()
    assert blind.heard.wait(5)
    assert "did not answer the queries of the abort conditions" in blind.reasons[0]
    assert not excused.heard.wait(0.3)
    first.stop()
    second.stop()


def test_conditions_that_can_never_come_true_are_found_before_the_run() -> None:
    problems = wrong_with([ALERT, QUERY], ["RealTroubles"], lambda query: "unexpected end")
    assert [str(problem) for problem in problems] == [
        "p.yml:7: alert 'RealTrouble' is defined nowhere (did you mean 'RealTroubles'?)",
        "p.yml:8: 'up == 0' cannot be watched: unexpected end (write a PromQL expression)",
    ]
    assert wrong_with([ALERT, QUERY], ["RealTrouble"], lambda query: "") == []
