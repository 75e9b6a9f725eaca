"""The lanes of a run: steps, faults, equipment, every notice at its receiver, and unexpected alerts."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

from chaoskit.events import Alter, Interruption, Notice, StepBegin, StepEnd
from chaoskit.history import History
from chaoskit.plan.model import Plan
from chaoskit.report.html_axis import Axis, Bar, Group, Lane, Mark
from chaoskit.report.terminal import called
from chaoskit.report.text import fault_name, settings_words, shortened
from chaoskit.units import amount
from chaoskit.verify.evidence import Episode, Evidence

MOST_LANES = 40
"""Lanes that one group shows; the rest is counted."""
_MOST_LINES = 24


def axis_of(history: History, evidence: Evidence, due: float | None = None) -> Axis:
    """From the first step, or else from the beginning, to the end of looking on; where that goes on long after all has
    happened that did, or was `due`, only to soon after that."""
    first = history.events[0].t
    zero = evidence.phases.get("steps", first)
    end = max(evidence.phases.get("stopping", history.last_t), zero + 1e-3)
    if due is not None and "tail" in evidence.phases:
        lives = [span[1] for one in evidence.episodes for span in (one.begun, one.firing, one.resolved) if span]
        heard = [notice.sent[1] for notice in evidence.notices]
        last = max(due, evidence.phases["tail"], *(at for at in (*lives, *heard) if at < end))
        end = min(end, last + 0.12 * (last - zero))
    lead = 0.02 * (end - zero) if "steps" in evidence.phases else 0.0
    return Axis(max(zero - lead, first), end, zero, history.header.time_scale)


def lines_of(axis: Axis, evidence: Evidence) -> list[Mark]:
    """The instants that everything is counted from: effects of faults, and their ends."""
    found = [Mark(axis.x(span[1]), "fault") for span in evidence.faults.effects.values()]
    found += [Mark(axis.x(span[1]), "undo") for span in evidence.faults.gone.values()]
    now = [] if axis.now is None else [Mark(axis.x(axis.now), "now")]
    return [*now, *found[:_MOST_LINES]]


def scenario_group(history: History, plan: Plan | None, axis: Axis, evidence: Evidence) -> Group:
    """Steps, each fault, and equipment that was down."""
    lanes = [_steps(history, plan, axis, evidence), *_faults(history, axis, evidence), *_equipment(axis, evidence)]
    return Group("Steps and faults", first_of(lanes, "faults"))


def _steps(history: History, plan: Plan | None, axis: Axis, evidence: Evidence) -> Lane:
    known = {p.step.name: called(p.step) for p in plan.steps} if plan else {}
    begun: dict[str, StepBegin] = {}
    bars: list[Bar] = []
    steps: list[StepBegin | StepEnd] = [*history.of(StepBegin), *history.of(StepEnd)]
    for event in sorted(steps, key=lambda one: one.n):
        if isinstance(event, StepBegin):
            begun[event.step] = event
        elif event.step in begun:
            bars.append(_step(axis, begun.pop(event.step), event.t, event.outcome, event.detail, known))
    bars += [_step(axis, one, axis.until, "running" if axis.now else "not ended", "", known) for one in begun.values()]
    bars += _afterwards(axis, evidence)
    marks = [axis.mark(e.t, "stray", f"ended early: {shortened(e.reason)}") for e in history.of(Interruption)]
    return Lane("steps", bars, marks)


def _afterwards(axis: Axis, evidence: Evidence) -> Iterator[Bar]:
    """Bars for the phases after the steps; of the tail the axis may show the beginning only."""
    for phase, following, what in (
        ("undo", "tail", "undoing what is in force"),
        ("tail", "stopping", "looking on, so that late differs from never,"),
    ):
        if phase in evidence.phases:
            begin, end = evidence.phases[phase], evidence.phases.get(following, axis.until)
            if (end - begin) * axis.scale < 0.1:
                continue  # nothing was left to undo
            title = f"{what} {axis.at(begin)} for {(end - begin) * axis.scale:.1f} s"
            yield axis.bar((begin, end), "wait", title, what.partition(",")[0])


def _step(axis: Axis, begin: StepBegin, end: float, outcome: str, detail: str, known: dict[str, str]) -> Bar:
    what = known.get(begin.step, f"{begin.step}: {begin.verb}")
    ending = "" if outcome == "done" else f", {outcome}"
    more = f": {detail}" if detail else ""
    title = f"{what}{ending} {axis.at(begin.t)} for {(end - begin.t) * axis.scale:.1f} s{more}"
    kind = ("wait" if begin.verb == "wait" else "act") if outcome in ("done", "running") else "trouble"
    return axis.bar((begin.t, end), kind, shortened(title), shortened(what, 40))


def _faults(history: History, axis: Axis, evidence: Evidence) -> Iterator[Lane]:
    altered: dict[str, list[Mark]] = {}
    for event in history.of(Alter):
        changed = shortened(f"changed to {settings_words(event.settings)} {axis.at(event.t)}")
        altered.setdefault(event.fault, []).append(axis.mark(event.t, "note", changed))
    for name, invoke in evidence.faults.invokes.items():
        problems = [p for p in evidence.faults.problems if p.fault == name]
        marks = [*altered.get(name, []), *(axis.mark(p.t, "stray", shortened(p.reason)) for p in problems)]
        effect, gone = evidence.faults.effects.get(name), evidence.faults.gone.get(name)
        on = f" on {', '.join(invoke.targets)}" if invoke.targets else ""
        settings = settings_words(invoke.settings)
        what = shortened(f"{invoke.kind}{on}" + (f" ({settings})" if settings else ""))
        bars = []
        if effect is not None:
            until = f"until {axis.vs(gone[1]):.1f} s" if gone else "" if axis.now else "never seen to be undone"
            title = f"in force {axis.at(effect[1])} {until}"
            bars.append(axis.bar((effect[0], gone[1] if gone else axis.until), "fault", title.strip(), invoke.kind))
        elif axis.now and not problems:
            bars.append(axis.bar((invoke.t, axis.now), "wait", "about to take effect", "begins"))
        else:
            bars.append(axis.bar((invoke.t, axis.until), "trouble", "its effect was never seen", "not seen"))
        yield Lane(
            f"{fault_name(name)}: {what}", bars, marks, note="" if gone else "in force" if axis.now else "not undone"
        )


def _equipment(axis: Axis, evidence: Evidence) -> list[Lane]:
    found: dict[str, list[Bar]] = {}
    for outages, what in ((evidence.outages, "down"), (evidence.unanswered, "gave no answer")):
        for one in outages:
            span = (one.begin, axis.until if one.end is None else one.end)
            if axis.shows(span):
                detail = f": {one.detail}" if one.detail else ""
                title = shortened(f"{one.equipment} {what} {axis.at(one.begin)}{detail}")
                found.setdefault(one.equipment, []).append(axis.bar(span, "blind", title, what))
    return [Lane(f"{name} unavailable", bars) for name, bars in sorted(found.items())]


def other_alerts(plan: Plan | None, axis: Axis, evidence: Evidence, owned: Iterable[int]) -> Group | None:
    """Alerts that fulfil no expectation: red where one fired that the scenario does not allow."""
    mine = set(owned)
    lanes = []
    for episode in evidence.episodes:
        span = (episode.begun[0], axis.until if episode.resolved is None else episode.resolved[1])
        if id(episode) in mine or not axis.shows(span):
            continue
        note = "" if plan is None else "allowed" if plan.allowed(episode.name) else "unexpected"
        note = "never fired" if note == "unexpected" and episode.firing is None else note
        lanes.append(Lane(named(episode), life(axis, episode), note=note, tone="bad" if note == "unexpected" else ""))
    if not lanes:
        return None
    lanes.sort(key=lambda lane: lane.tone != "bad")
    title = "Alerts" if plan is None else "Other alerts"
    return Group(title, first_of(lanes, "alerts"))


def named(episode: Episode) -> str:
    """The alert and the labels that tell it from others of its name."""
    rest = [v for k, v in sorted(episode.labels.items()) if k not in ("alertname", "severity", "component", "team")]
    return shortened(" ".join([episode.name, *rest]))


def life(axis: Axis, episode: Episode) -> list[Bar]:
    """The bars of an alert's life: pending and firing, with uncertain ends drawn lighter."""
    bars = []
    stop = axis.until if episode.resolved is None else episode.resolved[1]
    if episode.pending is not None:
        end = episode.firing[0] if episode.firing else stop
        took = f"pending {axis.at(episode.pending[0])} for {(end - episode.pending[0]) * axis.scale:.1f} s"
        bars.append(axis.bar((episode.pending[0], end), "pending", took, "pending"))
    if episode.firing is not None:
        begin = episode.firing[0]
        lasted = f"for {(stop - begin) * axis.scale:.1f} s"
        ended = lasted if episode.resolved or axis.now else "to the end"
        bars.append(axis.bar((begin, stop), "firing", f"firing {axis.at(begin)} {ended}", "firing"))
    for what in ("pending", "firing", "resolved"):
        span = getattr(episode, what)
        if span is not None and axis.x(span[1]) - axis.x(span[0]) > 0.3:
            title = f"{what} at an unknown instant within {(span[1] - span[0]) * axis.scale:.1f} s"
            bars.append(axis.bar(span, "maybe", title))
    return bars


def receivers_group(plan: Plan | None, axis: Axis, evidence: Evidence, shown: Container[int]) -> Group | None:
    """Every notice that arrived, at the lane of its door; those aside (by `id`) that are `shown` with their alert."""
    doors: dict[str, list[Mark]] = {}
    for notice in evidence.notices:
        if axis.shows(notice.sent) and id(notice) not in shown:
            doors.setdefault(door(notice), []).append(notice_mark(plan, axis, notice))
    lanes = [Lane(name, marks=marks, note=amount(len(marks), "notices")) for name, marks in sorted(doors.items())]
    if not lanes and evidence.notices:
        return None
    nothing = f"no receiver got a notice{' yet' if axis.now else ''}"
    other = any(id(notice) in shown for notice in evidence.notices)
    return Group("Other notices" if other else "Notices", first_of(lanes, "receivers") or [Lane(nothing)])


def door(notice: Notice) -> str:
    """The name of a receiver with its integration, as rows of the verdict write it."""
    more = f" {notice.index + 1}" if notice.index else ""
    return shortened(f"{notice.receiver or 'unknown'} ({notice.integration}{more})")


def notice_mark(plan: Plan | None, axis: Axis, notice: Notice) -> Mark:
    """A notice as a mark; its kind says whether it told, cleared, was refused or was unexpected."""
    kind = "cleared" if notice.status == "resolved" else "told"
    names = [alert.labels.get("alertname", "") for alert in notice.alerts]
    if notice.refused:
        kind = "refused"
    elif plan is not None and names and not any(expected(plan, name) for name in names):
        kind = "stray"
    refused = f", refused with {notice.refused}" if notice.refused else ""
    title = f"{subject(notice)} {axis.at(notice.sent[1])}{refused}"
    return axis.mark(notice.sent[1], kind, shortened(title))


def expected(plan: Plan, name: str) -> bool:
    """Whether the scenario speaks of an alert of this name, or allows it."""
    return plan.allowed(name) or any(alert.rule.alert == name for alert in plan.alerts)


def subject(notice: Notice) -> str:
    """A mail's subject; for other notices the status and the alerts' names."""
    names = ", ".join(dict.fromkeys(alert.labels.get("alertname", "?") for alert in notice.alerts))
    return notice.subject or f"{notice.status}: {names or 'no alert'}"


def first_of(lanes: Sequence[Lane], what: str) -> list[Lane]:
    """The first MOST_LANES lanes; one more says how many are left out."""
    shown = [lane.bounded() for lane in lanes[:MOST_LANES]]
    if len(lanes) > MOST_LANES:
        shown.append(Lane(f"and {len(lanes) - MOST_LANES} more {what}"))
    return shown
