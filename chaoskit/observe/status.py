"""What a notice as a whole says, from the alerts in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from chaoskit.events import NoticedAlert

Status = Literal["firing", "resolved", "mixed", "unknown"]


def of_alerts(alerts: Sequence[NoticedAlert]) -> Status:
    """Firing or resolved where all alerts are, mixed where both occur, unknown where there is none."""
    found = {alert.status for alert in alerts}
    if len(found) > 1:
        return "mixed"
    return next(iter(found), "unknown")
