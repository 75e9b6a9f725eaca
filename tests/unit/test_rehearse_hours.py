"""Intervals are moved so that an instant of theirs is now, and each play is told or silent, or nothing is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.alerting.time_intervals import changes_at, holds
from chaoskit.alerting.time_shift import CannotShift, Shifted, as_written, shifted
from chaoskit.hop import Hop
from chaoskit.rehearse.hours import Play, judged, plays
from chaoskit.rehearse.outcome import Rehearsed
from chaoskit.rehearse.output import exit_code, text_lines, to_json
from chaoskit.verify.verdict import Result
from tests.alerting_examples import load

MARGIN = timedelta(minutes=3)
TEXT = """\
route:
  receiver: a
  routes:
    - {matchers: [x=1], receiver: a, mute_time_intervals: [nights, feast]}
    - {matchers: [x=2], receiver: a, active_time_intervals: [office]}
receivers: [{name: a}]
time_intervals:
  - name: nights
    time_intervals:
      - location: Europe/Berlin
        times: [{start_time: '22:00', end_time: '24:00'}, {start_time: '00:00', end_time: '06:00'}]
  - {name: feast, time_intervals: [{months: [12], days_of_month: ['-7:-1']}]}
  - name: office
    time_intervals:
      - {weekdays: ['monday:thursday'], times: [{start_time: '09:00', end_time: '17:00'}], location: America/New_York}
      - {weekdays: [friday], times: [{start_time: '09:00', end_time: '12:30'}]}
  - {name: brief, time_intervals: [{times: [{start_time: '12:00', end_time: '12:06'}]}]}
  - {name: whole, time_intervals: [{weekdays: ['sunday:saturday']}]}
"""
CONFIG = load(alertmanager=TEXT)
NOW = datetime(2026, 11, 29, 15, 30, 40, tzinfo=UTC)


@settings(max_examples=15)
@given(
    st.sampled_from(["nights", "office"]),
    st.booleans(),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
)
def test_a_moved_interval_is_as_wanted_now_and_for_the_margin_around(name: str, inside: bool, now: datetime) -> None:
    interval = CONFIG.intervals[name]
    moved = shifted(interval, inside, now, MARGIN)
    assert holds(interval, moved.instant) == holds(moved.interval, now) == inside
    assert changes_at(partial(holds, moved.interval), [moved.interval], now - MARGIN, now + MARGIN) is None
    written = {"time_intervals": [as_written(moved.interval)]}
    read = load(alertmanager=f"route: {{receiver: a}}\nreceivers: [{{name: a}}]\n{yaml.safe_dump(written)}").intervals
    assert read[name] == moved.interval


def test_one_that_is_as_wanted_by_itself_is_played_as_written_and_else_its_dates_are_dropped() -> None:
    feast = CONFIG.intervals["feast"]
    assert shifted(feast, False, NOW, MARGIN) == Shifted(feast, NOW, ())
    moved = shifted(feast, True, NOW, MARGIN)
    assert moved.dropped == ("days_of_month", "months")
    assert holds(moved.interval, NOW)


@pytest.mark.parametrize(
    ("name", "inside", "why"),
    [
        ("brief", True, "the interval holds for 6 min at a time, too short to be played"),
        ("whole", False, "the interval always holds in a week"),
    ],
)
def test_one_that_leaves_no_instant_far_enough_from_its_edges_is_not_played(name: str, inside: bool, why: str) -> None:
    with pytest.raises(CannotShift, match=why):
        shifted(CONFIG.intervals[name], inside, NOW, MARGIN)


def test_each_interval_that_a_route_names_is_played_inside_and_outside() -> None:
    found = [(play.route.path, play.interval.name, play.mutes, play.inside, play.tells) for play in plays(CONFIG)]
    assert found == [
        ((0,), "nights", True, True, False),
        ((0,), "nights", True, False, True),
        ((0,), "feast", True, True, False),
        ((0,), "feast", True, False, True),
        ((1,), "office", False, True, True),
        ((1,), "office", False, False, False),
    ]


SILENT, TOLD = plays(CONFIG)[0], plays(CONFIG)[1]


@pytest.mark.parametrize(
    ("play", "told", "twin", "result", "said"),
    [
        (SILENT, 0, 3, Result.PASS, "silent, and its twin was told; "),
        (SILENT, 1, 3, Result.FAIL, "the route was told, and should be silent; "),
        (SILENT, 0, 2, Result.UNKNOWN, "the twin without this interval was told 2 times, of 3"),
        (SILENT, 1, 0, Result.UNKNOWN, "the twin without this interval was told 0 times, of 3"),
        (TOLD, 2, 3, Result.PASS, "told; "),
        (TOLD, 0, 4, Result.FAIL, "the route was not told, and its twin was; "),
        (TOLD, 0, 0, Result.UNKNOWN, "the twin without this interval was told 0 times"),
    ],
)
def test_a_play_is_judged_by_what_its_twin_was_told(
    play: Play, told: int, twin: int, result: Result, said: str
) -> None:
    row = judged(play, shifted(play.interval, play.inside, NOW, MARGIN), told, twin)
    assert (row.result, row.hop) == (result, Hop.HOURS)
    assert said in (row.reason or row.rests_on)
    assert row.about.startswith(
        "mute_time_intervals nights, inside" if play is SILENT else "mute_time_intervals nights"
    )
    found = Rehearsed((), (row,), (), (), "computed")
    assert any(f"{result}" in line and "nights" in line for line in text_lines(found))
    assert f'"result": "{result}"' in to_json(found)
    assert f"; time intervals: 1 {result} (exit" in list(text_lines(found))[-1]
    assert int(exit_code(found)) != 0  # no rule was rehearsed
