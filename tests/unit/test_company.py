"""Whose notice waits for group_wait, and whose comes at a tick of a group that was there before."""

from __future__ import annotations

import pytest
from alerting_examples import load

from chaoskit.alerting import windows
from chaoskit.errors import Place
from chaoskit.plan.model import PlannedNotice
from chaoskit.scenario.model import Notify
from chaoskit.verify.company import Company
from chaoskit.verify.evidence import Episode

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
PROMISED = windows.Window("notify", 10.0, 15.0, "promised group_wait 10s", Place("promise.yml", 1), 5.0)


def notice() -> PlannedNotice:
    return PlannedNotice("everybody", "webhook", 0, PROMISED, None, None, (), True, Notify("promised"))


def firing(at: float, **labels: str) -> Episode:
    return Episode({"alertname": "Down", **labels}, firing=(at, at + 0.001))


def bounds(mine: Episode, *others: Episode) -> tuple[float, float]:
    window = Company(CONFIG, [mine, *others], scale=60.0, delivery_vs=5.0).window(notice(), mine)
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
    assert Company(CONFIG, [mine, firing(90.0)], 60.0, 5.0).window(nobody, mine) is PROMISED
