"""Numbers, shares and durations of the command line: in their range, and numbers at all (`nan` has no order)."""

from __future__ import annotations

import math
from typing import Any

import click

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.scenario.profile import LARGEST_TIME_SCALE
from chaoskit.units import parse_duration


class Number(click.FloatRange):
    """A finite number within a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; an error of the command line for any other text, and for nan and inf."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is no number of {self._describe_range()}.", param, ctx)
        return found


TIME_SCALE = Number(1, LARGEST_TIME_SCALE)
"""The click type of --time-scale: the numbers that a profile takes."""


def share(text: str) -> float:
    """A click type: the share that `95%` says; a usage error for anything but a percentage above 0 and up to 100 %."""
    try:
        found = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        found = -1.0
    if not text.strip().endswith("%") or not 0 < found <= 1:
        raise click.BadParameter(f"'{text}' is no percentage above 0 and up to 100 %; write 95%")
    return found


def seconds_of(option: str, text: str) -> float:
    """Seconds of a duration that an option gives; raises BadInput with the option's name."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadInput(Problem(Place(option), str(error))) from None
