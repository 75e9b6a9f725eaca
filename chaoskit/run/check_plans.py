"""Whether scenarios can be planned, asked of the planner itself: `check` passes nothing that `plan` refuses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chaoskit.alerting.model import AlertConfig
from chaoskit.check.findings import Said, Severity
from chaoskit.errors import BadInput, Problem
from chaoskit.inputs import Inputs
from chaoskit.run.planning import plan_inputs, wrong_steps
from chaoskit.scenario.model import Profile, Scenario
from chaoskit.stack.local import wrong_handles


def ask_faults(scenarios: Iterable[Scenario]) -> tuple[Said, ...]:
    """What is wrong with the steps of these scenarios; raises BadInput when a plugin is no fault."""
    return tuple(_said(each, scenario) for scenario in scenarios for each in wrong_steps(scenario))


def ask_plans(scenarios: Iterable[Scenario], profiles: Sequence[Profile], config: AlertConfig) -> tuple[Said, ...]:
    """Why a scenario can be planned with none of the local profiles, and what is wrong with their handles.

    What an attached target has is found only where it runs, so with such a profile nothing is asked.
    """
    local = [profile for profile in profiles if profile.target == "local"]
    found = [_said(each, profile) for profile in local for each in wrong_handles(profile.handles)]
    for scenario in scenarios:
        sound = [one for one in local if not wrong_handles(one.handles) and not _only_attached(scenario, one, profiles)]
        tried = [_refused(Inputs(scenario, profile, config)) for profile in sound]
        if tried and all(tried):
            found += sorted(tried, key=len)[0]
    return tuple(dict.fromkeys(found))


def _refused(inputs: Inputs) -> list[Said]:
    for at_any_scale, severity in ((True, None), (False, Severity.INFO)):
        try:
            plan_inputs(inputs, at_any_scale=at_any_scale)
        except BadInput as error:
            return [_said(each, inputs.scenario, severity) for each in error.problems]
    return []


def _only_attached(scenario: Scenario, local: Profile, profiles: Iterable[Profile]) -> bool:
    """Whether a scenario acts on a handle that only an attached target's profile defines."""
    wanted = {f"{kind}:{spec.target[kind]}" for _, spec in scenario.faults() for kind in spec.target}
    wanted -= dict(local.handles.each()).keys()
    return any(wanted & dict(profile.handles.each()).keys() for profile in profiles if profile.target != "local")


def _said(problem: Problem, about: Scenario | Profile, severity: Severity | None = None) -> Said:
    return Said(problem.place or about.place, problem.message, problem.hint or "correct it", severity)
