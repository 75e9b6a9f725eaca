"""Whose notice waits for group_wait, and whose comes at a tick of a group that was there before."""

from __future__ import annotations

import msgspec
import pytest
from alerting_examples import load

from chaoskit.alerting import windows
from chaoskit.errors import Place
from chaoskit.events import AlertState, AnyEvent, Notice, Suppression
from chaoskit.history import History
from chaoskit.hop import Hop
from chaoskit.plan.model import PlannedNotice
from chaoskit.scenario.model import Notify
from chaoskit.verify.evidence import Episode
from chaoskit.verify.live_groups import GroupHistory
from chaoskit.verify.verdict import Result, Row
from chaoskit.verify.verify import verify
from tests.golden.doctored import mapped, recorded

CONFIG = load(
    alertmanager="""
route:
  receiver: everybody
  group_by: [alertname]
  group_wait: 10s
  group_interval: 2m
  repeat_interval: 1h
receivers:
  - name: everybody
    webhook_configs: [{url: 'http://localhost/'}]
"""
)
PROMISED = windows.Window(Hop.NOTIFY, 10.0, 15.0, "promised group_wait 10s", Place("promise.yml", 1), 5.0)


def notice() -> PlannedNotice:
    return PlannedNotice("everybody", "webhook", 0, PROMISED, None, None, (), True, Notify("promised"))


def firing(at: float, **labels: str) -> Episode:
    return Episode({"alertname": "Down", **labels}, firing=(at, at + 0.001))


def bounds(mine: Episode, *others: Episode) -> tuple[float, float]:
    window = GroupHistory(CONFIG, [mine, *others], scale=60.0, delivery_vs=5.0).window(notice(), mine)
    return window.lo_vs, window.hi_vs


def test_alone_in_its_group_it_waits_for_group_wait() -> None:
    assert bounds(firing(100.0, worker="1")) == (10.0, 15.0)


def test_company_that_fired_at_the_same_evaluation_changes_nothing() -> None:
    assert bounds(firing(100.0, worker="1"), firing(100.0, worker="2")) == (10.0, 15.0)


def test_company_that_fires_later_changes_nothing() -> None:
    assert bounds(firing(100.0, worker="1"), firing(101.0, worker="2")) == (10.0, 15.0)


def test_it_rides_along_with_a_group_that_has_not_notified_yet() -> None:
    """6 virtual seconds after the first, of a group_wait of 10: nobody says that it must wait for another 10."""
    assert bounds(firing(100.1, worker="2"), firing(100.0, worker="1")) == (0.0, 15.0)


@pytest.mark.parametrize("since_s", [1.0, 60.0, 800.0])
def test_a_group_that_has_notified_tells_at_its_next_tick(since_s: float) -> None:
    assert bounds(firing(1000.0, worker="2"), firing(1000.0 - since_s, worker="1")) == (0.0, 125.0)


def test_an_alert_of_another_name_is_in_another_group() -> None:
    other = Episode({"alertname": "Slow"}, firing=(90.0, 90.001))
    assert bounds(firing(100.0, worker="1"), other) == (10.0, 15.0)


def test_without_a_route_to_the_receiver_the_promise_stands() -> None:
    mine = firing(100.0, worker="1")
    nobody = PlannedNotice("somebody-else", "webhook", 0, PROMISED, None, None, (), True, Notify("promised"))
    assert GroupHistory(CONFIG, [mine, firing(90.0)], 60.0, 5.0).window(nobody, mine) is PROMISED


APART_S = 0.25  # an evaluation of 15 virtual seconds, more than group_wait


def a_scrape_between(event: AnyEvent, apart_s: float) -> AnyEvent:
    """The second of two workers fires so much later, and critical-alerts never hears of it."""
    match event:
        case AlertState() if event.labels.get("worker_name") == "worker-4" and event.state != "inactive":
            assert event.previous is not None
            assert event.active_at is not None
            return msgspec.structs.replace(
                event,
                t=event.t + apart_s,
                at=event.at + apart_s,
                previous=event.previous + apart_s,
                active_at=event.active_at + apart_s,
            )
        case Notice(receiver="critical-alerts", status="firing"):
            kept = [one for one in event.alerts if one.labels.get("worker_name") != "worker-4"]
            return msgspec.structs.replace(event, alerts=kept)
        case Notice(receiver="worker-alerts") if event.alerts[0].labels.get("worker_name") == "worker-4":
            return msgspec.structs.replace(event, sent=(event.sent[0] + apart_s, event.sent[1] + apart_s))
        case _:
            return event


def untold(history: History) -> list[Row]:
    return [row for row in verify(history).rows if row.hop == "notify" and row.result is not Result.PASS]


def test_who_fired_after_its_group_s_notice_and_was_muted_before_the_next_is_unknown_and_says_so() -> None:
    """The scenario itself says that MultipleWorkersDown mutes it: nothing tells whether the tick would have come."""
    history = mapped(recorded("suppressed"), lambda event: a_scrape_between(event, APART_S))
    rows = untold(history)
    assert {(row.about, row.to) for row in rows} == {
        ("WorkerUnhealthy worker-4", "critical-alerts (email)"),
        ("WorkerUnhealthy worker-4", "critical-alerts (webhook)"),
    }
    assert {row.result for row in rows} == {Result.UNKNOWN}
    assert "MultipleWorkersDown muted the alert before its group's next notice" in rows[0].reason


def test_who_should_have_ridden_along_with_its_group_is_not_excused_by_what_muted_it_later() -> None:
    history = mapped(recorded("suppressed"), lambda event: a_scrape_between(event, 0.0))
    assert {row.result for row in untold(history)} == {Result.FAIL}


def test_who_missed_its_group_s_tick_unmuted_is_not_excused() -> None:
    def unmuted(event: AnyEvent) -> AnyEvent | None:
        muted = isinstance(event, Suppression) and event.labels.get("worker_name") == "worker-4" and event.inhibited_by
        return None if muted else a_scrape_between(event, APART_S)

    assert {row.result for row in untold(mapped(recorded("suppressed"), unmuted))} == {Result.FAIL}
