"""Numbers of the command line: within their range, and numbers at all (`nan` is outside of no range by comparison)."""

from __future__ import annotations

import math
from typing import Any

import click

from chaoskit.scenario.profile import LARGEST_TIME_SCALE


class Number(click.FloatRange):
    """A finite number within a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; an error of the command line for any other text, and for nan and inf."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is no number of {self._describe_range()}.", param, ctx)
        return found


TIME_SCALE = Number(1, LARGEST_TIME_SCALE)
"""The scales of a profile."""
