"""Looking at PromQL syntax trees: operands, selectors, and what a node is made of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import promql_parser as promql

from chaoskit.alerting.model import Matcher
from chaoskit.alerting.promql_meaning import names_an_instant
from chaoskit.rehearse.script import CannotDerive
from chaoskit.rehearse.selectors import label_values

COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
OPS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
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
    return tuple(
        Matcher(m.name, OPS[str(m.op).rpartition(".")[2]], m.value)
        for m in selector.matchers.matchers
        if m.name != "__name__"
    )


def promql_text(node: Any) -> str:
    """The node as text, on one line and not too long."""
    text = " ".join(str(node.prettify()).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def metric_of(selector: Any) -> str:
    if selector.name:
        return str(selector.name)
    for matcher in selector.matchers.matchers:
        if matcher.name == "__name__":
            values = label_values([Matcher("n", OPS[str(matcher.op).rpartition(".")[2]], matcher.value)], {}, "any")
            if values and values.get("n"):
                return values["n"]
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


def selectors_below(node: Any) -> list[Any]:
    own = [node] if isinstance(node, promql.VectorSelector) else []
    return own + [found for child in children(node) for found in selectors_below(child)]


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
        raise CannotDerive("it has a result whatever the series say: it always fires")
    return found


def reads_clock(node: Any, instants: Collection[str] = ()) -> bool:
    """Whether a node measures distances on the clock: by `time()`, or between time stamps (`instants` too)."""
    if isinstance(node, promql.Call) and node.func.name == "time":
        return True
    minus = isinstance(node, promql.BinaryExpr) and str(node.op) == "-"
    names = {str(one.name or "") for one in selectors_below(node)} if minus else set()
    if any(name in instants or names_an_instant(name) for name in names):
        return True
    return any(reads_clock(child, instants) for child in children(node))


def calls(node: Any, names: frozenset[str]) -> bool:
    if isinstance(node, promql.Call) and node.func.name in names:
        return True
    return any(calls(child, names) for child in children(node))


def has_subquery(node: Any) -> bool:
    return isinstance(node, promql.SubqueryExpr) or any(map(has_subquery, children(node)))


def counts_matches(node: Any) -> bool:
    """Whether a sum over the node counts how often a condition holds."""
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    return isinstance(node, promql.BinaryExpr) and str(node.op) in COMPARISONS and is_bool(node)


def base_for(node: Any) -> float:
    counting = isinstance(node, promql.AggregateExpr) and str(node.op) in COUNTS
    return _FEW if counting or any(base_for(child) == _FEW for child in children(node)) else BASE


def is_bool(node: Any) -> bool:
    return bool(node.modifier and node.modifier.return_bool)


def grouped_by(node: Any) -> set[str]:
    """The labels that aggregations keep, and those that such labels are made of."""
    found: set[str] = set()
    if isinstance(node, promql.AggregateExpr) and node.modifier is not None and "by" in str(node.modifier.type).lower():
        found |= set(node.modifier.labels)
        found |= {one for made, sources in _made(node.expr) if made in found for one in sources}
    return found.union(*map(grouped_by, children(node)))


def _made(node: Any) -> list[tuple[str, tuple[str, ...]]]:
    """The labels that label_replace and label_join make below a node, each with those that they read."""
    own = []
    if isinstance(node, promql.Call) and node.func.name in ("label_replace", "label_join"):
        texts = [one.val for one in node.args if isinstance(one, promql.StringLiteral)]
        read = texts[2:3] if node.func.name == "label_replace" else texts[2:]
        own = [(texts[0], tuple(read))] if texts else []
    return own + [found for child in children(node) for found in _made(child)]


def longest_range_s(node: Any) -> float:
    """The longest range of samples that a node reads at once; a subquery without a step holds each of them twice."""
    own = span_s(node) if isinstance(node, promql.MatrixSelector) else 0.0
    if isinstance(node, promql.SubqueryExpr) and node.step is None:
        own = 2 * span_s(node)
    return max([own, *map(longest_range_s, children(node))])


@lru_cache(maxsize=4096)
def shortest_range_s(expr: str) -> float:
    """The shortest range of samples that an expression reads; 0 where it reads none."""
    return min(_ranges_s(promql.parse(expr)), default=0.0)


def _ranges_s(node: Any) -> list[float]:
    own = [span_s(node)] if isinstance(node, promql.MatrixSelector) else []
    return [*own, *(each for child in children(node) for each in _ranges_s(child))]


def span_s(node: Any) -> float:
    return float(node.range.total_seconds())
