"""The verdict and the plan on a terminal: first from fault to phone, then a row for each promise and hop."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from chaoskit.alerting.windows import Window
from chaoskit.plan.model import Plan, PlannedAlert, PlannedControl, PlannedFault
from chaoskit.plan.paged import paged
from chaoskit.report.load import load_line
from chaoskit.report.requests import WORST, by_name, requests_table
from chaoskit.report.table import table
from chaoskit.report.text import (
    FIGURES,
    allowed,
    clean,
    margin,
    paragraph,
    real,
    seconds,
    settings_words,
    telling,
    uncertainty,
    ways,
)
from chaoskit.report.text import shown as shown_of
from chaoskit.scenario.model import Change, Do, Inject, Step, Undo, Wait
from chaoskit.units import format_duration
from chaoskit.verify.verdict import Figure, Result, Row, Verdict

STYLES = {Result.PASS: "green", Result.FAIL: "bold red", Result.UNKNOWN: "yellow"}


def verdict_view(verdict: Verdict) -> RenderableType:
    """The whole verdict, ready to print."""
    parts: list[RenderableType] = []
    if verdict.figures:
        parts += [Text("From fault to phone (virtual time)", style="bold"), _figures(verdict.figures), Text("")]
    parts += [_rows(verdict.rows), Text("")]
    if names := by_name(verdict):
        more = f", the worst {WORST} of {len(names)}" if len(names) > WORST else ""
        parts += [Text(f"Requests (real time{more})", style="bold"), requests_table(names), Text("")]
    reasons = telling(verdict.rows)
    parts += [Padding(Text(f"• {paragraph(reason)}"), (0, 0, 0, 1)) for reason in reasons]
    parts += [Padding(Text(paragraph(note), style="dim"), (0, 0, 0, 1)) for note in verdict.notes]
    ending = Text.assemble(
        ("\n" if verdict.notes or reasons else ""),
        (f"{verdict.result}", STYLES[verdict.result]),
        f"  {clean(verdict.scenario)} at {verdict.time_scale:g}x: {clean(verdict.title)} (exit {verdict.exit_code})",
    )
    return Group(*parts, ending)


def _figures(figures: list[Figure]) -> Table:
    shown = table(*FIGURES)
    for figure in figures:
        notice, *others = ways(figure)
        shown.add_row(clean(figure.about), clean(figure.to), Text(notice, style="bold"), *others)
    return shown


def _rows(rows: list[Row]) -> Table:
    numbers = ("observed", "allowed", "margin", "uncertainty")
    shown = table("", "promise", "hop", "to", *numbers, right=numbers)
    before = ""
    for row in rows:
        shown.add_row(
            Text(str(row.result), style=STYLES[row.result]),
            clean(row.about) if row.about != before else "",
            row.hop,
            clean(row.to),
            clean(shown_of(row)),
            allowed(row.allowed),
            margin(row),
            uncertainty(row),
        )
        before = row.about
    return shown


def plan_view(plan: Plan) -> RenderableType:
    """The plan: targets, timeline, windows. Nothing was touched to make it."""
    head = Text.assemble(
        (clean(plan.scenario.title), "bold"),
        f"\n{clean(plan.scenario.name)} with profile {clean(plan.profile.name)} at {plan.time_scale:g}x, "
        f"seed {plan.seed}; "
        f"at most {real(plan.longest_real_s)} min real after start-up",
    )
    load = f"load: {clean(load_line(plan.profile.load))}"
    steps = table("step", "what", "target", "at most (virtual)", title="Steps")
    for planned in plan.steps:
        bound = seconds(planned.at_most_vs) if planned.at_most_vs else ""
        what, target = clean(describe(planned.step)), clean(_targets(planned.faults))
        steps.add_row(clean(planned.step.name), what, target, bound)
    steps.add_row("end", "undo every fault in force, newest first", "", seconds(plan.end_vs) if plan.end_vs else "")
    steps.add_row("tail", "look on, so that late differs from never", "", seconds(plan.tail_vs))
    unseen = dict.fromkeys(one for alert in plan.alerts for one in alert.unwitnessed)
    said = [*plan.warnings, *(f"{one} will be UNKNOWN: no witness sees whether it delivers" for one in unseen)]
    warnings = [Text(f"warning: {paragraph(warning)}", style="yellow") for warning in said]
    return Group(head, Text(load), Text(""), steps, Text(""), _windows(plan), told_view([plan]), *warnings)


def told_view(plans: Sequence[Plan]) -> RenderableType:
    """The real receivers that drills of these plans will tell, a line each; nothing on a local target."""
    return Group(*(Text(f"tells {clean(str(one))}", style="bold") for one in paged(plans)))


def called(step: Step) -> str:
    """A step as one reads it, after the name that it was given; a name that it got by its number says nothing."""
    given = not re.fullmatch(r"(wait|undo|change|inject)(-.*)?|[\w-]+[.+].*", step.name)
    return f"{step.name}: {describe(step)}" if given else describe(step)


def describe(step: Step) -> str:
    """A step as one reads it."""
    match step:
        case Inject():
            return "inject " + ", ".join(f"{f.kind} {_settings(f.settings)}".strip() for f in step.faults)
        case Change():
            return f"change {step.of} {_settings(step.settings)}"
        case Undo():
            return "undo " + (", ".join(step.targets) or "all")
        case Do():
            return f"do {step.action}"
        case Wait():
            return f"wait {_awaited(step)}"


def _awaited(wait: Wait) -> str:
    if wait.duration_vs is not None:
        return format_duration(wait.duration_vs)
    return "until settled" if wait.settled else wait.query or f"for {wait.alert} to be {wait.state}"


def _settings(settings: Mapping[str, Any]) -> str:
    return f"({settings_words(settings)})" if settings else ""


def _targets(faults: tuple[PlannedFault, ...]) -> str:
    return "; ".join(f"{fault.handle}: {', '.join(fault.targets)}" if fault.handle else "" for fault in faults)


def _windows(plan: Plan) -> RenderableType:
    if plan.controls and not plan.alerts:
        return Text("\n".join(["Expected: silence.", *map(_control, plan.controls)]))
    if not plan.alerts:
        return Text("Expected: nothing. Any alert and any notice that is not allowed fails the run.")
    shown = table("alert", "hop", "to", "from", "allowed", "governed by", title="Windows (virtual)")
    for alert in plan.alerts:
        who = " ".join([alert.rule.alert, *alert.names])
        for number, (to, window) in enumerate(hops_of(alert)):
            shown.add_row(
                "" if number else clean(who),
                window.hop,
                clean(to),
                window.hop.since,
                allowed((window.lo_vs, window.hi_vs)),
                clean(window.setting),
            )
        for notice in alert.notices:
            if notice.configured is None and notice.ask.mode != "never":
                shown.add_row("", "", Text(clean(f"no route leads {who} to {notice.receiver}"), style="yellow"))
    for planned in plan.controls:
        shown.add_row("", "never", "", "", "", _control(planned))
    return shown


def _control(planned: PlannedControl) -> str:
    side = "at most" if planned.below else "at least"
    needs = format_duration(planned.needs_vs)
    query = " ".join(planned.query.split())
    return clean(f"never {planned.control.about}: {side} {planned.quiet:.6g} of {query}, for {needs}")


def hops_of(alert: PlannedAlert) -> list[tuple[str, Window]]:
    """The hops of an alert in the order in which they happen: (receiver or "", window)."""
    hops = [("", alert.detect), ("", alert.hold)]
    hops += [(n.to, n.notify) for n in alert.notices if n.ask.mode != "never"]
    hops += [(n.to, n.phone) for n in alert.notices if n.phone is not None]
    hops.append(("", alert.clear))
    hops += [(n.to, n.all_clear) for n in alert.notices if n.all_clear is not None]
    return hops + [(n.to, n.over) for n in alert.notices if n.over is not None]
