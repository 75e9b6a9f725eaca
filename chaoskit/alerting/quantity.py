"""The quantity that an alert measures: the side of its comparison that is no number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chaoskit.alerting.expression import Expr, expression
from chaoskit.alerting.promql_syntax import MIRRORED, SETS


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


def quantity_of(expr: str) -> Quantity | None:
    """The quantity that an alert's expression measures; None where it compares nothing with a plain number."""
    for node in deciding(expression(expr)):
        mirrored = MIRRORED.get(node.name, node.name)
        for measured, bound, op in ((node.left, node.right, node.name), (node.right, node.left, mirrored)):
            if bound.kind == "number" and measured.kind != "number":
                return Quantity(measured.written(parentheses=True), op, bound.value)
    return None
