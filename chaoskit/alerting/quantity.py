"""The quantity that an alert measures, and the number with which it is compared, constant arithmetic done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chaoskit.alerting.expression import Expr, expression
from chaoskit.alerting.promql_syntax import ARITHMETIC, MIRRORED, SETS


@dataclass(frozen=True, slots=True)
class Quantity:
    """The quantity that an alert compares: `text op threshold`, with the number on the right."""

    text: str
    op: str
    threshold: float


def deciding(node: Expr) -> Iterator[Expr]:
    """The comparisons that decide whether an expression has a result, the first one first."""
    if node.kind == "aggregate":
        yield from deciding(node.left)
    elif node.kind == "binary" and node.name in SETS:
        yield from deciding(node.left)
        yield from deciding(node.right)
    elif node.filters():
        yield node


def constant(node: Expr) -> float | None:
    """The number that an expression of numbers alone comes to; None for any other."""
    if node.kind == "number":
        return node.value
    if node.kind == "unary":
        inner = constant(node.left)
        return None if inner is None else -inner
    if node.kind == "call" and node.name == "vector":
        return constant(node.left)
    if node.kind != "binary":
        return None
    left, right = constant(node.left), constant(node.right)
    if left is None or right is None:
        return None
    try:
        return ARITHMETIC[node.name](left, right) if node.name in ARITHMETIC else None
    except (ArithmeticError, ValueError):
        return None


def comparison(node: Expr) -> tuple[Expr, str, float] | None:
    """A comparison as (what is compared, operator, number), the number on the right; None for any other."""
    right, left = constant(node.right), constant(node.left)
    if right is not None:
        return node.left, node.name, right
    return (node.right, MIRRORED.get(node.name, node.name), left) if left is not None else None


def quantity_of(expr: str) -> Quantity | None:
    """The quantity that an alert's expression measures; None where it compares nothing with a number."""
    for compared in map(comparison, deciding(expression(expr))):
        if compared is not None and constant(compared[0]) is None:
            return Quantity(compared[0].written(parentheses=True), *compared[1:])
    return None
