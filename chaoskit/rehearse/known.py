"""What a derivation knows already: the value of a node whose series are decided, at rest and during the fault."""

from __future__ import annotations

from typing import Any

import promql_parser as promql

from chaoskit.alerting.routing import matches_all
from chaoskit.rehearse.inverse import each, operation
from chaoskit.rehearse.placing import Placing
from chaoskit.rehearse.script import Pair
from chaoskit.rehearse.tree import (
    COMPARISONS,
    COUNTS,
    LIKE_INNER,
    SLOPES,
    THROUGH,
    is_bool,
    is_constant,
    matchers_of,
    metric_of,
    metrics_below,
    selectors_below,
)


class Knowing(Placing):
    """A derivation that can be asked for values."""

    __slots__ = ()

    def _decided(self, node: Any) -> bool:
        """Whether every series below the node has been decided."""
        return self.known(node) is not None and not is_constant(node)

    def _clock_only(self, node: Any) -> bool:
        """Whether the node reads time stamps that were decided as distances from now."""
        leaves = [self.script.get(metric_of(one), self.labels_for(one)) for one in selectors_below(node)]
        return bool(leaves) and all(leaf is not None and leaf.clock for leaf in leaves)

    def known(self, node: Any) -> Pair | None:
        """The node's values, where its series are decided or it has none; None where it still is open."""
        match node:
            case promql.NumberLiteral():
                return (node.val, node.val)
            case promql.ParenExpr():
                return self.known(node.expr)
            case promql.UnaryExpr():
                inner = self.known(node.expr)
                return inner and (-inner[0], -inner[1])
            case promql.BinaryExpr() if str(node.op) in ("and", "unless") or str(node.op) in COMPARISONS:
                return None if is_bool(node) else self.known(node.lhs)
            case promql.BinaryExpr():
                left, right = self.known(node.lhs), self.known(node.rhs)
                return None if left is None or right is None else each(operation(str(node.op)), left, right)
            case promql.AggregateExpr() if str(node.op) in THROUGH:
                return self._known_sum(node)
            case promql.AggregateExpr() if str(node.op) in COUNTS:
                metrics = metrics_below(node.expr)
                leaves = [leaf for name in metrics for leaf in self.script.of(name)]
                plain = isinstance(node.expr, promql.VectorSelector)
                return (float(len(leaves)), float(len(leaves))) if leaves and plain else None
            case promql.Call():
                return self._known_call(node)
            case promql.VectorSelector():
                return self._known_leaf(node, "value")
        return None

    def _known_sum(self, node: Any) -> Pair | None:
        inner = self.known(node.expr)
        if inner is None or str(node.op) != "sum":
            return inner
        selectors = selectors_below(node.expr)
        if len(selectors) != 1:
            return inner
        matchers = matchers_of(selectors[0])
        leaves = [leaf for leaf in self.script.of(metric_of(selectors[0])) if matches_all(matchers, leaf.labels)]
        factor = self._known_leaf(selectors[0], leaves[0].shape) if leaves else None
        if factor is None or not all(factor):
            return inner
        total = (sum(leaf.levels[0] for leaf in leaves), sum(leaf.levels[1] for leaf in leaves))
        return (inner[0] / factor[0] * total[0], inner[1] / factor[1] * total[1])

    def _known_call(self, node: Any) -> Pair | None:
        name, args = node.func.name, node.args
        if name == "time":
            return (0.0, 0.0)
        if name in SLOPES or name == "increase":
            if not isinstance(args[0], promql.MatrixSelector):
                return None
            found = self._known_leaf(args[0].vector_selector, "slope")
            per = args[0].range.total_seconds() if name == "increase" else 1.0
            return found and (found[0] * per, found[1] * per)
        if name in LIKE_INNER:
            inner = next((a for a in args if not is_constant(a)), args[0])
            return self.known(inner.vector_selector if isinstance(inner, promql.MatrixSelector) else inner)
        return None

    def _known_leaf(self, selector: Any, shape: str) -> Pair | None:
        if (record := self.record_of(selector)) is not None and shape == "value":
            found: list[Pair | None] = []
            self.through(record, selector, lambda inner: found.append(self.known(inner)))
            return found[0]
        leaf = self.script.get(metric_of(selector), self.labels_for(selector))
        if leaf is None or leaf.shape != shape:
            return None
        return (leaf.levels[0], leaf.levels[0]) if selector.offset else leaf.levels
