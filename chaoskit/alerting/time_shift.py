"""A time interval moved by minutes and weekdays so that it holds, or does not, just now: the one that a drill plays.

One of which that is true as it is written is left so. Else the chosen instant is the middle of the longest time in a
week in which the interval holds (or does not). Days of the month, months and years cannot be moved like that: they are
dropped, and the caller says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from chaoskit.alerting.config_intervals import WEEKDAYS
from chaoskit.alerting.model import Ranges, TimeInterval, TimePart
from chaoskit.alerting.time_intervals import changes_at, edges, holds

_DAY = 24 * 60
_WEEK = 7 * _DAY
_WEEKDAYS = {number: name for name, number in WEEKDAYS.items()}
_DATES = {"days": "days_of_month", "months": "months", "years": "years"}


class CannotShift(Exception):
    """No instant is far enough from the interval's edges; the message says why."""


@dataclass(frozen=True, slots=True)
class Shifted:
    """The moved interval, the instant of the written one that is now, and the keys that were dropped."""

    interval: TimeInterval
    instant: datetime
    dropped: tuple[str, ...]


def shifted(interval: TimeInterval, inside: bool, now: datetime, margin: timedelta) -> Shifted:
    """The interval moved so that it holds now (or not), also a margin before and after; raises CannotShift."""
    if _stays(interval, inside, now, margin):
        return Shifted(interval, now, ())
    dropped = [name for key, name in _DATES.items() if any(getattr(part, key) is not None for part in interval.parts)]
    weekly = replace(interval, parts=tuple(replace(p, days=None, months=None, years=None) for p in interval.parts))
    since = now.astimezone(UTC).replace(second=0, microsecond=0)
    begin, end = max(_spans(weekly, inside, since), key=lambda span: span[1] - span[0], default=(since, since))
    how = "holds" if inside else "does not hold"
    if begin == end:
        never = "never" if inside else "always"
        raise CannotShift(f"the interval {never} holds in a week{' without ' + ', '.join(dropped) if dropped else ''}")
    if end - begin <= 2 * margin:
        raise CannotShift(f"the interval {how} for {(end - begin).seconds // 60} min at a time, too short to be played")
    instant = begin + timedelta(minutes=(end - begin) // timedelta(minutes=2))
    minutes = (since - instant) // timedelta(minutes=1)
    moved = replace(weekly, parts=tuple(new for part in weekly.parts for new in _moved(part, minutes)))
    if not _stays(moved, inside, now, margin):
        raise CannotShift("the clock of the interval's zone is put forward or back in this week")
    return Shifted(moved, instant, tuple(dropped))


def _stays(interval: TimeInterval, inside: bool, now: datetime, margin: timedelta) -> bool:
    """Whether the interval holds (or does not) now, and for the margin before and after."""
    begin, end = now - margin, now + margin
    return holds(interval, begin) == inside and changes_at(partial(holds, interval), [interval], begin, end) is None


def _spans(interval: TimeInterval, inside: bool, since: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The times in the week from `since` on in which the interval holds, or does not."""
    until = since + timedelta(minutes=_WEEK)
    begin: datetime | None = None
    for at in (since, *edges([interval], since, until)):
        if holds(interval, at) == inside:
            begin = begin or at
        elif begin is not None:
            yield begin, at
            begin = None
    if begin is not None:
        yield begin, until


def _moved(part: TimePart, minutes: int) -> Iterator[TimePart]:
    """The part later by so many minutes, in pieces of one day each."""
    if part.times is None and part.weekdays is None:
        yield part
        return
    whole: Ranges = ((0, _DAY),)
    days = [day for first, last in part.weekdays or ((0, 6),) for day in range(first, last + 1)]
    for day in days if part.weekdays != () else ():
        for first, last in whole if part.times is None else part.times:
            at, left = (day * _DAY + first + minutes) % _WEEK, last - first
            while left > 0:
                weekday, minute = divmod(at, _DAY)
                taken = min(left, _DAY - minute)
                yield replace(part, times=((minute, minute + taken),), weekdays=((weekday, weekday),))
                at, left = (at + taken) % _WEEK, left - taken


def as_written(interval: TimeInterval) -> dict[str, Any]:
    """An interval as alertmanager.yml has it."""
    return {"name": interval.name, "time_intervals": [_written(part) for part in interval.parts]}


def _written(part: TimePart) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if part.times is not None:
        found["times"] = [{"start_time": _clock(first), "end_time": _clock(last)} for first, last in part.times]
    if part.weekdays is not None:
        found["weekdays"] = [f"{_WEEKDAYS[first]}:{_WEEKDAYS[last]}" for first, last in part.weekdays]
    for key, name in _DATES.items():
        if (ranges := getattr(part, key)) is not None:
            found[name] = [f"{first}:{last}" for first, last in ranges]
    return found if part.zone is UTC else {**found, "location": str(part.zone)}


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
