r"""The evidence of a row for an attached target's receiver: its farthest witness, compared with the nearer ones.

    Alertmanager --> mail server --> mailbox        sent, by the mail's own Message-ID; it may lie there `delay` later
              \-> recorder: the server took it     delivered

Where one of two says that a notice came and the other, which looked all the time, never had it, either may be wrong:
UNKNOWN, and the row says how they differ. A mail that came later than `delay` counts as told so much later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from chaoskit.alerting.windows import Window
from chaoskit.events import Interval, Notice
from chaoskit.plan.model import PlannedNotice
from chaoskit.units import format_duration, seconds
from chaoskit.verify.case import Instance
from chaoskit.verify.check import Need, Strict
from chaoskit.verify.excuses import unseen
from chaoskit.verify.verdict import Result


def told_at(planned: PlannedNotice, heard: Notice | None) -> Interval | None:
    """When the notice was told: sent, and later by what its way took beyond the delay; None where nothing came."""
    if heard is None or heard.arrived is None:
        return heard.sent if heard else None
    begin, end = (at - planned.delay_s for at in heard.arrived)
    return (max(heard.sent[0], begin), max(heard.sent[1], end))


def bearable(planned: PlannedNotice, window: Window, scale: float) -> Window:
    """The window in which a notice may be seen: later by its delay where the instant of sending is not known."""
    if not planned.by or not planned.by[0].startswith("chat "):
        return window
    setting = f"{window.setting}, and the delay: {format_duration(planned.delay_s)} of the {planned.by[0]}"
    return replace(window, hi_vs=window.hi_vs + planned.delay_s * scale, setting=setting)


def agreed(
    one: Instance,
    planned: PlannedNotice,
    status: str,
    found: Strict,
    says: Callable[[str], str],
    start: Interval | None,
) -> Strict:
    """The row with the witness that it rests on; UNKNOWN where a nearer one contradicts that."""
    if not planned.by:
        return found
    differing = _differing(one, planned, status, start) if start is not None else ""
    if differing:
        return Strict(msgspec.structs.replace(found.row, result=Result.UNKNOWN, reason=says(differing), rests_on=""))
    too = [by for by in planned.by[1:] if one.heard(planned, status, by) and one.heard(planned, status)]
    rests_on = f"the {planned.by[0]}" + "".join(f", and the {by} too" for by in too)
    return Strict(msgspec.structs.replace(found.row, rests_on=rests_on), found.needs)


def _differing(one: Instance, planned: PlannedNotice, status: str, start: Interval) -> str:
    far, heard, scale = planned.by[0], one.heard(planned, status), one.case.scale

    def after(at: float) -> str:
        return seconds(max(0.0, at - start[0]) * scale)

    def looked(by: str, end: float) -> bool:
        return not unseen(Need((start[0], end), str, start[0], observers=(by,), equipment=(by,)), one.case)

    for near in planned.by[1:]:
        other = one.heard(planned, status, near)
        if heard is not None and other is None and looked(near, heard.sent[1]):
            return f"the {far} has it, {after(heard.sent[1])} later, and the {near}, which was on, saw no delivery"
        if heard is None and other is not None:
            end = min(other.sent[1] + planned.delay_s, one.case.until)
            if looked(far, end):
                watched = f"which was watched for {after(end)}, never had it"
                return f"the {near} says that it was delivered after {after(other.sent[1])}, and the {far}, {watched}"
    return ""
