"""A PromQL expression as plain typed nodes, for questions about its meaning; parentheses are gone.

The one idea: the published parser reads the expression once, and everything here works on the result. Where a
construct stands in the source is not kept: a finding points at the rule's expression as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal

import promql_parser as promql

from chaoskit.alerting.model import Matcher
from chaoskit.alerting.rules import parse_expression

Kind = Literal["number", "string", "selector", "call", "aggregate", "binary", "unary", "subquery"]
COMPARISONS = frozenset(["==", "!=", "<=", "<", ">=", ">"])
SETS = frozenset(["and", "or", "unless"])
_OPS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


@dataclass(frozen=True, slots=True)
class Expr:
    """One construct: `name` is the metric, function, aggregation or operator.

    `labels` are those of by, without, on or ignoring, which `mode` tells; `range_s` is a selector's range or a
    subquery's, in seconds, 0.0 for an instant one, and `text` tells its offset, so that no other instant is taken for
    it. An aggregation's parameter is its second child.
    """

    kind: Kind
    name: str = ""
    children: tuple[Expr, ...] = ()
    value: float = 0.0
    text: str = ""
    matchers: tuple[Matcher, ...] = ()
    range_s: float = 0.0
    mode: Literal["", "by", "without", "on", "ignoring"] = ""
    labels: frozenset[str] = frozenset()
    many: Literal["", "left", "right"] = ""
    """The side that keeps all its labels: of group_left the left one."""
    included: frozenset[str] = frozenset()
    """Labels that group_left or group_right take over from the other side."""
    returns_bool: bool = False

    @property
    def left(self) -> Expr:
        return self.children[0]

    @property
    def right(self) -> Expr:
        return self.children[1]

    def filters(self) -> bool:
        """Whether this is a comparison that drops what does not meet it."""
        return self.kind == "binary" and self.name in COMPARISONS and not self.returns_bool


@lru_cache(maxsize=32768)
def expression(text: str) -> Expr:
    """The expression's tree; raises ValueError with the parser's reason."""
    return _converted(parse_expression(text))


def walk(node: Expr) -> Iterator[Expr]:
    """The node and everything below it, in the order written."""
    yield node
    for child in node.children:
        yield from walk(child)


def selectors(node: Expr) -> Iterator[Expr]:
    """The series selectors of an expression."""
    return (each for each in walk(node) if each.kind == "selector")


def _seconds(span: timedelta | None) -> float:
    return span.total_seconds() if span else 0.0


def _converted(node: Any) -> Expr:
    match node:
        case promql.ParenExpr():
            return _converted(node.expr)
        case promql.NumberLiteral():
            return Expr("number", value=node.val)
        case promql.StringLiteral():
            return Expr("string", text=node.val)
        case promql.VectorSelector():
            return _selector(node, 0.0)
        case promql.MatrixSelector():
            return _selector(node.vector_selector, _seconds(node.range))
        case promql.SubqueryExpr():
            when = "".join(str(each) for each in (node.offset, node.at, node.step) if each is not None)
            return Expr("subquery", text=when, children=(_converted(node.expr),), range_s=_seconds(node.range))
        case promql.UnaryExpr():
            return Expr("unary", "-", (_converted(node.expr),))
        case promql.Call():
            return Expr("call", node.func.name, tuple(map(_converted, node.args)))
        case promql.AggregateExpr():
            return _aggregate(node)
        case promql.BinaryExpr():
            return _binary(node)
    raise ValueError(f"{type(node).__name__} is not a construct that is known here")


def _selector(node: Any, range_s: float) -> Expr:
    # Matchers joined by `or` bind nothing for certain, so they are left out.
    written = tuple(
        Matcher(each.name, _OPS[str(each.op).rpartition(".")[2]], each.value) for each in node.matchers.matchers
    )
    named = next((each.value for each in written if each.label == "__name__" and each.op == "="), "")
    when = "".join(str(each) for each in (node.offset, node.at) if each is not None)
    return Expr("selector", node.name or named, text=when, matchers=written, range_s=range_s)


def _aggregate(node: Any) -> Expr:
    parameter = () if node.param is None else (_converted(node.param),)
    mode: Literal["", "by", "without"] = ""
    if node.modifier is not None:
        mode = "by" if str(node.modifier.type).endswith("By") else "without"
    labels = frozenset(node.modifier.labels) if node.modifier is not None else frozenset()
    return Expr("aggregate", str(node.op), (_converted(node.expr), *parameter), mode=mode, labels=labels)


def _binary(node: Any) -> Expr:
    children = (_converted(node.lhs), _converted(node.rhs))
    operator = str(node.op)
    modifier = node.modifier
    if modifier is None:
        return Expr("binary", operator, children)
    mode: Literal["", "on", "ignoring"] = ""
    labels: frozenset[str] = frozenset()
    if modifier.matching is not None:
        mode = "on" if str(modifier.matching.type).endswith("Include") else "ignoring"
        labels = frozenset(modifier.matching.labels)
    sides: dict[str, Literal["", "left", "right"]] = {"ManyToOne": "left", "OneToMany": "right"}
    many = sides.get(str(modifier.card).rpartition(".")[2], "")
    included = frozenset(modifier.group_labels or ())
    return Expr(
        "binary", operator, children, mode=mode, labels=labels, many=many, included=included,
        returns_bool=bool(modifier.return_bool),
    )  # fmt: skip
