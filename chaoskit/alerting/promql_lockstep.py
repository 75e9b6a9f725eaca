"""The safety net: walk the original and the compressed expression side by side and allow only what was meant.

Both texts are read by the published parser, which shares no code with the rewriting. Allowed are

* lengths (range, step, offset) that are the original's divided by k, to the millisecond;
* a factor 1/k on every per-second function and on every horizon of predict_linear: there it is required;
* a factor k on a difference or on a metric that Prometheus measured on itself, and a factor 1/k on an operand of + or
  -. Whether these belong there is a matter of meaning, so they are counted, and the rewriting must have meant as many.

Anything else raises CannotScale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from math import isfinite
from typing import Any

import promql_parser as published

from chaoskit.alerting.promql_durations import CannotScale, as_fraction
from chaoskit.alerting.promql_lex import plain_spelling
from chaoskit.alerting.promql_meaning import PER_SECOND, names_an_own_length

# Known to Prometheus 2, and to Prometheus 3 under another name; the published parser knows only the new one.
_RENAMED = {"holt_winters": "double_exponential_smoothing"}


@dataclass(frozen=True, slots=True)
class Inserted:
    """How many factors were put in, by reason."""

    per_second: int = 0
    horizons: int = 0
    distances: int = 0
    lengths: int = 0

    def __add__(self, other: Inserted) -> Inserted:
        return Inserted(
            self.per_second + other.per_second,
            self.horizons + other.horizons,
            self.distances + other.distances,
            self.lengths + other.lengths,
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """A node of the published parser's tree: what it is, its lengths in ms (None: not given), what it holds."""

    form: str
    label: tuple[object, ...]
    lengths: tuple[int | None, ...] = ()
    children: tuple[Shape, ...] = ()


def shape(expr: str, strings: dict[str, str]) -> Shape:
    """The expression as the published parser reads it, strings substituted; CannotScale (`syntax`) if it cannot."""
    text = plain_spelling(expr, strings)
    for old, new in _RENAMED.items():
        text = " ".join(new if word == old else word for word in text.split(" "))
    try:
        return _shape(published.parse(text))
    except ValueError as fault:
        raise CannotScale("syntax", f"the PromQL parser does not accept it: {fault}") from None


def _millis(length: timedelta | None) -> int | None:
    return None if length is None else round(length / timedelta(milliseconds=1))


def _at(modifier: Any) -> tuple[str, str] | None:
    return None if modifier is None else (str(modifier.type), str(modifier.at))


def _matching(modifier: Any) -> tuple[object, ...] | None:
    if modifier is None:
        return None
    on, fill = modifier.matching, modifier.fill_values
    return (
        str(modifier.card),
        (str(on.type), tuple(on.labels)) if on else None,
        tuple(modifier.group_labels or ()),
        modifier.return_bool,
        (fill.lhs, fill.rhs) if fill else None,
    )


def _shape(node: Any) -> Shape:
    match node:
        case published.NumberLiteral():
            return Shape("number", (repr(float(node.val)),))
        case published.StringLiteral():
            return Shape("string", (node.val,))
        case published.VectorSelector():
            matchers = (repr(node.matchers.matchers), repr(node.matchers.or_matchers))
            return Shape("selector", (node.name, matchers, _at(node.at)), (_millis(node.offset),))
        case published.MatrixSelector():
            return Shape("range", (), (_millis(node.range),), (_shape(node.vector_selector),))
        case published.SubqueryExpr():
            lengths = (_millis(node.range), _millis(node.step), _millis(node.offset))
            return Shape("subquery", (_at(node.at),), lengths, (_shape(node.expr),))
        case published.ParenExpr():
            return Shape("parentheses", (), (), (_shape(node.expr),))
        case published.UnaryExpr():
            return Shape("unary", (), (), (_shape(node.expr),))
        case published.BinaryExpr():
            sides = (_shape(node.lhs), _shape(node.rhs))
            return Shape("binary", (str(node.op), _matching(node.modifier)), (), sides)
        case published.Call():
            return Shape("call", (node.func.name,), (), tuple(_shape(arg) for arg in node.args))
        case published.AggregateExpr():
            by = node.modifier
            label = (str(node.op), (str(by.type), tuple(by.labels)) if by else None)
            inside = [part for part in (node.param, node.expr) if part is not None]
            return Shape("aggregation", label, (), tuple(_shape(part) for part in inside))
    raise CannotScale("syntax", f"the PromQL parser gave a {type(node).__name__}, which is not known here")


def compare(original: str, scaled: str, k: Fraction) -> Inserted:
    """Counts the factors that `scaled` has and `original` has not; raises CannotScale where they differ otherwise."""
    strings: dict[str, str] = {}
    return _compare(shape(original, strings), shape(scaled, strings), k)


def _compare(old: Shape, new: Shape, k: Fraction) -> Inserted:
    """`new` is `old`, or `old` with the factor that its own form calls for."""
    if old.form == "call" and old.label[0] in PER_SECOND:
        return _same(old, _without_factor(old, new, 1 / k), k) + Inserted(per_second=1)
    if _may_be_multiplied(old) and (old.form, _operator(old)) != (new.form, _operator(new)):
        return _same(old, _without_factor(old, new, k), k) + Inserted(distances=1)
    return _same(old, new, k)


def _may_be_multiplied(old: Shape) -> bool:
    return (old.form == "selector" and names_an_own_length(str(old.label[0]))) or _operator(old) == "-"


def _operator(node: Shape) -> str:
    return str(node.label[0]) if node.form == "binary" else ""


def _same(old: Shape, new: Shape, k: Fraction) -> Inserted:
    """The same construct, lengths divided by k, the same children compared in turn."""
    if (old.form, old.label, len(old.children)) != (new.form, new.label, len(new.children)):
        raise _differs(old, new)
    for before, after in zip(old.lengths, new.lengths, strict=True):
        if not _divided(before, after, k):
            raise _differs(old, new)
    total = Inserted()
    for i, (before_child, after_child) in enumerate(zip(old.children, new.children, strict=True)):
        if old.form == "call" and old.label[0] == "predict_linear" and i == 1:
            bare = _without_factor(before_child, after_child, 1 / k)
            total += _compare(before_child, bare, k) + Inserted(horizons=1)
        elif _operator(old) in ("+", "-"):
            total += _operand(before_child, after_child, k)
        else:
            total += _compare(before_child, after_child, k)
    return total


def _operand(old: Shape, new: Shape, k: Fraction) -> Inserted:
    """An operand of + or -: as it was, or divided by k as a length beside an instant."""
    try:
        return _compare(old, new, k)
    except CannotScale:
        return _compare(old, _without_factor(old, new, 1 / k), k) + Inserted(lengths=1)


def _divided(before: int | None, after: int | None, k: Fraction) -> bool:
    if before is None or after is None:
        return before is after
    error = abs(Fraction(before) / k - after)
    return error < 1 and error * 100 <= abs(Fraction(before) / k) and (before > 0) == (after > 0)


def _without_factor(old: Shape, new: Shape, factor: Fraction) -> Shape:
    """What was multiplied by `factor`, less the parentheses that came with it; CannotScale if it was not."""
    inner, found = new, Fraction(1)
    while found != factor:
        if inner.form == "parentheses":
            inner = inner.children[0]
            continue
        number = _factor(inner)
        if number is None:
            break
        found *= number
        inner = inner.children[0]
    if found != factor:
        raise CannotScale("expression", f"the check of the result found a factor of {found} where {factor} belongs")
    return inner.children[0] if inner.form == "parentheses" != old.form else inner


def _factor(node: Shape) -> Fraction | None:
    """The number that the node multiplies its left side by, if that is all it does."""
    if _operator(node) not in ("*", "/") or node.children[1].form != "number":
        return None
    number = float(str(node.children[1].label[0]))
    if not isfinite(number) or number <= 0:
        return None
    return as_fraction(number) if _operator(node) == "*" else 1 / as_fraction(number)


def _differs(old: Shape, new: Shape) -> CannotScale:
    slim = [replace(node, children=()) for node in (old, new)]
    return CannotScale("expression", f"the check of the result found {slim[1]} where {slim[0]} belongs")
