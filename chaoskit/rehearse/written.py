"""Scripted series as a scenario writes them."""

from __future__ import annotations

from typing import Any

from chaoskit.faults.scripted import ENDLESS, Scripted, Segment, Values


def described(series: Scripted) -> dict[str, Any]:
    """A series as a scenario writes it."""
    found: dict[str, Any] = {
        "series": series.key,
        "values": described_values(series.values),
        "rest": described_values(series.rest),
    }
    repeat = series.values.repeat or series.rest.repeat
    for flag, value in (("counter", series.counter), ("clock", series.clock), ("repeat", repeat)):
        if value:
            found[flag] = True
    return found


def described_values(values: Values) -> str:
    """A sequence in promtool's notation."""
    return " ".join(map(_item, values.segments)) or "_"


def _item(segment: Segment) -> str:
    if segment.start is None:
        return f"_x{segment.count}" if segment.count > 1 else "_"
    start = f"{segment.start:.17g}"
    if segment.count == 1:
        return start
    step = "" if not segment.step else f"{segment.step:+.17g}"
    return f"{start}{step}x{min(segment.count, ENDLESS) - 1}"
