"""Clock and silences: the routes that tell at an instant, from when again, and the alerts that a silence would mute.

A time interval or a silence holds a notice back; what still fires when it ends is told at the next tick of its group.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from functools import partial

from chaoskit.alerting.alert import Answer, answer, takes
from chaoskit.alerting.model import AlertConfig, Matcher, Route
from chaoskit.alerting.time_intervals import HORIZON, changes_at, named_by, tells
from chaoskit.errors import BadInput, Problem
from chaoskit.explain.recipients import Recipients
from chaoskit.explain.subject import Subject

_WEEKDAYS = [name.lower() for name in calendar.day_name]
_CLOCK = re.compile(r"(?:(?P<day>[a-z]+)\s+)?(?P<hour>\d{1,2}):(?P<minute>\d{2})")


def instant_of(text: str, zone: tzinfo, now: datetime) -> datetime:
    """The instant that a person means by `Sat 03:00` or `03:00`, the first one from now on, or `2026-12-24 18:00`; in
    the zone, unless the text says another. Raises BadInput."""
    try:
        found = _CLOCK.fullmatch(text.strip().lower())
        if found is None:
            read = datetime.fromisoformat(text.strip())
            return read if read.tzinfo else read.replace(tzinfo=zone)
        day = _weekday(found["day"]) if found["day"] else None
        clock = time(int(found["hour"]), int(found["minute"]))
        today = now.astimezone(zone).date()
        days = (datetime.combine(today + timedelta(days=n), clock, zone) for n in range(9))
        return next(each for each in days if each >= now and day in (None, each.weekday()))
    except ValueError:
        message = f"'{text}' is not a time"
        raise BadInput(Problem(None, message, "write 'Sat 03:00', '03:00' or '2026-12-24 18:00'")) from None


def _weekday(text: str) -> int:
    """The number of a weekday from Monday, 0, by the beginning of its name."""
    found = [number for number, name in enumerate(_WEEKDAYS) if len(text) > 2 and name.startswith(text)]
    if not found:
        raise ValueError(text)
    return found[0]


@dataclass(frozen=True, slots=True)
class Told:
    """Whether a route tells at an instant."""

    tells: bool
    until: datetime | None
    """The instant from which this is no longer so; None where nothing changes it in the next 28 years."""


def told_at(config: AlertConfig, route: Route, at: datetime) -> Told:
    """Whether the route tells at this instant, and until when that stays so."""
    told = partial(tells, route, config.intervals)
    until = changes_at(told, named_by(route, config.intervals), at, at + HORIZON)
    return Told(told(at), until.astimezone(at.tzinfo) if until else None)


@dataclass(frozen=True, slots=True)
class Silenced:
    """An alert that a silence would mute, and the receivers that would not be told."""

    subject: Subject
    open: tuple[str, ...]
    """The labels that only the series know and that decide whether it is muted; empty where it certainly is."""
    receivers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Silence:
    """The alerts that a silence would mute."""

    matchers: tuple[Matcher, ...]
    mutes: tuple[Silenced, ...]
    alerts: int
    """Among how many alerting rules these are."""


def silence(config: AlertConfig, matchers: tuple[Matcher, ...]) -> Silence:
    """The alerts of the configuration that a silence of these matchers would mute."""
    recipients = Recipients(config)
    return Silence(matchers, tuple(_silenced(recipients, matchers)), len(recipients.subjects))


def _silenced(recipients: Recipients, matchers: tuple[Matcher, ...]) -> Iterator[Silenced]:
    for subject in recipients.subjects:
        if takes(matchers, subject.alert) is not Answer.NO:
            doubtful = (m.label for m in matchers if answer(m, subject.alert) is Answer.MAYBE)
            receivers = (heard.receiver for heard in recipients.reach(subject).heard)
            yield Silenced(subject, tuple(dict.fromkeys(doubtful)), tuple(dict.fromkeys(receivers)))
