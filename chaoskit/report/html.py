"""A run as one page of HTML, from its history alone: the same history gives the same bytes.

The page is one file that loads nothing, runs nothing and needs no network. Text from outside (labels,
annotations, mails, names) passes two gates on its way into the page, both in `environment`: control characters are
made visible, and the template engine escapes. A part that cannot be drawn says so, and the others are drawn.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any, TypeVar

import jinja2
import msgspec
from markupsafe import Markup

from chaoskit.errors import BadInput, ExitCode
from chaoskit.events import End, Equipment, Invoke, LoadTotals, Origin
from chaoskit.fold import Faults
from chaoskit.history import History
from chaoskit.hop import Lane
from chaoskit.report.changes import compared
from chaoskit.report.html_axis import Axis, Group, Mark
from chaoskit.report.html_axis import Lane as Lane_
from chaoskit.report.html_causes import Cause, causes
from chaoskit.report.html_expected import expected_groups
from chaoskit.report.html_lanes import (
    axis_of,
    door,
    lines_of,
    other_alerts,
    receivers_group,
    scenario_group,
    subject,
)
from chaoskit.report.html_load import Traffic, load_group
from chaoskit.report.html_notices import Told, told
from chaoskit.report.html_tables import banner, lines, means, phones
from chaoskit.report.html_why import Fact, why
from chaoskit.report.notes import Note
from chaoskit.report.requests import by_name, cells
from chaoskit.report.text import FILTERS, clean_lines, in_words, shortened
from chaoskit.verify.case import Case
from chaoskit.verify.checklist import ITEMS, Checklist
from chaoskit.verify.evidence import Evidence
from chaoskit.verify.verdict import ALL_PHASES, Result, Row, Verdict
from chaoskit.verify.verify import plan_of

T = TypeVar("T")

NOT_DRAWN = "this part could not be drawn"
_MOST = 60
_LONGEST_INPUT = 60_000
DAMAGED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""Errors that an unforeseen damage of a history may raise."""


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
    """Templates of the pages, with filters that write figures; every text that they print is cleaned and escaped."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("chaoskit.report"),
        autoescape=True,
        finalize=_visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({one.__name__: one for one in (*FILTERS, door, subject)})
    return made


def render(template: str, **parts: Any) -> bytes:
    """The bytes of a page, from its template and values."""
    return environment().get_template(template).render(**parts).encode("utf-8", "backslashreplace")


def page(
    history: History | None,
    verdict: Verdict | None,
    trouble: Sequence[str] = (),
    checklists: Sequence[Checklist] = (),
    written: Sequence[Note] = (),
    before: Verdict | None = None,
    gate: str = "",
    case: Case | None = None,
) -> bytes:
    """The page of a run. Without a verdict it says why (`trouble`), and shows what could be read.

    `written` are people's notes of the run, `before` is the verdict that it is compared with, `gate` a link to the page
    of the gate that it is a part of, `case` the history put in order where that was done already.
    """
    read = _read(history, verdict, case) if history is not None else None
    case, bundle = (read.case if read else None), _bundle(history)
    notices: tuple[list[Told], int] = ([], 0)
    if read:
        notices = _guarded(lambda: told(read.evidence.notices, read.axis), notices)
    links = {id(one): f"#notice-{n}" for n, one in enumerate(read.evidence.notices[: len(notices[0])])} if read else {}
    nothing: list[Cause] = []
    found = _guarded(lambda: causes(verdict.rows, case, links, bundle), nothing) if verdict else nothing

    def reasons(row: Row) -> Sequence[Fact]:
        none: Sequence[Fact] = ()
        return _guarded(lambda: why(row, case, bundle), none) if case else none

    return render(
        "report.html",
        unhealed=_unhealed(read.history, read.evidence.faults, verdict) if read else None,
        banner=banner(verdict, trouble, found),
        title=verdict.title if verdict else "A history that cannot be judged",
        scenario=verdict.scenario if verdict else history.header.scenario if history else "no scenario",
        began=began_at(history.events[0].t, history.header.origin) if history else "",
        gate=gate,
        items=ITEMS,
        checklists=checklists[:_MOST],
        phones=phones(verdict.figures, verdict.rows) if verdict else [],
        means=means(verdict.figures) if verdict else "",
        lines=lines(verdict.rows, reasons) if verdict else ([], 0),
        requests=_requests(verdict) if verdict else [],
        changes=compared(before, verdict) if before and verdict else None,
        before=before.run_id if before else "",
        findings=_findings(verdict) if verdict else [],
        notes=[shortened(in_words(note), 1000) for note in verdict.notes[:_MOST]] if verdict else [],
        written=[(read.axis.at(one.t), one.by, shortened(one.text, 1000)) for one in written[:_MOST]] if read else [],
        timeline=timeline(read, written) if read else None,
        notices=notices,
        facts=_facts(read) if read else [],
        equipment=_equipment(read) if read else [],
        inputs=_inputs(read.history) if read else [],
    )


def _findings(verdict: Verdict) -> list[tuple[int, Row]]:
    """Findings, each with its number among the rows; a PASS row, which says that there are none, is left out."""
    rows = enumerate(verdict.rows)
    return [(n, row) for n, row in rows if row.hop.lane is Lane.FINDING and row.result is not Result.PASS][:_MOST]


def _unhealed(history: History, faults: Faults, verdict: Verdict | None) -> dict[str, Any] | None:
    """Faults that may still be in force, and the command that heals them; None where all were seen to be undone."""
    if verdict is None or verdict.exit_code != ExitCode.NOT_HEALED:
        return None
    left = [_in_force(one, faults) for one in faults.standing.values()]
    end, header = next(history.of(End), None), history.header
    return {
        "left": [*left, *(end.left if end else ())][:_MOST],
        "host": header.origin.host if header.origin else "",
        "command": shlex.join(["chaoskit", "heal", header.run_id]),
    }


def _in_force(one: Invoke, faults: Faults) -> str:
    targets = f" on {', '.join(one.targets)}" if one.targets else ""
    since = faults.effects.get(one.fault, (one.t,))[0]
    return f"{one.kind}{targets}, in force since {_utc(since)} and never seen to be undone"


def _bundle(history: History | None) -> str:
    """The folder of the configuration that was tested, as the run was asked; empty for the shipped one."""
    origin = history.header.origin if history else None
    words = shlex.split(origin.command) if origin else []
    return words[words.index("--bundle") + 1] if "--bundle" in words[:-1] else ""


def _requests(verdict: Verdict) -> list[tuple[str, str, list[str], list[tuple[str, list[str]]]]]:
    """The kind, name and figures of each kind of request, and its figures by phase."""
    rows = [] if isinstance(verdict.requests, msgspec.UnsetType) else verdict.requests
    phases: dict[tuple[str, str], list[tuple[str, list[str]]]] = {}
    for row in rows:
        if row.phase != ALL_PHASES:
            phases.setdefault((row.type, row.name), []).append((row.phase, cells(row)))
    found = by_name(verdict)[:_MOST]
    return [(row.type, shortened(row.name), cells(row), phases.get((row.type, row.name), [])) for row in found]


def _read(history: History, verdict: Verdict | None, case: Case | None = None) -> Read:
    try:
        case = case or Case(history, plan_of(history.header))
    except (BadInput, *DAMAGED):
        case = None
    evidence = case.evidence if case else Evidence(history)
    return Read(history, case, verdict, evidence, axis_of(history, evidence, _due(case) if case else None))


def _due(case: Case) -> float:
    """The last instant at which anything that was expected could still come in time."""
    due = [case.since]
    for one in case.instances:
        alert, anchors = one.alert, one.anchors
        for since, latest_vs in ((anchors.fault, alert.latest_notice_vs), (anchors.undo, alert.latest_all_clear_vs)):
            due += [since[1] + latest_vs / case.scale] if since else []
    return max(due)


def timeline(read: Read, written: Sequence[Note] = (), traffic: Traffic | None = None) -> dict[str, Any]:
    """Groups of lanes over one axis, people's notes first; `traffic` as in `load_group`."""
    history, case, evidence, axis = read.history, read.case, read.evidence, read.axis
    plan, owners = (case.plan, case.owners) if case else (None, {})
    groups = [
        *_groups(lambda: [_notes_group(written, axis)]),
        *_groups(lambda: [scenario_group(history, plan, axis, evidence)]),
        *_groups(lambda: expected_groups(case, read.verdict, axis)),
        *_groups(lambda: [other_alerts(plan, axis, evidence, owners)]),
        *_groups(lambda: [receivers_group(plan, axis, evidence, _shown(case))]),
        *_groups(lambda: [load_group(history, axis, evidence, traffic)]),
    ]
    nowhere: list[Mark] = []
    return {"groups": groups, "ticks": axis.ticks, "lines": _guarded(lambda: lines_of(axis, evidence), nowhere)}


def _notes_group(written: Sequence[Note], axis: Axis) -> Group | None:
    marks = [axis.mark(one.t, "note", shortened(f"{one.text} {axis.at(one.t)}")) for one in written]
    return Group("Notes", [Lane_("by people", marks=marks).bounded()]) if marks else None


def _shown(case: Case | None) -> set[int]:
    """The notices that stand with an expected alert, by id."""
    found = (
        one.heard(notice, status)
        for one in (case.instances if case else ())
        for notice in one.alert.notices
        for status in ("firing", "resolved")
    )
    return {id(notice) for notice in found if notice is not None}


def _groups(draw: Callable[[], Sequence[Group | None]]) -> list[Group]:
    nothing: Sequence[Group | None] = [Group(NOT_DRAWN, [])]
    return [group for group in _guarded(draw, nothing) if group is not None]


def _guarded(draw: Callable[[], T], instead: T) -> T:
    """The drawing, or `instead` where it cannot be drawn."""
    try:
        return draw()
    except DAMAGED:
        return instead


def _facts(read: Read) -> list[tuple[str, str]]:
    header, history = read.history.header, read.history
    origin, totals, end = header.origin, next(history.of(LoadTotals), None), next(history.of(End), None)
    facts = [("run", header.run_id)]
    if origin is not None:
        facts += [("by", f"{origin.by} on {origin.host}"), ("commit", origin.commit or "in no git repository")]
    facts += [
        ("began", began_at(history.events[0].t, header.origin)),
        ("took", f"{history.last_t - history.events[0].t:.1f} s (real)"),
    ]
    if origin is not None and origin.command:
        facts.append(("again", origin.command))
    facts += [
        ("time scale", f"{header.time_scale:g} virtual seconds per real second"),
        ("seed", str(header.seed)),
        ("settings", ", ".join(header.settings) or "none"),
        *((f"{name} version", version) for name, version in sorted(header.versions.items())),
        *((name, ", ".join(names)) for name, names in sorted(header.targets.items())),
    ]
    if totals is not None:
        facts.append(("load", f"{totals.started} requests started, {totals.finished} finished, {totals.failed} failed"))
    if end is None:
        facts.append(("end", "the history ends before the run did"))
    elif end.left:
        facts.append(("left behind", "; ".join(end.left)))
    return [(name, shortened(value, 1000)) for name, value in facts[:_MOST]]


def _equipment(read: Read) -> list[tuple[str, str]]:
    """Changes of the equipment's state, with their time; stops at the end of the run are left out."""
    found = [
        (f"{read.axis.vs(e.t):.1f} s", shortened(f"{e.name} {e.state}" + (f": {e.detail}" if e.detail else ""), 500))
        for e in read.history.of(Equipment)
        if e.state != "stopped"
    ]
    return found[:_MOST]


def _inputs(history: History) -> list[tuple[str, str]]:
    """The texts of the scenario and the profile. The alert configuration stays in the history."""
    found = []
    for role, name in (("scenario", history.header.scenario), ("profile", history.header.profile)):
        text = history.header.sources.get(f"{role}:{name}", "")
        cut = "" if len(text) <= _LONGEST_INPUT else "\n… (the rest is in the history)"
        found.append((f"{role} {name}", text[:_LONGEST_INPUT] + cut))
    return found


def began_at(instant: float, origin: Origin | None) -> str:
    """When the run began, on the clock of the machine that played it where that is known."""
    return _utc(instant, origin.utc_offset_s if origin else 0)


def _utc(instant: float, away_s: int = 0) -> str:
    try:
        zone = timezone(timedelta(seconds=away_s)) if away_s else UTC
        return datetime.fromtimestamp(instant, zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    except (ValueError, OverflowError, OSError):
        return f"{instant:g} s after the epoch"


def _visible(value: Any) -> Any:
    return clean_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value
