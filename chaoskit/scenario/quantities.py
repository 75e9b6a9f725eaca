"""Quantities in a scenario or profile: each carries its unit, and a missing or odd one gets a suggestion.

Readers as in `fields`. The grammar is that of `chaoskit.units`; what is added here is the advice.
"""

from __future__ import annotations

import math
import re

from chaoskit.scenario.fields import Problems, Reader
from chaoskit.units import format_duration, parse_duration, parse_rate, parse_ratio, parse_size
from chaoskit.yaml_source import Node

Bounds = tuple[int, int | None]

LONGEST_S = 366 * 86_400.0

_LOOSE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
_SPELLINGS = {
    0.001: ("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"),
    1.0: ("s", "sec", "secs", "second", "seconds"),
    60.0: ("m", "min", "mins", "minute", "minutes"),
    3600.0: ("h", "hr", "hrs", "hour", "hours"),
    86_400.0: ("d", "day", "days"),
}
_SECONDS = {spelling: seconds for seconds, spellings in _SPELLINGS.items() for spelling in spellings}
_RANGE = re.compile(r"(?P<low>\d{1,9})?(?P<dots>\.\.)?(?P<high>\d{1,9})?", re.ASCII)


def duration_advice(written: str) -> str:
    """What to write instead of a text that is no duration, or "" when that cannot be guessed."""
    match = _LOOSE.fullmatch(written.strip())
    if not match:
        return ""
    number, unit = match.groups()
    if not unit:
        return f"write {number}s for seconds or {number}m for minutes" if number.isdigit() else "write 30s or 5m"
    seconds = _SECONDS.get(unit.lower())
    return f"write {format_duration(float(number) * seconds)}" if seconds else ""


def duration(node: Node, what: str, problems: Problems) -> float | None:
    """Seconds, more than 0, of a duration with its unit."""
    return _duration(node, what, problems, zero=False)


def duration_or_zero(node: Node, what: str, problems: Problems) -> float | None:
    """Seconds, 0 or more, of a duration with its unit."""
    return _duration(node, what, problems, zero=True)


def _duration(node: Node, what: str, problems: Problems, *, zero: bool) -> float | None:
    written = node.raw.strip()
    if node.kind != "scalar" or isinstance(node.value, bool) or node.value is None:
        problems.say(node.place, f"{what} must be a duration, found {node.described()}", "write 30s or 5m")
        return None
    if written.startswith("-"):
        problems.say(node.place, f"{what} is negative: {written}", "write a duration such as 30s or 5m")
        return None
    if not (zero and written == "0") and isinstance(node.value, int | float):
        problems.say(node.place, f"{what} has no unit: {written}", duration_advice(written))
        return None
    try:
        seconds = parse_duration(written)
    except (ValueError, OverflowError):
        hint = duration_advice(written) or "write a number with its unit, such as 30s, 5m or 1h30m"
        problems.say(node.place, f"{what} is not a duration: {node.described()}", hint)
        return None
    if seconds > LONGEST_S:
        problems.say(node.place, f"{what} is longer than a year: {written}", "write a duration such as 30s or 5m")
        return None
    if not seconds and not zero:
        problems.say(node.place, f"{what} must be longer than 0", "write a duration such as 30s or 5m")
        return None
    return seconds


def share(node: Node, what: str, problems: Problems) -> float | None:
    """A share above 0 and at most 1, written `75%` (or 0.75)."""
    value = node.value
    try:
        if node.kind != "scalar" or isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        ratio = parse_ratio(value)
    except ValueError:
        ratio = math.nan
    if 0 < ratio <= 1:
        return ratio
    problems.say(
        node.place, f"{what} must be a share above 0% and at most 100%, found {node.described()}", _percent(value)
    )
    return None


def _percent(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 < value <= 100:
        return f"write {value}%"
    return "write a percentage such as 75%"


def rate(node: Node, what: str, problems: Problems) -> float | None:
    """Events per real second, more than 0, written `40/s`."""
    value = node.value
    if isinstance(value, int | float) and not isinstance(value, bool):
        problems.say(node.place, f"{what} has no unit: {node.raw}", f"write {node.raw}/s")
        return None
    try:
        per_s = parse_rate(value) if isinstance(value, str) else math.nan
    except ValueError:
        per_s = math.nan
    if math.isfinite(per_s) and per_s > 0:
        return per_s
    problems.say(
        node.place, f"{what} must be a rate above 0, found {node.described()}", "write it per second, such as 40/s"
    )
    return None


def size(node: Node, what: str, problems: Problems) -> int | None:
    """Bytes, more than 0, written `1GiB`."""
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool):
        problems.say(node.place, f"{what} has no unit: {node.raw}", "write a size such as 64MiB or 1GiB")
        return None
    try:
        count = parse_size(value) if isinstance(value, str) else 0
    except (ValueError, OverflowError):
        count = 0
    if count > 0:
        return count
    problems.say(
        node.place, f"{what} must be a size above 0, found {node.described()}", "write a size such as 64MiB or 1GiB"
    )
    return None


def number(low: float, high: float) -> Reader[float]:
    """A reader for a number between these two, both included."""

    def read(node: Node, what: str, problems: Problems) -> float | None:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            problems.say(node.place, f"{what} must be a number from {low:g} to {high:g}, found {node.described()}")
            return None
        return float(value)

    return read


def bounds(node: Node, what: str, problems: Problems) -> Bounds | None:
    """How many: `2` (exactly), `1..3`, `..10` (at most), `2..` (at least); the upper one None for no bound."""
    match = _RANGE.fullmatch(node.raw.strip()) if node.kind == "scalar" and not isinstance(node.value, bool) else None
    low, high = (match["low"], match["high"]) if match else (None, None)
    if match is None or (low is None and high is None) or (match["dots"] is None and high is not None):
        problems.say(
            node.place, f"{what} must be a number or a range, found {node.described()}", "write 2, 1..3, ..10 or 2.."
        )
        return None
    lower = int(low or 0)
    upper = lower if match["dots"] is None else (None if high is None else int(high))
    if upper is not None and upper < lower:
        problems.say(node.place, f"{what} ends below its start: {node.raw}", f"write {upper}..{lower}")
        return None
    return lower, upper
