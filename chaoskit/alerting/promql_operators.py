"""Operators under compression: what they make of plain values, and which of them an instant survives.

Of two instants the difference is a length, which is multiplied by k, and the order is kept. An instant and a constant
length make another instant, for which the length is divided by k. Everything else is refused by name.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import fmod, inf, isfinite

from chaoskit.alerting.promql_durations import CannotScale, as_fraction
from chaoskit.alerting.promql_lockstep import Inserted
from chaoskit.alerting.promql_meaning import Kind
from chaoskit.alerting.promql_syntax import COMPARISONS, SETS, Node
from chaoskit.alerting.promql_text import Seen, Writing

LONGEST_LENGTH_VS = 3e8
"""A constant beside an instant above this (ten years) is taken for a fixed instant, not for a length."""


class Operators(Writing, ABC):
    """The part of the rewriting that deals with operators; `visit` is the whole."""

    @abstractmethod
    def visit(self, node: Node, *, bare: bool = False, as_instant: bool = False) -> Seen:
        """The node's new text and kind."""

    def _unary(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        inner = self.visit(node.children[0], as_instant=as_instant)
        if node.name == "+":
            return self.built(node, [inner], inner.kind, unit=inner.unit, value=inner.value)
        if inner.kind is Kind.INSTANT:
            raise CannotScale("unary -", "it negates an instant of the real clock")
        kind = Kind.CONSTANT if inner.kind is Kind.CONSTANT else Kind.PLAIN
        return self.built(node, [inner], kind, value=-inner.value)

    def _binary(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        right_too = as_instant and node.name not in ("and", "unless")
        sides = [
            self.visit(node.children[0], as_instant=as_instant),
            self.visit(node.children[1], as_instant=right_too),
        ]
        if node.name in ("and", "unless"):
            return self.built(node, sides, sides[0].kind, unit=sides[0].unit)
        if Kind.INSTANT not in (sides[0].kind, sides[1].kind):
            kind, value = _folded(node, *sides)
            return self.built(node, sides, kind, value=value)
        for i in (0, 1):
            if sides[i].kind is Kind.OPEN and node.name not in ("*", "/", "%", "^", "atan2"):
                sides[i] = self.visit(node.children[i], as_instant=True)
        if node.name in COMPARISONS or node.name in SETS:
            return self.ordered(node, sides)
        if node.name in ("+", "-"):
            return self.shifted(node, sides, bare)
        return self.converted(node, sides)

    def ordered(self, node: Node, sides: list[Seen]) -> Seen:
        """Instants compared or joined with each other, or with 0, by which exporters say "never"."""
        for side, child in zip(sides, node.children, strict=True):
            if side.kind is not Kind.INSTANT and not (side.kind is Kind.CONSTANT and side.value == 0):
                raise CannotScale(
                    f"operator {node.name}",
                    f"it puts {self.said(child)!r}, which is {side.kind.value}, beside an instant of the real clock",
                )
        self.same_unit(node, sides)
        kind = Kind.PLAIN if "bool" in node.modifiers else Kind.INSTANT
        return self.built(node, sides, kind, unit=sides[0].unit or sides[1].unit)

    def same_unit(self, node: Node, sides: list[Seen]) -> None:
        units = {side.unit for side in sides if side.kind is Kind.INSTANT and side.unit is not None}
        if len(units) > 1:
            raise CannotScale(f"operator {node.name}", "its two sides count the clock in different units")

    def shifted(self, node: Node, sides: list[Seen], bare: bool) -> Seen:
        """A distance between two instants, or an instant some constant length away from another."""
        left, right = sides
        if node.name == "-" and left.kind is right.kind is Kind.INSTANT:
            self.same_unit(node, sides)
            return self.multiplied(self.built(node, sides, Kind.PLAIN), node, bare)
        constant = next((i for i in (0, 1) if sides[i].kind is Kind.CONSTANT), None)
        if constant is None or (node.name == "-" and constant == 0):
            other = next((i for i in (0, 1) if sides[i].kind is not Kind.INSTANT), 1)
            raise CannotScale(
                f"operator {node.name}",
                f"{self.said(node.children[other])!r} is {sides[other].kind.value}; beside an instant of the real "
                "clock only another instant can be subtracted, or a constant length added or taken away",
            )
        instant = sides[1 - constant]
        if abs(sides[constant].value) / float(instant.unit or 1) >= LONGEST_LENGTH_VS:
            raise CannotScale(self.said(node.children[constant]), "a fixed instant has no counterpart in virtual time")
        if sides[constant].value:
            sides[constant] = self.divided(sides[constant], node.children[constant], False, Inserted(lengths=1))
        return self.built(node, sides, Kind.INSTANT, unit=instant.unit)

    def converted(self, node: Node, sides: list[Seen]) -> Seen:
        """An instant counted in another unit, such as milliseconds: times or divided by a positive constant."""
        left, right = sides
        other, instant = (right, left) if left.kind is Kind.INSTANT else (left, right)
        if (
            node.name not in ("*", "/")
            or other.kind is not Kind.CONSTANT
            or not 0 < other.value < inf
            or (node.name == "/" and instant is right)
        ):
            raise CannotScale(
                f"operator {node.name}",
                "of an instant of the real clock only differences, comparisons and conversions by a constant scale",
            )
        by = as_fraction(other.value) if node.name == "*" else 1 / as_fraction(other.value)
        return self.built(node, sides, Kind.INSTANT, unit=instant.unit * by if instant.unit else None)


def _folded(node: Node, left: Seen, right: Seen) -> tuple[Kind, float]:
    """Kind, and value if constant, of an operator with no instant on either side."""
    kinds = {left.kind, right.kind}
    if kinds == {Kind.CONSTANT} and node.name in _ARITHMETIC:
        try:
            value = float(_ARITHMETIC[node.name](left.value, right.value))
        except (ArithmeticError, TypeError, ValueError):
            return Kind.PLAIN, 0.0  # such as 0/0: a number for Prometheus, and the same at every scale
        return (Kind.CONSTANT, value) if isfinite(value) else (Kind.PLAIN, 0.0)
    if kinds == {Kind.OPEN} and (node.name == "or" or _filters(node)):
        return Kind.OPEN, 0.0
    if kinds == {Kind.OPEN, Kind.CONSTANT} and (node.name in ("or", "+", "*") or _filters(node)):
        return Kind.OPEN, 0.0
    if left.kind is Kind.OPEN and (_filters(node) or (right.kind is Kind.CONSTANT and node.name in ("-", "/"))):
        return Kind.OPEN, 0.0
    return Kind.PLAIN, 0.0


def _filters(node: Node) -> bool:
    return node.name in COMPARISONS and "bool" not in node.modifiers


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": fmod,
    "^": operator.pow,
}
