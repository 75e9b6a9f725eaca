"""A PromQL query as a question of yes or no: whether it can be asked, how, and what an answer says.

Yes is an answer with a result; a scalar says yes while it is not 0. A text says nothing.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from chaoskit.alerting.expression import expression
from chaoskit.alerting.promql import CannotScale, scale


def at_scale(query: str, time_scale: float) -> str:
    """The query as it is asked at a time scale; raises ValueError with the reason where it cannot be."""
    try:
        if expression(query).kind == "string":
            raise ValueError("its answer is a text, which is neither yes nor no")
        return scale(query, Fraction(time_scale).limit_denominator(1000))
    except CannotScale as error:
        raise ValueError(str(error)) from None


def unaskable(query: str, time_scale: float) -> str:
    """Why a query cannot be asked at this scale; empty where it can."""
    try:
        at_scale(query, time_scale)
    except ValueError as error:
        return str(error)
    return ""


def says_yes(data: dict[str, Any]) -> bool:
    """What `data` of Prometheus's answer to a query says; raises KeyError, TypeError or ValueError where it is none."""
    kind, result = data["resultType"], data["result"]
    if kind == "string":
        return False
    if kind == "scalar":
        value = float(result[1])
        return value != 0 and not math.isnan(value)
    return bool(result)
