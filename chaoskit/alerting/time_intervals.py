"""When a route tells: Alertmanager's time intervals, asked at an instant, and the instants at which the answer changes.

A time interval is a list of parts, and holds where one of them does. A part holds where each key that it has does, by
the clock of its zone: a minute of the day from the start until before the end, a weekday, a day of the month (counted
from its end where negative), a month, a year. Ranges include both ends. A key with an empty list never holds, a part
without keys always does (timeinterval.ContainsTime).
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import chain

from chaoskit.alerting.model import Route, TimeInterval, TimePart
from chaoskit.errors import Place

HORIZON = timedelta(days=28 * 365 + 7)
"""Days after which each date has fallen on each weekday: 28 years."""
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


def holds(interval: TimeInterval, instant: datetime) -> bool:
    """Whether the interval holds at the instant, which knows its zone."""
    return any(_part_holds(part, instant.astimezone(part.zone)) for part in interval.parts)


def _part_holds(part: TimePart, at: datetime) -> bool:
    minute = at.hour * 60 + at.minute
    return (
        (part.times is None or any(start <= minute < end for start, end in part.times))
        and _within(part.weekdays, at.isoweekday() % 7)
        and _within(part.months, at.month)
        and _within(part.years, at.year)
        and (part.days is None or _is_day(part.days, at.date()))
    )


def _within(ranges: Iterable[tuple[int, int]] | None, value: int) -> bool:
    return ranges is None or any(first <= value <= last for first, last in ranges)


def _is_day(ranges: Iterable[tuple[int, int]], day: date) -> bool:
    from_end = calendar.monthrange(day.year, day.month)[1] + 1
    for first, last in ranges:
        begin = first + from_end if first < 0 else first
        if begin <= day.day <= (last + from_end if last < 0 else last):
            return True
    return False


def throughout(parts: Iterable[TimePart], since: datetime, until: datetime) -> bool:
    """Whether at each instant between these two at least one part of the interval holds."""
    interval = TimeInterval("", tuple(parts), Place(""))
    return holds(interval, since) and all(holds(interval, at) for at in edges([interval], since, until))


def tells(route: Route, intervals: Mapping[str, TimeInterval], instant: datetime) -> bool:
    """Whether a tick of the route's groups at this instant sends notices; an interval that is not there never holds."""

    def one_of(names: Iterable[str]) -> bool:
        return any(name in intervals and holds(intervals[name], instant) for name in names)

    return not one_of(route.muted_in) and (not route.active_in or one_of(route.active_in))


def named_by(route: Route, intervals: Mapping[str, TimeInterval]) -> list[TimeInterval]:
    """The time intervals that the route names."""
    return [intervals[name] for name in dict.fromkeys((*route.muted_in, *route.active_in)) if name in intervals]


def changes_at(
    answer: Callable[[datetime], bool], intervals: Iterable[TimeInterval], since: datetime, until: datetime
) -> datetime | None:
    """The first instant after `since` at which the answer, which rests on these intervals, is another; None if it stays
    the same until the end."""
    now = answer(since)
    return next((at for at in edges(intervals, since, until) if answer(at) != now), None)


def edges(intervals: Iterable[TimeInterval], since: datetime, until: datetime) -> Iterator[datetime]:
    """Every instant after `since` and before `until`, in order, at which one of the intervals may begin or end."""
    minutes: dict[tzinfo, set[int]] = {}
    for part in chain.from_iterable(each.parts for each in intervals):
        minutes.setdefault(part.zone, {0}).update(chain.from_iterable(part.times or ()))
    day = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while minutes and day < until:
        found = {at for zone, some in minutes.items() for at in _of_day(day, zone, some)}
        yield from sorted(at for at in found if since < at < until)
        day += _DAY


def _of_day(day: datetime, zone: tzinfo, minutes: Iterable[int]) -> Iterator[datetime]:
    """Instants of a day of UTC at which the zone's clock shows one of these minutes, or is put forward or back."""
    end = day + _DAY
    low, high = day.astimezone(zone), end.astimezone(zone)
    for local in {low.date(), high.date()}:
        for minute in minutes:
            there = datetime.combine(local, time(), zone) + timedelta(minutes=minute)
            for at in (there.replace(fold=fold).astimezone(UTC) for fold in (0, 1)):
                if day <= at < end:
                    yield at
    if low.utcoffset() != high.utcoffset():
        first, last = day, end
        while last - first > _MINUTE:
            middle = first + (last - first) // 2
            middle -= timedelta(seconds=middle.second, microseconds=middle.microsecond)
            middle = max(middle, first + _MINUTE)
            same = middle.astimezone(zone).utcoffset() == low.utcoffset()
            first, last = (middle, last) if same else (first, middle)
        yield last
