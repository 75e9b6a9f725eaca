"""A gate on a terminal: the schedule before, a table of scenarios and what was proven after."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from chaoskit.gate.candidate import LeftOut
from chaoskit.gate.coverage import KINDS, Coverage
from chaoskit.gate.gate import Outcome
from chaoskit.gate.record import AtScale
from chaoskit.gate.schedule import Schedule
from chaoskit.hop import Hop
from chaoskit.report.checklist import marks
from chaoskit.report.table import table
from chaoskit.report.terminal import STYLES
from chaoskit.report.text import clean, paragraph, real
from chaoskit.units import amount
from chaoskit.verify.checklist import ITEMS
from chaoskit.verify.verdict import Result


def schedule_view(schedule: Schedule, *, why: bool) -> RenderableType:
    """Stacks and waves; with `why` also the reasons that keep scenarios apart."""
    shown = table("stack", "wave", "about", "scenarios")
    for number, stack in enumerate(schedule.stacks, 1):
        for index, wave in enumerate(stack.waves, 1):
            names = ", ".join(one.name for one in wave.members)
            first = index == 1
            shown.add_row(str(number) if first else "", str(index), f"{wave.length_s:.0f} s", names)
    scenarios = sum(len(stack.members) for stack in schedule.stacks)
    ending = Text(
        f"{amount(scenarios, 'scenarios')} in {amount(len(schedule.stacks), 'stacks')}, "
        f"{schedule.side_by_side} side by side: about {real(schedule.bound_s)} (real)"
    )
    reasons = [Padding(Text(clean(line), style="dim"), (0, 0, 0, 1)) for line in schedule.why] if why else []
    return Group(shown, *reasons, ending)


def outcome_line(outcome: Outcome) -> Text:
    """One scenario as soon as it ended."""
    again = " (second attempt, on a fresh stack)" if outcome.attempt > 1 else ""
    return Text.assemble(_shown_result(outcome), f"  {clean(outcome.candidate.name)}, {outcome.took_s:.1f} s{again}")


def gate_view(
    outcomes: Sequence[Outcome], coverage: Coverage, record: AtScale, left_out: Sequence[LeftOut]
) -> RenderableType:
    """The table, the reasons of scenarios that did not pass, and the coverage."""
    shown = table("", "scenario", "alerts", "checklist", "took", "history")
    reasons: list[RenderableType] = []
    for outcome in sorted(outcomes, key=lambda each: each.candidate.name):
        alerts = ", ".join(sorted(outcome.candidate.expects)) or "nothing may fire"
        again = " (second attempt)" if outcome.attempt > 1 else ""
        name = f"{outcome.candidate.name}{again}"
        took = f"{outcome.took_s:.0f} s"
        row = (clean(name), clean(alerts), marks(outcome.checklists), took, clean(outcome.folder.name))
        shown.add_row(_shown_result(outcome), *row)
        for reason in outcome.reasons:
            reasons.append(Padding(Text(f"• {clean(outcome.candidate.name)}: {paragraph(reason)}"), (0, 0, 0, 1)))
    for bad in (one for one in left_out if one.wrong):
        shown.add_row(Text("UNKNOWN", style=STYLES[Result.UNKNOWN]), clean(bad.name), clean(bad.proves), "", "", "")
        reasons.append(Padding(Text(f"• {clean(bad.name)}: {bad.word}: {paragraph(bad.why)}"), (0, 0, 0, 1)))
    key = Text(f"checklist: {', '.join(ITEMS)}; + pass, F fail, ? unknown, - not promised", style="dim")
    others = [one for one in left_out if not one.wrong]
    sides = [Text(line) for line in both_sides(outcomes)]
    return Group(shown, key, Text(""), *reasons, *_coverage(coverage), *sides, *left_out_lines(others, record))


def both_sides(outcomes: Iterable[Outcome]) -> list[str]:
    """The alerts that were shown to fire and to stay quiet just below their threshold, and those that only fired."""
    plans = [(one.candidate.plan, one.verdict) for one in outcomes if one.verdict and one.candidate.plan]
    rows = {
        row.about for _, verdict in plans for row in verdict.rows if row.hop is Hop.NEVER and row.result is Result.PASS
    }
    quiet = {c.control.alert for plan, _ in plans for c in plan.controls if c.control.about in rows}
    fired = {alert.rule.alert for plan, v in plans if v.result is Result.PASS for alert in plan.alerts}
    both, one_side = sorted(quiet & fired), sorted(fired - quiet)
    lines = [f"both sides of the threshold, live: {clean(', '.join(both))}"] if both else []
    if one_side and both:
        lines.append(f"  fired, and quiet below it only by promtool (chaoskit check): {clean(', '.join(one_side))}")
    return lines


def _shown_result(outcome: Outcome) -> Text:
    return Text(outcome.result, style=STYLES[outcome.verdict.result] if outcome.verdict else "bold red")


def _coverage(coverage: Coverage) -> list[Text]:
    parts = []
    for kind in KINDS:
        total, missing = len(coverage.all[kind]), coverage.missing(kind)
        parts.append(f"{total - len(missing)} of {total} {kind}")
    lines = [Text(f"proven: {', '.join(parts)} ({coverage.percent:.0f} %)", style="bold")]
    for kind in KINDS:
        if missing := coverage.missing(kind):
            lines.append(Text(f"  {kind} without proof: {clean(', '.join(missing))}", style="yellow"))
    return lines


def left_out_lines(left_out: Sequence[LeftOut], record: AtScale) -> list[Text]:
    """The scenarios that are not played: a line for each scenario, with why, and when it last passed at this scale."""
    lines = []
    for one in left_out:
        known = record.scenarios.get(one.name)
        when = "never" if known is None or known.passed_at is None else _ago(time.time() - known.passed_at)
        what = f"{one.name}, which proves {one.proves}" if one.proves else one.name
        style = "yellow" if one.wrong else "dim"
        lines.append(Text(f"  {one.word}: {clean(what)} (last passed: {when}): {paragraph(one.why)}", style=style))
    return lines


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return "a moment ago"
