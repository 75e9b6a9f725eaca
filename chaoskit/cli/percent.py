"""Percentages of the command line."""

from __future__ import annotations

import click


class Share(click.ParamType):  # type: ignore[type-arg]
    """A percentage, as `95%`."""

    name = "percentage"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share; a usage error for anything but a percentage above 0 and up to 100 %."""
        if isinstance(value, float):
            return value
        try:
            found = float(str(value).strip().removesuffix("%")) / 100
        except ValueError:
            found = -1.0
        if not str(value).strip().endswith("%") or not 0 < found <= 1:
            self.fail(f"'{value}' is no percentage above 0 and up to 100 %; write 95%", param, ctx)
        return found
