"""A past for Prometheus: series whose fault began long before the stack, and alerts that have been pending since.

A `for` of a day, or a range of a week, is not waited for. The series that the rule looks back on are written as blocks,
at rest and under the fault, until a little after Prometheus starts on them (its first scrape comes 5 s later). When the
alert became pending is written beside it as ALERTS_FOR_STATE, as Prometheus left it, and is restored by Prometheus
itself as after any restart. So only the last seconds are played, on real programs: a `for` fires when the whole of it
is over since the restored instant, to the evaluation.

    rest ───────── fault ──── true ─────────────────────────────── now ── fires ── told
         blocks         rise       ALERTS_FOR_STATE, `for`            played

An alert whose `for` is shorter than the part that is played becomes pending while the observers watch: its fault began
just so long ago that its condition becomes true then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaoskit.errors import EquipmentError
from chaoskit.events import Interval
from chaoskit.faults.series import Course, Scripted, escaped, identity, value_at
from chaoskit.rehearse.promtool import ask

_AHEAD_REAL_S = 13.0
"""So long after now the blocks end: Prometheus's first scrape and its first word to Alertmanager come 5 s after its
start. Prometheus 3 writes no result of a rule before that, so that no alert may fire earlier."""
_SEEN_REAL_S = 2.0
"""From the end of the blocks until what is restored fires, in which it is seen pending."""
_SAMPLES_PER_S, _USUAL_INTERVAL_S = 100_000, 15.0
_PROMTOOL_S = 300.0
_SETTLE = 2
FLAGS: Mapping[str, str] = {
    "rules.alert.for-grace-period": "1ms",  # the default would move what is due sooner
    "rules.alert.for-outage-tolerance": "1h",
}
OUT_OF_ORDER = "1h"
"""Scrapes and rules write while the blocks still last."""


@dataclass(frozen=True, slots=True)
class Far:
    """How a rule is played that takes too long: `rise_s` after the fault it is true, `fall_s` after its end not any
    more. With `ends` its end is played as well. Alerts that are not restored become pending at one instant, and the
    rule fires at most `left_s` after that."""

    rise_s: float
    fall_s: float
    ends: bool
    left_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Remembered:
    """One rule's past: its series, with a value every `every_s`, at rest for `rest_s`, and its alerts' labels."""

    series: tuple[Scripted, ...]
    alerts: tuple[Mapping[str, str], ...]
    rest_s: float
    every_s: float
    for_s: float
    far: Far


@dataclass(frozen=True, slots=True)
class Begun:
    """The instants of a rule's past, in real seconds since the epoch; `restored` where it is pending since before."""

    rest: float
    fault: float
    pending: float
    restored: bool


def begun(one: Remembered, now: float, ahead_s: float, scale: float, interval_s: float) -> Begun:
    """When everything of a past must have begun for the alert to fire soon after now. Whole seconds for `pending`,
    where it is restored: Prometheus keeps it so."""
    restored = restores(one.for_s, scale, ahead_s)
    if restored:
        pending = float(math.floor(now) - math.floor(one.for_s / scale - ahead_s - _SEEN_REAL_S))
        # An evaluation earlier than needed: it must have been true when it is said to have been.
        rise_s = min(one.far.rise_s, one.rest_s) + interval_s
    else:
        pending = now + ahead_s + (one.every_s + 2 * interval_s) / scale
        rise_s = one.far.rise_s
    fault = pending - rise_s / scale
    return Begun(fault - (one.rest_s + _SETTLE * interval_s) / scale, fault, pending, restored)


def restores(for_s: float, scale: float, ahead_s: float) -> bool:
    """Whether a `for` is longer than what is played, so that it begins before."""
    return for_s / scale >= ahead_s + _SEEN_REAL_S + 1


def left_s(for_s: float, scale: float) -> float:
    """How much of a `for` is played, at most: all of it where it begins in sight."""
    return min(for_s, 2 * (_AHEAD_REAL_S + _SEEN_REAL_S) * scale)


def ahead_s(past: Sequence[Remembered]) -> float:
    """Real seconds from now to when Prometheus certainly runs on the blocks and knows its Alertmanager."""
    lasts_s = (len(one.series) * (one.rest_s + one.far.rise_s + one.for_s) for one in past)
    samples = sum(lasts_s) / _USUAL_INTERVAL_S
    return _AHEAD_REAL_S + samples / _SAMPLES_PER_S


def openmetrics(
    past: Sequence[Remembered], now: float, scale: float, interval_s: float, job: str, instance: str
) -> Iterator[str]:
    """The text of all series until `ahead_s` after now, and of the alerts' state, line by line."""
    lead_s = ahead_s(past)
    for one in past:
        when = begun(one, now, lead_s, scale, interval_s)
        course = Course(when.rest * scale, when.fault * scale)
        for series in one.series:
            # As a scrape makes them: the target's own labels where the page shows none.
            key = identity(series.name, {"job": job, "instance": instance, **dict(series.labels)})
            yield from _samples(key, series, course, now + lead_s, scale, one.every_s, interval_s)
        if when.restored:
            for labels in one.alerts:
                inside = ",".join(f'{name}="{escaped(value)}"' for name, value in sorted(labels.items()))
                yield f"ALERTS_FOR_STATE{{{inside}}} {when.pending:.0f} {math.floor(now)}\n"
    yield "# EOF\n"


def _samples(
    key: str, series: Scripted, course: Course, until: float, scale: float, every_s: float, interval_s: float
) -> Iterator[str]:
    at = course.rest_vs / scale
    while at < until:
        # A little later, so that no rounding takes the value before.
        value = value_at(series, course, at * scale + interval_s / 100, every_s)
        if value is not None:
            shown = at + value / scale if series.clock else value
            yield f"{key} {sample(shown)} {at:.4f}\n"
        # As it would have been scraped, also where the script was proven with fewer: an average weighs them alike.
        at += interval_s / scale


def sample(value: float) -> str:
    """A value as exposition formats write it."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else f"{value:.17g}"


def write_blocks(promtool: Path, lines: Iterator[str], text: Path, data: Path) -> None:
    """Makes the blocks of a data folder out of these lines, by way of the file `text`; raises EquipmentError."""
    data.mkdir(parents=True, exist_ok=True)
    with text.open("w", encoding="utf-8") as file:
        file.writelines(lines)
    try:
        words = ("tsdb", "create-blocks-from", "openmetrics", "-q", text, data)
        code, said = ask(promtool, *words, within_s=_PROMTOOL_S)
    finally:
        text.unlink(missing_ok=True)
    if code:
        raise EquipmentError("promtool", f"tsdb create-blocks-from refuses the written past: {said.strip()[-600:]}")


def span(past: Sequence[Remembered], now: float, scale: float, interval_s: float) -> Interval:
    """The first and the last instant at which one of the faults began."""
    faults = [begun(one, now, ahead_s(past), scale, interval_s).fault for one in past]
    return (min(faults), max(faults))
