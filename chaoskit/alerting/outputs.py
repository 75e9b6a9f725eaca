"""Which labels an expression's result carries, from its syntax tree.

An alert is bound to the things a fault hit only where its rule still tells them apart: `health == 0` keeps
`worker_name`, `count(health == 0)` does not.
"""

from __future__ import annotations

import promql_parser as promql

_KEEPS_EACH = {"topk", "bottomk", "limitk", "limit_ratio"}
_LOSES_ALL = {"absent", "absent_over_time", "scalar", "vector", "time"}


def carries(expr: str, label: str) -> bool:
    """Whether results of the expression can carry the label; raises ValueError for broken PromQL."""
    return _carries(promql.parse(expr), label)


def _carries(node: promql.Expr, label: str) -> bool:
    match node:
        case promql.VectorSelector() | promql.MatrixSelector():
            return True
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return _carries(node.expr, label)
        case promql.AggregateExpr():
            return _aggregated(node, label)
        case promql.Call():
            if node.func.name in _LOSES_ALL:
                return False
            return any(_carries(argument, label) for argument in node.args)
        case promql.BinaryExpr():
            return _combined(node, label)
    return False


def _aggregated(node: promql.AggregateExpr, label: str) -> bool:
    inner = _carries(node.expr, label)
    if str(node.op) in _KEEPS_EACH:
        return inner
    if node.modifier is None:
        return False
    listed = label in node.modifier.labels
    by = "By" in str(node.modifier.type)
    return inner and (listed if by else not listed)


def _combined(node: promql.BinaryExpr, label: str) -> bool:
    left, right = _carries(node.lhs, label), _carries(node.rhs, label)
    if str(node.op) in {"and", "unless"}:
        return left
    if str(node.op) == "or":
        return left or right
    if isinstance(node.rhs, promql.NumberLiteral):
        return left
    if isinstance(node.lhs, promql.NumberLiteral):
        return right
    matching = node.modifier.matching if node.modifier else None
    if matching is None:
        return left or right
    listed = label in matching.labels
    on = "On" in str(matching.type) or "Include" in str(matching.type)
    return (left or right) and (listed if on else not listed)
