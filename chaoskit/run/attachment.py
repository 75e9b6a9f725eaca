"""What a scenario may do to a target that runs already, found out before anything is asked of it.

Faults reach what this host shows: processes by their titles, and whatever a program of the user's own does. The
limits are checked against the machine that they speak of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import psutil

from chaoskit.errors import Problem
from chaoskit.scenario.model import Attached, Change, Do, FaultSpec, Inject, Profile, Scenario
from chaoskit.scenario.targets import HANDLES

_REACHED = "role"
_INSTEAD = "use a process fault on a role with match:, or the command fault with programs of your own"


def wrong_for_attached(
    scenario: Scenario,
    profile: Profile,
    target: Attached,
    there: Mapping[str, tuple[str, ...]],
    kinds: Mapping[str, Any],
    actions: Mapping[str, Any],
) -> list[Problem]:
    """Everything in a scenario and a profile that cannot be done on this target.

    `there`: what this host has, handle to names. `kinds` and `actions`: those that are known, by name.
    """
    problems = [*_load_problems(scenario, profile, target), *_limit_problems(profile, target)]
    problems += [
        Problem(
            profile.handles.places.get(f"role.{name}", target.place),
            f"the role '{name}' says process: {role.process} beside match:, which nothing reads on an attached target",
            "its processes are found by match: alone; remove process:",
        )
        for name, role in profile.handles.role.items()
        if role.match and role.process
    ]
    for spec, known in _specs(scenario, kinds, actions):
        problems += _unreachable(spec, known.get(spec.kind), profile, target, there)
    return problems


def _specs(
    scenario: Scenario, kinds: Mapping[str, Any], actions: Mapping[str, Any]
) -> Iterator[tuple[FaultSpec, Mapping[str, Any]]]:
    for step in scenario.steps:
        if isinstance(step, Inject):
            yield from ((spec, kinds) for spec in step.faults)
        elif isinstance(step, Do):
            yield FaultSpec(step.action, step.target, step.settings, step.place), actions


def _unreachable(
    spec: FaultSpec, kind: Any, profile: Profile, target: Attached, there: Mapping[str, tuple[str, ...]]
) -> list[Problem]:
    wanted = [key for key in HANDLES if key in spec.target]
    needed = tuple(kind.handles) if kind is not None else ()
    if (needed and _REACHED not in needed) or any(key != _REACHED for key in wanted):
        what = (wanted or list(needed))[0]
        article = "an" if what[0] in "aeiou" else "a"
        message = f"{spec.kind} acts on {article} {what} handle, which cannot be reached on an attached target"
        return [Problem(spec.place, message, _INSTEAD)]
    if spec.kind == "http.request" and not target.service:
        return [Problem(spec.place, "http.request needs the target's service", "add service: URL to attached:")]
    role = profile.handles.role.get(str(spec.target.get(_REACHED)))
    if role is None:
        return []  # No role, or one that is defined nowhere, which is said where targets are chosen.
    name = spec.target[_REACHED]
    if not role.match:
        message = f"the role '{name}' has no match:, so its processes cannot be found on this host"
        return [Problem(spec.place, message, r"write match: 'TITLE (?P<name>\S+)' in the profile's handles")]
    if not there.get(f"{_REACHED}:{name}"):
        message = f"no process of this host has a title like '{role.match}' (role '{name}')"
        return [Problem(spec.place, message, "compare it with what `ps -eo args` shows; the whole title must match")]
    return []


def _load_problems(scenario: Scenario, profile: Profile, target: Attached) -> list[Problem]:
    load = profile.load
    if not load.given:
        hint = "give the profile a load: {locustfile: PATH}"
        changes = [one for one in scenario.steps if isinstance(one, Change) and one.of == "load"]
        return [Problem(one.place, f"{one.name} changes the load, and there is none", hint) for one in changes]
    problems = []
    if not target.service:
        problems.append(
            Problem(load.place_of("load"), "there is load and nowhere to send it", "add service: URL to attached:")
        )
    if load.locustfile is None:
        message = "an attached target does not tell what can be asked of it, so the load needs tasks of its own"
        problems.append(
            Problem(load.place_of("load"), message, "write load: {locustfile: PATH, users: 5}, or remove it")
        )
    return problems


def _limit_problems(profile: Profile, target: Attached) -> list[Problem]:
    limits, problems = profile.limits, []
    cpus, memory = psutil.cpu_count() or 1, psutil.virtual_memory()
    if limits.cpu is not None and limits.cpu > cpus:
        problems.append(
            Problem(profile.place, f"limits.cpu is {limits.cpu:g}, and this machine has {cpus} CPUs", "lower it")
        )
    if limits.memory_bytes is not None and limits.memory_bytes > memory.available:
        free = memory.available // 2**20
        message = f"limits.memory is {limits.memory_bytes // 2**20} MiB, and {free} MiB are free on this machine"
        problems.append(Problem(profile.place, message, "lower it"))
    return problems
