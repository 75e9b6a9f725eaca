"""What must hold for the hops to mean anything: a steady state, faults that took effect and lasted, load, an end."""

from __future__ import annotations

from chaoskit.events import End, Equipment, FaultFail, Interruption, LoadTotals, LoadWindow, Steady, StepEnd
from chaoskit.history import History
from chaoskit.plan.model import Plan
from chaoskit.verify.evidence import Evidence
from chaoskit.verify.verdict import Result, Row

_LOAD_GAP_S = 3.0
"""Real seconds without a word from the load generator after which nobody knows whether there was load."""


def judge_conditions(plan: Plan, history: History, evidence: Evidence) -> list[Row]:
    """One row for the steady state, one for the load, one for each fault, and one for an early end."""
    steady = next(history.of(Steady), None)
    rows = [_steady(steady)]
    if steady is None or not steady.reached:
        return rows + _early_end(history)
    rows += _faults(plan, evidence)
    rows += _steps(history)
    rows.append(_load(history, evidence))
    return rows + _early_end(history)


def _steady(event: Steady | None) -> Row:
    if event is None:
        reason = "the run ended before the steady state was reached"
        return Row(about="before the fault", hop="steady", result=Result.UNKNOWN, reason=reason)
    if event.reached:
        return Row(about="before the fault", hop="steady", result=Result.PASS)
    reason = f"steady state not reached, so no fault was injected: {'; '.join(event.missing)}"
    return Row(about="before the fault", hop="steady", result=Result.UNKNOWN, reason=reason)


def _faults(plan: Plan, evidence: Evidence) -> list[Row]:
    rows = []
    for fault, invoke in evidence.invokes.items():
        about = f"{invoke.kind} {', '.join(invoke.targets)}"
        failed = [event for event in evidence.fault_problems if event.fault == fault]
        if failed:
            reason = "; ".join(_said(event) for event in failed)
            rows.append(Row(about=about, hop="effect", result=Result.UNKNOWN, reason=f"{about}: {reason}"))
        elif fault not in evidence.effects:
            rows.append(
                Row(about=about, hop="effect", result=Result.UNKNOWN, reason=f"{about}: its effect was not seen")
            )
        else:
            rows.append(Row(about=about, hop="effect", result=Result.PASS))
    return rows


def _said(event: object) -> str:
    if isinstance(event, FaultFail):
        return f"the effect lapsed while it should have been in force: {event.reason}" if event.lapsed else event.reason
    return f"the undo failed: {getattr(event, 'reason', event)}"


def _steps(history: History) -> list[Row]:
    return [
        Row(
            about=f"step {event.step}",
            hop="effect",
            result=Result.UNKNOWN,
            reason=f"step {event.step} {'timed out' if event.outcome == 'timeout' else event.outcome}: {event.detail}",
        )
        for event in history.of(StepEnd)
        if event.outcome in ("failed", "timeout")
    ]


def _load(history: History, evidence: Evidence) -> Row:
    about = "load"
    down = next((e for e in history.of(Equipment) if e.name == "load" and e.state == "down"), None)
    if down is not None:
        return _unknown(
            about, "load", f"the load died under way ({down.detail}); what followed happened without traffic"
        )
    totals = next(history.of(LoadTotals), None)
    if totals is None:
        return _unknown(about, "load", "the load generator never gave its totals")
    if not totals.reconciled:
        return _unknown(about, "load", f"the generator's counts do not add up: {totals.detail}")
    begin = evidence.phases.get("steps", history.events[0].t)
    end = evidence.phases.get("stopping", history.last_t)
    reached = begin
    for window in history.of(LoadWindow):
        if window.second[0] - reached > _LOAD_GAP_S:
            break
        reached = max(reached, window.second[1])
    if end - reached > _LOAD_GAP_S:
        return _unknown(about, "load", f"no word from the load generator for more than {_LOAD_GAP_S:g} real seconds")
    return Row(about=about, hop="load", result=Result.PASS)


def _early_end(history: History) -> list[Row]:
    rows = [_unknown("run", "end", f"the run was ended early: {event.reason}") for event in history.of(Interruption)]
    if next(history.of(End), None) is None:
        torn = " in the middle of a line" if history.torn else ""
        rows.append(_unknown("run", "end", f"the history breaks off{torn}: the run did not come to its end"))
    return rows


def _unknown(about: str, hop: str, reason: str) -> Row:
    return Row(about=about, hop=hop, result=Result.UNKNOWN, reason=reason)
