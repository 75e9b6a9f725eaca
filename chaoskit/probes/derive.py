"""From an alerting rule to its probes: what it compares is brought to a level on either side of each threshold.

Several ways lead to series for a level (backwards through the expression, or counted steps of one counter or another).
The real engine says what each comes to, and only one that comes to the level, to a thousandth, is taken; so a probe
rests on what was measured, never on how the threshold was read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from chaoskit.alerting.expression import Expr, expression, metric_names, walk
from chaoskit.alerting.model import PromisedLevels, Rule
from chaoskit.alerting.quantity import comparison, deciding
from chaoskit.alerting.windows_expression import selectors
from chaoskit.faults.series import Course, Scripted, Segment, Values, constant, notation, parse_values
from chaoskit.probes.ask import Asking, Sheet
from chaoskit.probes.model import FIRES, QUIET, Probe, Subject
from chaoskit.rehearse.derive import closure, queried, solvers
from chaoskit.rehearse.inverse import holds, level
from chaoskit.rehearse.promtool import values_of
from chaoskit.rehearse.script import CannotDerive
from chaoskit.rehearse.search import reads
from chaoskit.rehearse.solve import Choices, Solver
from chaoskit.rehearse.tree import calls, is_constant, shortest_range_s

_NO_WAY = (CannotDerive, ArithmeticError, ValueError, RecursionError)
_COUNTING = frozenset({"increase", "changes", "resets"})
_WAYS = (
    Choices(),
    Choices(shared=False),
    Choices(denominator_first=False, shared=False),
    Choices(denominator_first=False),
    Choices(alternative=1),
    Choices(alternative=1, shared=False),
    Choices(guards_stay=True, shared=False),
)
_SETTLE, _MOST, _FEWEST = 4, 600, 4
"""Intervals until a change is seen; of the longest range, at most; of the shortest, at least."""
_OFF, _MEASURED = 0.01, 1e-3
"""How far from the threshold a level of a ratio lies; how near a level what is measured must be."""
_CONTINUOUS = {
    "binary": frozenset({"/"}),
    "aggregate": frozenset({"avg", "quantile", "stddev"}),
    "call": frozenset({"rate", "irate", "deriv", "histogram_quantile", "avg_over_time", "predict_linear"}),
}
"""By kind of construct, those whose value is no whole number of things."""
_MARK, _OTHER = "one", "two"
_GAP_S, _HEIGHT = 120.0, 40.0
_MOST_STEPS, _MANY, _DEEPEST = 50, 100, 8


@dataclass(frozen=True, slots=True)
class Side:
    """A comparison with a number, as the expression has it: what is measured, and how it is compared."""

    text: str
    quantity: str
    op: str
    threshold: float
    exact: bool
    """Whether the quantity can be brought to the very threshold: a gauge or a count, no ratio and no quantile."""

    def holds(self, value: float) -> bool:
        """Whether the comparison holds for a value."""
        return holds(self.op, value, self.threshold)

    @property
    def whole(self) -> bool:
        """Whether the value may be a whole number of things."""
        return self.exact and self.threshold == int(self.threshold)

    def levels(self, counted: bool) -> tuple[float, ...]:
        """The values around the threshold at which it is probed: by one where it is `counted`."""
        step = 1.0 if counted else _OFF * abs(self.threshold) or _OFF
        around = (self.threshold - step, self.threshold, self.threshold + step)
        found = around if self.exact else (around[0], around[2])
        return tuple(each for each in found if each >= 0 or self.threshold < 0)

    def straddled(self, levels: PromisedLevels) -> bool:
        """Whether the comparison holds at the level that is promised to fire, and not at the quiet one."""
        return self.holds(levels.fires) and not self.holds(levels.quiet)


@dataclass(frozen=True, slots=True)
class Derived:
    """The probes of a rule; `lacking` says what could not be probed, and why."""

    subject: Subject
    probes: tuple[Probe, ...]
    lacking: tuple[str, ...] = ()
    refused: str = ""
    """Why promtool did not say what series come to; empty where it did."""


def subject_of(rule: Rule, rules: Sequence[Rule], records: Mapping[str, Rule]) -> Subject:
    """The rule with the records that it and its annotations read, in the order of the rule files."""
    read = closure(rule, records)
    named = [records[name] for name in _asked_in(rule) if name in records]
    shown = {name: each for one in named for name, each in ((one.record, one), *closure(one, records).items())}
    shown = {name: each for name, each in shown.items() if name not in read}

    def ordered(some: Mapping[str, Rule]) -> tuple[Rule, ...]:
        return tuple(each for each in rules if each.record and some.get(each.record) is each)

    return Subject(rule, ordered(read), ordered(shown))


def _asked_in(rule: Rule) -> Iterator[str]:
    """The metrics that queries in its annotations name; a query that cannot be read names none."""
    for query in queried(rule, {}):
        with suppress(ValueError):
            yield from metric_names(expression(query))


def sides(subject: Subject) -> list[Side]:
    """The comparisons with a number that decide whether a rule has a result, the first one first."""
    records = {each.record: expression(each.expr) for each in subject.records}
    nodes = deciding(expression(subject.rule.expr))
    return [side for node in nodes if (side := _side(node, records)) is not None]


def _meant(all_sides: Sequence[Side], levels: PromisedLevels | None) -> frozenset[str]:
    """The comparisons that promised levels are about: those between them, or else the first one."""
    if levels is None:
        return frozenset()
    return frozenset(s.text for s in all_sides if s.straddled(levels)) or frozenset(s.text for s in all_sides[:1])


def _side(node: Expr, records: Mapping[str, Expr]) -> Side | None:
    compared = comparison(node)
    if compared is None or is_constant(compared[0]):
        return None
    quantity, op, threshold = compared
    exact = not any(one.name in _CONTINUOUS.get(one.kind, ()) for one in _spelled_out(quantity, records))
    return Side(node.written(), quantity.written(parentheses=True), op, threshold, exact)


def _spelled_out(node: Expr, records: Mapping[str, Expr], depth: int = 0) -> Iterator[Expr]:
    """All that a node reads, recording rules with it."""
    for one in walk(node):
        yield one
        if one.kind == "selector" and one.name in records and depth < _DEEPEST:
            yield from _spelled_out(records[one.name], records, depth + 1)


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to make series that bring a side to a level; raises CannotDerive where it leads nowhere."""

    side: Side
    make: Callable[[float], tuple[Scripted, ...]]
    counted: bool
    """Whether the way leads to whole numbers exactly."""
    steps: bool = False
    """Whether the level is reached by counting, and left again once a range is over."""


@dataclass(frozen=True, slots=True)
class _Work:
    """A rule on its way to probes."""

    subject: Subject
    records: Mapping[str, Rule]
    every_s: float
    span_s: float

    @property
    def expr(self) -> str:
        return self.subject.rule.expr

    @property
    def exprs(self) -> tuple[str, ...]:
        return (self.expr, *(each.expr for each in self.subject.records))

    def ways(self, side: Side, others: Mapping[str, tuple[float, float]] = {}) -> Iterator[_Way]:
        """The ways to bring one side to levels, the likeliest first."""
        make = solvers(self.subject.rule, self.records, _MARK, self.every_s)
        counter = any(calls(expression(expr), _COUNTING) for expr in self.exprs)
        counting = counter or any(calls(expression(expr), {"max_over_time"}) for expr in self.exprs)
        if side.whole and counting and not others:
            yield from (_Way(side, partial(self._steps, make, n), True, True) for n in range(3))
        for choices in _WAYS:
            yield _Way(side, partial(self._backwards, make, choices, side, others), side.whole and not counter)

    def _backwards(
        self,
        make: Callable[..., Solver],
        choices: Choices,
        side: Side,
        others: Mapping[str, tuple[float, float]],
        to: float,
    ) -> tuple[Scripted, ...]:
        solver = make(choices, pinned={side.text: (_rest(side), to), **others})
        solver.truth(expression(self.expr), False, True)
        return tuple(leaf.scripted(self.every_s) for leaf in solver.script)

    def _steps(self, make: Callable[..., Solver], way: int, to: float) -> tuple[Scripted, ...]:
        """Counters that count one by one, each an interval after the other: in turns, the first alone, or the last."""
        solver = make(Choices(shared=False))
        found = list(reads(expression(self.expr), solver, frozenset()).values())
        if not 0 <= to <= _MOST_STEPS or to != int(to) or not found:
            raise CannotDerive("no such number of steps")
        wide = [replace(one, labels=tuple(p for p in one.labels if p[1])) for one in found]
        made = []
        for n, one in enumerate(wide):
            in_turns = to // len(wide) + (n < to % len(wide))
            share = {1: to if n == 0 else 0, 2: to if n == len(wide) - 1 else 0}.get(way, in_turns)
            steps = Values((Segment(1.0, 1.0, int(share)),)) if share else constant(0.0)
            made.append(Scripted(one.name, one.labels, constant(_HEIGHT), steps, counter=True))
        return tuple(made)

    # -- when

    @property
    def begins_s(self) -> float:
        return self.span_s + _SETTLE * self.every_s

    @property
    def ends_s(self) -> float:
        rule = self.subject.rule
        return self.begins_s + self.span_s + self._whole(rule.for_s) + 2 * _SETTLE * self.every_s

    @property
    def until_s(self) -> float:
        return self.ends_s + self.span_s + self._whole(self.subject.rule.keep_firing_for_s) + _SETTLE * self.every_s

    def _whole(self, seconds: float) -> float:
        return math.ceil(seconds / self.every_s - 1e-9) * self.every_s

    def probe(
        self, name: str, series: Sequence[Scripted], steps: bool, change: Callable[[str], str] = lambda values: values
    ) -> Probe:
        """The series as a probe; `change` bends the values of each."""
        course = Course(0.0, self.begins_s, self.ends_s)
        count = round(self.until_s / self.every_s) + 1
        values = (compact(samples(notation(s, course, self.every_s, count, self.every_s))) for s in series)
        shown = ((s.key, change(text)) for s, text in zip(series, values, strict=True))
        looks_s = self.ends_s - 2 * self.every_s
        if steps:
            looks_s = self.begins_s + self._whole(self.span_s / 2)
        return Probe(name, tuple(sorted(shown)), self.every_s, self.begins_s, self.ends_s, self.until_s, looks_s)


def derive(
    subjects: Sequence[tuple[Subject, PromisedLevels | None]],
    records: Mapping[str, Rule],
    asking: Asking,
    promised_only: bool = False,
) -> list[Derived]:
    """The probes of each rule, or only those of promised levels; asks promtool what the series come to."""
    works = [_work(subject, records) for subject, _ in subjects]
    tried = [
        list(_tried(work, levels)) if isinstance(work, _Work) else []
        for work, (_, levels) in zip(works, subjects, strict=True)
    ]
    measured = _measured(works, tried, asking)
    found = []
    for work, mine, (subject, levels) in zip(works, measured, subjects, strict=True):
        if isinstance(work, str):
            found.append(Derived(subject, (), (work,)))
        elif isinstance(mine, str):
            found.append(Derived(subject, (), refused=mine))
        else:
            found.append(_probes(work, mine, levels, promised_only))
    return found


def _work(subject: Subject, records: Mapping[str, Rule]) -> _Work | str:
    rule = subject.rule
    exprs = (rule.expr, *(each.expr for each in subject.records))
    try:
        nodes = [expression(expr) for expr in exprs]
    except ValueError as error:
        return f"the alert's expression does not parse: {error}"
    if any(calls(node, {"time", "timestamp"}) for node in nodes):
        return "the expression reads the clock, which probes do not set"
    if not sides(subject):
        return "the expression compares nothing with a number"
    reach_s = _reach_s(rule.expr, records)
    shortest_s = min((s for expr in exprs if (s := shortest_range_s(expr))), default=math.inf)
    every_s = rule.interval_s * max(1, math.ceil(reach_s / rule.interval_s / _MOST))
    if shortest_s < _FEWEST * every_s:
        return "the expression looks too far back for a probe, and at a short range as well"
    return _Work(subject, records, every_s, math.ceil(reach_s / every_s) * every_s)


def _reach_s(expr: str, records: Mapping[str, Rule], depth: int = 0) -> float:
    """How far back an expression looks, through the records that it reads."""
    own = max((each.reach_s for each in selectors(expr)), default=0.0)
    names = (name for name in metric_names(expression(expr)) if name in records and depth < _DEEPEST)
    return own + max((_reach_s(records[name].expr, records, depth + 1) for name in names), default=0.0)


def _tried(work: _Work, promised: PromisedLevels | None) -> Iterator[tuple[_Way, tuple[float, ...]]]:
    """The ways to the levels of each side, each with the levels that it must reach."""
    seen: set[tuple[Scripted, ...]] = set()
    every = sides(work.subject)
    meant = _meant(every, promised)
    for side in every:
        for way in work.ways(side):
            levels = dict.fromkeys(side.levels(way.counted))
            if promised is not None and side.text in meant:
                levels = dict.fromkeys((promised.quiet, promised.fires, *levels))
            made = []
            for one in levels:
                try:
                    made.append(way.make(one))
                except _NO_WAY:
                    break
            if made and len(made) == len(levels) and made[0] not in seen:
                seen.add(made[0])
                yield way, tuple(levels)


def _rest(side: Side) -> float:
    """A value far on the quiet side; for a count of things, a whole number of them; for a share, less than all."""
    quiet = next(
        value for value in (level(side.op, side.threshold, False, n) for n in range(5)) if not side.holds(value)
    )
    if quiet > 1 > side.threshold > 0:
        return (side.threshold + 1) / 2
    return max(0.0, float(int(quiet))) if side.whole and side.threshold > 0 else quiet


def _measured(
    works: Sequence[_Work | str], tried: Sequence[Sequence[tuple[_Way, tuple[float, ...]]]], asking: Asking
) -> list[dict[str, _Way] | str]:
    """For each rule, by side, the first way whose series come to all its levels; or why promtool does not tell."""
    sheets: list[Sheet] = []
    for work, mine in zip(works, tried, strict=True):
        if isinstance(work, _Work) and mine:
            made = [(work.probe("", way.make(to), way.steps), way.side) for way, levels in mine for to in levels]
            asked = [(probe, {"level": (side.quantity, probe.looks_s)}) for probe, side in made]
            sheets.append(Sheet(work.subject, asked, work.every_s))
    answers = iter(asking.ask(sheets))
    found: list[dict[str, _Way] | str] = []
    for work, mine in zip(works, tried, strict=True):
        best: dict[str, _Way] = {}
        if isinstance(work, _Work) and mine:
            said = next(answers)
            if isinstance(said, str):
                found.append(said)
                continue
            got = iter(said)
            for way, levels in mine:
                reached = [_reaches(next(got, {}).get("level", ""), to) for to in levels]
                if all(reached):
                    best.setdefault(way.side.text, way)
        found.append(best)
    return found


def _reaches(got: str, wanted: float) -> bool:
    values = [value for _, value in values_of(got)]
    if not values:
        return wanted == 0 and not got.startswith("error")  # nothing to count
    return any(math.isclose(value, wanted, rel_tol=_MEASURED, abs_tol=1e-9) for value in values)


def _probes(work: _Work, found: Mapping[str, _Way], promised: PromisedLevels | None, only: bool) -> Derived:
    probes: list[Probe] = []
    lacking: list[str] = []
    every = sides(work.subject)
    meant = _meant(every, promised)
    for side in every:
        way = found.get(side.text)
        if way is None:
            lacking.append(f"chaoskit found no series that bring {_short(side.quantity)} to its levels")
            continue
        named = promised if side.text in meant else None
        if named is not None:
            probes.append(work.probe(QUIET.format(named.quiet), way.make(named.quiet), way.steps))
            probes.append(work.probe(FIRES.format(named.fires), way.make(named.fires), way.steps))
        if only:
            continue
        beside = f" of {_short(side.quantity)}" if len(every) > 1 else ""
        levels = side.levels(way.counted)
        for to in levels:
            if named is None or to not in (named.quiet, named.fires):
                probes.append(work.probe(f"at {to:.12g}{beside}", way.make(to), way.steps))
        up = named.fires if named is not None else next((to for to in levels if side.holds(to)), _rest(side))
        quiet = named.quiet if named is not None else next((to for to in levels if not side.holds(to)), _rest(side))
        probes += _beside(work, way, up, quiet, beside)
    unique = {probe.name: probe for probe in reversed(probes)}
    return Derived(work.subject, tuple(reversed(unique.values())), tuple(lacking))


def _beside(work: _Work, way: _Way, up: float, quiet: float, beside: str) -> Iterator[Probe]:
    """Probes of everything but the level itself: others that are well, resets, gaps, no traffic, an end."""
    series = way.make(up)
    at, steps = f"at {up:.12g}{beside}", way.steps
    for label, these, others in _told_apart(work, series):
        yield work.probe(f"{at}, one of two by {label}", (*these, *map(_at_rest, others)), steps)
        yield work.probe(f"{at}, both of two by {label}", (*these, *others), steps)
        if label == "instance" and any("le" in dict(one.labels) for one in series):
            # Of two with the same traffic the larger bucket and the sum of both lead to the same quantile.
            few = (_at_rest(_tenth(one)) for one in others)
            yield work.probe(f"{at}, beside one with a tenth of the traffic", (*these, *few), steps)
    for other in (each for each in sides(work.subject) if each.text != way.side.text):
        away = {other.text: (_rest(other), _rest(other))}
        for one in itertools.islice(work.ways(way.side, away), len(_WAYS)):
            try:
                guarded = one.make(up)
            except _NO_WAY:
                continue
            yield work.probe(f"{at}, without {_short(other.text)}", guarded, steps)
            break
    if steps:
        yield work.probe(f"{at}, in one burst", tuple(map(_at_once, series)), steps)
        # Few are the same number when they are extrapolated; of many, half a range behind their end, no other count is.
        ended = partial(_stale, at=round(work.begins_s / work.every_s) + _SETTLE)
        many = work.probe(f"at {_MANY}{beside}, in one burst, then stale", [*map(_many, series)], steps, ended)
        yield replace(many, looks_s=work.begins_s + work._whole(0.75 * work.span_s))
    if any(one.counter for one in series):
        low = way.make(quiet)
        middle = round((work.begins_s + work.ends_s) / 2 / work.every_s)
        for to, counted in ((quiet, low), (up, series)):
            yield work.probe(f"at {to:.12g}{beside}, counters reset", counted, steps, partial(_reset, at=middle))
        idle = tuple(replace(one, values=constant(0.0)) if one.counter else one for one in series)
        yield work.probe(f"no traffic{beside}", idle, steps)
    missing = math.ceil(_GAP_S / work.every_s)
    first = round((work.begins_s + work.span_s) / work.every_s) + 1
    yield work.probe(f"{at}, a gap", series, steps, partial(_without, at=first, count=missing))
    yield work.probe(f"{at}, then stale", series, steps, partial(_stale, at=round(work.ends_s / work.every_s)))
    yield work.probe(f"without series{beside}", (), steps)


def _told_apart(
    work: _Work, series: Sequence[Scripted]
) -> Iterator[tuple[str, Sequence[Scripted], Sequence[Scripted]]]:
    """The labels by which a second one of each series is told apart, with the first and the second ones.

    These are the instance, what the rule groups by, and what it says to sum away: series that lack that get it.
    """
    grouped: dict[bool, set[str]] = {True: {"instance"}, False: set()}
    for expr in (*work.exprs, *(each.expr for each in work.subject.shown)):
        for one in walk(expression(expr)):
            if one.kind == "aggregate":
                grouped[one.mode == "by"] |= one.labels
    there = {label for one in series for label, _ in one.labels}
    for label in sorted((grouped[True] & there) - {"le"}, key=lambda label: (label != "instance", label)):
        yield label, series, [_relabelled(one, label) for one in series]
    for label in sorted(grouped[False] - {"le", "instance"}):
        bare = [one for one in series if label not in dict(one.labels)]  # the others are chosen by its value
        named = [replace(one, labels=tuple(sorted((*one.labels, (label, _MARK))))) for one in bare]
        if bare:
            first = [one for one in series if one not in bare]
            yield label, [*first, *named], [_relabelled(one, label) for one in named]


def _relabelled(one: Scripted, label: str) -> Scripted:
    labels = tuple((name, f"{value}-{_OTHER}" if name == label else value) for name, value in one.labels)
    return replace(one, labels=labels)


def _at_rest(one: Scripted) -> Scripted:
    return replace(one, values=constant(0.0) if one.counter and not one.rest.segments[0].step else one.rest)


def _tenth(one: Scripted) -> Scripted:
    rest = tuple(replace(s, start=s.start and s.start / 10, step=s.step / 10) for s in one.rest.segments)
    return replace(one, rest=replace(one.rest, segments=rest))


def _at_once(one: Scripted) -> Scripted:
    last = one.values.segments[-1]
    return replace(one, values=constant(last.at(last.count - 1) or 0.0))


def _many(one: Scripted) -> Scripted:
    return replace(one, values=constant(float(_MANY))) if any(each.step for each in one.values.segments) else one


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


# -- values in promtool's notation, bent


def samples(values: str) -> list[float | None]:
    """Each sample of a notation; None for a missing one, and for an end."""
    return [each.at(n) for each in parse_values(values).segments for n in range(each.count)]


def compact(values: Sequence[float | None]) -> str:
    """Samples as a notation; missing ones are gaps."""
    words, at = [], 0
    while at < len(values):
        first, end = values[at], at + 1
        if first is None:
            while end < len(values) and values[end] is None:
                end += 1
            words.append("_" if end - at == 1 else f"_x{end - at}")
        else:
            step = None
            while end < len(values) and (now := values[end]) is not None:
                ahead = now - (values[end - 1] or 0.0)
                if step is not None and not math.isclose(ahead, step, rel_tol=1e-9, abs_tol=1e-9):
                    break
                step, end = ahead if step is None else step, end + 1
            if end - at == 2 and step:  # two that merely follow each other
                end = at + 1
            signed = f"{step:+.12g}" if step and end - at > 1 else ""
            words.append(f"{first:.12g}{signed}x{end - at - 1}" if end - at > 1 else f"{first:.12g}")
        at = end
    return " ".join(words)


def _reset(values: str, at: int) -> str:
    some = samples(values)
    base = some[at] or 0.0
    return compact([each if n < at or each is None else each - base for n, each in enumerate(some)])


def _without(values: str, at: int, count: int) -> str:
    return compact([None if at <= n < at + count else each for n, each in enumerate(samples(values))])


def _stale(values: str, at: int) -> str:
    return f"{compact(samples(values)[:at])} stale"
