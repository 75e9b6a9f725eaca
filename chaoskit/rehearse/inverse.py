"""Arithmetic backwards: the operand for which an operation has the wanted result, at rest and during the fault."""

from __future__ import annotations

import math
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


def each(function: Callable[[float, float], float], a: Pair, b: Pair) -> Pair:
    try:
        return (function(a[0], b[0]), function(a[1], b[1]))
    except (OverflowError, ZeroDivisionError, ValueError):
        raise CannotDerive("its arithmetic has no inverse at these values") from None


def holds(op: str, value: float, bound: float) -> bool:
    return {
        ">": value > bound, "<": value < bound, ">=": value >= bound,
        "<=": value <= bound, "==": value == bound, "!=": value != bound,
    }[op]  # fmt: skip


def operation(op: str) -> Callable[[float, float], float]:
    functions: Mapping[str, Callable[[float, float], float]] = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "%": math.fmod,
        "^": math.pow,
    }
    if op not in functions:
        raise CannotDerive(f"no way is known through '{op}'")
    return functions[op]


def left_operand(op: str, want: float, right: float) -> float:
    """The left operand for which `left op right` is `want`."""
    match op:
        case "+":
            return want - right
        case "-":
            return want + right
        case "*":
            return want / right
        case "/":
            return want * right
        case "^":
            return math.pow(want, 1 / right)
        case "%":
            return want
    raise CannotDerive(f"no way is known through '{op}'")


def right_operand(op: str, want: float, left: float) -> float:
    """The right operand for which `left op right` is `want`."""
    match op:
        case "+":
            return want - left
        case "-":
            return left - want
        case "*":
            return want / left
        case "/":
            return left / want
    raise CannotDerive(f"no way is known through '{op}'")
