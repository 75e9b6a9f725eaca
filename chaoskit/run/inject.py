"""One fault by hand, for a time: a run whose plan is one step and a wait, on the process or link of its address.

The runner plays it like any other, with the same journal, holder, lease, lock and watchdog. Nothing is watched and
nothing is judged: there is neither a Prometheus nor an Alertmanager to ask.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from chaoskit.alerting.config import load_texts
from chaoskit.errors import BadInput, ExitCode, Place, Problem
from chaoskit.events import SCHEMA, Event, FaultFail, Header
from chaoskit.faults.base import Fault, FaultError, Settings, Target
from chaoskit.faults.hit import hit
from chaoskit.faults.processes import find
from chaoskit.faults.registry import known, read_settings
from chaoskit.handles import handle_kinds
from chaoskit.handles.address import Address
from chaoskit.handles.base import Handle
from chaoskit.plan.model import Plan, PlannedFault, PlannedStep
from chaoskit.plan.targets import undefined
from chaoskit.run.prepare import versions
from chaoskit.run.runner import Runner
from chaoskit.run.target import Live
from chaoskit.run.track import Track
from chaoskit.scenario.model import Attached, FaultSpec, Handles, Inject, Limits, Scenario, Wait
from chaoskit.scenario.profile import load_profile
from chaoskit.stack.attached import AttachedStack
from chaoskit.trust import read_secret

STEP = "by-hand"
FAULT = f"{STEP}#0"
LONGEST_S = 3600.0
_SPARE_S = 5.0
"""Real seconds that the holder keeps the effect beyond the asked time, should the run not take it back."""
_HERE = Place("the command line")
_NOWHERE = {**dict.fromkeys(("prometheus", "alertmanager", "metrics"), "http://127.0.0.1:1"), "environment": "by-hand"}


@dataclass(frozen=True, slots=True)
class Order:
    """A fault to inject by hand: kind, settings, target, and for how many real seconds."""

    kind: Fault[Any]
    settings: Settings
    given: Mapping[str, Any]
    """The fault's settings as they were given on the command line."""
    target: Target
    for_s: float

    def locks(self) -> list[str]:
        """The names under which what it hits is locked, however that was spelt; its handle where it names nothing."""
        return hit(self.target.address, self.target.names) or [f"{self.kind.kind} {self.target.handle}".strip()]


def order(
    kind: str,
    handle: str,
    names: tuple[str, ...],
    address: Mapping[str, Any],
    settings: Mapping[str, Any],
    for_s: float,
    confirm: str = "",
) -> Order:
    """The checked order of one fault by hand; touches nothing. Raises BadInput with every problem.

    `confirm` names the handle where its effect does not end by itself.
    """
    kinds, place = known(), _HERE
    if kind not in kinds:
        raise BadInput(undefined("fault kind", kind, kinds, place))
    fault = kinds[kind]
    found, problems = read_settings(fault, settings, place)
    if fault.handles and handle.partition(":")[0] not in fault.handles:
        wanted = " or ".join(f"{one}:NAME" for one in fault.handles)
        problems.append(Problem(place, f"{kind} cannot act on '{handle}'", f"write --target {wanted}"))
    kind_of_handle = handle_kinds().get(handle.partition(":")[0], Handle)
    if "via" in address:
        where, names, wrong = _through(fault, handle, names, address, confirm.split(","))
    else:
        where, wrong = _address(kind_of_handle, handle, names, address, place)
    problems += wrong
    if not 0 < for_s <= LONGEST_S:
        problems.append(Problem(place, f"--for {for_s:g}s is out of bounds", f"at most {LONGEST_S:g}s"))
    if problems or found is None:
        raise BadInput(problems)
    return Order(fault, found, settings, Target(handle, names, where), for_s)


def _secret_trouble(file: Path, place: Place) -> list[Problem]:
    try:
        read_secret(file)
    except OSError as error:
        return [Problem(place, f"the token in {file} cannot be used: {error.strerror}", "name a file of yours")]
    return []


def _through(
    fault: Fault[Any], handle: str, names: tuple[str, ...], given: Mapping[str, Any], confirmed: Iterable[str]
) -> tuple[Address, tuple[str, ...], list[Problem]]:
    """The address and the things of a handle with a `via`, and what is wrong with it, as a profile's reader says it."""
    sort, _, name = handle.partition(":")
    name = name or "by-hand"
    text = {"chaoskit": 1, "target": {"attached": _NOWHERE}, "handles": {sort: {name: dict(given)}}}
    try:
        one = load_profile(json.dumps(text), str(Path.cwd() / _HERE.file)).handles.of(sort)[name]
    except BadInput as error:
        found = [replace(each, place=_HERE) for each in error.problems]
        return Address(), names, found
    problems = []
    there = one.things(find)
    if there is not None and (trouble := one.unreachable(name, there)):
        problems.append(Problem(_HERE, *trouble))
    if (carried := one.carries()) is not None and fault.kind not in carried:
        problems.append(
            Problem(_HERE, f"{fault.kind} cannot be done via {one.via}", f"it carries {', '.join(carried)}")
        )
    if one.endless(fault.kind) and handle not in confirmed:
        message = f"what {fault.kind} does to {handle} does not end by itself should this machine go down"
        problems.append(Problem(_HERE, message, f"add --confirm {handle}"))
    return one.at_attached(""), names or there or (), problems


def _address(
    kind: type[Handle], handle: str, names: tuple[str, ...], given: Mapping[str, Any], place: Place
) -> tuple[Address, list[Problem]]:
    """The address that was given, and what is wrong with it for handles of this kind."""
    known = {one.name for one in fields(kind.address)}
    problems = [undefined("key of --at", key, known, place) for key in given if key not in known]
    try:
        found = msgspec.convert({key: value for key, value in given.items() if key in known}, kind.address)
    except msgspec.ValidationError as error:
        return Address(), [*problems, Problem(place, f"--at: {error}", "see `chaoskit list --handles`")]
    # Healing may be done from another folder.
    whole: dict[str, Any] = {key: str(Path(value).absolute()) for key, value in found.ways("path", "secret")}
    found = replace(found, **whole)
    problems += [each for key, file in found.ways("secret") for each in _secret_trouble(Path(file), place)]
    problems += [Problem(place, *trouble) for trouble in kind.wrong_by_hand(handle, names, found)]
    return found, problems


def inject(
    order: Order, make_folder: Callable[[], Path], listen: Callable[[Event], None], leave: Callable[[int], None]
) -> ExitCode:
    """PASS after an effect that was seen and taken back in its time; ABORTED, UNKNOWN or NOT_HEALED otherwise.

    Played into a new folder, from the main thread. `leave` ends the process when it is told twice to stop. Raises
    BadInput, and makes no folder, where the target is not there; Refused, with nothing touched, where it is locked.
    """
    try:
        longest_s = order.kind.longest_s(order.kind.prepare(order.target, order.settings))
    except FaultError as error:
        raise BadInput(Problem(None, f"{order.kind.kind}: {error}", "nothing was touched")) from None
    folder, plan = make_folder(), _plan(order, longest_s)
    target = plan.profile.target
    assert isinstance(target, Attached)
    stack = AttachedStack(folder, target, Handles(), (), given=(order.target.address, order.locks()))

    def hear(event: Event) -> None:
        listen(event)
        if isinstance(event, FaultFail) and event.lapsed:
            runner.interrupt("")  # An effect that went by itself is not waited for any longer.

    track = Track(plan, _header(folder), folder, hear)
    runner = Runner(Live(stack), [[track]], leave)
    if not runner.run():
        return ExitCode.NOT_HEALED
    return _outcome(track)


def _outcome(track: Track) -> ExitCode:
    faults = track.progress.fold.faults
    taken_back_at = faults.undo_begun.get(FAULT, float("inf"))
    lapsed = any(isinstance(one, FaultFail) and one.lapsed and one.t < taken_back_at for one in faults.problems)
    if lapsed or any(not one.trouble for one in track.progress.fold.interruptions):
        return ExitCode.ABORTED
    return ExitCode.PASS if FAULT in faults.effects and not faults.problems else ExitCode.UNKNOWN


def _plan(order: Order, longest_s: float) -> Plan:
    spec = FaultSpec(order.kind.kind, {}, order.given, _HERE)
    fault = PlannedFault(FAULT, spec, order.target.handle, order.target.names, "")
    steps = (
        PlannedStep(Inject(STEP, (spec,), _HERE), (fault,)),
        PlannedStep(Wait("for", _HERE, duration_vs=order.for_s), at_most_vs=order.for_s),
    )
    scenario = Scenario(STEP, "one fault by hand", "", (), tuple(s.step for s in steps), (), (), {}, _HERE)
    profile = load_profile(json.dumps({"chaoskit": 1, "target": {"attached": _NOWHERE}}), _HERE.file)
    limits = Limits(fault_s=order.for_s + _SPARE_S + longest_s)
    profile = replace(profile, target=Attached("", "", "", ""), limits=limits, abort=())
    config = load_texts({}, complete=False)
    return Plan(scenario, profile, config, 1.0, 0, {}, steps, (), 0.0, 0.0, 0.0, ())


def _header(folder: Path) -> Header:
    return Header(
        schema=SCHEMA,
        run_id=folder.name,
        scenario="",
        profile="",
        sources={},
        settings=[],
        time_scale=1.0,
        seed=0,
        versions=versions(None),
        doors=[],
        targets={},
        notes=[f"one fault by hand at {time.strftime('%Y-%m-%d %H:%M:%S')}; there is nothing to judge"],
    )
