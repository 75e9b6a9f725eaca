"""For one alert rule, every guess at series that make it fire and let it go again, most likely first.

Beside those of its expression, the series of what its texts query (`{{ with query "up == 0" }}`).
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from chaoskit.alerting.expression import Expr, expression, metric_names, walk
from chaoskit.alerting.model import Matcher, Rule
from chaoskit.alerting.virtual import instant_records, queries_of
from chaoskit.alerting.windows_expression import selectors
from chaoskit.faults.series import Scripted
from chaoskit.rehearse.script import CannotDerive
from chaoskit.rehearse.search import searched
from chaoskit.rehearse.solve import Choices, Solver
from chaoskit.rehearse.tree import calls, grouped_by, label_values, longest_range_s

_TRIED = (
    *(Choices(generosity, shared) for generosity in range(3) for shared in (True, False)),
    Choices(guards_stay=True),
    *(Choices(denominator_first=False, shared=shared) for shared in (True, False)),
    Choices(3),
    Choices(4),
    Choices(alternative=1),
    *(Choices(generosity, expand=False) for generosity in range(3)),
    Choices(1, guards_stay=True),
    Choices(1, denominator_first=False),
    Choices(3, shared=False),
    Choices(4, shared=False),
)
_OF_TWO, _WIDE = frozenset({"irate", "idelta"}), 1
"""A late scrape distorts a value of two samples, so for these functions levels far from the threshold go first."""
SPARE = "copy"
"""The label in which the series of a metric differ where `instance` tells what is counted from what is not."""
SEARCHED = 96
"""How many sets of levels are drawn where no way backwards holds."""
_USUAL_SAMPLES, _LEAST = 500, 30
_MOST_SAMPLES, _SPARSEST_S = 9600, 270.0
"""promtool's engine takes 10,000 samples at once, and looks back 5m for one."""
BUG = "chaoskit itself failed at deriving series for this rule (a bug of ours, please report):"
_IN_TEMPLATE = re.compile(r"\$?\.?[lL]abels\.([a-zA-Z_][a-zA-Z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Subject:
    """A rule to rehearse: its number gives the mark of its series, `span_s` is how far back it looks."""

    number: int
    rule: Rule
    span_s: float

    @property
    def mark(self) -> str:
        """The label value that marks the series of this rule."""
        return f"rehearsal-{self.number}"

    def every_s(self, interval_s: float) -> float:
        """Seconds between two samples of its series: a range of a week has more than promtool's engine takes."""
        reads = longest_range_s(expression(self.rule.expr)) / interval_s
        return interval_s * min(max(1, math.ceil(reads / _MOST_SAMPLES)), max(1, int(_SPARSEST_S / interval_s)))


@dataclass(frozen=True, slots=True)
class Guess:
    """Series that may make a rule fire."""

    subject: Subject
    series: tuple[Scripted, ...]
    by_trial: bool = False


def recording_rules(rules: tuple[Rule, ...]) -> dict[str, Rule]:
    """Recording rules by name; of several with one name the first."""
    return {rule.record: rule for rule in reversed(rules) if rule.record}


def guesses(subject: Subject, records: Mapping[str, Rule], interval_s: float, why: list[str]) -> Iterator[Guess]:
    """The guesses, each once; `why` collects the reasons where a way led nowhere; one begins with BUG."""
    try:
        yield from _guesses(subject, records, interval_s, why)
    except Exception as error:  # the other rules have nothing to do with it
        why.append(f"{BUG} {type(error).__name__}: {error}")


def _guesses(subject: Subject, records: Mapping[str, Rule], interval_s: float, why: list[str]) -> Iterator[Guess]:
    rule = subject.rule
    try:
        node = expression(rule.expr)
    except ValueError as error:
        why.append(f"it does not parse: {error}")
        return
    read, exprs = closure(rule, records), exprs_of(rule, records)
    solver = solvers(rule, records, subject.mark, interval_s)
    instants = instant_records((one.record, one.expr) for one in read.values())
    seen: set[tuple[Scripted, ...]] = set()
    of_two = any(calls(expression(expr), _OF_TWO) for expr in exprs)
    for choices in sorted(_TRIED, key=lambda one: of_two and one.generosity != _WIDE):
        if not choices.expand and not read:
            continue
        one = solver(choices, instants=instants)
        try:
            one.truth(node, False, True)
            series = tuple(leaf.scripted(interval_s) for leaf in one.script)
        except CannotDerive as reason:
            why.append(str(reason))
            continue
        except (ZeroDivisionError, OverflowError, RecursionError):
            why.append("the expression's arithmetic has no inverse at these values")
            continue
        if series and series not in seen:
            seen.add(series)
            yield Guess(subject, series)
    # What looks far back costs the engine as many samples for each try.
    span_s = max((each.reach_s for expr in exprs for each in selectors(expr)), default=0.0)
    most = int(SEARCHED * min(1.0, _USUAL_SAMPLES * interval_s / max(span_s, 1.0)))
    for series in searched(exprs, solver, interval_s, max(_LEAST, most)):
        yield Guess(subject, series, by_trial=True)


def solvers(rule: Rule, records: Mapping[str, Rule], mark: str, interval_s: float) -> Callable[..., Solver]:
    """Makes solvers of the rule's expression, each with its choices."""
    exprs = exprs_of(rule, records)
    nodes = [expression(expr) for expr in exprs]
    names = {"instance", "job"}.union(*map(_grouped, nodes))
    for text in _texts(rule):
        names |= set(_IN_TEMPLATE.findall(text))
    labels = dict.fromkeys(sorted(names - {"le", "__name__", "alertname"}), mark)
    return partial(
        Solver, records, labels, mark, interval_s, shared=_shared(exprs, mark), apart=_apart(rule, nodes, labels)
    )


def closure(rule: Rule, records: Mapping[str, Rule]) -> dict[str, Rule]:
    """The recording rules that a rule reads, directly or through others, by name."""
    found: dict[str, Rule] = {}
    waiting = [rule]
    while waiting:
        for name in metric_names(expression(waiting.pop().expr)):
            if name in records and name not in found:
                found[name] = records[name]
                waiting.append(records[name])
    return found


def watched_by(exprs: Iterable[str]) -> dict[str, list[Sequence[Matcher]]]:
    """By metric, the selectors of these expressions; under "" those that name none."""
    found: dict[str, list[Sequence[Matcher]]] = {}
    for each in (each for expr in exprs for each in selectors(expr)):
        name = next((m.value for m in each.matchers if m.label == "__name__" and m.op == "="), "")
        found.setdefault(name, []).append(each.matchers)
    return found


def exprs_of(rule: Rule, records: Mapping[str, Rule]) -> tuple[str, ...]:
    """The rule's expression, and those of the recording rules that it reads."""
    return (rule.expr, *(one.expr for one in closure(rule, records).values()))


def _texts(rule: Rule) -> tuple[str, ...]:
    return (*rule.annotations.values(), *rule.labels.values())


def queried(rule: Rule, labels: Mapping[str, str]) -> tuple[str, ...]:
    """The queries of the rule's texts, for an alert with these labels."""
    return tuple(dict.fromkeys(query for text in _texts(rule) for query in queries_of(text, labels)))


def _apart(rule: Rule, nodes: Sequence[Expr], labels: Mapping[str, str]) -> frozenset[str]:
    """The labels in which several series of a metric differ: what texts match by and the rule does not, too."""
    found: set[str] = set()
    for query in queried(rule, labels):
        with contextlib.suppress(ValueError):
            found |= _grouped(expression(query))
    found = found.difference(*map(_grouped, nodes))
    kept = any("instance" in grouped_by(node) for node in nodes)
    return frozenset(found | {SPARE if kept else "instance"})


def _grouped(node: Expr) -> set[str]:
    """The labels by which something below is grouped or matched."""
    return {label for one in walk(node) if one.mode in ("by", "on") for label in one.labels}


def _shared(exprs: Sequence[str], mark: str) -> dict[str, str]:
    """Labels that some selector asks for, each with one value that satisfies all that ask, where there is one."""
    by_label: dict[str, list[Matcher]] = {}
    for matcher in (matcher for expr in exprs for each in selectors(expr) for matcher in each.matchers):
        if matcher.label not in ("__name__", "le"):
            by_label.setdefault(matcher.label, []).append(matcher)
    values = {label: label_values(matchers, {}, mark) or {} for label, matchers in by_label.items()}
    return {label: found[label] for label, found in values.items() if label in found}


_COURSES = ((True, True), (False, True))
"""A query should have a result all the time, or at least once the alert is there."""


def looks_at(rule: Rule, records: Mapping[str, Rule]) -> set[str]:
    """The metrics that the rule's texts query."""
    exprs = {each for query in queried(rule, {}) for each in exprs_of(replace(rule, expr=query), records)}
    return {name for expr in exprs for name in metric_names(expression(expr))}


def fed(guess: Guess, records: Mapping[str, Rule], interval_s: float) -> Guess:
    """The guess with series for what the texts query, of metrics that it has none of."""
    solver = solvers(guess.subject.rule, records, guess.subject.mark, interval_s)
    found: dict[str, Scripted] = {one.key: one for one in guess.series}
    there = {one.name for one in guess.series}
    for query in queried(guess.subject.rule, solver(Choices()).labels):
        for course in _COURSES:
            one = solver(Choices())
            try:
                one.truth(expression(query), *course)
            except (CannotDerive, ValueError, ArithmeticError, RecursionError):
                continue
            more = (leaf.scripted(interval_s) for leaf in one.script if leaf.name not in there)
            found |= {each.key: each for each in more} | found
            break
    return Guess(guess.subject, tuple(found.values()))
