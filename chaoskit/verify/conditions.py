"""What must hold for the hops to mean anything: a steady state, faults that took effect and lasted, load, an end."""

from __future__ import annotations

import itertools

from chaoskit.events import End, FaultFail, Interruption, Steady, StepEnd
from chaoskit.history import History
from chaoskit.plan.model import Plan
from chaoskit.scenario.model import Change, Do
from chaoskit.verify.evidence import Evidence
from chaoskit.verify.expected import named
from chaoskit.verify.load import judge_load
from chaoskit.verify.requests import judge_exit_code, judge_limits
from chaoskit.verify.verdict import Result, Row

_BACK_S = 1e-6
"""Events are stamped one after the other, so an earlier stamp means that the clock went back."""


def judge_conditions(plan: Plan, history: History, evidence: Evidence) -> list[Row]:
    """One row for the steady state, those of the load, one for each fault, and one for an early end."""
    steady = next(history.of(Steady), None)
    rows = [_steady(steady)]
    if steady is None or not steady.reached:
        return rows + _early_end(history)
    rows += _faults(plan, evidence)
    rows += _steps(plan, history, evidence)
    if plan.profile.load.given:
        rows += judge_load(history, evidence)
        rows += judge_limits(plan, history)
        if plan.profile.load.locustfile is not None:
            rows.append(judge_exit_code(history))
    rows += _clocks(history, evidence)
    return rows + _early_end(history)


def _steady(event: Steady | None) -> Row:
    if event is None:
        reason = "the run ended before the steady state was reached"
        return Row(about="before the fault", hop="steady", result=Result.UNKNOWN, reason=reason)
    if event.reached:
        return Row(about="before the fault", hop="steady", result=Result.PASS, rests_on="nothing was missing")
    reason = f"steady state not reached, so no fault was injected: {'; '.join(event.missing)}"
    return Row(about="before the fault", hop="steady", result=Result.UNKNOWN, reason=reason)


def _faults(plan: Plan, evidence: Evidence) -> list[Row]:
    rows = []
    for fault, invoke in evidence.invokes.items():
        about = named(invoke.kind, invoke.targets)
        failed = [event for event in evidence.fault_problems if event.fault == fault]
        if failed:
            reason = "; ".join(_said(event) for event in failed)
            rows.append(Row(about=about, hop="effect", result=Result.UNKNOWN, reason=f"{about}: {reason}"))
        elif fault not in evidence.effects:
            rows.append(
                Row(about=about, hop="effect", result=Result.UNKNOWN, reason=f"{about}: its effect was not seen")
            )
        else:
            rows.append(Row(about=about, hop="effect", result=Result.PASS, rests_on="seen in force"))
    return rows


def _said(event: object) -> str:
    if isinstance(event, FaultFail):
        return f"the effect lapsed while it should have been in force: {event.reason}" if event.lapsed else event.reason
    return f"the undo failed: {getattr(event, 'reason', event)}"


def _steps(plan: Plan, history: History, evidence: Evidence) -> list[Row]:
    """One for each action and change that was confirmed, and for each step that did not come to its end."""
    ended = [event for event in history.of(StepEnd) if event.outcome in ("failed", "timeout")]
    failed = {event.step for event in ended}
    steps = [planned.step for planned in plan.steps if isinstance(planned.step, Do | Change)]
    return [
        Row(about=f"step {step.name}", hop="effect", result=Result.PASS, rests_on="confirmed")
        for step in steps
        if step.name in evidence.actions and step.name not in failed
    ] + [
        _unknown(
            f"step {event.step}",
            "effect",
            f"step {event.step} {'timed out' if event.outcome == 'timeout' else event.outcome}: {event.detail}",
        )
        for event in ended
    ]


def _clocks(history: History, evidence: Evidence) -> list[Row]:
    """Nothing where the clocks kept together: their uncertainty is part of every hop's."""
    rows = []
    clock = evidence.clock
    if not clock.known:
        reason = "Prometheus's clock was never compared with ours: no time between fault, alert and notice is known"
        rows.append(_unknown("clocks", "clock", reason))
    elif clock.was_set:
        reason = (
            f"Prometheus's clock and ours were set against each other under way, by up to {clock.parted_s:.3f} real s; "
            "every time between a fault, an alert and a notice is uncertain by as much"
        )
        rows.append(_unknown("clocks", "clock", reason))
    back = max((a.t - b.t for a, b in itertools.pairwise(history.events)), default=0.0)
    if back > _BACK_S:
        reason = f"our own clock was set back under way, by {back:.3f} real s or more; no time across that is known"
        rows.append(_unknown("clocks", "clock", reason))
    return rows


def _early_end(history: History) -> list[Row]:
    rows = [_unknown("run", "end", f"the run was ended early: {event.reason}") for event in history.of(Interruption)]
    if next(history.of(End), None) is None:
        torn = " in the middle of a line" if history.torn else ""
        rows.append(_unknown("run", "end", f"the history breaks off{torn}: the run did not come to its end"))
    return rows


def _unknown(about: str, hop: str, reason: str) -> Row:
    return Row(about=about, hop=hop, result=Result.UNKNOWN, reason=reason)
