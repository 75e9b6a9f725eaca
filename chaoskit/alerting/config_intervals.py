"""The time intervals of alertmanager.yml, read as Alertmanager's timeinterval package reads them (0.25 to 0.34)."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, tzinfo

from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.model import TimeInterval, TimePart
from chaoskit.errors import BadInput
from chaoskit.yaml_source import Node
from chaoskit.zones import zone_named

_KEYS = ("times", "weekdays", "days_of_month", "months", "years", "location")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
WEEKDAYS = {name.lower(): (number + 1) % 7 for number, name in enumerate(calendar.day_name)}
"""By name: from Sunday, 0, to Saturday, 6."""
_NUMBER = re.compile(r"[+-]?[0-9]+")
_SHORTEST_MONTH = 28
_LONGEST_MONTH = 31
Range = tuple[int, int]


def read_intervals(reading: Reading, root: Node) -> dict[str, TimeInterval]:
    """The time intervals by name, in the order written; every problem goes to `reading`."""
    found: dict[str, TimeInterval] = {}
    for key in ("mute_time_intervals", "time_intervals"):
        for node in reading.mappings(root, key, "a time interval"):
            name = reading.required(node, "name", "a time interval")
            reading.known_keys(node, ("name", "time_intervals"), f"the time interval '{name}'", ())
            parts = reading.mappings(node, "time_intervals", f"a part of the time interval '{name}'")
            if name in found:
                first = found[name].place.line
                reading.say(node.place, f"the time interval '{name}' is defined twice", f"first on line {first}")
            found[name] = TimeInterval(name, tuple(read_part(reading, each) for each in parts), node.place)
    return found


def read_part(reading: Reading, node: Node) -> TimePart:
    """One part of a time interval; every problem goes to `reading`."""
    reading.known_keys(node, _KEYS, "a time interval", ())
    times = reading.mappings(node, "times", "an entry of times")
    return TimePart(
        tuple(one for each in times if (one := _times(reading, each))) if reading.get(node, "times") else None,
        _ranges(reading, node, "weekdays", _weekday),
        _ranges(reading, node, "days_of_month", _day),
        _ranges(reading, node, "months", _month),
        _ranges(reading, node, "years", _number),
        _zone(reading, node),
    )


def _times(reading: Reading, node: Node) -> Range | None:
    """The minutes of the day from the start until before the end; None where they are not usable."""
    reading.known_keys(node, ("start_time", "end_time"), "an entry of times", ())
    minutes = []
    for key in ("start_time", "end_time"):
        text = reading.required(node, key, "an entry of times")
        if text and not _CLOCK.fullmatch(text):
            value = reading.get(node, key)
            reading.say(value.place if value else node.place, f"{key} '{text}' is not a time of day", "write 08:30")
        elif text:
            minutes.append(int(text[:2]) * 60 + int(text[3:]))
    if len(minutes) == 2 and minutes[0] >= minutes[1]:
        reading.say(node.place, "start_time is not before end_time", "write two entries, up to 24:00 and from 00:00")
        return None
    return (minutes[0], minutes[1]) if len(minutes) == 2 else None


def _ranges(reading: Reading, node: Node, key: str, number: Callable[[str], int]) -> tuple[Range, ...] | None:
    """The ranges of a key, both ends included; None without the key."""
    if reading.get(node, key) is None:
        return None
    found = []
    for item in reading.texts(node, key):
        first, colon, last = item.raw.lower().partition(":")
        try:
            ends = number(first), number(last if colon else first)
            if _length(*ends) < 0:
                raise ValueError(f"'{item.raw}' ends before it begins")
        except ValueError as error:
            reading.say(item.place, f"{key}: {error}")
        else:
            found.append(ends)
    return tuple(found)


def _length(first: int, last: int) -> int:
    """How far apart the ends are; below 0 where it is an empty range in each month."""
    if first < 0 < last:
        return -1
    first, last = (_SHORTEST_MONTH + each if each < 0 else each for each in (first, last))
    return last - first


def _weekday(text: str) -> int:
    if text not in WEEKDAYS:
        raise ValueError(f"'{text}' is not a weekday: write {', '.join(WEEKDAYS)}")
    return WEEKDAYS[text]


def _month(text: str) -> int:
    return _MONTHS[text] if text in _MONTHS else _number(text)


def _day(text: str) -> int:
    day = _number(text)
    if not 1 <= abs(day) <= _LONGEST_MONTH:
        raise ValueError(f"{day} is not a day of a month: write 1 to {_LONGEST_MONTH}, or -1 for its last day")
    return day


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"'{text}' is not a number")
    return int(text)


def _zone(reading: Reading, node: Node) -> tzinfo:
    """The zone that the part is in; UTC where none is written, or none that is known here, which is said."""
    name = reading.text(node, "location")
    place = (reading.get(node, "location") or node).place
    if name == "Local":
        message = "location Local is the zone of Alertmanager's machine, which chaoskit cannot see: chaoskit takes UTC"
        reading.puzzle(place, message, "name the zone, such as Europe/Berlin")
    elif name not in ("", "UTC"):
        try:
            return zone_named(name)
        except BadInput as error:
            reading.problems += [replace(each, place=place) for each in error.problems]
    return UTC
