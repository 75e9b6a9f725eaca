"""From a condition to the series that make it true: the syntax tree is walked from the comparison to the leaves.

`truth` asks that a node has a result at rest, during the fault, both or neither; `invert` asks that it has a value.
Each step turns what is wanted of a node into what is wanted of its operands: half a ratio becomes a numerator of half
the denominator, a rate a slope, an increase a slope over its range, a count so many series, a quantile a histogram
with everything in one bucket. Where an operand is decided already, its level is taken as given. The result is a guess
by construction: `proof` asks the real engine.
"""

from __future__ import annotations

import math
from typing import Any

import promql_parser as promql

from chaoskit.rehearse.functions import Functions
from chaoskit.rehearse.inverse import each, holds, left_operand, right_operand
from chaoskit.rehearse.levels import flipped, level
from chaoskit.rehearse.script import CannotDerive, Pair
from chaoskit.rehearse.tree import (
    CALENDAR,
    COMPARISONS,
    COUNTS,
    THROUGH,
    base_for,
    counts_matches,
    first_open,
    is_bool,
    is_constant,
    metrics_below,
    promql_text,
    reads_clock,
)

_MOST_SERIES = 200


class Solver(Functions):
    """One derivation, from the wish that a condition holds to the series of `script`."""

    __slots__ = ()

    # -- truth

    def truth(self, node: Any, down: bool, up: bool) -> None:
        """Decides series so that the node has a result at rest (`down`) and during the fault (`up`), or none."""
        match node:
            case promql.ParenExpr():
                self.truth(node.expr, down, up)
            case promql.BinaryExpr() if str(node.op) in COMPARISONS and not is_bool(node):
                self._compare(node, down, up)
            case promql.BinaryExpr() if str(node.op) == "and":
                self.truth(node.lhs, down, up)
                stays = self.choices.guards_stay or self._decided(node.rhs)
                self.truth(node.rhs, down or stays, up)
            case promql.BinaryExpr() if str(node.op) == "or":
                sides = (node.lhs, node.rhs) if self.choices.alternative % 2 == 0 else (node.rhs, node.lhs)
                self.truth(sides[0], down, up)
            case promql.BinaryExpr() if str(node.op) == "unless":
                self.truth(node.lhs, down, up)
            case promql.BinaryExpr():
                self._either(node, down, up)
            case promql.AggregateExpr():
                self.truth(node.expr, down, up)
            case promql.Call():
                self.call_truth(node, down, up)
            case promql.VectorSelector() | promql.MatrixSelector():
                self._presence(node, down, up)
            case promql.SubqueryExpr() | promql.UnaryExpr():
                self.truth(node.expr, down, up)
            case _:
                raise CannotDerive("it has a result whatever the series say: it always fires")

    def _either(self, node: Any, down: bool, up: bool) -> None:
        """Arithmetic has a result while both sides have one."""
        for side in (node.lhs, node.rhs):
            if not is_constant(side):
                self.truth(side, down, up)

    def call_truth(self, node: Any, down: bool, up: bool) -> None:
        name = node.func.name
        if name in ("absent", "absent_over_time"):
            self.truth(node.args[0], not down, not up)
            return
        if name in CALENDAR or name == "time":
            raise CannotDerive(f"{name}() depends on the time of day, which no series can set")
        if name in ("changes", "resets", "rate", "irate", "increase", "delta", "idelta", "deriv"):
            self.invert(node, (1.0, 1.0))
            return
        self.truth(first_open(node.args), down, up)

    def _compare(self, node: Any, down: bool, up: bool) -> None:
        before = self.clocked
        self.clocked = before or reads_clock(node, self.instants)
        try:
            left, right, op = node.lhs, node.rhs, str(node.op)
            threshold = self.known(right)
            if threshold is None and (threshold := self.known(left)) is not None:
                left, right, op = right, left, flipped(op)
            if threshold is None:
                base = base_for(right)
                self.invert(right, (base, base))
                threshold = self.known(right) or (base, base)
            if not self.clocked and self._clock_only(left):
                return  # a time stamp near now is beyond any fixed number
            given = self.known(left)
            if given is not None and self._decided(left):
                wrong = [g for g, t, w in zip(given, threshold, (down, up), strict=True) if holds(op, g, t) != w]
                if not wrong or not is_constant(right):
                    return
            self.invert(left, self._beyond(op, threshold, down, up))
        finally:
            self.clocked = before

    def _beyond(self, op: str, threshold: Pair, down: bool, up: bool) -> Pair:
        choice = self.choices.generosity
        return (level(op, threshold[0], down, choice), level(op, threshold[1], up, choice))

    # -- values

    def invert(self, node: Any, want: Pair) -> None:
        """Decides series so that the node has these values at rest and during the fault."""
        match node:
            case promql.ParenExpr():
                self.invert(node.expr, want)
            case promql.UnaryExpr():
                self.invert(node.expr, (-want[0], -want[1]))
            case promql.VectorSelector():
                self._place(node, "value", want)
            case promql.BinaryExpr() if str(node.op) in COMPARISONS:
                self._filtered(node, want)
            case promql.BinaryExpr() if str(node.op) in ("and", "unless"):
                self.invert(node.lhs, want)
                if str(node.op) == "and" and not self._decided(node.rhs):
                    self.truth(node.rhs, True, True)
            case promql.BinaryExpr() if str(node.op) == "or":
                self.invert(node.lhs if self.choices.alternative % 2 == 0 else node.rhs, want)
            case promql.BinaryExpr():
                self._arithmetic(node, want)
            case promql.AggregateExpr():
                self._aggregate(node, want)
            case promql.Call():
                self.call(node, want)
            case promql.NumberLiteral():
                return
            case _:
                raise CannotDerive(f"no way is known to give '{promql_text(node)}' a value")

    def _filtered(self, node: Any, want: Pair) -> None:
        if is_bool(node):
            self._compare(node, want[0] > 0, want[1] > 0)
            return
        threshold = self.known(node.rhs)
        if threshold is not None:
            passing = zip(want, threshold, strict=True)
            if all(holds(str(node.op), value, bound) for value, bound in passing):
                self.invert(node.lhs, want)
                return
        self._compare(node, True, True)

    def _arithmetic(self, node: Any, want: Pair) -> None:
        before, self.clocked = self.clocked, self.clocked or reads_clock(node, self.instants)
        try:
            self._operands(node, want)
        finally:
            self.clocked = before

    def _operands(self, node: Any, want: Pair) -> None:
        left, right = self.known(node.lhs), self.known(node.rhs)
        if left is None and right is None:
            first = node.rhs if self.choices.denominator_first else node.lhs
            base = base_for(first)
            self.invert(first, (base, base))
            left, right = self.known(node.lhs), self.known(node.rhs)
        if right is not None and (left is None or is_constant(node.rhs)):
            self.invert(node.lhs, each(lambda w, r: left_operand(str(node.op), w, r), want, right))
        elif left is not None:
            self.invert(node.rhs, each(lambda w, v: right_operand(str(node.op), w, v), want, left))
        else:
            raise CannotDerive(f"neither side of '{node.op}' could be decided")

    def _aggregate(self, node: Any, want: Pair) -> None:
        op = str(node.op)
        if op in COUNTS or op == "count_values":
            self._count(node.expr, want)
        elif op in ("stddev", "stdvar"):
            spread = want if op == "stddev" else each(lambda w, _: math.sqrt(max(w, 0.0)), want, want)
            middle = 10 * max(abs(spread[0]), abs(spread[1]), 1.0)
            for copy, sign in ((1, 1.0), (2, -1.0)):
                self._copied(copy, node.expr, each(lambda w, _, s=sign: middle + s * w, spread, spread))  # type: ignore[misc]
        elif op in THROUGH:
            if op == "sum" and counts_matches(node.expr):
                self._count(node.expr, want)
                return
            before, self.summing = self.summing, op == "sum"
            try:
                self.invert(node.expr, want)
            finally:
                self.summing = before
        else:
            raise CannotDerive(f"no way is known to give {op}() a value")

    def _copied(self, copy: int, node: Any, want: Pair) -> None:
        before, self.copy = self.copy, copy
        try:
            self.invert(node, want)
        finally:
            self.copy = before

    def _count(self, node: Any, want: Pair) -> None:
        numbers = tuple(math.ceil(w - 1e-9) for w in want)
        there = max((len(self.script.of(name)) for name in metrics_below(node)), default=0)
        most = max(*numbers, there)
        if most > _MOST_SERIES:
            raise CannotDerive(f"it counts {most} series, more than {_MOST_SERIES}")
        before = self.copy
        try:
            for copy in range(1, most + 1):
                self.copy = copy
                self.truth(node, copy <= numbers[0], copy <= numbers[1])
        finally:
            self.copy = before

    # -- series

    def _presence(self, node: Any, down: bool, up: bool) -> None:
        selector = node.vector_selector if isinstance(node, promql.MatrixSelector) else node
        if (record := self.record_of(selector)) is not None:
            self.through(record, selector, lambda inner: self.truth(inner, down, up))
        elif down or up:
            self._put(selector, "present", (float(down), float(up)))
