"""The safety net: walk the original and the compressed expression side by side and allow only intended changes.

Both texts are read by the published parser, which shares no code with the rewriting. Allowed are

* lengths (range, step, offset) that are the original's divided by k, to the millisecond;
* a factor 1/k on every per-second function and on every horizon of predict_linear: there it is required;
* a factor k on a difference or on a metric that Prometheus measured on itself, and a factor 1/k on an operand of + or
  -. Whether these belong there is a matter of meaning, so they are counted, and the rewriting must have meant as many.

Anything else raises CannotScale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import isfinite

from chaoskit.alerting.expression import Expr, expression, with_parentheses
from chaoskit.alerting.promql_durations import CannotScale, as_fraction
from chaoskit.alerting.promql_meaning import PER_SECOND, names_an_own_length
from chaoskit.alerting.promql_syntax import plain_spelling

# Known to Prometheus 2, and to Prometheus 3 under another name; the published parser knows only the new one.
_RENAMED = {"holt_winters": "double_exponential_smoothing"}


Inserted = Counter[str]
"""How many factors were put in, by reason: per_second, horizons, distances, lengths."""


def shape(expr: str, strings: dict[str, str]) -> Expr:
    """The expression as the published parser reads it, strings substituted; CannotScale (`syntax`) if it cannot."""
    text = plain_spelling(expr, strings)
    for old, new in _RENAMED.items():
        text = " ".join(new if word == old else word for word in text.split(" "))
    return accepted(text, with_parentheses)


def accepted(text: str, read: Callable[[str], Expr] = expression) -> Expr:
    """The expression as this reader of the published parser's tree gives it; CannotScale (`syntax`) if it cannot."""
    try:
        return read(text)
    except ValueError as fault:
        raise CannotScale("syntax", f"the PromQL parser does not accept the expression: {fault}") from None


def compare(original: str, scaled: str, k: Fraction) -> Inserted:
    """Counts the factors that `scaled` has and `original` has not; raises CannotScale where they differ otherwise."""
    strings: dict[str, str] = {}
    return _compare(shape(original, strings), shape(scaled, strings), k)


def _compare(old: Expr, new: Expr, k: Fraction) -> Inserted:
    """`new` is `old`, or `old` with the factor that its own form calls for."""
    if old.kind == "call" and old.name in PER_SECOND:
        return _same(old, _without_factor(old, new, 1 / k), k) + Inserted(per_second=1)
    multiplied = (old.kind == "selector" and names_an_own_length(old.name)) or _operator(old) == "-"
    if multiplied and (old.kind, _operator(old)) != (new.kind, _operator(new)):
        return _same(old, _without_factor(old, new, k), k) + Inserted(distances=1)
    return _same(old, new, k)


def _operator(node: Expr) -> str:
    return node.name if node.kind == "binary" else ""


def _bare(node: Expr) -> Expr:
    """The node without lengths and children; a number by its text, since nan equals nothing."""
    return replace(node, children=(), lengths=(None, None, None), value=0.0)


def _same(old: Expr, new: Expr, k: Fraction) -> Inserted:
    """The same construct, lengths divided by k, the same children compared in turn."""
    if _bare(old) != _bare(new) or len(old.children) != len(new.children):
        raise _differs(old, new)
    if not all(_divided(before, after, k) for before, after in zip(old.lengths, new.lengths, strict=True)):
        raise _differs(old, new)
    total = Inserted()
    for i, (before_child, after_child) in enumerate(zip(old.children, new.children, strict=True)):
        if old.kind == "call" and old.name == "predict_linear" and i == 1:
            bare = _without_factor(before_child, after_child, 1 / k)
            total += _compare(before_child, bare, k) + Inserted(horizons=1)
        elif _operator(old) in ("+", "-"):
            total += _operand(before_child, after_child, k)
        else:
            total += _compare(before_child, after_child, k)
    return total


def _operand(old: Expr, new: Expr, k: Fraction) -> Inserted:
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


def _without_factor(old: Expr, new: Expr, factor: Fraction) -> Expr:
    """The operand that `factor` multiplies, without parentheses around it; raises CannotScale if there is none."""
    inner, found = new, Fraction(1)
    while found != factor:
        if inner.kind == "parentheses":
            inner = inner.left
            continue
        number = _factor(inner)
        if number is None:
            break
        found *= number
        inner = inner.left
    if found != factor:
        raise CannotScale("expression", f"chaoskit miscompressed the expression: factor {found}, expected {factor}")
    return inner.left if inner.kind == "parentheses" != old.kind else inner


def _factor(node: Expr) -> Fraction | None:
    """The number that the node multiplies its left side by, if that is all it does."""
    if _operator(node) not in ("*", "/") or node.right.kind != "number":
        return None
    number = node.right.value
    if not isfinite(number) or number <= 0:
        return None
    return as_fraction(number) if _operator(node) == "*" else 1 / as_fraction(number)


def _differs(old: Expr, new: Expr) -> CannotScale:
    slim = [replace(node, children=()) for node in (old, new)]
    return CannotScale("expression", f"chaoskit miscompressed the expression: holds {slim[1]}, expected {slim[0]}")
