"""The parts of a timeline: an axis in virtual seconds, and lanes of bars and marks placed on it in percent.

Percent, since a lane is as wide as the reader's window: nothing is scaled, so text stays legible on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from chaoskit.events import Interval

MOST_IN_LANE = 150
"""Bars, and marks, that one lane shows one by one; more are drawn together."""
_TICKS = 7
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_NARROWEST = 0.25


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of a lane; `kind` is its style. `title` is printed under the lane, `label` inside where there is room."""

    x: float
    width: float
    kind: str
    title: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """An instant of a lane: `told`, `cleared`, `refused` or `note`; `stray` for an unexpected notice. Or one that goes
    through all lanes: `tick` with what it says, `fault`, `undo` or `now`.
    """

    x: float
    kind: str
    title: str = ""


B = TypeVar("B", Bar, Mark)


@dataclass(frozen=True, slots=True)
class Curve:
    """A polyline in a box of 1000 by 100; `name` is what the legend says of it."""

    kind: str
    points: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One line of the timeline; bars are drawn in their order, marks above them. Their titles are printed below it."""

    label: str
    bars: Sequence[Bar] = ()
    marks: Sequence[Mark] = ()
    curves: Sequence[Curve] = ()
    result: str = ""
    note: str = ""
    tone: str = ""
    words: Sequence[str] = ()
    """Further figures, printed before the titles of bars and marks."""
    top: str = ""
    """The figure at the upper end of a scale that begins at 0; empty where the lane has none."""
    bands: Sequence[Bar] = ()
    """Spans behind everything: when a fault was in force."""

    @property
    def figures(self) -> list[str]:
        """The titles of the lane's bars and marks, in the order of time, each once."""
        seen: list[Bar | Mark] = sorted(
            [*(bar for bar in self.bars if bar.kind != "window"), *self.marks], key=lambda one: one.x
        )
        return list(dict.fromkeys([*self.words, *(one.title for one in seen)]))

    @property
    def promised(self) -> list[str]:
        """The windows that were allowed in it."""
        return list(dict.fromkeys(bar.title for bar in self.bars if bar.kind == "window"))

    def bounded(self) -> Lane:
        """The lane with neighbours drawn together where there are too many."""
        return replace(self, bars=_joined(self.bars), marks=_joined(self.marks))


@dataclass(frozen=True, slots=True)
class Group:
    """Lanes of the timeline that belong together, below one heading."""

    title: str
    lanes: Sequence[Lane]
    result: str = ""
    tone: str = ""
    anchor: str = ""
    """The id that links lead to; empty where it has none."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Real instants (seconds since the epoch) to percent; `zero` is the instant of 0 virtual seconds."""

    begin: float
    end: float
    zero: float
    scale: float
    now: float | None = None
    """Of a run that is not over, the present: bars that have not ended end here. None of one that is over."""

    @property
    def until(self) -> float:
        """The instant to which marks that have not ended are drawn."""
        return self.end if self.now is None else self.now

    def x(self, instant: float) -> float:
        """The position of an instant in percent; 0 or 100 if it lies outside of the axis."""
        share = (instant - self.begin) / max(self.end - self.begin, 1e-9)
        return round(100 * min(max(share, 0.0), 1.0), 3)

    def vs(self, instant: float) -> float:
        """Virtual seconds since the first step."""
        return (instant - self.zero) * self.scale

    def at(self, instant: float) -> str:
        """An instant as people read it."""
        return f"at {self.vs(instant):.1f} s"

    def shows(self, span: Interval) -> bool:
        """Whether any part of this span lies on the time axis."""
        return span[1] >= self.begin and span[0] <= self.end

    def bar(self, span: Interval, kind: str, title: str, label: str = "") -> Bar:
        """A span as a bar that can be seen, however short it is."""
        x = self.x(span[0])
        width = max(self.x(span[1]) - x, _NARROWEST)
        return Bar(min(x, 100 - _NARROWEST), round(width, 3), kind, title, label)

    def mark(self, instant: float, kind: str, title: str) -> Mark:
        """A mark on the time axis at an instant."""
        return Mark(self.x(instant), kind, title)

    @property
    def ticks(self) -> list[Mark]:
        """Round numbers of virtual seconds, at most seven."""
        first, last = self.vs(self.begin), self.vs(self.end)
        step = float(next((s for s in _STEPS if (last - first) / s <= _TICKS), 0) or (last - first) / _TICKS)
        number = int(first // step) + (1 if first > 0 else 0)
        found = []
        while number * step <= last:
            at = number * step
            if at >= first:
                found.append(Mark(self.x(self.zero + at / self.scale), "tick", f"{at:g} s"))
            number += 1
        return found


def _joined(some: Sequence[B]) -> Sequence[B]:
    if len(some) <= MOST_IN_LANE:
        return some
    found: dict[tuple[str, int], list[B]] = {}
    for each in some:
        found.setdefault((each.kind, int(each.x)), []).append(each)
    return [_one_of(near) for near in found.values()]


def _one_of(near: Sequence[B]) -> B:
    """One bar over all of these; of marks the first."""
    title = near[0].title if len(near) == 1 else f"{len(near)} of them, the first: {near[0].title}"
    if isinstance(near[0], Mark):
        return replace(near[0], title=title)
    x, end = min(one.x for one in near), max(one.x + one.width for one in near if isinstance(one, Bar))
    return replace(near[0], x=x, width=round(end - x, 3), title=title, label="")
