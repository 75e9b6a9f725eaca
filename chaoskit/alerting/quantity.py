"""The quantity that an alert measures: the side of its comparison that is no number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

from chaoskit.alerting.promql_syntax import COMPARISONS, MIRRORED, SETS


@dataclass(frozen=True, slots=True)
class Quantity:
    """`text op threshold`, with the number on the right."""

    text: str
    op: str
    threshold: float


def deciding(node: Any) -> Iterator[Any]:
    """The comparisons that decide whether an expression has a result, the first one first."""
    match node:
        case promql.ParenExpr() | promql.AggregateExpr():
            yield from deciding(node.expr)
        case promql.BinaryExpr() if str(node.op) in SETS:
            yield from deciding(node.lhs)
            yield from deciding(node.rhs)
        case promql.BinaryExpr() if str(node.op) in COMPARISONS:
            if node.modifier is None or not node.modifier.return_bool:
                yield node


def quantity_of(expr: str) -> Quantity | None:
    """The quantity that an alert's expression measures; None where it compares nothing with a plain number."""
    for node in deciding(promql.parse(expr)):
        for measured, bound, op in (
            (node.lhs, node.rhs, str(node.op)),
            (node.rhs, node.lhs, MIRRORED.get(str(node.op), str(node.op))),
        ):
            if isinstance(bound, promql.NumberLiteral) and not isinstance(measured, promql.NumberLiteral):
                return Quantity(measured.prettify(), op, float(bound.val))
    return None
