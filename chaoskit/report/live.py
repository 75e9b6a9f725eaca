"""The progress of a run, for a person who watches: step, load, faults, alerts with countdowns, notices as they come.

On a terminal a picture that is redrawn; elsewhere one plain line for each thing that happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from chaoskit.events import (
    AlertState,
    End,
    Equipment,
    Event,
    FaultFail,
    FaultOk,
    Interruption,
    Notice,
    Phase,
    Steady,
    StepBegin,
    StepEnd,
    Stranger,
    UndoFail,
    UndoOk,
)
from chaoskit.fold import Episode, Fold
from chaoskit.plan.model import Plan, PlannedAlert
from chaoskit.report.table import table
from chaoskit.report.terminal import describe
from chaoskit.report.text import clean, real
from chaoskit.run.progress import Progress

PHASES = {
    "starting": "starting the stack",
    "steady": "waiting for the steady state",
    "steps": "running the steps",
    "undo": "undoing what is in force",
    "tail": "looking on: late is not never",
    "stopping": "stopping everything",
}
_LAST_NOTICES = 8


class LiveView(Live):
    """The redrawn picture; a context manager around the run."""

    def __init__(self, plan: Plan, progress: Progress, console: Console) -> None:
        self._plan = plan
        self._progress = progress
        self._begun = time.time()
        self._steps_begun: float | None = None
        super().__init__(console=console, refresh_per_second=8, transient=True)

    def get_renderable(self) -> RenderableType:
        """The picture as it is now."""
        now, fold = time.time(), self._progress.fold
        if fold.phase == "steps" and self._steps_begun is None:
            self._steps_begun = now
        virtual = (now - self._steps_begun) * self._plan.time_scale if self._steps_begun else 0.0
        head = Text.assemble(
            (f"{clean(self._plan.scenario.title)}\n", "bold"),
            f"{PHASES[fold.phase]}{_step(self._plan, fold)}   ",
            (f"virtual {real(virtual)}   real {real(now - self._begun)}", "cyan"),
        )
        rows = [head, _load(fold), _faults(fold), *_alerts(self._plan, self._progress, now)]
        rows += [Text(f"! {clean(' | '.join(trouble.splitlines()))}", style="yellow") for trouble in fold.trouble[-4:]]
        if fold.notices:
            rows += [Text("notices", style="dim"), *map(_notice, fold.notices[-_LAST_NOTICES:])]
        return Group(*rows)


def _step(plan: Plan, fold: Fold) -> str:
    running = fold.step
    found = next(((n, p.step) for n, p in enumerate(plan.steps, 1) if p.step.name == running), None)
    return f": {clean(describe(found[1]))} ({found[0]} of {len(plan.steps)})" if found else ""


def _load(fold: Fold) -> Text:
    if not fold.windows:
        return Text("load: none yet", style="dim")
    load = fold.windows[-1]
    length = max(load.second[1] - load.second[0], 1e-3)
    p95 = "–" if load.p95_ms is None else f"{load.p95_ms:.0f} ms"
    return Text(
        f"load: {load.finished / length:.0f}/s, {load.failed} failed, P95 {p95} real, {load.in_flight} in flight"
    )


def _faults(fold: Fold) -> Text:
    standing = list(fold.faults.standing.values())
    if not standing:
        return Text("no fault in force", style="dim")
    names = ", ".join(f"{fault.kind} on {', '.join(fault.targets)}" for fault in standing)
    return Text(f"in force: {clean(names)}", style="red")


def _alerts(plan: Plan, progress: Progress, now: float) -> list[RenderableType]:
    shown = table("", "", "", header=False)
    for alert in plan.alerts:
        episodes = progress.episodes_of(alert)
        if not episodes:
            shown.add_row(clean(alert.rule.alert), Text("inactive", style="dim"), "")
        for episode in episodes:
            name = " ".join([alert.rule.alert, episode.labels.get(alert.label, "") if alert.label else ""])
            waiting = "; ".join(countdowns(alert, episode, plan.time_scale, now))
            shown.add_row(clean(name), _state(episode), clean(waiting))
    return [shown]


def _state(episode: Episode) -> Text:
    style = {"pending": "yellow", "firing": "bold red", "resolved": "green"}.get(episode.state, "dim")
    return Text(episode.state, style=style)


def countdowns(alert: PlannedAlert, episode: Episode, scale: float, now: float) -> list[str]:
    """The next events of an alert, with receiver and remaining virtual seconds; empty where none is awaited."""
    if episode.state == "pending":
        return [f"fires in {max(0.0, alert.hold.lo_vs - (now - episode.begun[1]) * scale):.0f} s"]
    firing, resolved = episode.firing, episode.resolved
    waiting = []
    for notice in alert.notices:
        if resolved is not None and notice.all_clear is not None and notice.sink_key not in episode.cleared:
            left = notice.all_clear.hi_vs - (now - resolved[1]) * scale
            waiting.append(f"{notice.to} hears the all-clear within {max(0.0, left):.0f} s")
        elif resolved is None and firing is not None and notice.sink_key not in episode.told:
            left = notice.notify.hi_vs - (now - firing[1]) * scale
            waiting.append(f"{notice.to} hears within {max(0.0, left):.0f} s" if left > 0 else f"{notice.to} is late")
    return waiting


def promised_next(progress: Progress, alert: PlannedAlert, now: float) -> list[str]:
    """The countdowns of an instance that did not show yet: by when it is to, once its step has taken effect."""
    fold, step = progress.fold, alert.expectation.from_step
    ids = [fault.id for planned in progress.plan.steps if planned.step.name == step for fault in planned.faults]
    effects = [fold.faults.effects[one][1] for one in ids if one in fold.faults.effects]
    if step in fold.actions:
        since = fold.actions[step][1]
    elif ids and len(effects) == len(ids):
        since = max(effects)
    else:
        return []
    left = alert.detect.hi_vs - (now - since) * progress.plan.time_scale
    return [f"to be noticed within {left:.0f} s" if left > 0 else "not noticed yet: it is late"]


def _notice(notice: Notice) -> Text:
    what = clean(notice.subject or f"{notice.integration}, {len(notice.alerts)} alert(s), {notice.status}")
    clock = time.strftime("%H:%M:%S", time.localtime(notice.sent[1]))
    return Text(f"  {clock} {clean(notice.receiver or 'unknown')} ({notice.integration}): {what}")


class PlainLines:
    """One line for each thing that happens; `feed` takes the run's events."""

    def __init__(self, plan: Plan, say: Callable[[str], None], begun: float | None = None) -> None:
        """`begun`: when the run began, where that is not just now."""
        self._scale = plan.time_scale
        self._say = say
        self._begun = time.time() if begun is None else begun
        self._zero: float | None = None

    def feed(self, event: Event) -> None:
        """Says what a person wants to know of this event, if anything."""
        text = self._text(event)
        if text:
            if isinstance(event, Phase) and event.name == "steps":
                self._zero = event.t
            virtual = f"{(event.t - self._zero) * self._scale:8.1f}v" if self._zero else " " * 9
            self._say(f"{event.t - self._begun:7.1f}s {virtual}  {clean(' | '.join(text.splitlines()))}")

    def _text(self, event: Event) -> str:
        match event:
            case Phase():
                return PHASES[event.name]
            case Steady():
                return (
                    "steady state reached" if event.reached else f"steady state NOT reached: {'; '.join(event.missing)}"
                )
            case StepBegin():
                return f"step {event.step} begins ({event.verb})"
            case StepEnd():
                return f"step {event.step} {event.outcome}" + (f": {event.detail}" if event.detail else "")
            case FaultOk():
                return f"fault {event.fault} in force"
            case FaultFail():
                return f"fault {event.fault}: {event.reason}"
            case UndoOk():
                return f"fault {event.fault} undone"
            case UndoFail():
                return f"fault {event.fault} NOT UNDONE: {event.reason}"
            case AlertState():
                rest = " ".join(v for k, v in sorted(event.labels.items()) if k not in ("alertname", "severity"))
                return f"alert {event.labels.get('alertname')} {event.state} [{rest}]"
            case Notice():
                return f"notice at {event.receiver or 'unknown'} ({event.integration}): {event.subject or event.status}"
            case Stranger():
                return f"{event}"
            case Equipment(state="down"):
                return f"{event.name} is DOWN: {event.detail.splitlines()[0] if event.detail else ''}"
            case Equipment(state="silent"):
                return f"{event.name} is SILENT: {event.detail}"
            case Interruption():
                return f"ending early: {event.reason}"
            case End():
                return (
                    "everything undone and stopped"
                    if event.healed and not event.left
                    else f"LEFT: {'; '.join(event.left)}"
                )
            case _:
                return ""
