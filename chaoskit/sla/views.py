"""Incidents and costs on the terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from chaoskit.report.table import table
from chaoskit.report.text import clean
from chaoskit.sla.arithmetic import minutes
from chaoskit.sla.cost import Cost
from chaoskit.sla.incidents import Story, Told
from chaoskit.sla.model import Window
from chaoskit.sla.windows import shown

_TIMES = ("open", "noticed", "silenced", "median", "P90", "longest", "per week", "count")


def cost_view(costs: Sequence[Cost], bad: float, repair: str) -> RenderableType:
    """A table of the share of a 30-day month's budget that is gone when each alert first notifies."""
    titles = ("heard after", "gone by then", f"with {repair} of repair", "affordable a month")
    found = table("level", "alert", "first heard at", *titles, "from", right=titles)
    for one in costs:
        if one.heard is None:
            found.add_row(clean(one.level), clean(one.alert), "", "", "", "", "never", clean(one.why))
            continue
        found.add_row(
            clean(one.level), clean(one.alert), clean(one.heard.receiver),
            f"{one.heard.lo_s:.0f}–{one.heard.hi_s:.0f} s", f"{one.lo:.1%}–{one.hi:.1%}", f"{one.repaired:.0%}",
            str(one.affordable), clean(one.source),
        )  # fmt: skip
    head = f"When {bad:.4g} of everything is bad: budget of 30 days gone at the first notice (steady traffic)"
    return Group(Text(head, style="bold"), found)


def incidents_view(window: Window, stories: Sequence[Story]) -> RenderableType:
    """Incidents, figures and the two witnesses compared, environment by environment."""
    parts: list[RenderableType] = [Text(f"Incidents, {window.name}", style="bold")]
    for one in stories:
        parts += [Text(f"\n{clean(one.environment)}", style="bold"), *_of_one(one, window.zone)]
    return Group(*parts)


def _of_one(story: Story, zone: str) -> list[RenderableType]:
    if not story.incidents:
        parts: list[RenderableType] = [Text("no alert was open")]
    else:
        found = table(
            "from", "severity", "alerts", "open", "noticed", "silenced", "budget used", "drilled", right=_TIMES
        )
        for one in story.incidents:
            found.add_row(
                shown(one.incident.begin, zone), clean(one.incident.severity), clean(", ".join(one.incident.alerts)),
                minutes(one.incident.open_s) + (", still" if one.incident.open else ""), noticed(one),
                "" if one.silenced_s is None else minutes(one.silenced_s), used(one), drilled(one),
            )  # fmt: skip
        parts = [found, Text("")]
        figures = table("severity", "alert", "count", "per week", "median", "P90", "longest", "noticed", right=_TIMES)
        for each in story.figures:
            figures.add_row(
                clean(each.severity), clean(each.alert) or "all", str(each.count), f"{each.per_week:.2f}",
                minutes(each.median_s), minutes(each.p90_s), minutes(each.longest_s),
                "" if each.notice_s is None else f"{each.notice_s:.0f} s",
            )  # fmt: skip
        parts.append(figures)
        parts.append(Text(f"alerts that stand for an outage were open for {minutes(story.alert_downtime_s)} in all"))
    parts += [Text(line) for line in reconciled(story, zone)]
    return parts


def noticed(one: Told) -> str:
    """The time until an incident was noticed, in words: `83 s heard`, or `95 s promised`."""
    return "" if one.notice is None else f"{one.notice.after_s:.0f} s {'heard' if one.notice.heard else 'promised'}"


def used(one: Told) -> str:
    """The budgets that an incident used: `uptime 12.3 %`."""
    return ", ".join(f"{level} {share:.1%}" for level, share in one.used.items() if share >= 0.0005)


def drilled(one: Told) -> str:
    """Whether a scenario rehearses this alert, in words; empty where no scenarios were shown."""
    return "" if one.rehearsed is None else "yes" if one.rehearsed else "by no scenario"


def reconciled(story: Story, zone: str) -> list[str]:
    """Outages that no alert saw, with what was left when one was heard of, and alerts without an outage."""
    lines = []
    for one in story.outages:
        when = f"{shown(one.starts_at, zone)}: {one.level} down for {minutes(one.down_s)}"
        why = " (planned)" if one.planned else ""
        if not one.alerts:
            lines.append(f"{when}{why}; no alert saw it")
        else:
            left = "" if one.left is None else f"; {one.left:.1%} of the budget was left when it was heard of"
            lines.append(f"{when}{why}; seen by {clean(', '.join(one.alerts))}{left}")
    lines += [
        f"{shown(begin, zone)}: {clean(alert)} open for {minutes(end - begin)}, and nothing was out"
        for alert, (begin, end) in story.without_outage
    ]
    return lines


def stories_json(window: Window, stories: Sequence[Story]) -> str:
    """The incidents as JSON."""
    found = {"chaoskit": 1, "window": asdict(window), "environments": [_plain(one) for one in stories]}
    return json.dumps(found, indent=2, ensure_ascii=False, default=_plain) + "\n"


def _plain(one: Any) -> Any:
    if is_dataclass(one) and not isinstance(one, type):
        found = {each.name: _plain(getattr(one, each.name)) for each in fields(one)}
        if isinstance(one, Told):
            incident = one.incident
            found["incident"] |= {
                "begin": incident.begin, "end": incident.end, "open_s": incident.open_s, "severity": incident.severity
            }  # fmt: skip
        return found
    if isinstance(one, dict):
        return {key: _plain(value) for key, value in one.items()}
    return [_plain(each) for each in one] if isinstance(one, list | tuple) else one
