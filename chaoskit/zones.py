"""Time zones by their names, as people write them."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

from chaoskit.errors import BadInput, Problem
from chaoskit.yaml_source import nearest


def zone_named(name: str) -> ZoneInfo:
    """The zone of this name; raises BadInput with the nearest one."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: a folder of zones, such as Europe
        near = nearest(name, available_timezones())
        raise BadInput(
            Problem(None, f"there is no time zone '{name}'", near or "write one such as Europe/Berlin, or UTC")
        ) from None
