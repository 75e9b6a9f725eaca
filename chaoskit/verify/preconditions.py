"""The preconditions of all hops: a configuration that can be read, a steady state, faults that took effect and
lasted, clocks that can be compared, and an end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaoskit.events import End, FaultFail, Interruption, Steady, StepEnd, UndoFail
from chaoskit.hop import Hop
from chaoskit.scenario.model import Change, Do, Inject
from chaoskit.verify.case import Case
from chaoskit.verify.check import Check, Owed, Strict, kept, unknown

_BACK_S = 1e-6
"""Events are stamped one after the other, so an earlier stamp means that the clock went back."""


def _configuration(case: Case) -> Iterator[Strict]:
    """The parts of the files that could not be read or settled, where something that is expected rests on it.

    A rehearsal plays without what is wrong in its files, and names that once, not in each of its drills.
    """
    for each in case.plan.puzzles:
        if case.rehearsal and each.broken and case.plan.rests_on.isdisjoint(each.of):
            continue
        yield unknown(Hop.CONFIGURATION, each.of[0] if each.of else "configuration", str(each))
    for doubt in case.history.header.doubts:
        yield unknown(Hop.CONFIGURATION, "configuration", doubt)


def _steady(case: Case) -> Iterator[Strict]:
    """Whether the run had a steady state to begin from."""
    event, about = next(case.history.of(Steady), None), "before the fault"
    if event is None:
        yield unknown(Hop.STEADY, about, "the run ended before the steady state was reached")
    elif event.reached:
        yield kept(Hop.STEADY, about, "nothing was missing")
    else:
        reason = f"steady state not reached, so no fault was injected: {'; '.join(event.missing)}"
        yield unknown(Hop.STEADY, about, reason)


def _effects(case: Case) -> Iterator[Strict]:
    """Whether each fault's effect was seen, and lasted."""
    for fault, invoke in case.evidence.faults.invokes.items():
        about = _named(invoke.kind, invoke.targets)
        failed = [_said(event) for event in case.evidence.faults.problems if event.fault == fault]
        if failed:
            yield unknown(Hop.EFFECT, about, f"{about}: {'; '.join(failed)}")
        elif fault not in case.evidence.faults.effects:
            yield unknown(Hop.EFFECT, about, f"{about}: the fault's effect was not seen")
        else:
            yield kept(Hop.EFFECT, about, "seen in force")


def _said(event: FaultFail | UndoFail) -> str:
    if isinstance(event, UndoFail):
        return f"the undo failed: {event.reason}"
    return f"the effect lapsed while it should have been in force: {event.reason}" if event.lapsed else event.reason


def _steps(case: Case) -> Iterator[Strict]:
    """One for each action and change that was confirmed, and for each step that did not come to its end."""
    ended = [event for event in case.history.of(StepEnd) if event.outcome in ("failed", "timeout")]
    failed = {event.step for event in ended}
    for planned in case.plan.steps:
        name = planned.step.name
        if isinstance(planned.step, Do | Change) and name in case.evidence.actions and name not in failed:
            yield kept(Hop.EFFECT, f"step {name}", "confirmed")
    for event in ended:
        how = "timed out" if event.outcome == "timeout" else event.outcome
        yield unknown(Hop.EFFECT, f"step {event.step}", f"step {event.step} {how}: {event.detail}")


def _owes_effects(case: Case) -> Iterator[Owed]:
    for planned in case.plan.steps:
        if isinstance(planned.step, Inject):
            yield from ((_named(fault.spec.kind, fault.targets), Hop.EFFECT, "") for fault in planned.faults)
        elif isinstance(planned.step, Do | Change):
            yield f"step {planned.step.name}", Hop.EFFECT, ""


def _named(kind: str, targets: Sequence[str]) -> str:
    """A fault in rows, as `process.kill worker-1`."""
    return f"{kind} {', '.join(targets)}"


def _clocks(case: Case) -> Iterator[Strict]:
    """Nothing where the clocks kept together: their uncertainty is part of every hop's."""
    clock = case.evidence.clock
    if not clock.known:
        reason = "Prometheus's clock was never compared with ours: no time between fault, alert and notice is known"
        yield unknown(Hop.CLOCK, "clocks", reason)
    elif clock.was_set:
        reason = (
            f"Prometheus's clock or this machine's was set during the run, by up to {clock.parted_s:.3f} real s; "
            "every time between a fault, an alert and a notice is uncertain by as much"
        )
        yield unknown(Hop.CLOCK, "clocks", reason)
    if (back_s := case.evidence.set_back_s) > _BACK_S:
        reason = f"this machine's clock was set back during the run, by {back_s:.3f} real s or more: spans are unknown"
        yield unknown(Hop.CLOCK, "clocks", reason)


def _end(case: Case) -> Iterator[Strict]:
    """Whether the run came to its end, with everything taken back."""
    for event in case.history.of(Interruption):
        yield unknown(Hop.END, "run", f"the run was ended early: {event.reason}")
    if next(case.history.of(End), None) is None:
        torn = " in the middle of a line" if case.history.torn else ""
        yield unknown(Hop.END, "run", f"the history breaks off{torn}: the run was killed, or is still going on")


CONFIGURATION = Check("configuration", Case, _configuration, always=True)
STEADY = Check("the steady state", Case, _steady, lambda _: [("before the fault", Hop.STEADY, "")], always=True)
EFFECTS = Check("the faults' effects", Case, _effects, _owes_effects)
STEPS = Check("the steps", Case, _steps)
CLOCKS = Check("the clocks", Case, _clocks)
END = Check("the end", Case, _end, always=True)
