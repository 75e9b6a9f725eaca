"""A run as one page of HTML, from its history alone: the same history gives the same bytes.

The page is one file that loads nothing, runs nothing and needs no network. Whatever came from outside (labels,
annotations, mails, names) passes two gates on its way into the page, both in `environment`: control characters are
made visible, and the template engine escapes. A part that cannot be drawn says so, and the others are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import jinja2
import msgspec
from markupsafe import Markup

from chaoskit.errors import BadInput
from chaoskit.events import End, Equipment, LoadTotals
from chaoskit.history import History
from chaoskit.hop import Lane
from chaoskit.report.html_axis import Axis, Group
from chaoskit.report.html_axis import Line as Instant
from chaoskit.report.html_expected import expected_groups
from chaoskit.report.html_lanes import axis_of, lines_of, other_alerts, receivers_group, scenario_group
from chaoskit.report.html_load import load_group
from chaoskit.report.html_notices import Told, told
from chaoskit.report.html_tables import banner, lines, phones
from chaoskit.report.requests import by_name, cells
from chaoskit.report.text import clean_lines, shortened
from chaoskit.verify.case import Case, case_of
from chaoskit.verify.checklist import ITEMS, Checklist
from chaoskit.verify.evidence import Evidence
from chaoskit.verify.verdict import ALL_PHASES, Verdict
from chaoskit.verify.verify import plan_of

T = TypeVar("T")

NOT_DRAWN = "this part could not be drawn"
_MOST = 60
_LONGEST_INPUT = 120_000
DAMAGED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What a history may bring about that is damaged in ways that nobody foresaw."""


@dataclass(frozen=True, slots=True)
class Read:
    """A history put in order; `case` and `verdict` are None where it cannot be judged."""

    history: History
    case: Case | None
    verdict: Verdict | None
    evidence: Evidence
    axis: Axis


@cache
def environment() -> jinja2.Environment:
    """Templates of the pages; every text that they print is cleaned and escaped."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("chaoskit.report"),
        autoescape=True,
        finalize=_visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **parts: Any) -> bytes:
    """A page's bytes."""
    return environment().get_template(template).render(**parts).encode("utf-8", "backslashreplace")


def page(
    history: History | None,
    verdict: Verdict | None,
    trouble: Sequence[str] = (),
    checklists: Sequence[Checklist] = (),
) -> bytes:
    """The page of a run. Without a verdict it says why (`trouble`), and shows what could be read."""
    read = _read(history, verdict) if history is not None else None
    unheard: tuple[list[Told], int] = ([], 0)
    return render(
        "report.html",
        banner=banner(verdict, trouble),
        title=verdict.title if verdict else "A history that cannot be judged",
        scenario=verdict.scenario if verdict else history.header.scenario if history else "no scenario",
        items=ITEMS,
        checklists=checklists[:_MOST],
        phones=phones(verdict.figures, verdict.rows) if verdict else [],
        lines=lines(verdict.rows) if verdict else ([], 0),
        requests=_requests(verdict) if verdict else [],
        findings=[row for row in verdict.rows if row.hop.lane is Lane.FINDING][:_MOST] if verdict else [],
        notes=[shortened(note, 1000) for note in verdict.notes[:_MOST]] if verdict else [],
        timeline=timeline(read) if read else None,
        notices=_guarded(lambda: told(read.evidence.notices, read.axis), unheard) if read else unheard,
        facts=_facts(read) if read else [],
        equipment=_equipment(read) if read else [],
        inputs=_inputs(read.history) if read else [],
    )


def _requests(verdict: Verdict) -> list[tuple[str, str, list[str], list[tuple[str, list[str]]]]]:
    """For each name its kind, its figures, and those of each phase."""
    rows = [] if isinstance(verdict.requests, msgspec.UnsetType) else verdict.requests
    phases: dict[tuple[str, str], list[tuple[str, list[str]]]] = {}
    for row in rows:
        if row.phase != ALL_PHASES:
            phases.setdefault((row.type, row.name), []).append((row.phase, cells(row)))
    found = by_name(verdict)[:_MOST]
    return [(row.type, shortened(row.name), cells(row), phases.get((row.type, row.name), [])) for row in found]


def _read(history: History, verdict: Verdict | None) -> Read:
    try:
        case: Case | None = case_of(history, plan_of(history.header))
    except (BadInput, *DAMAGED):
        case = None
    evidence = case.evidence if case else Evidence(history, {}, sent=dict)
    return Read(history, case, verdict, evidence, axis_of(history, evidence))


def timeline(read: Read) -> dict[str, Any]:
    """Groups of lanes over one axis."""
    history, case, evidence, axis = read.history, read.case, read.evidence, read.axis
    plan, owners = (case.plan, case.owners) if case else (None, {})
    groups = [
        *_groups(lambda: [scenario_group(history, plan, axis, evidence)]),
        *_groups(lambda: expected_groups(case, read.verdict, axis)),
        *_groups(lambda: [other_alerts(plan, axis, evidence, owners)]),
        *_groups(lambda: [receivers_group(plan, axis, evidence)]),
        *_groups(lambda: [load_group(history, axis)]),
    ]
    nowhere: list[Instant] = []
    return {"groups": groups, "ticks": axis.ticks, "lines": _guarded(lambda: lines_of(axis, evidence), nowhere)}


def _groups(draw: Callable[[], Sequence[Group | None]]) -> list[Group]:
    nothing: Sequence[Group | None] = [Group(NOT_DRAWN, [])]
    return [group for group in _guarded(draw, nothing) if group is not None]


def _guarded(draw: Callable[[], T], instead: T) -> T:
    """What cannot be drawn does not cost the rest."""
    try:
        return draw()
    except DAMAGED:
        return instead


def _facts(read: Read) -> list[tuple[str, str]]:
    header, history = read.history.header, read.history
    facts = [
        ("run", header.run_id),
        ("began", _utc(history.events[0].t)),
        ("took", f"{history.last_t - history.events[0].t:.1f} s (real)"),
        ("time scale", f"{header.time_scale:g} virtual seconds per real second"),
        ("seed", str(header.seed)),
        ("settings", ", ".join(header.settings) or "none"),
        *((f"{name} version", version) for name, version in sorted(header.versions.items())),
        *((name, ", ".join(names)) for name, names in sorted(header.targets.items())),
    ]
    totals = next(history.of(LoadTotals), None)
    if totals is not None:
        facts.append(("load", f"{totals.started} requests started, {totals.finished} finished, {totals.failed} failed"))
    end = next(history.of(End), None)
    if end is None:
        facts.append(("end", "the history ends before the run did"))
    elif end.left:
        facts.append(("left behind", "; ".join(end.left)))
    return [(name, shortened(value, 1000)) for name, value in facts[:_MOST]]


def _equipment(read: Read) -> list[tuple[str, str]]:
    """What came up and went down; at the end everything is stopped, which says nothing."""
    found = [
        (f"{read.axis.vs(e.t):.1f} s", shortened(f"{e.name} {e.state}" + (f": {e.detail}" if e.detail else ""), 500))
        for e in read.history.of(Equipment)
        if e.state != "stopped"
    ]
    return found[:_MOST]


def _inputs(history: History) -> list[tuple[str, str]]:
    """What was asked for: the scenario and the profile. The alert configuration stays in the history."""
    found = []
    for role, name in (("scenario", history.header.scenario), ("profile", history.header.profile)):
        text = history.header.sources.get(f"{role}:{name}", "")
        cut = "" if len(text) <= _LONGEST_INPUT else "\n… (the rest is in the history)"
        found.append((f"{role} {name}", text[:_LONGEST_INPUT] + cut))
    return found


def _utc(instant: float) -> str:
    try:
        return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{instant:g} s after the epoch"


def _visible(value: Any) -> Any:
    return clean_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value
