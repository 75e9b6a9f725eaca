"""Making the plan: pure, from the four inputs and the target's inventory; every problem is found before it fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from chaoskit.alerting import windows
from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.promql import unaskable
from chaoskit.alerting.windows_expression import range_of
from chaoskit.errors import BadInput, Place, Problem, Refused
from chaoskit.plan.alerts import AlertPlanner
from chaoskit.plan.controls import plan_controls
from chaoskit.plan.model import Inventory, Plan, PlannedAlert, PlannedFault, PlannedStep
from chaoskit.plan.silences import wrong_silences
from chaoskit.plan.targets import TargetPlanner, undefined
from chaoskit.plan.witnesses import delay_of, waived, witnesses_of, wrong_names
from chaoskit.scenario.model import Do, FaultSpec, Inject, Profile, Scenario, Undo, Wait

SettingsCheck = Callable[[FaultSpec], list[Problem]]
"""Finds the problems of a fault's kind, target or settings; the plan itself knows no kinds."""

_JITTER_REAL_S = 0.02
"""The common uncertainty of an observation on a busy machine, in real seconds."""


def make_plan(
    scenario: Scenario,
    profile: Profile,
    config: AlertConfig,
    inventory: Inventory,
    *,
    time_scale: float,
    seed: int,
    check_settings: SettingsCheck | None = None,
    beside: Iterable[str] = (),
) -> Plan:
    """The plan of a run; raises BadInput with everything that is wrong, or Refused where limits forbid it.

    Without `check_settings` the faults' own settings are taken as they are (a history is judged by what it
    expected, on machines that may not know the kind).
    """
    targets = TargetPlanner(profile.handles, profile.limits, inventory, seed)
    planner = AlertPlanner(config, profile, time_scale, scenario.expect)
    problems: list[Problem] = []
    faults = _choose_targets(scenario, targets)
    alerts = []
    for expectation in scenario.expect:
        injected = faults.get(expectation.from_step, ())
        alert = planner.plan(expectation, injected)
        if alert is not None:
            alerts.append(alert)
    if check_settings is not None:
        specs = [spec for step, spec in scenario.faults() if isinstance(step, Inject)]
        problems += [problem for spec in specs for problem in check_settings(spec)]
        # Only before it is played: a history is judged by what came, however long its waits were allowed to be.
        problems += _unbounded_waits(scenario, config) + unaskable_waits(scenario, time_scale)
    controls, wrong = plan_controls(scenario, config)
    problems += wrong
    problems += targets.problems + planner.problems + _undefined_names(scenario, config)
    problems += [*wrong_names(profile, config), *wrong_silences(scenario, profile.target != "local")]
    if problems:
        raise BadInput(sorted(problems, key=lambda p: (p.place is None, p.place)))
    steps, end_vs = _timed(scenario, faults, alerts)
    plan = Plan(
        scenario=scenario,
        profile=profile,
        config=config,
        time_scale=time_scale,
        seed=seed,
        inventory=inventory,
        steps=steps,
        alerts=tuple(alerts),
        steady_vs=max((range_of(config, alert.rule) for alert in alerts), default=0.0),
        end_vs=end_vs,
        tail_vs=_tail_vs(config, profile, alerts, time_scale),
        warnings=(),
        beside=frozenset(beside),
        controls=controls,
        witnesses=witnesses_of(profile),
    )
    _refuse_beyond_limits(plan)
    return dataclasses.replace(plan, warnings=(*_scale_warnings(plan), *_waived(plan)))


def _choose_targets(scenario: Scenario, targets: TargetPlanner) -> dict[str, tuple[PlannedFault, ...]]:
    faults: dict[str, tuple[PlannedFault, ...]] = {}
    for step in scenario.steps:
        if isinstance(step, Inject):
            chosen = [targets.choose(f"{step.name}#{i}", spec) for i, spec in enumerate(step.faults)]
            faults[step.name] = tuple(fault for fault in chosen if fault is not None)
        elif isinstance(step, Do) and step.target:
            chosen_for = targets.choose(step.name, *step.faults)
            if chosen_for is not None:
                faults[step.name] = (chosen_for,)
                targets.release(chosen_for)
        elif isinstance(step, Undo):
            for name in step.targets or tuple(faults):
                for fault in faults.get(name, ()):
                    targets.release(fault)
    return faults


def _undefined_names(scenario: Scenario, config: AlertConfig) -> list[Problem]:
    alerts = {rule.alert for rule in config.rules if rule.alert} | config.unread
    named: list[tuple[str | None, Place]] = [(allow.alert, allow.place) for allow in scenario.allow]
    named += [(step.alert, step.place) for step in scenario.steps if isinstance(step, Wait)]
    named += [(each.suppressed_by, each.place) for each in scenario.expect]
    known = {*config.receivers, "total"}
    return [
        *(undefined("alert", name, alerts, place) for name, place in named if name and name not in alerts),
        *(undefined("receiver", name, known, scenario.place) for name in scenario.notices if name not in known),
    ]


def unaskable_waits(scenario: Scenario, time_scale: float) -> list[Problem]:
    """Waits for what Prometheus cannot be asked at this scale."""
    return [
        Problem(step.place, f"wait: '{step.query}' cannot be asked: {why}", "write another query, or --time-scale 1")
        for step in scenario.steps
        if isinstance(step, Wait) and step.query is not None and (why := unaskable(step.query, time_scale))
    ]


def _unbounded_waits(scenario: Scenario, config: AlertConfig) -> list[Problem]:
    """Waits for an alert that nothing before them promises: no window bounds them, and they would end at once."""
    problems = []
    ran: set[str] = set()
    for step in scenario.steps:
        ran.add(step.name)
        if not isinstance(step, Wait) or step.alert is None or step.at_most_vs is not None:
            continue
        promised = any(each.alert == step.alert and each.from_step in ran for each in scenario.expect)
        if not promised and config.alert_rules(step.alert):
            what = f"no expectation from a step before this one is of {step.alert}, so nothing bounds the wait for it"
            problems.append(Problem(step.place, what, f"say how long it may take: at_most: 2m, or expect {step.alert}"))
    return problems


def _timed(
    scenario: Scenario, faults: Mapping[str, tuple[PlannedFault, ...]], alerts: list[PlannedAlert]
) -> tuple[tuple[PlannedStep, ...], float]:
    steps: list[PlannedStep] = []
    ran: set[str] = set()
    undone: set[str] = set()
    for step in scenario.steps:
        ran.add(step.name)
        if isinstance(step, Undo):
            # What ends with `end` begins to clear as soon as its own faults are gone.
            undone.update(step.targets or ran)
        at_most = wait_bound_vs(step, alerts, ran, undone) if isinstance(step, Wait) else 0.0
        steps.append(PlannedStep(step, faults.get(step.name, ()), at_most))
    end = max((a.latest_all_clear_vs for a in alerts if a.expectation.until_step == "end"), default=0.0)
    return tuple(steps), end


def wait_bound_vs(step: Wait, alerts: list[PlannedAlert], ran: set[str], undone: set[str]) -> float:
    """The longest a wait may last, in virtual seconds from its beginning, given the steps that have run."""
    if step.at_most_vs is not None:
        return step.at_most_vs
    if step.duration_vs is not None:
        return step.duration_vs
    begun = [alert for alert in alerts if alert.expectation.from_step in ran]
    if step.alert is not None:
        begun = [alert for alert in begun if alert.expectation.alert == step.alert]
    clearing = [
        alert.expectation.until_step in ran
        or (alert.expectation.until_step == "end" and alert.expectation.from_step in undone)
        for alert in begun
    ]
    bounds = [
        a.latest_all_clear_vs if clears else a.latest_notice_vs for a, clears in zip(begun, clearing, strict=True)
    ]
    return max(bounds, default=0.0)


def _tail_vs(config: AlertConfig, profile: Profile, alerts: list[PlannedAlert], time_scale: float) -> float:
    """Until the last notice is told, and seen, which may be later than it was sent."""
    slowest = max(
        (notice.all_clear.hi_vs for alert in alerts for notice in alert.notices if notice.all_clear),
        default=config.route.group_interval_s,
    )
    target = profile.target
    delays_s = (0.0 if target == "local" else delay_of(target, by) for by in witnesses_of(profile))
    return slowest + windows.delivery_of(config, time_scale) + max(delays_s, default=0.0) * time_scale


def _refuse_beyond_limits(plan: Plan) -> None:
    limits = plan.profile.limits
    lasted: list[tuple[str, float]] = []
    in_force: dict[str, float] = {}
    for planned in plan.steps:
        for name in in_force:
            in_force[name] += planned.at_most_vs / plan.time_scale
        if isinstance(planned.step, Inject):
            in_force[planned.step.name] = 0.0
        elif isinstance(planned.step, Undo):
            lasted += [(name, in_force.pop(name, 0.0)) for name in planned.step.targets or tuple(in_force)]
    asked = [
        (f"fault '{name}' may be in force for {real_s:.0f} real seconds", "fault", limits.fault_s, real_s)
        for name, real_s in (*lasted, *in_force.items())
    ]
    asked.append((f"the run may take {plan.longest_real_s:.0f} real seconds", "run", limits.run_s, plan.longest_real_s))
    problems = [_beyond(plan, what, key, most_s, real_s) for what, key, most_s, real_s in asked if real_s > most_s]
    if problems:
        raise Refused(problems)


def _beyond(plan: Plan, what: str, key: str, most_s: float, real_s: float) -> Problem:
    message = f"{what} at scale {plan.time_scale:g}, the profile's limits.{key} is {most_s:.0f} s"
    hint = f"raise it with --set limits.{key}={int(real_s // 60) + 2}m, or choose a larger --time-scale"
    return Problem(plan.scenario.place, message, hint)


def _waived(plan: Plan) -> list[str]:
    """A warning for each waived integration of the receivers that this plan notifies; none on a local target."""
    target = plan.profile.target
    if target == "local":
        return []
    asked = {name for alert in plan.alerts for name in alert.receivers}
    names = [one for name in sorted(asked) for one in waived(target, plan.config.receivers[name])]
    return [f"{one} is waived in the profile: its delivery is not checked" for one in names]


def _scale_warnings(plan: Plan) -> tuple[str, ...]:
    warnings = []
    for alert in plan.alerts:
        hops = [(alert.detect, ""), (alert.hold, ""), (alert.clear, "")]
        hops += [(notice.notify, f" {notice.to}") for notice in alert.notices]
        for window, who in hops:
            largest = windows.largest_scale(window, _JITTER_REAL_S)
            if plan.time_scale > largest:
                warnings.append(
                    f"{alert.id}: {window.hop}{who} may end UNKNOWN at scale {plan.time_scale:g}: its instant must "
                    f"be known to within {window.resolution_vs:g} virtual s; choose --time-scale {largest:g} or less"
                )
    return tuple(warnings)
