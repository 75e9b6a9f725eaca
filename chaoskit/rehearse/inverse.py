"""Arithmetic and comparisons backwards: the operand for which an operation has the wanted result or truth.

Which value a condition needs: just beyond its threshold while it holds, safely on the other side otherwise. Several
generous choices each, tried one after another with the real engine: a ratio must stay below one, a count is whole, a
threshold may be negative, and a comparison alone does not tell which of these it is.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping

from chaoskit.rehearse.script import CannotDerive, Pair

FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "sqrt": lambda v: v * v,
    "exp": lambda v: math.log(v) if v > 0 else -50.0,
    "ln": math.exp,
    "log2": lambda v: 2.0**v,
    "log10": lambda v: 10.0**v,
}
"""By function, the argument for which it has a value."""

_Operation = Callable[[float, float], float]
_OPERATIONS: Mapping[str, tuple[_Operation, ...]] = {
    "+": (operator.add, operator.sub, operator.sub),
    "-": (operator.sub, operator.add, lambda want, left: left - want),
    "*": (operator.mul, operator.truediv, operator.truediv),
    "/": (operator.truediv, operator.mul, lambda want, left: left / want),
    "^": (math.pow, lambda want, right: math.pow(want, 1 / right)),
    "%": (math.fmod, lambda want, _: want),
}
"""By operator, what it does; the left operand by the result and the right one; the right one by the result and the
left one, where there is a way."""
RESULT, LEFT, RIGHT = range(3)

CHOICES = 5
_COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    ">": (operator.gt, "<="),
    "<": (operator.lt, ">="),
    ">=": (operator.ge, "<"),
    "<=": (operator.le, ">"),
    "==": (operator.eq, "!="),
    "!=": (operator.ne, "=="),
}
"""By operator, when it holds; the one that holds where it does not."""


def each(function: _Operation, a: Pair, b: Pair) -> Pair:
    try:
        return (function(a[0], b[0]), function(a[1], b[1]))
    except (OverflowError, ZeroDivisionError, ValueError):
        raise CannotDerive("the expression's arithmetic has no inverse at these values") from None


def holds(op: str, value: float, bound: float) -> bool:
    return _COMPARISONS[op][0](value, bound)


def operation(op: str, sought: int = RESULT) -> _Operation:
    """An arithmetic operation, or its inverse: the LEFT or RIGHT operand by the result and the other operand."""
    found = _OPERATIONS.get(op, ())[sought : sought + 1]
    if not found:
        raise CannotDerive(f"chaoskit knows no way through '{op}'")
    return found[0]


def level(op: str, threshold: float, holds: bool, choice: int) -> float:
    """A value for which `value op threshold` holds, or does not."""
    op = op if holds else _COMPARISONS[op][1]
    choice %= CHOICES
    if op == "==":
        return threshold
    if op == "!=":
        return _other(threshold, choice)
    if threshold == 0 and op in ("<=", ">="):
        # Nothing at all is the natural other side of "more than nothing"; a counter cannot even go below.
        return (0.0, *(_above(0.0, n) if op == ">=" else _below(0.0, n) for n in range(CHOICES - 1)))[choice]
    return _above(threshold, choice) if op in (">", ">=") else _below(threshold, choice)


def _other(threshold: float, choice: int) -> float:
    """Health is 1 where the alert asks for 0, and the other way round."""
    if threshold == 0:
        return (1.0, 2.0, 100.0, -1.0, 0.5)[choice]
    if threshold == 1:
        return (0.0, 2.0, 0.5, -1.0, 3.0)[choice]
    return (threshold - 1, threshold + 1, 0.0, 2 * threshold, 1.0)[choice]


def _above(threshold: float, choice: int) -> float:
    if threshold == 0:
        return (2.0, 0.5, 20.0, 0.01, 1000.0)[choice]
    if threshold < 0:
        return (threshold / 2, 0.0, 1.0, threshold + 1, 100.0)[choice]
    midway = (threshold + 1) / 2 if threshold < 1 else threshold * 1.02
    return (threshold * 1.5, threshold * 3, midway, threshold * 1.1, threshold * 100)[choice]


def _below(threshold: float, choice: int) -> float:
    if threshold == 0:
        return (-2.0, -0.5, -20.0, -0.01, -1000.0)[choice]
    if threshold < 0:
        return (threshold * 2, threshold * 1.2, threshold - 1, threshold * 1.05, threshold * 100)[choice]
    return (threshold / 2, 0.0, threshold * 0.9, threshold / 10, threshold - 1)[choice]
