"""Settings with units, as scenarios write them: durations (virtual unless a kind says otherwise), ratios, sizes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from chaoskit.units import parse_duration, parse_ratio, parse_size


def _duration(given: Any) -> Any:
    if isinstance(given, str):
        return parse_duration(given)
    if given == 0 or isinstance(given, float):
        return float(given)
    raise ValueError(f"{given!r} has no unit: write for example 15s")


def _ratio(given: Any) -> Any:
    return parse_ratio(given) if isinstance(given, str | int | float) else given


def _size(given: Any) -> Any:
    return parse_size(given) if isinstance(given, str) else given


Duration = Annotated[float, BeforeValidator(_duration)]
"""Seconds, written with a unit: `15s`, `2m`. A float is taken as it is: that is how a journal holds it."""

Ratio = Annotated[float, BeforeValidator(_ratio)]
"""A share from 0 to 1, written `95%` or `0.95`."""

Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
"""A number of bytes, written `200MiB`."""
