"""Two witnesses of a month compared: what was down, and which alerts were open; the price of each incident."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaoskit.cli.sla import config_of, scenarios
from chaoskit.sla.incidents import Known, Story
from chaoskit.sla.known import Silence, Word, known
from chaoskit.sla.stories import stories
from tests.sla_month import DOWN, EPISODES, NOVEMBER, NOW, at, filled

CONFIG = config_of()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("month")


@pytest.fixture(scope="module")
def told(folder: Path) -> Story:
    store, targets = filled(folder)
    with store:
        (one,) = stories(store, targets, NOVEMBER, Known(), now=NOW)
    return one


def test_an_outage_that_no_alert_saw_is_told_and_one_that_was_seen_is_not(told: Story) -> None:
    seen = {one.starts_at: one.alerts for one in told.outages}
    assert seen == {
        at(5, "10:00"): ("MetricsEndpointDown", "HighErrorRate"),
        at(12, "03:00"): (),
        at(20, "14:30"): ("MetricsEndpointDown",),
    }
    assert {one.starts_at for one in told.outages if one.planned} == {at(20, "14:30")}
    assert sum(one.down_s for one in told.outages) == sum(DOWN.values())


def test_alert_time_without_an_outage_is_told(told: Story) -> None:
    assert told.without_outage == (("MetricsEndpointDown", (at(18, "22:00"), at(18, "22:03"))),)


def test_an_incident_has_the_price_that_its_slices_tell_and_planned_time_costs_nothing(told: Story) -> None:
    first, *_, planned = told.incidents
    budget_s = 0.001 * (30 * 86_400 - 3600)
    assert first.used["uptime"] == pytest.approx(480 / budget_s)
    assert first.used["errors"] == pytest.approx(80 / (0.001 * first_total()))
    assert planned.incident.begin == at(20, "14:30")
    assert planned.used["uptime"] == 0


def first_total() -> int:
    """Requests in November outside of what was planned and what nobody saw."""
    return (30 * 288 - 12 - 6) * 1000


def test_downtime_by_alerts_is_a_union(told: Story) -> None:
    """Two alerts at once on the 5th: 10:00:15 to 10:12."""
    assert told.alert_downtime_s == (12 * 60 - 15) + 180 + 600


def test_figures_stand_by_severity_and_alert(told: Story) -> None:
    found = {(one.severity, one.alert): (one.count, one.median_s, one.longest_s) for one in told.figures}
    assert found["critical", ""] == (3, 600, 705)
    assert found["critical", "MetricsEndpointDown"] == (3, 480, 600)
    assert found["warning", "WorkerUnhealthy"] == (1, 240, 240)
    assert next(one for one in told.figures if one.severity == "warning").per_week == pytest.approx(7 / 30)


def test_what_a_witness_heard_counts_and_else_what_is_promised() -> None:
    down = EPISODES[0]
    promised = known(CONFIG).notice(down)
    assert promised is not None
    assert (promised.after_s, promised.heard) == (70, False)
    words = [Word(down.active_at + 83.0, {**down.labels, "job": "insa-crm"}), Word(down.active_at + 10.0, down.labels)]
    heard = known(CONFIG, words).notice(down)
    assert heard is not None
    assert (heard.after_s, heard.heard) == (83.0, True)


def test_the_first_silence_of_an_alert_stands_for_somebody_at_work() -> None:
    matcher = '{"name": "alertname", "value": "Metrics.+", "isRegex": true, "isEqual": true}'
    text = f'[{{"id": "1", "startsAt": "2026-11-05T10:04:15Z", "matchers": [{matcher}]}}]'
    some = msgspec.json.decode(text, type=list[Silence])
    asked = known(CONFIG, silenced=some).silenced
    assert asked(EPISODES[0]) == 240
    assert asked(EPISODES[1]) is None
    assert asked(EPISODES[3]) is None


def test_budget_left_at_the_first_notice_is_what_was_lost_before(folder: Path) -> None:
    store, targets = filled(folder)
    with store:
        (one,) = stories(store, targets, NOVEMBER, known(CONFIG), now=NOW)
    first = one.outages[0]
    # Active at 10:00:15, `for` 1m, group_wait 10s: 85 s of 2,588.4 s.
    assert first.left == pytest.approx(1 - 85 / (0.001 * (30 * 86_400 - 3600)))
    assert one.outages[1].left is None


def test_incidents_whose_alert_no_scenario_rehearses_are_told(folder: Path) -> None:
    store, targets = filled(folder)
    with store:
        (one,) = stories(store, targets, NOVEMBER, known(CONFIG, scenarios=scenarios()), now=NOW)
    assert [each.rehearsed for each in one.incidents] == [True, True, False, False]
