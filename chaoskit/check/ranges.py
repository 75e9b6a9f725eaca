"""Between which numbers an expression's results lie, as far as its text alone tells.

The one idea: an interval that certainly holds every result. A comparison whose answer is the same for the whole
interval is a condition that is none: it never holds, or always.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from chaoskit.alerting.expression import Expr
from chaoskit.alerting.quantity import comparison, constant

# Never below zero: numbers of things, rates of counters, spreads, absolute values.
_FROM_ZERO = {
    "rate", "irate", "increase", "changes", "resets", "abs", "stddev_over_time", "stdvar_over_time", "timestamp",
    "histogram_count", "histogram_stddev", "histogram_stdvar", "sqrt", "exp", "day_of_week", "hour", "minute",
}  # fmt: skip
# An empty set has no count: these give one or more, or nothing at all.
_FROM_ONE = {"count_over_time", "day_of_month", "day_of_year", "days_in_month", "month"}
_ONE = {"absent", "absent_over_time", "present_over_time"}
_SAME = {
    "sum_over_time", "avg_over_time", "max_over_time", "min_over_time", "last_over_time", "first_over_time", "sort",
    "sort_desc", "label_replace", "label_join", "quantile_over_time", "sort_by_label", "sort_by_label_desc",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interval:
    """From `lo` to `hi`; an open end is not reached."""

    lo: float = -math.inf
    hi: float = math.inf
    lo_open: bool = False
    hi_open: bool = False

    def empty(self) -> bool:
        return self.lo > self.hi or (self.lo == self.hi and (self.lo_open or self.hi_open))

    def meet(self, other: Interval) -> Interval:
        """The interval of the numbers that lie in both intervals."""
        lo, hi = max(self.lo, other.lo), min(self.hi, other.hi)
        lo_open = any(each.lo_open for each in (self, other) if each.lo == lo)
        hi_open = any(each.hi_open for each in (self, other) if each.hi == hi)
        return Interval(lo, hi, lo_open, hi_open)

    def hull(self, other: Interval) -> Interval:
        """The smallest interval that holds both intervals."""
        lo, hi = min(self.lo, other.lo), max(self.hi, other.hi)
        lo_open = all(each.lo_open for each in (self, other) if each.lo == lo)
        hi_open = all(each.hi_open for each in (self, other) if each.hi == hi)
        return Interval(lo, hi, lo_open, hi_open)

    def holds(self, other: Interval) -> bool:
        """Whether every number of `other` is in here."""
        met = self.meet(other)
        return (met.lo, met.hi, met.lo_open, met.hi_open) == (other.lo, other.hi, other.lo_open, other.hi_open)


ANY = Interval()
_ZERO_UP = Interval(lo=0.0)


def allowed(sign: str, value: float) -> Interval | None:
    """The numbers x for which `x sign value` holds; None for `!=`, where they are no interval."""
    return {
        ">": Interval(lo=value, lo_open=True),
        ">=": Interval(lo=value),
        "<": Interval(hi=value, hi_open=True),
        "<=": Interval(hi=value),
        "==": Interval(value, value),
    }.get(sign)


def interval_of(node: Expr) -> Interval:
    """The interval that holds all results; NaN aside, for which no comparison but != holds."""
    value = constant(node)
    if value is not None:
        return Interval(value, value) if not math.isnan(value) else ANY
    match node.kind:
        case "call":
            return _called(node)
        case "aggregate":
            return _aggregated(node)
        case "binary":
            return _combined(node)
        case "subquery":
            return interval_of(node.left)
    return ANY


def _called(node: Expr) -> Interval:
    if node.name in _FROM_ZERO:
        return _ZERO_UP
    if node.name in _FROM_ONE:
        return Interval(lo=1.0)
    if node.name in _ONE:
        return Interval(1.0, 1.0)
    if node.name in _SAME or node.name in ("vector", "scalar"):
        inner = interval_of(next((c for c in node.children if c.kind not in ("number", "string")), node.left))
        if node.name == "sum_over_time":
            return _ZERO_UP if inner.lo >= 0 else ANY
        return inner
    if node.name in ("clamp_min", "clamp_max") and (limit := constant(node.right)) is not None:
        inner = interval_of(node.left)
        if node.name == "clamp_min":
            return Interval(max(inner.lo, limit), max(inner.hi, limit))
        return Interval(min(inner.lo, limit), min(inner.hi, limit))
    return ANY


def _aggregated(node: Expr) -> Interval:
    inner = interval_of(node.left)
    if node.name == "count" or node.name == "count_values":
        return Interval(lo=1.0)
    if node.name == "group":
        return Interval(1.0, 1.0)
    if node.name in ("min", "max", "avg", "topk", "bottomk", "limitk", "limit_ratio"):
        return inner
    if node.name in ("stddev", "stdvar"):
        return _ZERO_UP
    if node.name == "sum":
        # A sum has at least one term, and however many there are, zeros stay zero.
        return Interval(inner.lo if inner.lo >= 0 else -math.inf, inner.hi if inner.hi <= 0 else math.inf)
    return ANY


def _combined(node: Expr) -> Interval:
    left, right = interval_of(node.left), interval_of(node.right)
    if node.filters():
        compared = comparison(node)
        if compared is None:
            return left
        inner, sign, value = compared
        narrowed = allowed(sign, value)
        return interval_of(inner).meet(narrowed) if narrowed else interval_of(inner)
    if node.returns_bool:
        return Interval(0.0, 1.0)
    if node.name in ("and", "unless"):
        return left
    if node.name == "or":
        return left.hull(right)
    if node.name in ("+", "*", "/") and left.lo >= 0 and right.lo >= 0:
        if node.name == "+":
            return Interval(lo=left.lo + right.lo)
        return _ZERO_UP
    return ANY
