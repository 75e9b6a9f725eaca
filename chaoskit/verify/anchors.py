"""Which expectation an alert's episode fulfils, and the instants from which its clocks count.

The detect clock starts with the effect of the `from` step, the clear clock with that of `until` or the end of the
fault; for an alert bound to a target, with what happened to that target.
"""

from __future__ import annotations

from collections.abc import Collection

from chaoskit.events import FaultFail, Interval
from chaoskit.plan.model import Plan, PlannedAlert
from chaoskit.plan.silences import SILENCE, id_of
from chaoskit.scenario.model import Inject, Undo
from chaoskit.verify.evidence import Episode, Evidence


class Anchors:
    """When the clocks of an instance start: the fault's effect, and its undo; None where that was not seen."""

    def __init__(self, plan: Plan, evidence: Evidence, alert: PlannedAlert, episode: Episode | None) -> None:
        self.fault = anchor(plan, evidence, alert.expectation.from_step, episode)
        self.undo = undo_anchor(plan, evidence, alert, episode)
        self.ended = ending(plan, evidence, alert, episode)
        """The earliest instant at which we may have ended the fault, and what did."""
        self.lapsed = "; ".join(dict.fromkeys(one.reason for one in lapses(plan, evidence, alert, episode)))
        """Why the effect ended by itself at an unknown instant; empty where it did not."""


class Silenced:
    """The silence of a step, which is to mute an alert, as far as its begin and its end were seen."""

    def __init__(self, plan: Plan, evidence: Evidence, step: str) -> None:
        mine = [fault.id for p in plan.steps if p.step.name == step for fault in p.faults if fault.spec.kind == SILENCE]
        faults = evidence.faults
        lapsed = [f.reason for f in faults.problems if isinstance(f, FaultFail) and f.lapsed and f.fault in mine]
        self.ids = own_silences(evidence, mine)
        """The ids by which Alertmanager shows the silence; none where it was not seen to be active."""
        self.begun = _span([faults.effects.get(one) for one in mine])
        self.gone = None if lapsed else _span([faults.gone.get(one) for one in mine])
        """The instant at which the run expired the silence; None where it did not, or the silence had ended before."""
        self.ending = min((faults.undo_begun[one] for one in mine if one in faults.undo_begun), default=None)
        """The earliest instant at which the run may have expired it; None where it did not begin to."""
        self.lapsed = "; ".join(lapsed)
        """Why the silence ended by itself at an unknown instant; empty where it did not."""


def own_silences(evidence: Evidence, faults: Collection[str] | None = None) -> frozenset[str]:
    """The ids of the silences that these faults of the run made, or all of its."""
    made = (id_of(told) for fault, told in evidence.faults.told.items() if faults is None or fault in faults)
    return frozenset(one for one in made if one)


def assign(plan: Plan, evidence: Evidence) -> dict[int, PlannedAlert]:
    """Which expectation each episode fulfils, by id(episode).

    An episode counts for the latest step before it among the expectations that speak of it, once per instance: an
    alert left over from an earlier fault is not counted for this one. A value that rises noisily may cross its
    threshold, fall back and cross it again: what was pending and never fired gives way to what fires, as long as that
    became pending within the window of detection.
    """
    owners: dict[int, PlannedAlert] = {}
    for episode in evidence.episodes:
        fitting = []
        for alert in plan.alerts:
            since = _since(plan, evidence, alert, episode)
            if alert.matches(episode.labels) and since is not None and episode.begun[1] >= since:
                fitting.append((since, alert))
        fitting.sort(key=lambda item: item[0])
        for _, alert in reversed(fitting):
            mine = [e for e in evidence.episodes if owners.get(id(e)) is alert]
            before = next((e for e in mine if e.labels == episode.labels), None)
            if before is not None and _gives_way(plan, evidence, alert, before, episode):
                del owners[id(before)]
                mine.remove(before)
                before = None
            if before is None and len(mine) < alert.count:
                owners[id(episode)] = alert
                break
    return owners


def anchor(plan: Plan, evidence: Evidence, step_name: str, episode: Episode | None) -> Interval | None:
    """When a step took effect; for an alert bound to a target, when it took effect on that target."""
    step = next(p.step for p in plan.steps if p.step.name == step_name)
    if isinstance(step, Inject):
        return _span([evidence.faults.effects.get(fault) for fault in _faults(plan, step_name, episode)])
    if isinstance(step, Undo):
        undone = {f.id for p in plan.steps for f in p.faults if not step.targets or p.step.name in step.targets}
        return _span([gone for fault, gone in evidence.faults.gone.items() if fault in undone])
    return evidence.actions.get(step_name)


def undo_anchor(plan: Plan, evidence: Evidence, alert: PlannedAlert, episode: Episode | None) -> Interval | None:
    """When the clear clock of an expectation starts: its `until` step, or the end of the faults of its `from`."""
    until = alert.expectation.until_step
    if until == "never":
        return None
    if until != "end":
        return anchor(plan, evidence, until, episode)
    return _span([evidence.faults.gone.get(fault) for fault in _faults(plan, alert.expectation.from_step, None)])


def ending(plan: Plan, evidence: Evidence, alert: PlannedAlert, episode: Episode | None) -> tuple[float, str] | None:
    """The earliest instant at which what this alert speaks of may have ended by our own doing, and what ended it."""
    ends = [
        (evidence.faults.undo_begun[fault], f"{fault} was undone")
        for fault in _faults(plan, alert.expectation.from_step, episode)
        if fault in evidence.faults.undo_begun
    ]
    for problem in lapses(plan, evidence, alert, episode):
        begun = evidence.faults.effects.get(problem.fault, (problem.t, 0.0))[0]
        ends.append((begun, f"{problem.fault} lapsed, perhaps"))
    until = alert.expectation.until_step
    if until not in ("end", "never") and (changed := anchor(plan, evidence, until, episode)) is not None:
        ends.append((changed[0], f"{until} took effect"))
    return min(ends, default=None)


def lapses(plan: Plan, evidence: Evidence, alert: PlannedAlert, episode: Episode | None) -> list[FaultFail]:
    """The faults behind this alert that ended by themselves, each as it was told."""
    mine = _faults(plan, alert.expectation.from_step, episode)
    return [p for p in evidence.faults.problems if isinstance(p, FaultFail) and p.lapsed and p.fault in mine]


def _since(plan: Plan, evidence: Evidence, alert: PlannedAlert, episode: Episode) -> float | None:
    """From when on an episode may be of this expectation; a fault whose effect was not seen may have had one."""
    step = alert.expectation.from_step
    effect = anchor(plan, evidence, step, episode)
    if effect is not None:
        return effect[0]
    invokes = evidence.faults.invokes
    return min((invokes[fault].t for fault in _faults(plan, step, episode) if fault in invokes), default=None)


def _gives_way(plan: Plan, evidence: Evidence, alert: PlannedAlert, before: Episode, episode: Episode) -> bool:
    if before.firing is not None or episode.firing is None:
        return False
    effect = anchor(plan, evidence, alert.expectation.from_step, episode)
    return effect is not None and episode.begun[0] <= effect[1] + alert.detect.hi_vs / plan.time_scale


def _faults(plan: Plan, step_name: str, episode: Episode | None) -> list[str]:
    """The faults of an inject step; for an alert bound to a target, those that hit it."""
    faults = [
        fault for p in plan.steps if p.step.name == step_name and isinstance(p.step, Inject) for fault in p.faults
    ]
    labels = episode.labels if episode is not None else {}
    bound = [fault for fault in faults if fault.label and labels.get(fault.label) in fault.targets]
    return [fault.id for fault in bound or faults]


def _span(instants: list[Interval | None]) -> Interval | None:
    known = [instant for instant in instants if instant is not None]
    if not known or len(known) < len(instants):
        return None
    return (min(a for a, _ in known), max(b for _, b in known))
