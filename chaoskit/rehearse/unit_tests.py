"""promtool's unit tests as they stand in a file, what each is played by, and how that ended.

A group that cannot be read keeps its place and says why; the others go on.
"""

from __future__ import annotations

import glob
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from chaoskit.errors import BadInput, Place
from chaoskit.events import ExpectedQuiet, ExpectedTexts
from chaoskit.faults.series import ENDLESS, NEVER, Scripted, Segment, Values, constant, parse_identity, parse_values
from chaoskit.units import parse_duration
from chaoskit.verify.verdict import Result, worst_of
from chaoskit.yaml_source import Node, read, read_text

_LOOKBACK_S = 300.0
"""So long promtool goes on seeing the last sample of a series that has a gap."""
_TIME_STAMP = re.compile(r"(_time|timestamp|_seconds|_expiry|_not_after|_since|_date|_last_\w+)$")
_COUNTER = re.compile(r"_(total|count|sum|bucket)$")
_DEFAULT = "1m"


@dataclass(frozen=True, slots=True)
class GivenTest:
    """One drill of a unit test; `rules` are those that are loaded, by `Rule.key`."""

    rules: frozenset[str]
    appears_s: Mapping[str, float]
    """By alert, how long the test's series take to make it true: their lead-in."""
    scale: float
    results: Mapping[str, tuple[Mapping[str, str], ...]]
    """By alert, the labels of each instance that fires."""
    texts: tuple[ExpectedTexts, ...] = ()
    quiet: tuple[ExpectedQuiet, ...] = ()
    late_vs: float = 60.0
    """Virtual seconds by which scrapes and evaluations may be later than promtool's."""
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry of `alert_rule_test`: at this instant exactly these alerts of the name fire, by labels, annotations."""

    alert: str
    at_s: float
    alerts: tuple[tuple[Mapping[str, str], Mapping[str, str]], ...]
    place: Place


@dataclass(frozen=True, slots=True)
class UnitTest:
    """One group of `tests`; `wrong` says why it cannot be read, and is empty where it can."""

    place: Place
    title: str
    number: int
    interval_s: float = 60.0
    series: tuple[tuple[str, str], ...] = ()
    wanted: tuple[Wanted, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The test group as promtool gets it, without the expectations."""
    evaluation: str = _DEFAULT
    order: tuple[str, ...] = ()
    rule_files: frozenset[str] = frozenset()
    """Absolute paths of what the test's own file loads."""
    wrong: str = ""

    @property
    def expected(self) -> dict[str, float]:
        """By alert that must fire, the first instant at which it must, in seconds."""
        found: dict[str, float] = {}
        for one in sorted(self.wanted, key=lambda each: each.at_s):
            if one.alerts:
                found.setdefault(one.alert, one.at_s)
        return found


def groups_in(file: Path) -> list[UnitTest]:
    """Every test group of a file, as `read_tests` gives them; for one that cannot be opened, one that says so."""
    try:
        return read_tests(read_text(file), str(file))
    except BadInput as error:
        return [_none(error, str(file))]


def read_tests(text: str, file: str) -> list[UnitTest]:
    """Every test group of a file for `promtool test rules`; for a file that is none, one group that says so."""
    try:
        root = read(text, file)
    except BadInput as error:
        return [_none(error, file)]
    groups = root.get("tests")
    if groups is None or groups.kind != "sequence" or not groups.items:
        return [UnitTest(Place(file), Path(file).name, 0, wrong="the file holds no tests for `promtool test rules`")]
    beside = Path(file).absolute().parent
    patterns = _texts(root.get("rule_files"))
    whole = UnitTest(
        Place(file),
        "",
        0,
        evaluation=_raw(root.get("evaluation_interval")) or _DEFAULT,
        order=tuple(_texts(root.get("group_eval_order"))),
        rule_files=frozenset(
            str(Path(found).resolve())
            for pattern in patterns
            for found in glob.glob(str(beside / pattern))  # noqa: PTH207
        ),
    )
    return [_group(node, replace(whole, number=n, place=node.place)) for n, node in enumerate(groups.items, 1)]


def _none(error: BadInput, file: str) -> UnitTest:
    first = error.problems[0]
    return UnitTest(first.place or Place(file), Path(file).name, 0, wrong=first.message)


def _group(node: Node, whole: UnitTest) -> UnitTest:
    title = _raw(node.get("name")) or f"test {whole.number}"
    try:
        if node.kind != "mapping":
            raise ValueError(f"write a test as a mapping with input_series and alert_rule_test, not {node.described()}")
        interval = _raw(node.get("interval")) or whole.evaluation
        series = tuple((_raw(one.get("series")), _raw(one.get("values"))) for one in node.listed("input_series"))
        for name, values in series:
            if "{{" in values:
                raise ValueError(f"{name}: native histograms are not scripted")
            parse_identity(name)
            parse_values(values)
        asked: dict[str, Any] = {
            "interval": interval,
            "input_series": [{"series": name, "values": values} for name, values in series],
        }
        if labels := _labels(node.get("external_labels")):
            asked["external_labels"] = labels
        if url := _raw(node.get("external_url")):
            asked["external_url"] = url
        parse_duration(whole.evaluation)
        return replace(
            whole,
            title=title,
            interval_s=parse_duration(interval),
            series=series,
            wanted=tuple(_wanted(one) for one in node.listed("alert_rule_test")),
            asked=asked,
        )
    except ValueError as error:
        return replace(whole, title=title, wrong=str(error))


def _wanted(node: Node) -> Wanted:
    name = _raw(node.get("alertname"))
    if not name:
        raise ValueError(f"an entry of alert_rule_test names no alert ({node.place})")
    at = _raw(node.get("eval_time"))
    alerts = tuple(
        (_labels(one.get("exp_labels")), _labels(one.get("exp_annotations"))) for one in node.listed("exp_alerts")
    )
    return Wanted(name, 0.0 if at in ("", "0") else parse_duration(at), alerts, node.place)


def _raw(node: Node | None) -> str:
    return node.raw if node is not None and node.kind == "scalar" and node.value is not None else ""


def _texts(node: Node | None) -> list[str]:
    return [_raw(item) for item in node.items] if node is not None else []


def _labels(node: Node | None) -> dict[str, str]:
    return {str(key.raw): _raw(value) for key, value in node.pairs} if node is not None else {}


AGAIN = "-again"
"""Ends the names of what is played a second time."""


def played(row: GroupRow, ended: Mapping[str, Result]) -> GroupRow:
    """The row with the worst of how its drills ended; of one that was UNKNOWN the second attempt counts."""
    found = []
    for drill in (Path(name).stem for name in row.drills):
        first, again = ended.get(drill), ended.get(f"{drill}{AGAIN}")
        found.append(again if again and first is not Result.FAIL else first or Result.UNKNOWN)
    return replace(row, result=worst_of(found)) if found else row


# -- the series on a page


@dataclass(frozen=True, slots=True)
class Way:
    """One way to play a test's series: they begin with the sample of `begins_s`, and go on after its expectation."""

    series: tuple[Scripted, ...]
    begins_s: float


def ways(test: UnitTest, at_s: float, by_clock: bool) -> Iterator[Way]:
    """The ways to show the series up to an instant and beyond it, best first. A healthy lead-in is the rest before the
    fault and after it, so that giving the series back ends the alert. Where there is none, the series are missing at
    rest, or else keep their first value. Beyond the instant a slope goes on, or else the last value stays. `by_clock`:
    series named like time stamps follow the clock."""
    last = math.floor(at_s / test.interval_s + 1e-9)
    lead = _lead_in(test)
    seen: list[Way] = []
    for begins, rest in ((lead, "lead"), (0, "missing"), (0, "first")):
        if begins is None or begins > last:
            continue
        for level in (False, True):
            found = [_scripted(one, begins, last, rest, level, test.interval_s, by_clock) for one in test.series]
            way = Way(tuple(one for one in found if one), begins * test.interval_s)
            if all(found) and way not in seen:
                seen.append(way)
                yield way


def _scripted(
    one: tuple[str, str], begins: int, last: int, rest: str, level: bool, interval_s: float, by_clock: bool
) -> Scripted | None:
    """One series; None where its lead-in cannot be played for any length of time."""
    name, labels = parse_identity(one[0])
    values = _part(_seen(one[1], interval_s), begins, last)
    first = next(iter(_samples(one[1])), (Segment(None, 0.0, 1), False))[0]
    clock = by_clock and bool(_TIME_STAMP.search(name))
    counter = False
    start = NEVER if first.start is None or rest == "missing" else constant(first.start)
    if clock:
        values = _behind(values, begins * interval_s, interval_s)
    elif rest == "lead" and first.start is not None and first.step:
        known = [s for s in values if s.start is not None]
        if not _COUNTER.search(name) or not _rising([first, *known]):
            return None
        # The counter goes on from whatever it has reached when the fault begins.
        base = first.start + first.step * (begins - 1)
        values = [s if s.start is None else replace(s, start=s.start - base) for s in values]
        start, counter = Values((replace(first, count=ENDLESS),)), True
    values = _onwards(values, level)
    return Scripted(name, tuple(sorted(labels.items())), start, Values(tuple(values)), counter=counter, clock=clock)


def _rising(segments: list[Segment]) -> bool:
    if any(s.step < 0 for s in segments):
        return False
    ends = [(s.at(0) or 0.0, s.at(s.count - 1) or 0.0) for s in segments]
    return all(a[1] <= b[0] for a, b in pairwise(ends[1:]))


def _samples(text: str) -> Iterator[tuple[Segment, bool]]:
    """Segment by segment, and whether it is a mark of staleness."""
    for word in text.split():
        for segment in parse_values(word).segments:
            yield segment, word.lower().startswith("stale")


def _lead_in(test: UnitTest) -> int | None:
    """The sample with which the first series leaves its first course; None where none does."""
    ends = []
    for _, text in test.series:
        samples = [segment for segment, _ in _samples(text)]
        length = 0
        for number, segment in enumerate(samples):
            first = samples[0]
            level = not first.step and segment.step == first.step
            if number and not (segment.start == first.at(length) and (level or (segment.count == 1))):
                ends.append(length)
                break
            length += segment.count
    return min(ends, default=None)


def _seen(text: str, interval_s: float) -> list[Segment]:
    """The segments as promtool's queries see them: a gap shows the last sample for a while, the end is a gap."""
    found: list[Segment] = []
    value: float | None = None
    missed = 0
    for segment, stale in [*_samples(text), (Segment(None, 0.0, ENDLESS), False)]:
        if segment.start is not None:
            value, missed = segment.at(segment.count - 1), 0
            if segment.step and segment.count > 1:
                # Nothing grows between its last sample and whatever follows.
                found += [replace(segment, count=segment.count - 1), Segment(value, 0.0, 1)]
            else:
                found.append(segment)
            continue
        value = None if stale else value
        held = 0 if value is None else max(0, min(segment.count, int(_LOOKBACK_S / interval_s) - missed))
        missed += segment.count
        found += [Segment(value, 0.0, held)] if held else []
        found += [replace(segment, count=segment.count - held)] if segment.count > held else []
    return found


def _part(segments: list[Segment], first: int, last: int) -> list[Segment]:
    """The samples from the one to the other."""
    found, at = [], 0
    for segment in segments:
        low, high = max(first, at), min(last + 1, at + segment.count)
        if low < high:
            found.append(Segment(segment.at(low - at), segment.step, high - low))
        at += segment.count
    return found


def _behind(segments: list[Segment], from_s: float, interval_s: float) -> list[Segment]:
    """Time stamps as seconds behind now (negative) or before it: what stays the same falls behind."""
    found, at_s = [], from_s
    for segment in segments:
        start = None if segment.start is None else segment.start - at_s
        found.append(segment if start is None else Segment(start, segment.step - interval_s, segment.count))
        at_s += interval_s * segment.count
    return found


def _onwards(segments: list[Segment], level: bool) -> list[Segment]:
    """The same with an end that goes on: as steeply as it was, or level."""
    *before, last = segments
    if last.start is None:
        return segments
    if level:
        end = Segment(last.at(last.count - 1), 0.0, 1)
        return [*before, replace(last, count=last.count - 1), end] if last.count > 1 else [*before, end]
    if last.step:
        return [*before, replace(last, count=ENDLESS)]
    slope = before[-1] if before and last.count == 1 else last
    ends_there = slope.step and slope.at(slope.count) == last.start
    return [*before[:-1], replace(slope, count=ENDLESS)] if ends_there else segments
