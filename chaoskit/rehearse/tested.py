"""Unit tests that are played: the drill that one is made into, and the row of its group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from chaoskit.errors import Place
from chaoskit.events import ExpectedQuiet, ExpectedTexts
from chaoskit.verify.verdict import Result, worst_of


@dataclass(frozen=True, slots=True)
class GivenTest:
    """One drill of a unit test; `rules` are those that are loaded, by `key_of`."""

    place: Place
    rules: frozenset[str]
    appears_s: Mapping[str, float]
    """By alert, how long its series take to make it true: their lead-in."""
    scale: float
    results: Mapping[str, tuple[Mapping[str, str], ...]]
    """By alert, the labels of each instance that fires."""
    texts: tuple[ExpectedTexts, ...] = ()
    quiet: tuple[ExpectedQuiet, ...] = ()
    late_vs: float = 60.0
    """By so much scrapes and evaluations may be later than promtool's."""
    hasty: bool = True
    """Whether an alert that is loaded may be true before the series are at rest."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One test group: the drills that play it, or why none does; `result` is None where it is merely left out."""

    place: Place
    title: str
    alerts: tuple[str, ...] = ()
    drills: tuple[str, ...] = ()
    result: Result | None = None
    reason: str = ""


AGAIN = "-again"
"""Ends the names of what is played a second time."""


def played(row: GroupRow, ended: Mapping[str, Result]) -> GroupRow:
    """The row with the worst of how its drills ended; of one that was UNKNOWN the second attempt counts."""
    found = []
    for drill in (Path(name).stem for name in row.drills):
        first, again = ended.get(drill), ended.get(f"{drill}{AGAIN}")
        found.append(again if again and first is not Result.FAIL else first or Result.UNKNOWN)
    return replace(row, result=worst_of(found)) if found else row
