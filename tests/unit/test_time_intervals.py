"""Time intervals hold when Alertmanager's do, and the instants at which they begin and end are found."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.alerting.model import TimeInterval
from chaoskit.alerting.time_intervals import changes_at, edges, holds, tells
from chaoskit.errors import BadInput
from tests.alerting_examples import load

BERLIN = ZoneInfo("Europe/Berlin")


def intervals(*parts: str) -> dict[str, TimeInterval]:
    """One interval for each text of its parts, called by its number."""
    written = "\n".join(f"  - {{name: '{number}', time_intervals: [{part}]}}" for number, part in enumerate(parts))
    text = f"route: {{receiver: a}}\nreceivers: [{{name: a}}]\ntime_intervals:\n{written}\n"
    return dict(load(alertmanager=text).intervals)


def at(text: str, zone: ZoneInfo | None = None) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone or UTC)


@pytest.mark.parametrize(
    ("part", "inside", "outside"),
    [
        (
            "{times: [{start_time: '22:00', end_time: '24:00'}]}",
            "2026-12-24T22:00 2026-12-24T23:59:59",
            "2026-12-24T21:59:59 2026-12-25T00:00",
        ),
        ("{weekdays: ['monday:friday']}", "2026-11-30T00:00 2026-12-04T23:59", "2026-11-29T23:59 2026-12-05T00:00"),
        ("{weekdays: [Sunday]}", "2026-11-29T12:00", "2026-11-28T12:00 2026-11-30T12:00"),
        (
            "{days_of_month: ['-3:-1']}",
            "2026-02-26T00:00 2028-02-27T00:00 2026-12-31T00:00",
            "2026-02-25T23:59 2028-02-26T00:00",
        ),
        ("{days_of_month: ['29:31']}", "2028-02-29T00:00 2026-01-31T00:00", "2026-02-28T00:00"),
        ("{days_of_month: ['1:-2']}", "2026-02-27T00:00", "2026-02-28T00:00"),
        (
            "{months: ['november:december', 2]}",
            "2026-11-01T00:00 2026-02-01T00:00",
            "2026-01-31T00:00 2026-03-01T00:00",
        ),
        ("{years: ['2020:2026']}", "2020-01-01T00:00 2026-12-31T23:59", "2019-12-31T23:59 2027-01-01T00:00"),
        (
            "{location: Europe/Berlin, times: [{start_time: '09:00', end_time: '17:00'}]}",
            "2026-07-01T07:00 2026-12-01T15:59",
            "2026-07-01T15:00 2026-12-01T07:59",
        ),
        ("{times: [], weekdays: ['sunday:saturday']}", "", "2026-12-01T00:00"),
        ("{months: []}", "", "2026-12-01T00:00"),
        ("{}", "2026-12-01T00:00", ""),
        ("", "", "2026-12-01T00:00"),
        (
            "{weekdays: [monday]}, {weekdays: [tuesday], months: [1]}",
            "2026-11-30T00:00 2026-01-06T00:00",
            "2026-12-01T00:00",
        ),
    ],
)
def test_it_holds_inside_and_nowhere_else(part: str, inside: str, outside: str) -> None:
    interval = intervals(part)["0"]
    assert [text for text in inside.split() if not holds(interval, at(text))] == []
    assert [text for text in outside.split() if holds(interval, at(text))] == []


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("{times: [{start_time: '9:00', end_time: '10:00'}]}", "start_time '9:00' is not a time of day"),
        ("{times: [{start_time: '22:00', end_time: '06:00'}]}", "start_time is not before end_time"),
        ("{times: [{start_time: '22:00'}]}", "has no 'end_time'"),
        ("{weekdays: ['saturday:monday']}", "weekdays: 'saturday:monday' ends before it begins"),
        ("{weekdays: [mon]}", "weekdays: 'mon' is not a weekday: write monday, tuesday"),
        ("{days_of_month: ['-1:3']}", "days_of_month: '-1:3' ends before it begins"),
        ("{days_of_month: [32]}", "days_of_month: 32 is not a day of a month"),
        ("{months: [sprang]}", "months: 'sprang' is not a number"),
        ("{years: ['2030:2020']}", "years: '2030:2020' ends before it begins"),
        ("{location: Europe/Berln}", "there is no time zone 'Europe/Berln' (did you mean 'Europe/Berlin'?)"),
    ],
)
def test_one_that_alertmanager_refuses_is_said_with_its_line(part: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        intervals(part)
    assert [str(each) for each in refused.value.problems if said in str(each) and ":4" in str(each)] != []


def test_two_of_one_name_are_refused() -> None:
    both = "time_intervals: [{name: n}]\nmute_time_intervals: [{name: n}]"
    text = f"route: {{receiver: a}}\nreceivers: [{{name: a}}]\n{both}\n"
    with pytest.raises(BadInput, match="the time interval 'n' is defined twice"):
        load(alertmanager=text)


def test_a_zone_that_only_the_machine_of_alertmanager_knows_is_said_not_to_be_understood() -> None:
    interval = "time_intervals: [{name: n, time_intervals: [{location: Local}]}]"
    text = f"route: {{receiver: a}}\nreceivers: [{{name: a}}]\n{interval}\n"
    assert "location Local" in str(load(alertmanager=text).not_understood[0])


NIGHT = "times: [{start_time: '01:00', end_time: '24:00'}]"
WRITTEN = intervals(
    "{times: [{start_time: '00:00', end_time: '02:30'}], location: Europe/Berlin}",
    "{weekdays: ['tuesday:wednesday'], times: [{start_time: '12:15', end_time: '12:16'}]},"
    " {weekdays: [sunday], location: Asia/Kathmandu}",
    "{days_of_month: [-1], location: America/New_York},"
    f" {{months: ['3:4', 10], days_of_month: ['25:31'], {NIGHT}, location: Europe/Berlin}}",
    "{location: Australia/Lord_Howe, times: [{start_time: '01:45', end_time: '02:15'}]}",
)


@settings(max_examples=25)
@given(
    st.sampled_from(sorted(WRITTEN)),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda day: day.replace(tzinfo=UTC)),
)
def test_between_two_edges_nothing_changes(name: str, since: datetime) -> None:
    """Each minute of a day answers like the last edge before it."""
    interval = WRITTEN[name]
    since = since.replace(second=0, microsecond=0)
    end = since + timedelta(days=1)
    found = set(edges([interval], since, end))
    answer = holds(interval, since)
    minute = since
    while (minute := minute + timedelta(minutes=1)) < end:
        if minute in found:
            answer = holds(interval, minute)
        assert holds(interval, minute) == answer, minute


@pytest.mark.parametrize("day", ["2026-03-28T12:00", "2026-10-24T12:00", "2026-10-03T12:00", "2026-04-04T12:00"])
def test_a_clock_that_is_put_forward_or_back_hides_no_edge(day: str) -> None:
    for interval in WRITTEN.values():
        found = set(edges([interval], at(day), at(day) + timedelta(days=1)))
        minutes = [at(day) + timedelta(minutes=n) for n in range(24 * 60)]
        for before, after in itertools.pairwise(minutes):
            assert after in found or holds(interval, before) == holds(interval, after), after


def test_a_route_tells_outside_of_what_mutes_it_and_inside_of_what_it_is_active_in() -> None:
    text = """\
route:
  receiver: a
  routes:
    - {receiver: a, mute_time_intervals: [nights], active_time_intervals: [weekdays, feast]}
receivers: [{name: a}]
time_intervals:
  - {name: nights, time_intervals: [{times: [{start_time: '00:00', end_time: '06:00'}], location: Europe/Berlin}]}
  - {name: weekdays, time_intervals: [{weekdays: ['monday:friday'], location: Europe/Berlin}]}
  - {name: feast, time_intervals: [{months: [12], days_of_month: [26], location: Europe/Berlin}]}
"""
    config = load(alertmanager=text)
    route = config.route.children[0]

    def told(when: datetime) -> bool:
        return tells(route, config.intervals, when)

    assert told(at("2026-12-04T06:00", BERLIN))
    assert not told(at("2026-12-04T05:59", BERLIN))
    assert not told(at("2026-12-05T12:00", BERLIN))
    assert told(at("2026-12-26T12:00", BERLIN))
    every = config.intervals.values()
    night = at("2026-12-05T03:00", BERLIN)
    assert changes_at(told, every, night, night + timedelta(days=9)) == at("2026-12-07T06:00", BERLIN)
    assert changes_at(told, every, night, night + timedelta(days=1)) is None
