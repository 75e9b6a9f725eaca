"""From the command line to a plan: every mistake in the input is found before a program starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.promql import unaskable
from chaoskit.alerting.virtual import exact_scale
from chaoskit.check.findings import Severity, Violation
from chaoskit.errors import BadInput, Place, Problem, Refused
from chaoskit.faults.base import Changeable, Kind
from chaoskit.faults.hit import hit
from chaoskit.faults.processes import HOW_TO_CHOOSE, several
from chaoskit.faults.registry import known, known_actions, read_settings
from chaoskit.faults.through import adapter_of
from chaoskit.handles import handle_kinds
from chaoskit.handles.address import Address
from chaoskit.handles.base import Handle
from chaoskit.handles.equipment import ALERTMANAGER, HANDLE
from chaoskit.host.ports import LOOPBACKS
from chaoskit.inputs import Inputs, attempt, read_inputs
from chaoskit.localize.configuration import incompressible
from chaoskit.plan.build import make_plan, unaskable_waits
from chaoskit.plan.model import Plan
from chaoskit.plan.paged import paged
from chaoskit.plan.targets import undefined
from chaoskit.run.abort import wrong_with
from chaoskit.run.traffic import check_load
from chaoskit.scenario.catalog import find_profile, find_scenario
from chaoskit.scenario.model import Attached, Change, Do, FaultSpec, Inject, Profile, Scenario, Wait
from chaoskit.stack import attached, local
from chaoskit.stack.local import MIX, wrong_handles
from chaoskit.stack.original import Answer, ask
from chaoskit.verify.worded import ROLE
from chaoskit.yaml_source import read_text


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of a run as given on the command line."""

    scenario: str
    profile: str
    files: ConfigFiles
    settings: tuple[str, ...] = ()
    time_scale: float | None = None
    seed: int = 0
    confirm: str = ""
    """The environment that the user is about to break, by name; only an attached target wants it."""
    beside: tuple[str, ...] = ()
    """Alerts that other scenarios expect, which are to run on the same stack."""
    yours: Mapping[str, str] = field(default_factory=dict)
    """Versions of the user's own prometheus and alertmanager, as far as they are known."""
    answer: Answer | None = None
    """The words of promtool and amtool on the files, where they were asked before."""

    def answer_on(self, config: AlertConfig) -> Answer:
        """The answers of promtool and amtool on the files, which are `config`; asked only where not known yet."""
        return self.answer or ask(config, self.yours)


Planned = tuple[Plan, dict[str, str], str, str]
"""The plan, the texts it was made from, and the names of scenario and profile in them."""


def plan_for(asked: Asked) -> Planned:
    """The plan, the texts it was made from, and the names of scenario and profile in them; touches nothing.

    Of an attached target it looks at the processes on this host only, and sends no request.

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
    config = attempt(lambda: asked.files.load(complete=True), problems)
    sources |= config.sources if config else {}
    if problems or config is None:
        problems += _readable(sources, names, asked)
        raise BadInput(dict.fromkeys(problems))
    inputs = read_inputs(sources, names["scenario"], names["profile"], asked.settings)
    approved = approved_texts(asked.files.approved, {each.alert for each in inputs.scenario.expect})
    sources |= approved
    told = {**inputs.config.sources, **approved}
    inputs = replace(inputs, config=replace(inputs.config, paths=config.paths, sources=told))
    if inputs.profile.target == "local" or asked.yours:
        answer = asked.answer_on(config)
        inputs = replace(inputs, config=inputs.config.without(answer.settle(config).set_aside))
    plan = plan_inputs(inputs, asked.time_scale, asked.seed, asked.beside)
    return plan, sources, names["scenario"], names["profile"]


def by_name(sources: Mapping[str, str]) -> dict[str, str]:
    """Sources as a history carries them: scenario and profile by name, without this machine's folders."""
    return {
        f"{role}:{Path(file).name}" if role in ("scenario", "profile") else key: text
        for key, text in sources.items()
        for role, _, file in [key.partition(":")]
    }


def plan_inputs(
    inputs: Inputs,
    time_scale: float | None = None,
    seed: int = 0,
    beside: Iterable[str] = (),
    *,
    at_any_scale: bool = False,
) -> Plan:
    """The plan of what was read; without a time scale at the profile's own. Raises as `plan_for` does.

    `at_any_scale`: also where the time scale would falsify what a fault brings about.
    """
    wanted = time_scale or inputs.profile.time_scale
    time_scale = exact_scale(inputs.config, wanted)
    there = _inventory(inputs, time_scale)
    at_scale = _wrong_at(inputs, time_scale)
    problems = [*at_scale, *wrong_steps(inputs.scenario, inputs.profile.limits.bounds)]
    try:
        plan = make_plan(
            inputs.scenario,
            inputs.profile,
            inputs.config,
            there,
            time_scale=time_scale,
            seed=seed,
            check_settings=lambda spec: _unasked(spec, time_scale),
            beside=beside,
        )
    except BadInput as error:
        problems += error.problems
    if problems:
        of_scale = {*problems} <= {*at_scale} - {*_wrong_at(inputs, 1.0)}
        kind = Refused if of_scale else BadInput
        raise kind(sorted(dict.fromkeys(problems), key=lambda p: (p.place is None, p.place)))
    _refuse_ambiguous(plan)
    refuse_guarded(plan)
    target = plan.profile.target
    if plan.profile.load.given:
        check_load(plan, MIX if target == "local" else tuple(target.requests))
    if not at_any_scale:
        _refuse_unfaithful(plan)
    left_out = tuple(str(each) for each in plan.puzzles if each.broken)
    unread = unread_handles(plan.profile) if plan.attached else ()
    endless = [
        f"what is done to {handle} does not end by itself should this machine go down: a run wants --confirm {handle}"
        for handle in plan.endless
    ]
    plan = replace(plan, warnings=(*left_out, *unread, *endless, *plan.warnings))
    if time_scale != wanted:
        why = (
            f"played at {time_scale:g}x, not {wanted:g}x, where intervals are no whole milliseconds and `for` is short"
        )
        plan = replace(plan, warnings=(why, *plan.warnings))
    return plan


def approved_texts(folder: Path, alerts: Iterable[str]) -> dict[str, str]:
    """The approved texts of these alerts' notices as sources; raises BadInput where one cannot be read."""
    found = {}
    for alert in sorted(alerts):
        for file in sorted((folder / alert).glob("*.*.*.txt")):
            found[f"{ROLE}:{alert}/{file.name}"] = read_text(file, any_bytes=True)
    return found


def _refuse_ambiguous(plan: Plan) -> None:
    """Raises Refused where a fault would hit any one of several processes of the same name."""
    handles = dict(plan.profile.handles.each())
    problems = []
    for fault in (one for step in plan.steps for one in step.faults if plan.attached and one.handle):
        address = handles[fault.handle].at_attached("") if fault.handle in handles else Address()
        for _, pattern in address.ways("pattern") if not address.pick else ():
            if wrong := several(pattern, fault.targets):
                problems.append(Problem(fault.spec.place, f"{fault.handle}: {wrong}", f"{HOW_TO_CHOOSE}: {pattern}"))
    if problems:
        raise Refused(dict.fromkeys(problems))


def refuse_guarded(plan: Plan) -> None:
    """Raises Refused where a fault would hit what the profile protects, by any handle, or too many hosts."""
    profile, handles = plan.profile, dict(plan.profile.handles.each())
    problems = [undefined("handle", one, handles, profile.place) for one in profile.protected if one not in handles]
    kept = {one: _hit(plan, one) for one in profile.protected if one in handles}
    faults = [one for step in plan.steps for one in step.faults if one.handle in handles]
    for fault in faults:
        for name, things in kept.items():
            if fault.handle == name or things & _hit(plan, fault.handle):
                also = "" if fault.handle == name else f", which is behind {fault.handle} as well"
                message = f"{fault.spec.kind} would act on {name}{also}, and the profile protects it"
                problems.append(Problem(fault.spec.place, message, f"aim elsewhere, or take {name} out of protected:"))
    hosts = sorted({host for fault in faults if plan.attached for host in _hosts(handles[fault.handle])})
    if profile.limits.hosts is not None and len(hosts) > profile.limits.hosts:
        named = f"{len(hosts)} hosts ({', '.join(hosts)})"
        message = f"the run would act on {named}, and the profile's limits.hosts is {profile.limits.hosts}"
        problems.append(Problem(plan.scenario.place, message, "raise limits.hosts, or hit fewer hosts"))
    quiet = profile.target.quiet_receivers if isinstance(profile.target, Attached) else ()
    for told in (one for one in paged([plan]) if one.receiver in quiet):
        message = f"the run would tell {told}, and the profile names {told.receiver} in quiet_receivers"
        problems.append(Problem(plan.scenario.place, message, "lead its alerts elsewhere, or leave the scenario out"))
    if problems:
        raise Refused(dict.fromkeys(problems))


def _hit(plan: Plan, handle: str) -> frozenset[str]:
    """The things behind a handle by names that no spelling changes; none on a local target, where each has its own."""
    one = dict(plan.profile.handles.each())[handle]
    return frozenset(hit(one.at_attached(""))) if plan.attached and one.attached else frozenset()


def _hosts(handle: Handle) -> list[str]:
    """The hosts on which a fault on a handle acts: those of its addresses, else this one."""
    address = handle.at_attached("")
    urls = [url for _, url in address.ways("url")] + [url for url in address.keys.values() if "://" in url]
    names = [urlsplit(url).hostname or "" for url in urls] or [getattr(handle, "host", "")]
    return ["this host" if name in ("", *LOOPBACKS) else name for name in names]


def _readable(sources: Mapping[str, str], names: Mapping[str, str], asked: Asked) -> list[Problem]:
    """Where one input cannot even be found, the others are read all the same, so that nothing is told piecemeal."""
    from chaoskit.scenario.loader import load_scenario
    from chaoskit.scenario.profile import load_profile

    problems: list[Problem] = []
    for role, load in (("scenario", load_scenario), ("profile", load_profile)):
        if role in names:
            text = sources[f"{role}:{names[role]}"]
            attempt(partial(load, text, names[role], asked.settings), problems)
    return problems


def _inventory(inputs: Inputs, time_scale: float) -> Mapping[str, tuple[str, ...]]:
    """The target's handles with their names; raises BadInput for each step that cannot be done on this target."""
    target = inputs.profile.target
    if target == "local":
        if wrong := wrong_handles(inputs.profile.handles):
            raise BadInput(wrong)
        return local.inventory()
    there = attached.inventory(inputs.profile.handles)
    problems = wrong_for_attached(inputs.scenario, inputs.profile, target, there)
    if time_scale != 1:
        problems.append(Problem(target.place, "an attached target runs in real time", "leave --time-scale out"))
    if problems:
        raise Refused(dict.fromkeys(problems))
    asked = any("equipment" in spec.target for _, spec in inputs.scenario.faults())
    return {**there, HANDLE: (ALERTMANAGER,)} if asked else there


def wrong_steps(scenario: Scenario, limits: Mapping[str, Any] | None = None) -> list[Problem]:
    """Faults and actions of no known kind, with settings or handles that their kind refuses, or no levels to change.

    Also what a profile's limits forbid, where they are given.
    """
    limits = limits or {}
    problems: list[Problem] = []
    for step, spec in scenario.faults():
        what = "action" if isinstance(step, Do) else "fault kind"
        problems += _wrong_with(spec, known_actions() if isinstance(step, Do) else known(), what, limits)
    for change in (one for one in scenario.steps if isinstance(one, Change) and one.of != "load"):
        changed = [spec for step, spec in scenario.faults() if step.name == change.of]
        problems += [each for spec in changed for each in _wrong_with_change(change, spec, limits)]
    return problems


def _wrong_at(inputs: Inputs, time_scale: float) -> list[Problem]:
    """The problems that may hang on the time scale: queries that cannot be asked, and rules and settings that a run
    needs and that cannot be compressed."""
    scenario, aborts, defined = inputs.scenario, inputs.profile.abort, [rule.alert for rule in inputs.config.rules]
    problems = wrong_with(aborts, defined, lambda query: unaskable(query, time_scale))
    problems += unaskable_waits(scenario, time_scale)
    problems += [each for _, spec in scenario.faults() for each in _unasked(spec, time_scale)]
    if inputs.profile.target == "local":
        needed = {*scenario.alerts, *(one.alert for one in aborts if one.alert)}
        queries = [query for query in queries_in(inputs) if not unaskable(query, 1.0)]
        problems += incompressible(inputs.config, time_scale, needed, queries)
    return problems


def _unasked(spec: FaultSpec, time_scale: float) -> list[Problem]:
    """The queries that a fault would ask Prometheus, and cannot at this scale."""
    return [
        Problem(spec.place, f"{spec.kind}: '{query}' cannot be asked: {why}", "write another query, or --time-scale 1")
        for query in _queries(spec)
        if (why := unaskable(query, time_scale))
    ]


def _queries(spec: FaultSpec) -> tuple[str, ...]:
    kind = known().get(spec.kind)
    settings = read_settings(kind, spec.settings, spec.place)[0] if kind is not None else None
    return kind.queries(settings) if kind is not None and settings is not None else ()


def queries_in(plan: Plan | Inputs) -> tuple[str, ...]:
    """The queries of Prometheus in a run of this plan, beside its rules: of waits, faults and abort conditions."""
    waits = (step.query for step in plan.scenario.steps if isinstance(step, Wait))
    aborts = (one.query for one in plan.profile.abort)
    return (
        *(query for query in (*waits, *aborts) if query is not None),
        *(query for _, spec in plan.scenario.faults() for query in _queries(spec)),
    )


def _wrong_with(spec: FaultSpec, kinds: Mapping[str, Any], what: str, limits: Mapping[str, Any]) -> list[Problem]:
    kind = kinds.get(spec.kind)
    if kind is None:
        return [undefined(what, spec.kind, kinds, spec.place)]
    problems = _wrong_settings(kind, spec.settings, spec.place, limits)
    if kind.in_process:
        message = f"{spec.kind} has no metrics page here that could show its series"
        problems.append(Problem(spec.place, message, "play the scenario with `chaoskit rehearse`, or use a real fault"))
    if kind.handles and not any(handle in spec.target for handle in kind.handles):
        wanted = " or ".join(kind.handles)
        problems.append(
            Problem(spec.place, f"{spec.kind} needs a target with {wanted}", f"write target: {{{wanted}: …}}")
        )
    return problems


def _wrong_settings(
    kind: Kind[Any], given: Mapping[str, Any], place: Place, limits: Mapping[str, Any]
) -> list[Problem]:
    settings, problems = read_settings(kind, given, place)
    if settings is not None and (why := kind.beyond(settings, limits)):
        problems.append(Problem(place, why, "change the step's settings, or 'limits' in the profile"))
    return problems


def _wrong_with_change(step: Change, spec: FaultSpec, limits: Mapping[str, Any]) -> list[Problem]:
    kind = known().get(spec.kind)
    if kind is None:
        return []  # said where it is injected
    if not isinstance(kind, Changeable):
        hint = f"{spec.kind} has no levels: undo the fault and inject it anew"
        return [Problem(step.place, f"{step.of} cannot be changed while in force", hint)]
    return _wrong_settings(kind, {**spec.settings, **step.settings}, step.place, limits)


def _refuse_unfaithful(plan: Plan) -> None:
    """Raises Refused for faults whose consequences this time scale would falsify."""
    problems = []
    for step in plan.steps:
        for fault in step.faults if isinstance(step.step, Inject) else ():
            largest, reason = known()[fault.spec.kind].largest_scale(fault.targets)
            if plan.time_scale > largest:
                what = f"{fault.spec.kind} on {', '.join(fault.targets)} is not faithful at scale {plan.time_scale:g}"
                hint = f"choose --time-scale {largest:g} or less"
                problems.append(Problem(fault.spec.place, f"{what}: {reason}", hint))
    if problems:
        raise Refused(problems)


_INSTEAD = "give the handle a via: (`chaoskit list --handles`), or use the command fault with programs of your own"


def wrong_for_attached(
    scenario: Scenario,
    profile: Profile,
    target: Attached,
    there: Mapping[str, tuple[str, ...]],
) -> list[Problem]:
    """Everything in a scenario and a profile that cannot be done on this target; `there` is what this host has."""
    problems = [*_load_problems(scenario, profile, target), *_limit_problems(profile, target)]
    if (traffic := target.background) and (why := unaskable(traffic.query, 1.0)):
        message = f"background: '{traffic.query}' cannot be asked: {why}"
        problems.append(Problem(traffic.place, message, "write a PromQL expression"))
    for handle, said in profile.handles.each():
        if unread := said.unread(handle.partition(":")[2]):
            problems.append(Problem(profile.handles.places.get(handle, target.place), *unread))
    for step, spec in scenario.faults():
        kinds: Mapping[str, Kind[Any]] = known_actions() if isinstance(step, Do) else known()
        problems += _unreachable(spec, kinds.get(spec.kind), profile, target, there)
        changes = [one for one in scenario.steps if isinstance(one, Change) and one.of == step.name]
        for one, via in ((one, via) for one in changes for via in _ways_to(spec, profile)):
            part = adapter_of(kinds[spec.kind], via) if spec.kind in kinds else None
            if part is not None and not isinstance(part, Changeable):
                message = f"{one.of} is {spec.kind} via {via}, which has no levels to change"
                problems.append(Problem(one.place, message, "undo the fault and inject it anew"))
    return problems


def _ways_to(spec: FaultSpec, profile: Profile) -> list[str]:
    """The adapters through which a fault acts."""
    meant = (profile.handles.of(name).get(str(spec.target[name])) for name in handle_kinds() if name in spec.target)
    return [handle.via for handle in meant if handle is not None and handle.via]


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
    meant = {name: profile.handles.of(name).get(str(spec.target[name])) for name in wanted}
    for name in (one for one in wanted if meant[one] is None and known_handles[one].in_profiles):
        there_are = profile.handles.of(name)
        if known_handles[name].attached or any(one.attached for one in there_are.values()):
            return [undefined(f"{name} handle", str(spec.target[name]), there_are, spec.place)]
    everywhere = {*needed} if kind is not None and kind.everywhere else set()
    reached = everywhere | {name for name, one in known_handles.items() if (meant.get(name) or one).attached}
    if (needed and not reached & {*needed}) or not reached >= {*wanted}:
        what = (wanted or needed)[0]
        article = "an" if what[0] in "aeiou" else "a"
        message = f"{spec.kind} acts on {article} {what} handle, which cannot be reached on an attached target"
        return [Problem(spec.place, message, _INSTEAD)]
    if spec.kind == "http.request" and not target.service:
        return [Problem(spec.place, "http.request needs the target's service", "add service: URL to attached:")]
    for name, handle in meant.items():
        if handle is None:
            continue
        carried = handle.carries()
        if carried is not None and spec.kind not in carried:
            message = f"{spec.kind} cannot be done on {name}:{spec.target[name]} via {handle.via}"
            return [Problem(spec.place, message, f"it carries {', '.join(carried)}")]
        if kind is not None and (one := adapter_of(kind, handle.via)) is not None:
            settings, _ = read_settings(kind, spec.settings, spec.place)
            if settings is not None and (why := one.beyond(settings, profile.limits.bounds)):
                return [Problem(spec.place, f"{why} (via {handle.via})", "change its settings, or aim elsewhere")]
        if trouble := handle.unreachable(spec.target[name], there.get(f"{name}:{spec.target[name]}", ())):
            return [Problem(spec.place, *trouble)]
    return []


def _load_problems(scenario: Scenario, profile: Profile, target: Attached) -> list[Problem]:
    load = profile.load
    if not load.given:
        hint = "give the profile a load: {locustfile: PATH}, or {rate: 5/s} of its requests:"
        changes = [one for one in scenario.steps if isinstance(one, Change) and one.of == "load"]
        return [Problem(one.place, f"{one.name} changes the load, and there is none", hint) for one in changes]
    problems = []
    if not target.service:
        problems.append(
            Problem(load.place_of("load"), "the profile has a load and no service", "add service: URL to attached:")
        )
    if load.locustfile is None and not target.requests:
        message = "an attached target does not tell what can be asked of it, so the load needs tasks of its own"
        hint = "write requests: {NAME: {path: /PATH}} beside service:, or load: {locustfile: PATH, users: 5}"
        problems.append(Problem(load.place_of("load"), message, hint))
    return problems


def _limit_problems(profile: Profile, target: Attached) -> list[Problem]:
    limits, problems = profile.limits, []
    cpus, memory = psutil.cpu_count() or 1, psutil.virtual_memory()
    if limits.cpu is not None and limits.cpu > cpus:
        problems.append(
            Problem(profile.place, f"limits.cpu is {limits.cpu:g}, and this machine has {cpus} CPUs", "lower the limit")
        )
    if limits.memory_bytes is not None and limits.memory_bytes > memory.available:
        free = memory.available // 2**20
        message = f"limits.memory is {limits.memory_bytes // 2**20} MiB, and {free} MiB are free on this machine"
        problems.append(Problem(profile.place, message, "lower it"))
    return problems


def ask_faults(scenarios: Iterable[Scenario]) -> tuple[Violation, ...]:
    """The problems of the steps of these scenarios; raises BadInput when a plugin is no fault."""
    return tuple(_said(each, scenario) for scenario in scenarios for each in wrong_steps(scenario))


def ask_plans(scenarios: Iterable[Scenario], profiles: Sequence[Profile], config: AlertConfig) -> tuple[Violation, ...]:
    """Why a scenario can be planned with none of the local profiles, and what is wrong with their handles.

    The processes of an attached target are known only where it runs, so such a profile is not tried; nor is any without
    a Prometheus configuration, which says how often a target is scraped.
    """
    local = [profile for profile in profiles if profile.target == "local"]
    found = [_said(each, profile) for profile in local for each in wrong_handles(profile.handles)]
    for scenario in scenarios if config.jobs else ():
        sound = [one for one in local if not wrong_handles(one.handles) and not _only_attached(scenario, one, profiles)]
        tried = [_refused(Inputs(scenario, profile, config)) for profile in sound]
        if tried and all(tried):
            found += sorted(tried, key=len)[0]
    return tuple(dict.fromkeys(found))


def _refused(inputs: Inputs) -> list[Violation]:
    severity: Severity | None = None
    try:
        plan = plan_inputs(inputs, at_any_scale=True)
        severity = Severity.INFO
        _refuse_unfaithful(plan)
    except BadInput as error:
        return [_said(each, inputs.scenario, severity) for each in error.problems]
    return []


def _only_attached(scenario: Scenario, local: Profile, profiles: Iterable[Profile]) -> bool:
    """Whether a scenario acts on a handle that only an attached target's profile defines."""
    wanted = {f"{kind}:{spec.target[kind]}" for _, spec in scenario.faults() for kind in spec.target}
    wanted -= dict(local.handles.each()).keys()
    return any(wanted & dict(profile.handles.each()).keys() for profile in profiles if profile.target != "local")


def _said(problem: Problem, about: Scenario | Profile, severity: Severity | None = None) -> Violation:
    return Violation(problem.place or about.place, problem.message, problem.hint or "correct it", severity)
