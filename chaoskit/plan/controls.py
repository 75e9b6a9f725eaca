"""Negative controls in a plan: what is measured, on which side it must stay, and for how long.

The level must last for as long as a fault beyond the threshold would need until it fires.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.quantity import quantity_of
from chaoskit.alerting.windows import from_fault, from_undo, hold
from chaoskit.errors import Problem
from chaoskit.plan.model import PlannedControl
from chaoskit.plan.targets import undefined
from chaoskit.scenario.model import Change, Do, Inject, Scenario, Step, Undo, Wait
from chaoskit.units import format_duration


def plan_controls(scenario: Scenario, config: AlertConfig) -> tuple[tuple[PlannedControl, ...], list[Problem]]:
    """The controls of a scenario, and what is wrong with them."""
    found: list[PlannedControl] = []
    problems: list[Problem] = []
    for control in scenario.controls:
        rule = next(iter(config.alert_rules(control.alert)), None)
        if rule is None:
            alerts = {each.alert for each in config.rules if each.alert} | config.unread
            problems.append(undefined("alert", control.alert, alerts, control.place))
            continue
        quantity = quantity_of(rule.expr)
        if quantity is None:
            what = f"{control.alert} compares nothing with a number, so no level of it can be below its threshold"
            problems.append(Problem(control.place, what, "remove the control"))
            continue
        promised = config.promise.alerts.get(control.alert)
        levels = promised.levels if promised else None
        below = levels.fires > levels.quiet if levels else quantity.op in (">", ">=")
        names = [step.name for step in scenario.steps]
        begun, *after = scenario.steps[names.index(control.during) :]
        last = _ends(begun, after)
        # What passes sooner than `for` raises nothing; an alert without one may be raised by any instant.
        rises_vs = from_fault(config, rule).hi_vs
        settle_vs = (rises_vs if rule.for_s else 0.0) if isinstance(begun, Inject) else from_undo(config, rule).hi_vs
        held_vs = hold(rule).hi_vs + rule.interval_s
        found.append(
            PlannedControl(
                control,
                rule,
                quantity.text,
                levels.quiet if levels else quantity.threshold,
                below,
                reached=levels is not None or quantity.op in (">", "<"),
                settle_vs=settle_vs,
                least_vs=held_vs if rule.for_s and isinstance(begun, Inject) else rises_vs + held_vs,
                ends_before=last.name if last else "",
            )
        )
        problems += _too_short(after[: after.index(last) if last else None], found[-1])
    return tuple(found), problems


def _ends(begun: Step, after: Sequence[Step]) -> Step | None:
    """The step that ends the level of the one that began it; None where it lasts to the end."""
    if isinstance(begun, Do):
        return next((step for step in after if not isinstance(step, Wait)), None)
    of = begun.of if isinstance(begun, Change) else begun.name
    for step in after:
        ends = not step.targets or of in step.targets if isinstance(step, Undo) else False
        if ends or (isinstance(step, Change) and step.of == of):
            return step
    return None


def _too_short(during: Sequence[Step], planned: PlannedControl) -> list[Problem]:
    """Where nothing but durations is waited for, and they are not enough."""
    waits = [step for step in during if isinstance(step, Wait)]
    lasts_vs = sum(wait.duration_vs or 0.0 for wait in waits)
    if all(wait.duration_vs is not None for wait in waits) and lasts_vs < planned.needs_vs:
        needs, lasts = format_duration(planned.needs_vs), format_duration(lasts_vs)
        what = f"{planned.control.about}: the level lasts {lasts}, and the alert needs {needs} to fire"
        return [Problem(planned.control.place, what, f"add wait: {needs} or more after the step")]
    return []
