"""Questions about an expression's nodes: the metrics, calls, ranges below them; and labels that a selector must find.

Such labels have a value for each matcher, and a mark of its own for the rest, which tells the series of one rule from
those of every other that reads the same metric.
"""

from __future__ import annotations

import re
import re._constants as ops  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from chaoskit.alerting.expression import Expr, expression, selectors, walk
from chaoskit.alerting.model import Matcher
from chaoskit.alerting.promql_meaning import COUNTING_AGGREGATIONS, FOLLOWING, names_an_instant
from chaoskit.alerting.promql_syntax import COMPARISONS
from chaoskit.alerting.routing import matches
from chaoskit.rehearse.script import CannotDerive

THROUGH = frozenset({"sum", "avg", "min", "max", "topk", "bottomk", "quantile", "limitk"})
"""Aggregations that give a lone series its own value back."""

LIKE_INNER = FOLLOWING - {"info"} | {"abs", "ceil", "floor", "round", "clamp", "clamp_max", "clamp_min"}
"""Functions that give a steady value back, or one close to it."""

COUNTERS = frozenset({"rate", "irate", "increase"})
"""PromQL functions that take a counter, which only grows."""
BASE, _FEW = 100.0, 4.0


def matchers_of(selector: Expr) -> tuple[Matcher, ...]:
    """The matchers of a selector, without its name."""
    return tuple(each for each in selector.matchers if each.label != "__name__")


def promql_text(node: Expr) -> str:
    """The node as text, on one line and not too long."""
    text = " ".join(node.written().split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def metric_of(selector: Expr) -> str:
    if selector.name:
        return selector.name
    for matcher in selector.matchers:
        if matcher.label == "__name__":
            values = label_values([matcher], {}, "any")
            if values and values.get("__name__"):
                return values["__name__"]
    raise CannotDerive("a selector names no metric")


def metrics_below(node: Expr) -> list[str]:
    return list(dict.fromkeys(map(metric_of, selectors(node))))


def only_selector(node: Expr) -> Expr:
    found = list(selectors(node))
    if len(found) != 1:
        raise CannotDerive(f"'{promql_text(node)}' reads {len(found)} series where one can be scripted")
    return found[0]


def is_constant(node: Expr) -> bool:
    return next(selectors(node), None) is None


def first_open(arguments: Sequence[Expr]) -> Expr:
    """The first argument that reads a series; raises CannotDerive where they all are constants."""
    found = next((each for each in arguments if not is_constant(each)), None)
    if found is None:
        raise CannotDerive("the expression has a result for every value of its series: the alert always fires")
    return found


def reads_clock(node: Expr, instants: Collection[str] = ()) -> bool:
    """Whether a node measures distances on the clock: by `time()`, or between time stamps (`instants` too)."""
    differences = [one for one in walk(node) if one.kind == "binary" and one.name == "-"]
    names = {each.name for one in differences for each in selectors(one)}
    return calls(node, {"time"}) or any(name in instants or names_an_instant(name) for name in names)


def calls(node: Expr, names: Collection[str]) -> bool:
    return any(one.kind == "call" and one.name in names for one in walk(node))


def counts_matches(node: Expr) -> bool:
    """Whether a sum over the node counts how often a condition holds."""
    return node.kind == "binary" and node.name in COMPARISONS and node.returns_bool


def base_for(node: Expr) -> float:
    counting = any(one.kind == "aggregate" and one.name in COUNTING_AGGREGATIONS for one in walk(node))
    return _FEW if counting else BASE


def grouped_by(node: Expr) -> set[str]:
    """The labels that aggregations keep, and those that such labels are made of."""
    found: set[str] = set()
    for one in walk(node):
        if one.mode == "by":
            found |= one.labels.union(*(sources for label, sources in _made(one.left) if label in one.labels))
    return found


def _made(node: Expr) -> Iterator[tuple[str, list[str]]]:
    """The labels that label_replace and label_join make below a node, each with those that they read."""
    for one in walk(node):
        if one.kind == "call" and one.name in ("label_replace", "label_join"):
            texts = [each.text for each in one.children if each.kind == "string"]
            yield from [(texts[0], texts[2:3] if one.name == "label_replace" else texts[2:])] if texts else []


def longest_range_s(node: Expr) -> float:
    """The longest range of samples that a node reads at once; a subquery without a step holds each of them twice."""
    spans = [2 * one.range_s for one in walk(node) if one.kind == "subquery" and one.lengths[1] is None]
    return max([*_ranges_s(node), *spans], default=0.0)


@lru_cache(maxsize=4096)
def shortest_range_s(expr: str) -> float:
    """The shortest range of samples that an expression reads; 0 where it reads none."""
    return min(_ranges_s(expression(expr)), default=0.0)


def _ranges_s(node: Expr) -> list[float]:
    return [one.range_s for one in selectors(node) if one.lengths[0] is not None]


_TRIED = 40
_ANYTHING = re.compile(r"\.[*+]")


def label_values(matchers: Iterable[Matcher], wanted: Mapping[str, str], mark: str) -> dict[str, str] | None:
    """Labels that satisfy every matcher, `wanted` where the matchers leave the choice; None where they contradict."""
    by_label: dict[str, list[Matcher]] = {}
    for matcher in matchers:
        by_label.setdefault(matcher.label, []).append(matcher)
    labels = dict(wanted)
    for label, all_of in by_label.items():
        found = next((value for value in _tries(label, all_of, wanted, mark) if _all(all_of, label, value)), None)
        if found is None:
            return None
        labels[label] = found
    return {label: value for label, value in labels.items() if value}


def _all(matchers: list[Matcher], label: str, value: str) -> bool:
    return all(matches(matcher, {label: value} if value else {}) for matcher in matchers)


def _tries(label: str, matchers: list[Matcher], wanted: Mapping[str, str], mark: str) -> Iterator[str]:
    if label in wanted:
        yield wanted[label]
    yield from (each.value for each in matchers if each.op == "=")
    yield mark
    for each in matchers:
        if each.op == "=~":  # what may be anything is what tells one series from another
            own = _ANYTHING.sub(lambda _: wanted.get(label, mark), each.value)
            yield from islice(_examples(own), _TRIED)
    for each in matchers:
        if each.op == "=~":
            yield from islice(_examples(each.value), _TRIED)
    yield from ("", "other", "0", "1", "/", "/data")


def _examples(pattern: str) -> Iterator[str]:
    try:
        tree = parser.parse(pattern)
    except Exception:  # what Python's expressions do not know, RE2's may
        return
    for few in (0, 1, 2):
        for choice in range(4):
            yield _text(tree, choice, few)


def _text(items: Any, choice: int, few: int) -> str:
    return "".join(_one(op, arg, choice, few) for op, arg in items)


def _one(op: Any, arg: Any, choice: int, few: int) -> str:
    if op is ops.LITERAL:
        return chr(arg)
    if op is ops.NOT_LITERAL:
        return "a" if arg != ord("a") else "b"
    if op is ops.ANY:
        return "a"
    if op is ops.IN:
        return _member(arg)
    if op is ops.BRANCH:
        branches = arg[1]
        return _text(branches[choice % len(branches)], choice, few)
    if op is ops.SUBPATTERN:
        return _text(arg[-1], choice, few)
    if op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
        least, most, inner = arg
        return _text(inner, choice, few) * int(min(max(least, few), most))
    return ""


def _member(items: Any) -> str:
    negated = items[0][0] is ops.NEGATE
    if not negated:
        op, arg = items[0]
        if op is ops.LITERAL:
            return chr(arg)
        if op is ops.RANGE:
            return chr(arg[0])
        if arg is ops.CATEGORY_DIGIT:
            return "1"
        return " " if arg is ops.CATEGORY_SPACE else "a"
    taken = {arg for op, arg in items if op is ops.LITERAL}
    return next(c for c in "aA1-_xyz" if ord(c) not in taken)
