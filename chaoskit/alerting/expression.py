"""A PromQL expression as plain typed nodes, for questions about its meaning and for comparing two of them.

The published parser reads the expression once, and everything works on the result; no other module asks the parser.
Where a construct stands in the source is not kept: a finding points at the rule's expression as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache, partial
from typing import Any, Literal

import promql_parser as promql

from chaoskit.alerting.model import Matcher
from chaoskit.alerting.promql_syntax import COMPARISONS

Kind = Literal["number", "string", "selector", "call", "aggregate", "binary", "unary", "subquery", "parentheses"]
_DEEPEST = 200
"""Constructs within one another; far below what Python's own stack bears, for every walk goes down as deep."""
_MOST, _DEEPENS = 2000, re.compile(r"[-+*/%^(<>=!]|\b(?:and|or|unless|atan2)\b")
_QUOTED = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`[^`]*`')
_OPS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


@dataclass(frozen=True, slots=True)
class Expr:
    """One construct: `name` is the metric, function, aggregation or operator.

    `labels` are those of by, without, on or ignoring, which `mode` tells. An aggregation's parameter is its second
    child.
    """

    kind: Kind
    name: str = ""
    children: tuple[Expr, ...] = ()
    value: float = 0.0
    text: str = ""
    """A string's or number's own; else an instant (`@`), matchers joined by `or`, or fill values."""
    matchers: tuple[Matcher, ...] = ()
    lengths: tuple[int | None, int | None, int | None] = (None, None, None)
    """Range, step and offset of a selector or subquery in milliseconds; None: not given."""
    mode: Literal["", "by", "without", "on", "ignoring"] = ""
    labels: frozenset[str] = frozenset()
    many: Literal["", "left", "right"] = ""
    """The side that keeps all its labels: of group_left the left one."""
    included: frozenset[str] = frozenset()
    """Labels that group_left or group_right take over from the other side."""
    returns_bool: bool = False
    source: tuple[str, int] = field(default=("", 0), compare=False, repr=False)
    """The text that was read, and which of its constructs this is, in the order in which they were converted."""

    @property
    def range_s(self) -> float:
        """Seconds of the range; 0.0 for an instant selector."""
        return (self.lengths[0] or 0) / 1000

    @property
    def offset_s(self) -> float:
        return (self.lengths[2] or 0) / 1000

    @property
    def left(self) -> Expr:
        return self.children[0]

    @property
    def right(self) -> Expr:
        return self.children[1]

    def written(self, parentheses: bool = False) -> str:
        """The construct as the parser prints it, long ones on several lines; with those `parentheses` around it."""
        text, number = self.source
        nodes: list[Any] = []
        _converted(_parsed(text), text, nodes)
        while parentheses and number and isinstance(nodes[number - 1], promql.ParenExpr):
            number -= 1
        return str(nodes[number].prettify())

    def filters(self) -> bool:
        """Whether this is a comparison that drops what does not meet it."""
        return self.kind == "binary" and self.name in COMPARISONS and not self.returns_bool


@lru_cache(maxsize=32768)
def expression(text: str) -> Expr:
    """The expression's tree without parentheses; raises ValueError with the reason where it cannot be read."""
    return _converted(_parsed(text), text, [])


def with_parentheses(text: str) -> Expr:
    """The expression's tree with its parentheses as nodes; raises ValueError as `expression` does."""
    return _converted(_parsed(text), text, [], True)


def printed(text: str) -> str:
    """The expression as the parser prints it, the same for the same tree; raises ValueError where it does not parse."""
    return str(_parsed(text).prettify())


def _parsed(text: str) -> Any:
    # Some thousands of constructs within one another overflow the parser's stack, which ends the process.
    if len(text) > _MOST and len(_DEEPENS.findall(_QUOTED.sub("", text))) > _MOST:
        raise ValueError(f"the expression has more than {_MOST} operators and brackets, which chaoskit does not follow")
    return promql.parse(text)


def walk(node: Expr) -> Iterator[Expr]:
    """The node and everything below it, in the order written."""
    yield node
    for child in node.children:
        yield from walk(child)


def selectors(node: Expr) -> Iterator[Expr]:
    """The series selectors of an expression."""
    return (each for each in walk(node) if each.kind == "selector")


def metric_names(node: Expr) -> frozenset[str]:
    """The metrics that an expression reads by name."""
    return frozenset(each.name for each in selectors(node) if each.name)


def _converted(node: Any, text: str, nodes: list[Any], parentheses: bool = False, depth: int = 0) -> Expr:
    """The parser's tree in nodes of ours, with or without its parentheses; `nodes` gets those of the parser."""
    if depth > _DEEPEST:
        raise ValueError(f"the expression is nested more than {_DEEPEST} deep, which chaoskit does not follow")
    each = partial(_converted, text=text, nodes=nodes, parentheses=parentheses, depth=depth + 1)
    make = partial(Expr, source=(text, len(nodes)))
    nodes.append(node)
    match node:
        case promql.ParenExpr():
            inner = each(node.expr)
            return make("parentheses", children=(inner,)) if parentheses else inner
        case promql.NumberLiteral():
            return make("number", value=node.val, text=repr(float(node.val)))
        case promql.StringLiteral():
            return make("string", text=node.val)
        case promql.VectorSelector():
            return _selector(make, node, None)
        case promql.MatrixSelector():
            return _selector(make, node.vector_selector, node.range)
        case promql.SubqueryExpr():
            lengths = _millis(node.range), _millis(node.step), _millis(node.offset)
            return make("subquery", text=_at(node), children=(each(node.expr),), lengths=lengths)
        case promql.UnaryExpr():
            return make("unary", "-", (each(node.expr),))
        case promql.Call():
            return make("call", node.func.name, tuple(map(each, node.args)))
        case promql.AggregateExpr():
            children = tuple(each(part) for part in (node.expr, node.param) if part is not None)
            if node.modifier is None:
                return make("aggregate", str(node.op), children)
            mode: Literal["by", "without"] = "by" if str(node.modifier.type).endswith("By") else "without"
            return make("aggregate", str(node.op), children, mode=mode, labels=frozenset(node.modifier.labels))
        case promql.BinaryExpr():
            return _binary(make, str(node.op), (each(node.lhs), each(node.rhs)), node.modifier)
    raise ValueError(f"the expression has a {type(node).__name__}, which chaoskit does not know: install a newer one")


def _selector(make: Callable[..., Expr], node: Any, range_: timedelta | None) -> Expr:
    # Matchers joined by `or` bind nothing for certain, so they are told apart and nothing more.
    found = node.matchers.matchers
    written = tuple(Matcher(each.name, _OPS[str(each.op).rpartition(".")[2]], each.value) for each in found)
    named = next((each.value for each in written if each.label == "__name__" and each.op == "="), "")
    when = _at(node) + (repr(node.matchers.or_matchers) if node.matchers.or_matchers else "")
    lengths = _millis(range_), None, _millis(node.offset)
    return make("selector", node.name or named, text=when, matchers=written, lengths=lengths)


def _binary(make: Callable[..., Expr], operator: str, children: tuple[Expr, Expr], modifier: Any) -> Expr:
    if modifier is None:
        return make("binary", operator, children)
    mode: Literal["", "on", "ignoring"] = ""
    labels: frozenset[str] = frozenset()
    if modifier.matching is not None:
        mode = "on" if str(modifier.matching.type).endswith("Include") else "ignoring"
        labels = frozenset(modifier.matching.labels)
    sides: dict[str, Literal["", "left", "right"]] = {"ManyToOne": "left", "OneToMany": "right"}
    fill = modifier.fill_values
    return make(
        "binary", operator, children, mode=mode, labels=labels,
        many=sides.get(str(modifier.card).rpartition(".")[2], ""),
        included=frozenset(modifier.group_labels or ()),
        returns_bool=bool(modifier.return_bool),
        text=f"{fill.lhs} {fill.rhs}" if fill and (fill.lhs, fill.rhs) != (None, None) else "",
    )  # fmt: skip


def _millis(length: timedelta | None) -> int | None:
    return None if length is None else round(length / timedelta(milliseconds=1))


def _at(node: Any) -> str:
    return "" if node.at is None else f"{node.at.type} {node.at.at}"
