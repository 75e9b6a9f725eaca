"""Months, quarters, rolling and free windows, in any zone of the IANA's: pure, without a clock.

A day begins at the earliest instant whose local date it is, so days, and the months made of them, tile: wherever a
zone's clock jumps over midnight or shows it twice, no second belongs to two months and none to no month.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from chaoskit.errors import BadInput, Problem
from chaoskit.sla.model import DAY_S, SLICE_S, Window
from chaoskit.units import format_duration, parse_duration
from chaoskit.zones import zone_named

_QUARTER_HOUR_S = 900
_FURTHEST_S = 26 * 3600
"""No zone is further from UTC, not even where it skips a day."""
_MONTH = re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})", re.ASCII)
_QUARTER = re.compile(r"(?P<year>\d{4})-?[Qq](?P<quarter>[1-4])", re.ASCII)
_YEARS = range(1980, 2101)


@lru_cache(4096)
def day_begin(day: date, zone: str) -> int:
    """The earliest instant whose local date is this day, or a later one where the zone skips it."""
    where = zone_named(zone)
    at = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) - _FURTHEST_S
    while datetime.fromtimestamp(at, where).date() < day:
        at += _QUARTER_HOUR_S
    return at


def month(name: str, zone: str) -> Window:
    """The window of `2026-10`; raises BadInput."""
    found = _MONTH.fullmatch(name)
    if found is None or not 1 <= int(found["month"]) <= 12 or int(found["year"]) not in _YEARS:
        raise BadInput(Problem(None, f"'{name}' is not a month", "write one such as 2026-10"))
    return _months("month", name, int(found["year"]), int(found["month"]), 1, zone)


def quarter(name: str, zone: str) -> Window:
    """The window of `2026-Q4`; raises BadInput."""
    found = _QUARTER.fullmatch(name)
    if found is None or int(found["year"]) not in _YEARS:
        raise BadInput(Problem(None, f"'{name}' is not a quarter", "write one such as 2026-Q4"))
    first = int(found["quarter"]) * 3 - 2
    return _months("quarter", f"{found['year']}-Q{found['quarter']}", int(found["year"]), first, 3, zone)


def month_of(instant: int, zone: str) -> Window:
    """The month in which this instant lies: after its begin, at its end at the latest."""
    local = datetime.fromtimestamp(instant, zone_named(zone))
    found = month(f"{local:%Y-%m}", zone)
    # A clock that goes back over midnight shows the last day of a month once more after the next one began.
    return found if instant < found.ends_at else month_of(found.ends_at + DAY_S, zone)


def months_of(window: Window) -> list[Window]:
    """The calendar months that touch a window, in order; not clipped to it."""
    found = [month_of(window.starts_at, window.zone)]
    while found[-1].ends_at < window.ends_at:
        found.append(month_of(found[-1].ends_at, window.zone))
    return found


def day_starts(window: Window) -> list[int]:
    """The instants at which a window's local days begin: the window's own begin first."""
    day = datetime.fromtimestamp(window.starts_at, zone_named(window.zone)).date() + timedelta(days=1)
    found = [window.starts_at]
    while (at := day_begin(day, window.zone)) < window.ends_at:
        if at > found[-1]:
            found.append(at)
        day += timedelta(days=1)
    return found


def rolling(length: str, ends_at: int, zone: str) -> Window:
    """The window of this length (`28d`) that ends at the last settled slice; raises BadInput."""
    try:
        length_s = parse_duration(length)
    except (ValueError, OverflowError) as error:
        raise BadInput(Problem(None, f"--rolling: {error}", "write one such as 28d")) from None
    if length_s < SLICE_S or length_s % SLICE_S or length_s > 5 * 366 * DAY_S:
        raise BadInput(
            Problem(None, f"--rolling: {length} is no whole number of 5 minutes up to 5 years", "write one such as 28d")
        )
    return Window("rolling", format_duration(length_s), ends_at - int(length_s), ends_at, zone)


def between(begin: str, end: str, zone: str) -> Window:
    """The window between two local dates or instants; raises BadInput."""
    starts_at, ends_at = (instant(text, zone) for text in (begin, end))
    if ends_at <= starts_at:
        raise BadInput(Problem(None, f"the window ends ({end}) before it begins ({begin})", "swap --from and --to"))
    for text, at in ((begin, starts_at), (end, ends_at)):
        if at % SLICE_S:
            raise BadInput(
                Problem(None, f"{text} lies within 5 minutes of evidence", "name an instant such as 10:00 or 10:05")
            )
    return Window("range", f"{begin}/{end}", starts_at, ends_at, zone)


def instant(text: str, zone: str) -> int:
    """The instant of `2026-10-01`, `2026-10-01T10:00` (local) or `2026-10-01T10:00Z`; raises BadInput."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            found: float = day_begin(date.fromisoformat(text), zone)
        else:
            read = datetime.fromisoformat(text)
            found = (read if read.tzinfo else read.replace(tzinfo=zone_named(zone))).timestamp()
        if not 1980 <= datetime.fromtimestamp(found, UTC).year <= 2100:
            raise ValueError
    except (ValueError, OverflowError):
        hint = "write 2026-10-01, 2026-10-01T10:00, or 2026-10-01T10:00Z"
        raise BadInput(Problem(None, f"'{text}' is no date or instant", hint)) from None
    return int(found)


def shown(at: int, zone: str) -> str:
    """An instant for people, in a zone: `2026-10-25 02:30 CEST`."""
    return f"{datetime.fromtimestamp(at, zone_named(zone)):%Y-%m-%d %H:%M %Z}"


def _months(span: str, name: str, year: int, first: int, count: int, zone: str) -> Window:
    begin = day_begin(date(year, first, 1), zone)
    after = date(year + (first + count > 12), (first + count - 1) % 12 + 1, 1)
    return Window("quarter" if span == "quarter" else "month", name, begin, day_begin(after, zone), zone)
