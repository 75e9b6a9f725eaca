"""How a duration is divided by the time scale: exactly, or with a rounding that cannot matter, or not at all.

Prometheus and Alertmanager count in whole milliseconds. 5m at 60 is 5s, exactly; 10s at 60 is 166.67 ms and has to
be rounded. A rounding is harmless only in the right direction and only while it is small:

* a window that is looked back over (range, look-back) is rounded **up**, and the period at which samples are made
  (scrape interval, evaluation interval, subquery step) **down**: a window that held n samples never holds fewer;
* a shift (`offset`) or a wait (group_wait, group_interval, repeat_interval) is rounded to the nearest millisecond,
  which is less than the few milliseconds by which every such wait jitters anyway; a limit (scrape_timeout) is rounded
  down, so that it still fits into the period it belongs to;
* the relative error stays below 1/1000 for a window or shift, because `increase()` and its kin grow with it, and
  below 1/100 for a period. A wait may be off by 1/20: half a millisecond of at least ten.

Anything beyond that raises CannotScale, with the largest scale at which the same duration is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import ceil, floor, gcd

from chaoskit.errors import Problem, Refused
from chaoskit.units import format_duration, parse_duration

Scale = int | float | Fraction


class CannotScale(Refused):
    """Something whose meaning would change under compression: `construct` names it, `reason` says why."""

    def __init__(self, construct: str, reason: str, hint: str = "") -> None:
        self.construct = construct
        self.reason = reason
        self.hint = hint
        super().__init__(Problem(None, f"{construct} cannot be compressed: {reason}", hint))


class Rounding(Enum):
    """Whether a compressed duration may be rounded up or down, and by which share of it."""

    WINDOW = ("up", Fraction(1, 1000))
    SHIFT = ("nearest", Fraction(1, 1000))
    PERIOD = ("down", Fraction(1, 100))
    WAIT = ("nearest", Fraction(1, 20))
    LIMIT = ("down", Fraction(1, 20))

    def __init__(self, direction: str, tolerance: Fraction) -> None:
        self.direction = direction
        self.tolerance = tolerance

    def of(self, exact: Fraction) -> int:
        """The whole number that `exact` becomes; how good that is remains to be checked."""
        if self.direction == "nearest":
            return round(exact)
        return ceil(exact) if self.direction == "up" else floor(exact)


def as_fraction(k: Scale) -> Fraction:
    """The time scale as an exact number; a float means the decimal it is printed as. ValueError unless above 0."""
    exact = Fraction(str(k)) if isinstance(k, float) else Fraction(k)
    if exact <= 0:
        raise ValueError(f"write a time scale above 0, not {k}")
    return exact


def spell(number: Fraction) -> str | None:
    """The number in decimal notation when it has a short exact one, else None (1/3 has none)."""
    if number.denominator > 10**9:
        return None
    text = format(Decimal(number.numerator) / Decimal(number.denominator), "f")
    return text if Fraction(text) == number else None


def largest_exact_scale(millis: int, k: Scale) -> int:
    """The largest whole scale up to k that divides the duration into whole milliseconds."""
    limit = min(floor(as_fraction(k)), millis)
    return next((n for n in range(limit, 0, -1) if millis % n == 0), 1)


def nearest_exact_scale(millis: Iterable[int], wanted: float, largest: float) -> float:
    """The scale nearest to the wanted one, and not above `largest`, that divides each duration into whole milliseconds.

    It has two decimals at most. The wanted one where none from its half on does.
    """
    common = gcd(*millis)
    if not common or (common / as_fraction(wanted)).denominator == 1:
        return wanted
    parts = range(ceil(common / largest), floor(2 * common / wanted) + 1)
    exact = (Fraction(common, n) for n in parts if n and (100 * common) % n == 0)
    return float(min(exact, key=lambda k: abs(k - as_fraction(wanted)), default=wanted))


def divide(millis: int, k: Fraction, rounding: Rounding, construct: str) -> int:
    """Milliseconds divided by k, rounded as allowed; 0 stays 0. Raises CannotScale."""
    exact = Fraction(abs(millis)) / k
    if exact.denominator == 1:
        return int(exact) if millis >= 0 else -int(exact)
    rounded = rounding.of(exact)
    if rounded < 1 or abs(rounded - exact) > rounding.tolerance * exact:
        whole = largest_exact_scale(abs(millis), k)
        text = format_duration(abs(millis) / 1000)
        raise CannotScale(
            construct,
            f"{text} divided by {float(k):g} is {float(exact):.4g} ms, which Prometheus cannot express closely enough",
            f"{whole} is the largest whole scale up to {float(k):g} at which {text} stays exact",
        )
    return rounded if millis >= 0 else -rounded


def divide_text(text: object, k: Fraction, rounding: Rounding, construct: str) -> str:
    """A configured duration such as `1m30s`, divided by k; raises CannotScale, also for what is no duration."""
    millis = millis_of(text, construct)
    return format_duration(divide(millis, k, rounding, f"{construct} {text}") / 1000)


def millis_of(text: object, construct: str) -> int:
    """A configured duration in whole milliseconds; raises CannotScale with what was expected."""
    try:
        return round(parse_duration(str(text)) * 1000)
    except ValueError as fault:
        raise CannotScale(construct, str(fault)) from None
