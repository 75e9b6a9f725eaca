"""series: what a rehearsal's page shows follows a script, in place of a service that breaks.

    0x4 5x10         five times 0, then eleven times 5; the last value stays
    0+15x1000        0, 15, 30 ...; in between it grows evenly
    1 _x3 stale      missing three times, then ended

The notation is that of `values` in promtool's `input_series`, one value an interval. Beside it a series may `repeat`
its sequence, count as a `counter` (a new sequence goes on from the value that was reached, as a process's counter
does), or follow the `clock` (its values are virtual seconds before or after now, as a time stamp's are).
"""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import BaseModel, ConfigDict, model_validator

from chaoskit.faults.base import Fault, FaultError, Made, Seen, Settings, Target, Undo
from chaoskit.units import parse_duration

_ITEM = re.compile(
    r"(?P<start>[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|inf|nan)|_|stale)"
    r"(?:(?P<step>[-+](?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+))?x(?P<count>\d+))?",
    re.IGNORECASE,
)
_NAME = re.compile(r"\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(?:\{(?P<labels>.*)\})?\s*", re.DOTALL)
_LABEL = re.compile(
    r"\s*(?P<name>[a-zA-Z_][a-zA-Z0-9_]*|\"[^\"]+\")\s*=\s*(?P<value>\"(?:[^\"\\]|\\.)*\"|'[^']*')\s*(?:,|$)"
)
ENDLESS = 10_000_000
"""So many intervals outlast every rehearsal."""


@dataclass(frozen=True, slots=True)
class Segment:
    """`count` values from `start` in steps; a start of None is a missing value."""

    start: float | None
    step: float
    count: int

    def at(self, number: float) -> float | None:
        """The value after so many steps; None where it is missing."""
        return None if self.start is None else self.start + self.step * number


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one phase, one an interval; the last one stays, unless they `repeat`."""

    segments: tuple[Segment, ...]
    repeat: bool = False

    def at(self, position: float) -> float | None:
        """The series' value after this many intervals; between two samples of a slope it is in between."""
        total = sum(segment.count for segment in self.segments)
        if not total:
            return None
        if self.repeat:
            position = math.fmod(position, total)
        for segment in self.segments:
            if position < segment.count:
                return segment.at(max(position, 0.0))
            position -= segment.count
        return segment.at(segment.count - 1)


NEVER = Values(())


def constant(value: float) -> Values:
    """Values of a series that stay the same for as long as the phase lasts."""
    return Values((Segment(value, 0.0, 1),))


def slope(start: float, per_interval: float) -> Values:
    """Values of a series that grow evenly from one sample to the next."""
    return Values((Segment(start, per_interval, ENDLESS),))


def parse_values(text: str) -> Values:
    """A sequence in promtool's notation; raises ValueError naming the part that is none."""
    segments = []
    for item in text.split():
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"'{item}' is not in promtool's notation; write for example 0x5, 1+2x10, _x3 or stale")
        start, step, count = match["start"].lower(), match["step"], match["count"]
        if start in ("_", "stale"):
            segments.append(Segment(None, 0.0, int(count) if count is not None else 1))
        else:
            more = int(count) + 1 if count is not None else 1
            segments.append(Segment(float(start), float(step) if step else 0.0, more))
    return Values(tuple(segments))


@dataclass(frozen=True, slots=True)
class Scripted:
    """One series: its values at rest (before a fault and after it) and during it."""

    name: str
    labels: tuple[tuple[str, str], ...]
    rest: Values
    values: Values
    counter: bool = False
    clock: bool = False

    @property
    def key(self) -> str:
        """Name and labels as exposition and rules write them."""
        return identity(self.name, dict(self.labels))


@dataclass(frozen=True, slots=True)
class Course:
    """When a series' phases begin, in virtual seconds on one axis: at rest from `rest_vs`, and so on; inf for never."""

    rest_vs: float
    during_vs: float = math.inf
    after_vs: float = math.inf


def value_at(series: Scripted, course: Course, now_vs: float, interval_s: float) -> float | None:
    """The series' value at an instant; None where it is missing."""

    def play(sequence: Values, since_vs: float, until_vs: float) -> float | None:
        return sequence.at((until_vs - since_vs) / interval_s)

    during, after = course.during_vs, course.after_vs
    first = play(series.rest, course.rest_vs, min(now_vs, during))
    if now_vs < during:
        return first
    second = play(series.values, during, min(now_vs, after))
    if series.counter:
        second = _sum(first, second)
    if now_vs < after:
        return second
    third = play(series.rest, after, now_vs)
    if not series.counter:
        return third
    begun = series.rest.at(0.0)
    return _sum(second, None if third is None or begun is None else third - begun)


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


def identity(name: str, labels: Mapping[str, str]) -> str:
    """`name{a="b",c="d"}`, labels in order."""
    inside = ",".join(f'{key}="{escaped(value)}"' for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name


def escaped(value: str) -> str:
    """A label value, escaped for use between double quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def parse_identity(text: str) -> tuple[str, dict[str, str]]:
    """Name and labels of `name{a="b"}`; raises ValueError."""
    match = _NAME.fullmatch(text)
    if match is None or not text.strip():
        raise ValueError(f"'{text}' is not a series; write it as requests_total{{code=\"500\"}}")
    labels: dict[str, str] = {}
    inside, at = match["labels"] or "", 0
    while inside[at:].strip():
        label = _LABEL.match(inside, at)
        if label is None:
            raise ValueError(f"'{text}' is not a series: the labels at '{inside[at:].strip()[:40]}' cannot be read")
        raw = label["value"]
        value = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), raw[1:-1]) if raw[0] == '"' else raw[1:-1]
        labels[label["name"].strip('"')] = value
        at = label.end()
    name = match["name"] or labels.pop("__name__", "")
    if not name:
        raise ValueError(f"'{text}' names no metric")
    return name, labels


def notation(series: Scripted, course: Course, every_s: float, count: int, interval_s: float, begin: int = 0) -> str:
    """The series' first `count` samples in promtool's notation; none before number `begin`.

    A sample is taken every `every_s` from instant 0 on, values of the script are `interval_s` apart. The first missing
    one after others is an end. Between the instants where a course bends, two samples tell all.
    """

    def value(i: int) -> float | None:
        found = None if i < begin else value_at(series, course, i * every_s, interval_s)
        return found + i * every_s if series.clock and found is not None else found

    bends = (math.ceil(at / every_s - 1e-9) for at in _bends(series, course, (count - 1) * every_s, interval_s))
    edges = sorted({0, min(begin, count), count, *(i for i in bends if 0 < i < count)})
    runs: list[tuple[float | None, float, int]] = []
    for low, high in itertools.pairwise(edges):
        start, last, n = value(low), value(high - 1), high - low
        step = 0.0 if start is None or n == 1 else (value(low + 1) or 0.0) - start
        if start is None and last is None:
            runs.append((None, 0.0, n))
        elif start is None or last is None or not _same(last, start + step * (n - 1)):
            # Endless, or rounding put a bend beside its sample.
            runs += [(each, 0.0, len(list(some))) for each, some in itertools.groupby(map(value, range(low, high)))]
        else:
            runs.append((start, step, n))
    words: list[str] = []
    for start, step, n in runs:
        if start is None:
            words += ["stale" if words and words[-1][0] not in "_s" else "_", *([f"_x{n - 1}"] if n > 1 else [])]
        else:
            words.append(stretch(start, step, n))
    return " ".join(words)


def _bends(series: Scripted, course: Course, until_vs: float, interval_s: float) -> Iterator[float]:
    """The instants up to one at which a series may leave its straight course."""
    during, after = min(course.during_vs, until_vs), min(course.after_vs, until_vs)
    phases = ((series.rest, course.rest_vs, during), (series.values, during, after), (series.rest, after, until_vs))
    for sequence, since, end in phases:
        yield since
        at = since
        for segment in itertools.cycle(sequence.segments) if sequence.repeat else sequence.segments:
            at += segment.count * interval_s
            if at > end:
                break
            yield at


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12)


def stretch(start: float, step: float, count: int) -> str:
    """This many samples on a straight course, in promtool's notation."""
    return f"{start:.17g}" + (f"{f'{step:+.17g}' if step else ''}x{count - 1}" if count > 1 else "")


class Shows(Protocol):
    """A page that shows series to Prometheus, such as a rehearsal's."""

    interval_s: float
    """Virtual seconds between two values where nothing else is said."""

    def follow(self, series: Sequence[Scripted], interval_s: float) -> Seen:
        """Begins the script of these series."""

    def rest(self, series: Sequence[Scripted]) -> Seen:
        """Ends the script of these series."""


PAGES: dict[str, Shows] = {}
"""By address: the pages that this very process shows. Nothing that they show outlives it."""


class OneSeries(BaseModel):
    """One entry of the setting `series`: a series and its values."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    series: str
    values: str | int | float
    rest: str | int | float | None = None
    counter: bool = False
    clock: bool = False
    repeat: bool = False

    def scripted(self) -> Scripted:
        """The series with its labels and course; raises ValueError for settings that are wrong."""
        name, labels = parse_identity(self.series)
        values = parse_values(str(self.values))
        if not values.segments:
            raise ValueError(f"{self.series} has no values")
        first = replace(values.segments[0], step=0.0, count=1)
        rest = parse_values(str(self.rest)) if self.rest is not None else Values((first,))
        return Scripted(
            name,
            tuple(sorted(labels.items())),
            self._played(rest),
            self._played(values),
            counter=self.counter,
            clock=self.clock,
        )

    def _played(self, values: Values) -> Values:
        return replace(values, repeat=self.repeat and sum(segment.count for segment in values.segments) > 1)


class SeriesSettings(Settings):
    """The series that the fault moves, each with its values."""

    series: list[OneSeries]
    """Each with `series`, its name and labels, and `values`, in the notation of promtool's input_series, which begin
    when the fault does; the last one stays. `rest` holds before and after, and is the first of the values where it is
    not given; `_` means missing. `counter` goes on from the value that was reached, `clock` reads values as seconds
    before or after now, `repeat` plays both over and over."""
    interval: str | None = None
    """Between two values; the scrape interval where it is not given."""

    @model_validator(mode="after")
    def _makes_sense(self) -> SeriesSettings:
        self.scripted(1.0)
        return self

    def scripted(self, interval_s: float) -> tuple[tuple[Scripted, ...], float]:
        """The series, and the seconds between two values: those of `interval`, or else these."""
        every_s = parse_duration(self.interval) if self.interval else interval_s
        return tuple(one.scripted() for one in self.series), every_s


class Series(Fault[SeriesSettings]):
    """Series on the page of a rehearsal follow a script, in place of a service that breaks.

    Only `chaoskit rehearse` shows such a page; it ends with the run, and the series with it.
    """

    kind = "series"
    handles = ()
    in_process = True

    def prepare(self, target: Target, settings: SeriesSettings) -> Undo:
        """The undo token: the scripts themselves."""
        return {"url": target.address.url, "settings": settings.model_dump()}

    def start(self, undo: Undo) -> Seen:
        """Shows the scripts: from this instant on every scrape gets them."""
        page = PAGES.get(str(undo.get("url")))
        if page is None:
            raise FaultError("series are shown by a rehearsal alone: use chaoskit rehearse")
        return page.follow(*SeriesSettings.model_validate(undo["settings"]).scripted(page.interval_s))

    def stop(self, undo: Undo) -> Seen:
        """Ends the script; done already where its page is gone."""
        page = PAGES.get(str(undo.get("url")))
        if page is None:
            now = time.time()
            return Seen((now, now), "it ended with the run that showed it")
        return page.rest(SeriesSettings.model_validate(undo["settings"]).scripted(page.interval_s)[0])

    def vouch(self, undo: Undo, made: Made) -> str:
        """Says that the undo of a series token does nothing."""
        return "does nothing: it ended with the run that showed it"
