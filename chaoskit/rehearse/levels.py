"""Which value a condition needs: just beyond its threshold while it holds, safely on the other side otherwise.

Several generous choices each, tried one after another with the real engine: a ratio must stay below one, a count is
whole, a threshold may be negative, and nobody can tell from a comparison alone which of these it is.
"""

from __future__ import annotations

CHOICES = 5
_FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
_NEGATED = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}


def flipped(operator: str) -> str:
    """The operator with its sides exchanged."""
    return _FLIPPED[operator]


def level(operator: str, threshold: float, holds: bool, choice: int) -> float:
    """A value for which `value operator threshold` holds, or does not."""
    operator = operator if holds else _NEGATED[operator]
    choice %= CHOICES
    if operator == "==":
        return threshold
    if operator == "!=":
        return _other(threshold, choice)
    if threshold == 0 and operator in ("<=", ">="):
        # Nothing at all is the natural other side of "more than nothing"; a counter cannot even go below.
        return (0.0, *(_above(0.0, n) if operator == ">=" else _below(0.0, n) for n in range(CHOICES - 1)))[choice]
    return _above(threshold, choice) if operator in (">", ">=") else _below(threshold, choice)


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
