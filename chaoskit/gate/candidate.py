"""A scenario as the gate sees it: what it proves, what it needs for itself, how long it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from chaoskit.alerting.inhibition import conditions
from chaoskit.alerting.model import AlertConfig
from chaoskit.check.coverage import alerts_of
from chaoskit.errors import ExitCode
from chaoskit.faults.registry import known
from chaoskit.handles import handle_kinds
from chaoskit.plan.model import Plan
from chaoskit.plan.silences import SILENCE, wrong_silences
from chaoskit.scenario.model import Change, Scenario

ALONE_TAG = "alone"
"""A scenario with this tag shares its stack's time with no other."""
USES_TAG = "uses-"
"""Of the scenarios with a tag that begins so, as `uses-cache`, one at a time runs in a stack."""

_TYPICAL = 0.75
"""How much of the longest possible time a run usually takes: instants lie anywhere inside their windows."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One scenario with its plan; `estimate_s` is real seconds from steady state to the end of its tail."""

    name: str
    file: str
    plan: Plan
    expects: frozenset[str]
    allows: frozenset[str]
    needs: frozenset[str]
    """Handles whose faults would not be told apart: one scenario at a time acts on each."""
    alone: str
    """Why it shares its stack's time with no other; empty when it may."""
    estimate_s: float
    tail_s: float = 0.0
    """How much of that it only looks on, while the next wave may begin."""
    quiet_s: float = 0.0
    """How long nothing must be pending or firing before it begins."""
    controls: frozenset[str] = frozenset()
    """Alerts that must not fire in it."""
    harm: int = 0
    """How many things its faults hit, one after the other or at once."""
    burns: bool = False
    """Whether a fault of it takes processor time of the machine, which all stacks share."""
    texts: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """A digest of each text that it was planned from, by role and file."""

    @property
    def title(self) -> str:
        """The scenario's title."""
        return self.plan.scenario.title

    @property
    def tags(self) -> tuple[str, ...]:
        """The scenario's tags."""
        return self.plan.scenario.tags


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A scenario that a gate does not play, and why; `proves` is empty where it cannot be read."""

    name: str
    why: str
    proves: str = ""
    wrong: bool = False
    """Whether it was selected and cannot be run, so that its promises stay unknown."""

    @property
    def word(self) -> str:
        """Its state in a word."""
        return "not played" if self.wrong else "left out"

    @property
    def exit_code(self) -> ExitCode:
        """How a gate ends that lacks it."""
        return ExitCode.USAGE if self.wrong else ExitCode.PASS


@dataclass(frozen=True, slots=True)
class Missing(LeftOut):
    """A scenario that another machine should have played, and of which nothing is known here."""

    wrong: bool = True
    word = "missing"
    exit_code = ExitCode.UNKNOWN


@dataclass(frozen=True, slots=True)
class Unread:
    """A scenario that another machine played and that left no history: what is known of it without a plan."""

    name: str
    title: str
    expects: frozenset[str]
    plan: None = None


def proves(scenario: Scenario) -> str:
    """The alerts that a scenario expects, for a sentence."""
    return ", ".join(sorted({one.alert for one in scenario.expect})) or "that nothing fires"


def digests(sources: Mapping[str, str]) -> dict[str, str]:
    """A digest of each text, to tell whether two machines had the same."""
    return {key: sha256(text.encode(errors="surrogateescape")).hexdigest()[:12] for key, text in sources.items()}


def candidate(
    name: str, file: str, plan: Plan, took_s: float | None = None, sources: Mapping[str, str] | None = None
) -> Candidate:
    """The scenario of a plan, made from `sources`; `took_s` is what it took last time, if that is known."""
    scenario = plan.scenario
    tail_s, quiet_s = plan.tail_vs / plan.time_scale, plan.steady_vs / plan.time_scale
    return Candidate(
        name=name,
        file=file,
        plan=plan,
        expects=frozenset(alert.rule.alert for alert in plan.alerts),
        controls=frozenset(control.alert for control in scenario.controls),
        allows=frozenset(allow.alert for allow in scenario.allow),
        needs=frozenset(_needs(scenario)) | {tag for tag in scenario.tags if tag.startswith(USES_TAG)},
        alone=_alone(scenario),
        estimate_s=took_s if took_s is not None else (plan.longest_real_s - quiet_s - tail_s) * _TYPICAL + tail_s,
        tail_s=tail_s,
        quiet_s=quiet_s,
        harm=sum(max(1, len(fault.targets)) for step in plan.steps for fault in step.faults),
        burns=any(spec.kind in known() and known()[spec.kind].takes_cores for _, spec in scenario.faults()),
        texts=digests(sources or {}),
    )


def conflict(config: AlertConfig, one: Candidate, other: Candidate) -> str:
    """Why two scenarios cannot run at the same time in one stack; empty when they can."""
    if one.alone or other.alone:
        loner = one if one.alone else other
        return f"{loner.name} runs alone, {loner.alone}"
    if shared := one.expects & other.expects:
        return f"both expect {', '.join(sorted(shared))}"
    if one.burns and other.burns:
        return "both burn processor time"
    if shared := one.needs & other.needs:
        return f"both act on {', '.join(sorted(shared))}"
    for source, target in ((one, other), (other, one)):
        if shared := source.allows & target.expects:
            return f"{target.name} expects {', '.join(sorted(shared))}, which {source.name} may bring about too"
        if shared := target.controls & (source.expects | source.allows):
            return f"{target.name} expects that {', '.join(sorted(shared))} stays quiet, and {source.name} may raise it"
        if muted := _mutes(config, source, target):
            return f"{muted} of {target.name} could be muted by {source.name}"
    return ""


def _mutes(config: AlertConfig, source: Candidate, target: Candidate) -> str:
    """An alert that the target expects and that one of the source's may mute; empty where there is none."""
    muting = [one for name in source.expects | source.allows for one in alerts_of(config, name)]
    for name in target.expects:
        pairs = [(one, other) for other in alerts_of(config, name) for one in muting]
        if any(conditions(rule, *pair) is not None for rule in config.inhibit_rules for pair in pairs):
            return name
    return ""


def _needs(scenario: Scenario) -> Iterable[str]:
    yield from (f"{kind} {name}" for kind, name in _handles(scenario))
    if any(isinstance(step, Change) and step.of == "load" for step in scenario.steps):
        yield "load"


def _handles(scenario: Scenario, without: str = "") -> Iterator[tuple[str, Any]]:
    """The handles that its faults and actions are aimed at, by kind and name; faults `without` this kind."""
    aimed = (spec for _, spec in scenario.faults() if spec.kind != without)
    return ((kind, spec.target[kind]) for spec in aimed for kind in handle_kinds() if kind in spec.target)


def _alone(scenario: Scenario) -> str:
    """Why it must have its stack to itself; empty when it need not."""
    if not scenario.expect:
        return "for it says that nothing may fire"
    if scenario.notices:
        return "for it counts all notices"
    # A silence of the scenario's own alerts alone leaves the equipment to the others.
    narrow = not any(wrong_silences(scenario, attached=True))
    if any(handle_kinds()[kind].watches for kind, _ in _handles(scenario, without=SILENCE if narrow else "")):
        return "for it harms equipment that watches every scenario"
    return "as its tags say" if ALONE_TAG in scenario.tags else ""
