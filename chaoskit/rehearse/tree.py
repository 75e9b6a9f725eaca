"""Looking at PromQL syntax trees: operands, selectors, what a node is made of; and labels that a selector must find.

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

import promql_parser as promql

from chaoskit.alerting.expression import matchers_written
from chaoskit.alerting.model import Matcher
from chaoskit.alerting.promql_meaning import names_an_instant
from chaoskit.alerting.promql_syntax import COMPARISONS
from chaoskit.alerting.routing import matches
from chaoskit.rehearse.script import CannotDerive

COUNTS = frozenset({"count", "group"})
THROUGH = frozenset({"sum", "avg", "min", "max", "topk", "bottomk", "quantile", "limitk"})
"""Aggregations that give a lone series its own value back."""

LIKE_INNER = frozenset(
    [
        *("abs", "ceil", "floor", "round", "sort", "sort_desc", "sort_by_label", "sort_by_label_desc", "vector"),
        *("scalar", "label_replace", "label_join", "clamp", "clamp_max", "clamp_min", "avg_over_time"),
        *("min_over_time", "max_over_time", "last_over_time", "quantile_over_time", "first_over_time"),
    ]
)
"""Functions that give a steady value back, or one close to it."""

SLOPES = frozenset({"rate", "irate", "deriv"})
COUNTERS = frozenset({"rate", "irate", "increase"})
"""Functions of what only grows."""
CALENDAR = frozenset(["hour", "minute", "month", "year", "day_of_week", "day_of_month", "day_of_year", "days_in_month"])
BASE, _FEW = 100.0, 4.0


def matchers_of(selector: Any) -> tuple[Matcher, ...]:
    """The matchers of a selector, without its name."""
    return tuple(each for each in matchers_written(selector) if each.label != "__name__")


def promql_text(node: Any) -> str:
    """The node as text, on one line and not too long."""
    text = " ".join(str(node.prettify()).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def metric_of(selector: Any) -> str:
    if selector.name:
        return str(selector.name)
    for matcher in matchers_written(selector):
        if matcher.label == "__name__":
            values = label_values([matcher], {}, "any")
            if values and values.get("__name__"):
                return values["__name__"]
    raise CannotDerive("a selector names no metric")


def children(node: Any) -> tuple[Any, ...]:
    """The operands of a node."""
    match node:
        case promql.BinaryExpr():
            return (node.lhs, node.rhs)
        case promql.Call():
            return tuple(node.args)
        case promql.AggregateExpr():
            return (node.expr,) if node.param is None else (node.expr, node.param)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return (node.expr,)
        case promql.MatrixSelector():
            return (node.vector_selector,)
    return ()


def below(node: Any) -> Iterator[Any]:
    """The node and all that is below it, each before its operands."""
    yield node
    for child in children(node):
        yield from below(child)


def selectors_below(node: Any) -> list[Any]:
    return [one for one in below(node) if isinstance(one, promql.VectorSelector)]


def metrics_below(node: Any) -> list[str]:
    return list(dict.fromkeys(metric_of(selector) for selector in selectors_below(node)))


def only_selector(node: Any) -> Any:
    found = selectors_below(node)
    if len(found) != 1:
        raise CannotDerive(f"'{promql_text(node)}' reads {len(found)} series where one can be scripted")
    return found[0]


def is_constant(node: Any) -> bool:
    return not selectors_below(node)


def first_open(arguments: Sequence[Any]) -> Any:
    """The first argument that reads a series; raises CannotDerive where they all are constants."""
    found = next((each for each in arguments if not is_constant(each)), None)
    if found is None:
        raise CannotDerive("it has a result for every value of its series: it always fires")
    return found


def reads_clock(node: Any, instants: Collection[str] = ()) -> bool:
    """Whether a node measures distances on the clock: by `time()`, or between time stamps (`instants` too)."""
    differences = [one for one in below(node) if isinstance(one, promql.BinaryExpr) and str(one.op) == "-"]
    names = {str(each.name or "") for one in differences for each in selectors_below(one)}
    return calls(node, {"time"}) or any(name in instants or names_an_instant(name) for name in names)


def calls(node: Any, names: Collection[str]) -> bool:
    return any(isinstance(one, promql.Call) and one.func.name in names for one in below(node))


def counts_matches(node: Any) -> bool:
    """Whether a sum over the node counts how often a condition holds."""
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    return isinstance(node, promql.BinaryExpr) and str(node.op) in COMPARISONS and is_bool(node)


def base_for(node: Any) -> float:
    counting = any(isinstance(one, promql.AggregateExpr) and str(one.op) in COUNTS for one in below(node))
    return _FEW if counting else BASE


def is_bool(node: Any) -> bool:
    return bool(node.modifier and node.modifier.return_bool)


def grouped_by(node: Any) -> set[str]:
    """The labels that aggregations keep, and those that such labels are made of."""
    found: set[str] = set()
    for one in below(node):
        if isinstance(one, promql.AggregateExpr) and one.modifier and "by" in str(one.modifier.type).lower():
            labels = set(one.modifier.labels)
            made = [sources for label, sources in _made(one.expr) if label in labels]
            found |= labels.union(*made)
    return found


def _made(node: Any) -> Iterator[tuple[str, list[str]]]:
    """The labels that label_replace and label_join make below a node, each with those that they read."""
    for one in below(node):
        if isinstance(one, promql.Call) and one.func.name in ("label_replace", "label_join"):
            texts = [each.val for each in one.args if isinstance(each, promql.StringLiteral)]
            yield from [(texts[0], texts[2:3] if one.func.name == "label_replace" else texts[2:])] if texts else []


def longest_range_s(node: Any) -> float:
    """The longest range of samples that a node reads at once; a subquery without a step holds each of them twice."""
    spans = [2 * span_s(o) for o in below(node) if isinstance(o, promql.SubqueryExpr) and o.step is None]
    return max([*_ranges_s(node), *spans], default=0.0)


@lru_cache(maxsize=4096)
def shortest_range_s(expr: str) -> float:
    """The shortest range of samples that an expression reads; 0 where it reads none."""
    return min(_ranges_s(promql.parse(expr)), default=0.0)


def _ranges_s(node: Any) -> list[float]:
    return [span_s(one) for one in below(node) if isinstance(one, promql.MatrixSelector)]


def span_s(node: Any) -> float:
    return float(node.range.total_seconds())


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
