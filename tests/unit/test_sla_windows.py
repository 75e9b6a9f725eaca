"""Months and quarters of any zone: they tile, and begin when the local date does."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.errors import BadInput
from chaoskit.sla.model import SLICE_S
from chaoskit.sla.windows import (
    between,
    day_begin,
    day_starts,
    instant,
    month,
    month_of,
    months_of,
    quarter,
    rolling,
)
from chaoskit.zones import zone_named
from tests.sla_examples import at

ZONES = sorted(available_timezones())


def test_months_of_a_year_tile_in_every_zone() -> None:
    for zone in ZONES:
        found = [month(f"2026-{number:02d}", zone) for number in range(1, 13)]
        assert all(one.ends_at == other.starts_at for one, other in itertools.pairwise(found)), zone
        assert all(one.starts_at % SLICE_S == 0 for one in found), zone
        quarters = [quarter(f"2026-Q{number}", zone) for number in range(1, 5)]
        assert [one.starts_at for one in quarters] == [found[n].starts_at for n in (0, 3, 6, 9)], zone
        assert [months_of(one) for one in quarters] == [found[n : n + 3] for n in (0, 3, 6, 9)], zone


@given(st.sampled_from(ZONES), st.integers(2012, 2037), st.integers(1, 12))
def test_a_month_begins_with_the_first_instant_of_its_local_date(zone: str, year: int, number: int) -> None:
    found = month(f"{year}-{number:02d}", zone)
    local = datetime.fromtimestamp(found.starts_at, ZoneInfo(zone))
    before = datetime.fromtimestamp(found.starts_at - 1, ZoneInfo(zone))
    assert (local.year, local.month) == (year, number)
    assert (before.year, before.month) < (year, number)


@given(st.sampled_from(ZONES), st.integers(1_330_000_000, 2_100_000_000))
def test_every_instant_lies_in_exactly_one_month(zone: str, instant_: int) -> None:
    found = month_of(instant_, zone)
    assert found.starts_at <= instant_ < found.ends_at
    assert month(found.name, zone) == found


@pytest.mark.parametrize(
    ("zone", "day", "begin"),
    [
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00"),
        ("America/Sao_Paulo", "2017-10-15", "2017-10-15T03:00"),  # 00:00 does not exist: the day begins at 01:00
        ("America/Havana", "2026-11-01", "2026-11-01T04:00"),  # 00:00 to 01:00 comes twice
        ("America/St_Johns", "2010-11-07", "2010-11-07T02:30"),  # at 00:01 back to 23:01 of the day before
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00"),  # skipped as a whole
        ("Asia/Kathmandu", "2026-11-01", "2026-10-31T18:15"),
        ("Pacific/Kiritimati", "2026-11-01", "2026-10-31T10:00"),
    ],
)
def test_days_begin_where_clocks_jump(zone: str, day: str, begin: str) -> None:
    assert day_begin(datetime.fromisoformat(day).date(), zone) == at(begin)


def test_an_hour_of_the_old_month_that_comes_again_belongs_to_the_new_one() -> None:
    """Newfoundland put its clocks back at one minute past midnight."""
    begin = day_begin(datetime(2009, 11, 1).date(), "America/St_Johns")
    assert datetime.fromtimestamp(begin + 3000, ZoneInfo("America/St_Johns")).month == 10
    assert month_of(begin + 3000, "America/St_Johns").name == "2009-11"


def test_the_days_of_a_window_are_local_days() -> None:
    days = day_starts(month("2026-10", "Europe/Berlin"))
    lengths = [(b - a) // 3600 for a, b in itertools.pairwise(days)]
    assert (len(days), set(lengths), lengths.count(25), lengths[24]) == (31, {24, 25}, 1, 25)
    assert len(day_starts(between("2026-10-01T12:00", "2026-10-03", "UTC"))) == 2


def test_instants_are_local_unless_they_say_otherwise() -> None:
    assert instant("2026-10-01", "Europe/Berlin") == at("2026-09-30T22:00")
    assert instant("2026-10-01T10:00", "Europe/Berlin") == at("2026-10-01T08:00")
    assert instant("2026-10-01T10:00Z", "Europe/Berlin") == at("2026-10-01T10:00")
    assert instant("2026-10-01T10:00+05:30", "UTC") == at("2026-10-01T04:30")


def test_a_rolling_window_ends_where_it_is_told() -> None:
    window = rolling("28d", at("2026-11-20T10:05"), "UTC")
    assert (window.name, window.ends_at - window.starts_at) == ("28d", 28 * 86_400)
    assert datetime.fromtimestamp(window.starts_at, UTC).isoformat() == "2026-10-23T10:05:00+00:00"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: month("2026-13", "UTC"), "'2026-13' is not a month (write one such as 2026-10)"),
        (lambda: month("October", "UTC"), "'October' is not a month"),
        (lambda: month("0000-01", "UTC"), "'0000-01' is not a month"),
        (lambda: quarter("2026-Q5", "UTC"), "'2026-Q5' is not a quarter (write one such as 2026-Q4)"),
        (lambda: rolling("28", 0, "UTC"), "'28' is not a duration"),
        (lambda: rolling("7m", 0, "UTC"), "7m is no whole number of 5 minutes"),
        (lambda: rolling("0", 0, "UTC"), "0 is no whole number of 5 minutes"),
        (lambda: between("2026-10-02", "2026-10-01", "UTC"), "ends (2026-10-01) before it begins (2026-10-02)"),
        (lambda: between("2026-10-02", "2026-10-02", "UTC"), "before it begins"),
        (lambda: between("2026-10-02T00:01", "2026-10-03", "UTC"), "lies within 5 minutes of evidence"),
        (lambda: between("yesterday", "2026-10-03", "UTC"), "'yesterday' is no date or instant"),
        (lambda: between("0001-01-01", "2026-10-03", "UTC"), "'0001-01-01' is no date or instant"),
        (lambda: zone_named("Europe/Berln"), "no time zone 'Europe/Berln' (did you mean 'Europe/Berlin'?)"),
        (lambda: zone_named("Europe"), "there is no time zone 'Europe'"),
        (lambda: zone_named(""), "there is no time zone ''"),
        (lambda: zone_named("../etc/passwd"), "there is no time zone"),
    ],
)
def test_what_is_no_window_is_refused_with_what_to_write(make: object, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        make()  # type: ignore[operator]
    assert says in str(refused.value)
