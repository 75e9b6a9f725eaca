"""What a scenario may do to a target that runs already, found out before anything is asked of it.

Faults reach what this host shows: processes by their titles, and whatever a program of the user's own does. The
limits are checked against the machine that they speak of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psutil

from chaoskit.errors import Problem
from chaoskit.faults.base import Kind
from chaoskit.faults.registry import known, known_actions
from chaoskit.handles import handle_kinds
from chaoskit.scenario.model import Attached, Change, Do, FaultSpec, Profile, Scenario

_INSTEAD = "use a process fault on a role with match:, or the command fault with programs of your own"


def wrong_for_attached(
    scenario: Scenario,
    profile: Profile,
    target: Attached,
    there: Mapping[str, tuple[str, ...]],
) -> list[Problem]:
    """Everything in a scenario and a profile that cannot be done on this target; `there` is what this host has."""
    problems = [*_load_problems(scenario, profile, target), *_limit_problems(profile, target)]
    for handle, one in profile.handles.each():
        if unread := one.unread(handle.partition(":")[2]):
            problems.append(Problem(profile.handles.places.get(handle, target.place), *unread))
    for step, spec in scenario.faults():
        kinds: Mapping[str, Kind[Any]] = known_actions() if isinstance(step, Do) else known()
        problems += _unreachable(spec, kinds.get(spec.kind), profile, target, there)
    return problems


def unread_handles(profile: Profile) -> tuple[str, ...]:
    """The handles of a profile for a target that runs already which no fault can reach there, for a sentence each."""
    return tuple(
        f"{profile.handles.places.get(handle, profile.place)}: {handle} cannot be reached on an attached target, "
        "so nothing reads it"
        for handle, one in profile.handles.each()
        if not one.attached
    )


def _unreachable(
    spec: FaultSpec, kind: Kind[Any] | None, profile: Profile, target: Attached, there: Mapping[str, tuple[str, ...]]
) -> list[Problem]:
    known_handles = handle_kinds()
    wanted = [name for name in known_handles if name in spec.target]
    needed = list(kind.handles) if kind is not None else []
    reached = {name for name, one in known_handles.items() if one.attached}
    if (needed and not reached & {*needed}) or not reached >= {*wanted}:
        what = (wanted or needed)[0]
        article = "an" if what[0] in "aeiou" else "a"
        message = f"{spec.kind} acts on {article} {what} handle, which cannot be reached on an attached target"
        return [Problem(spec.place, message, _INSTEAD)]
    if spec.kind == "http.request" and not target.service:
        return [Problem(spec.place, "http.request needs the target's service", "add service: URL to attached:")]
    for name in wanted:
        handle = profile.handles.of(name).get(str(spec.target[name]))
        # One that is defined nowhere is spoken of where targets are chosen.
        if handle and (trouble := handle.unreachable(spec.target[name], there.get(f"{name}:{spec.target[name]}", ()))):
            return [Problem(spec.place, *trouble)]
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
