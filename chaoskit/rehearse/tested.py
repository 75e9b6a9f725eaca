"""What a unit test says beyond who must be told, held against a rehearsal: annotations, and when nothing may fire."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from chaoskit.errors import Place
from chaoskit.hop import Hop
from chaoskit.verify.evidence import Evidence
from chaoskit.verify.verdict import Result, Row, worst_of

_NUMBER = re.compile(
    r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?:ns|us|µs|ms|[smhdywkMGTPE%])*(?:\s?\d+[smhdw])*",
    re.IGNORECASE,
)
_JITTER_REAL_S = 0.2
_MOST = 160


@dataclass(frozen=True, slots=True)
class Quiet:
    """At this instant, in virtual seconds after the series began, no alert of the name fires; where that is said."""

    alert: str
    at_vs: float
    place: Place


@dataclass(frozen=True, slots=True)
class Told:
    """The annotations that a test expects of the alert with these labels."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    place: Place


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
    told: tuple[Told, ...] = ()
    quiet: tuple[Quiet, ...] = ()
    late_vs: float = 60.0
    """By so much scrapes and evaluations may be later than promtool's."""


def rows(tested: GivenTest, evidence: Evidence, scale: float) -> list[Row]:
    """A row for each alert whose annotations were told, and for each that fired when none might."""
    return [*_texts(tested, evidence), *_not_quiet(tested, evidence, scale)]


def _texts(tested: GivenTest, evidence: Evidence) -> Iterator[Row]:
    for each in tested.told:
        wrong: dict[str, str] = {}
        compared = 0
        for notice in evidence.notices:
            for item in notice.alerts:
                if not item.annotations or any(item.labels.get(k) != v for k, v in each.labels.items()):
                    continue
                compared += 1
                for key in each.annotations.keys() | item.annotations.keys():
                    said, wanted = item.annotations.get(key, ""), each.annotations.get(key, "")
                    if _words(said) != _words(wanted):
                        wrong[key] = f"{key} says {_short(said)}, the test expects {_short(wanted)}"
        alert = each.labels["alertname"]
        if wrong:
            reason = f"{alert}: {'; '.join(wrong.values())} ({each.place})"
            yield Row(about=alert, hop=Hop.CONTENT, result=Result.FAIL, reason=reason)
        elif compared:
            yield Row(
                about=alert, hop=Hop.CONTENT, result=Result.PASS, rests_on=f"exp_annotations in {compared} notices"
            )


def _words(text: str) -> str:
    """The text without its numbers, which depend on how often series are scraped, and without its line breaks."""
    return " ".join(_NUMBER.sub("#", text).split())


def _short(text: str) -> str:
    words = " ".join(text.split())
    return f"'{words}'" if len(words) <= _MOST else f"'{words[:_MOST]}…'"


def _not_quiet(tested: GivenTest, evidence: Evidence, scale: float) -> Iterator[Row]:
    begun = next(iter(evidence.effects.values()), None)
    if begun is None:
        return
    slack_s = tested.late_vs / scale + _JITTER_REAL_S
    for quiet in tested.quiet:
        low, high = begun[0] + quiet.at_vs / scale - slack_s, begun[1] + quiet.at_vs / scale + slack_s
        for episode in evidence.episodes:
            if episode.name != quiet.alert or episode.firing is None or episode.firing[1] >= low:
                continue
            if episode.resolved is None or episode.resolved[0] > high:
                since = (begun[0] + quiet.at_vs / scale - episode.firing[1]) * scale
                what = f"it had been firing for {since:.0f} s when the test expects none"
                reason = f"{quiet.alert}: {what} ({quiet.place})"
                yield Row(about=quiet.alert, hop=Hop.HOLD, result=Result.FAIL, reason=reason)
                break


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
