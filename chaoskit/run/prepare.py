"""From what the user asked for to a run that can begin: whatever can be wrong is found before anything starts."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaoskit import __version__
from chaoskit.alerting.config import load_folder
from chaoskit.errors import BadInput, Place, Problem, Refused
from chaoskit.events import SCHEMA, Header
from chaoskit.faults.base import Fault
from chaoskit.faults.registry import changeable, known, known_actions, read_settings
from chaoskit.inputs import Inputs, read_inputs
from chaoskit.plan.build import make_plan
from chaoskit.plan.model import Inventory, Plan
from chaoskit.plan.names import undefined
from chaoskit.run.traffic import check_load
from chaoskit.scenario.catalog import find_profile, find_scenario
from chaoskit.scenario.model import Change, Do, FaultSpec, Inject
from chaoskit.stack.binaries import Binaries, require
from chaoskit.stack.doors import Door, DoorBook
from chaoskit.stack.local import MIX, LocalStack, inventory
from chaoskit.stack.localize import Ports, localize
from chaoskit.stack.monitoring import check_alertmanager, check_rules
from chaoskit.stack.ports import reserve
from chaoskit.yaml_source import read_text


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asked for, as given on the command line."""

    scenario: str
    profile: str
    bundle: Path
    settings: tuple[str, ...] = ()
    time_scale: float | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that can begin."""

    plan: Plan
    header: Header
    stack: LocalStack
    kinds: Mapping[str, type[Fault]]
    folder: Path


def plan_for(asked: Asked) -> tuple[Plan, dict[str, str], str, str]:
    """The plan, the texts it was made from, and the names of scenario and profile in them; touches nothing.

    Raises BadInput or Refused with every problem at once.
    """
    problems: list[Problem] = []
    sources: dict[str, str] = {}
    names = {}
    for role, find, name in (("scenario", find_scenario, asked.scenario), ("profile", find_profile, asked.profile)):
        try:
            file = find(name)
            sources[f"{role}:{file}"] = read_text(file)
            names[role] = str(file)
        except BadInput as error:
            problems += error.problems
    try:
        sources |= load_folder(asked.bundle).sources
    except BadInput as error:
        problems += error.problems
    if problems:
        problems += _readable(sources, names, asked)
        raise BadInput(dict.fromkeys(problems))
    inputs = read_inputs(sources, names["scenario"], names["profile"], asked.settings)
    if inputs.profile.target != "local":
        raise BadInput(
            Problem(
                inputs.profile.place, "an attached target cannot be run against yet", "use a profile with target: local"
            )
        )
    plan = make_plan(
        inputs.scenario,
        inputs.profile,
        inputs.config,
        Inventory(inventory()),
        time_scale=asked.time_scale or inputs.profile.time_scale,
        seed=asked.seed,
        check_settings=_settings_check(inputs),
    )
    check_load(plan, MIX)
    _refuse_unfaithful(plan)
    return plan, sources, names["scenario"], names["profile"]


def prepare(asked: Asked, folder: Callable[[Plan], Path]) -> Prepared:
    """Everything that a run needs, computed, checked with promtool and amtool, written nowhere but in its folder."""
    plan, sources, scenario, profile = plan_for(asked)
    binaries = require()
    check_configuration(binaries, asked.bundle, sources)
    ports = Ports(*reserve(len(Ports.__dataclass_fields__)))
    book = DoorBook(ports.webhook)
    run_folder = folder(plan)
    needed = frozenset({alert.rule.alert for alert in plan.alerts} | {allow.alert for allow in plan.scenario.allow})
    localized = localize(sources, run_folder / "stack", ports, plan.time_scale, book, needed)
    header = Header(
        schema=SCHEMA,
        run_id=run_folder.name,
        scenario=Path(scenario).name,
        profile=Path(profile).name,
        sources=_by_name(sources),
        settings=list(asked.settings),
        time_scale=plan.time_scale,
        seed=plan.seed,
        versions=versions(binaries),
        doors=[_described(door) for door in localized.doors],
        targets={handle: list(names) for handle, names in plan.inventory.names.items()},
        notes=list(localized.notes),
    )
    stack = LocalStack(run_folder / "stack", binaries, localized, ports, plan.time_scale, None)
    return Prepared(plan, header, stack, known(), run_folder)


def check_configuration(binaries: Binaries, bundle: Path, sources: Mapping[str, str]) -> None:
    """Lets promtool and amtool have their word on the files as they are; raises BadInput with all they say."""
    rules = [bundle / key.partition(":")[2] for key in sources if key.startswith("rules:")]
    managers = [bundle / key.partition(":")[2] for key in sources if key.startswith("alertmanager:")]
    problems = list(check_rules(binaries, rules))
    for file in managers:
        problems += check_alertmanager(binaries, file)
    if problems:
        raise BadInput(problems)


def make_folder(out: Path | None, name: str) -> Path:
    """The run's own new folder, and `latest` beside it; raises BadInput when it cannot be made."""
    parent = out or Path("chaoskit-runs")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for attempt in range(100):
        folder = parent / (f"{stamp}-{name}" + (f"-{attempt + 1}" if attempt else ""))
        try:
            folder.mkdir(parents=True)
            _point_latest(parent, folder)
            return folder.resolve()
        except FileExistsError:
            continue
        except OSError as error:
            raise BadInput(
                Problem(
                    Place(str(parent)),
                    f"no folder for the run can be made here: {error.strerror}",
                    "choose another --out",
                )
            ) from None
    raise BadInput(Problem(Place(str(parent)), "a hundred runs began here in this second", "choose another --out"))


def versions(binaries: Binaries | None) -> dict[str, str]:
    """Versions of what takes part, for the history's header."""
    found = {"chaoskit": __version__, "python": platform.python_version(), "system": platform.platform()}
    if binaries is not None:
        found |= {name: str(version) for name, version in binaries.versions.items()}
    return found


def _by_name(sources: Mapping[str, str]) -> dict[str, str]:
    """Sources as a history carries them: where scenario and profile lay on this machine is nobody's business."""
    return {
        f"{role}:{Path(file).name}" if role in ("scenario", "profile") else key: text
        for key, text in sources.items()
        for role, _, file in [key.partition(":")]
    }


def _readable(sources: Mapping[str, str], names: Mapping[str, str], asked: Asked) -> list[Problem]:
    """Where one input cannot even be found, the others are read all the same, so that nothing is told piecemeal."""
    from chaoskit.scenario.loader import load_scenario
    from chaoskit.scenario.profile import load_profile

    problems: list[Problem] = []
    for role, load in (("scenario", load_scenario), ("profile", load_profile)):
        if role in names:
            try:
                load(sources[f"{role}:{names[role]}"], names[role], asked.settings)
            except BadInput as error:
                problems += error.problems
    return problems


def _settings_check(inputs: Inputs) -> Callable[[FaultSpec], list[Problem]]:
    kinds, actions = known(), known_actions()
    problems = [
        Problem(abort.place, "abort conditions cannot be watched yet", "remove abort: from the profile")
        for abort in inputs.profile.abort
    ]
    injected: dict[str, tuple[FaultSpec, ...]] = {}
    for step in inputs.scenario.steps:
        if isinstance(step, Inject):
            injected[step.name] = step.faults
        elif isinstance(step, Do):
            spec = FaultSpec(step.action, step.target, step.settings, step.place)
            problems += _wrong_with(spec, actions, "action")
        elif isinstance(step, Change) and step.of != "load":
            for spec in injected.get(step.of, ()):
                problems += _wrong_with_change(step, spec, kinds)
    if problems:
        raise BadInput(problems)
    return lambda spec: _wrong_with(spec, kinds, "fault kind")


def _wrong_with(spec: FaultSpec, kinds: Mapping[str, Any], what: str) -> list[Problem]:
    kind = kinds.get(spec.kind)
    if kind is None:
        return [undefined(what, spec.kind, kinds, spec.place)]
    problems = read_settings(kind, spec.settings, spec.place)[1]
    if kind.handles and not any(handle in spec.target for handle in kind.handles):
        wanted = " or ".join(kind.handles)
        problems.append(
            Problem(spec.place, f"{spec.kind} needs a target with {wanted}", f"write target: {{{wanted}: …}}")
        )
    return problems


def _wrong_with_change(step: Change, spec: FaultSpec, kinds: Mapping[str, type[Fault]]) -> list[Problem]:
    kind = kinds.get(spec.kind)
    if kind is None:
        return []  # said where it is injected
    if not changeable(kind):
        hint = f"{spec.kind} has no levels: undo it and inject it anew"
        return [Problem(step.place, f"{step.of} cannot be changed while in force", hint)]
    return read_settings(kind, {**spec.settings, **step.settings}, step.place)[1]


def _refuse_unfaithful(plan: Plan) -> None:
    """Raises Refused for faults whose consequences this time scale would falsify."""
    problems = []
    for step in plan.steps:
        for fault in step.faults if isinstance(step.step, Inject) else ():
            largest_scale = getattr(known()[fault.spec.kind], "largest_scale", None)
            if largest_scale is None:
                continue
            largest, reason = largest_scale(fault.targets)
            if plan.time_scale > largest:
                what = f"{fault.spec.kind} on {', '.join(fault.targets)} is not faithful at scale {plan.time_scale:g}"
                hint = f"choose --time-scale {largest:g} or less"
                problems.append(Problem(fault.spec.place, f"{what}: {reason}", hint))
    if problems:
        raise Refused(problems)


def _described(door: Door) -> dict[str, Any]:
    return {
        "receiver": door.receiver,
        "integration": door.integration,
        "index": door.index,
        "kind": door.kind,
        "send_resolved": door.send_resolved,
    }


def _point_latest(parent: Path, folder: Path) -> None:
    link = parent / "latest"
    fresh = parent / f".latest-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder.name)
    fresh.replace(link)
