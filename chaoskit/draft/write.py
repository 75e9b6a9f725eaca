"""The text of a first scenario: a condition to make true, steps that do so, and receivers with their windows.

The text is loaded and planned before it is written, so that it can be run, or filled in, as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from chaoskit.alerting.model import AlertConfig
from chaoskit.errors import BadInput, Problem
from chaoskit.explain.alert import Explanation, explain
from chaoskit.explain.recipients import span
from chaoskit.faults.registry import known, known_actions
from chaoskit.gate.candidate import ALONE_TAG, USES_TAG
from chaoskit.plan.build import make_plan
from chaoskit.plan.model import Inventory, Plan
from chaoskit.report.terminal import hops_of
from chaoskit.report.text import clean
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import Profile, Scenario
from chaoskit.units import format_duration
from chaoskit.yaml_source import read_text

_TOP_KEY = re.compile(r"^(\w+):", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Model:
    """A scenario that proves an alert; `index` is the expectation that does."""

    scenario: Scenario
    text: str
    index: int

    @property
    def cost(self) -> tuple[bool, int, int, str]:
        """A sort key to choose the nearest shipped scenario: how much of it is not about the alert.

        A scenario with bounds of its own is about something else.
        """
        notifies = self.scenario.expect[self.index].notifies or {}
        own_bounds = any(notify.mode != "promised" for notify in notifies.values())
        return own_bounds, len(self.scenario.expect), len(self.scenario.steps), self.scenario.name

    def body(self, notifies: Any, labels: Mapping[str, str]) -> str:
        """The scenario's steps, expectations and allowed alerts, with these receivers for the alert."""
        expect: list[dict[str, Any]] = yaml.safe_load(self.text)["expect"]
        expect[self.index]["notifies"] = notifies
        if labels:
            expect[self.index]["labels"] = {**labels, **expect[self.index].get("labels", {})}
        tags = [tag for tag in self.scenario.tags if tag == ALONE_TAG or tag.startswith(USES_TAG)]
        head = dumped({"tags": tags}) if tags else ""
        return f"{head}{_section(self.text, 'steps')}{dumped({'expect': expect})}{_section(self.text, 'allow')}"


def models(alert: str, files: Iterable[Path]) -> list[Model]:
    """Every scenario that proves that people are told of the alert, the nearest first; what cannot be read does not."""
    found = []
    for file in files:
        try:
            text = read_text(file)
            scenario = load_scenario(text, str(file))
        except BadInput:
            continue
        told = [one.suppressed_by is None and one.silenced_by is None for one in scenario.expect]
        telling = (i for i, one in enumerate(scenario.expect) if one.alert == alert and told[i])
        index = next(telling, None)
        if index is not None:
            found.append(Model(scenario, text, index))
    return sorted(found, key=lambda model: model.cost)


def dumped(part: Mapping[str, Any]) -> str:
    """A part of a scenario as YAML, small mappings and lists on one line, lists indented."""
    return "".join(_dumped(key, value) for key, value in part.items())


def _dumped(key: str, value: Any) -> str:
    if not isinstance(value, list):
        return yaml.safe_dump({key: value}, default_flow_style=False, width=110, allow_unicode=True)
    items = yaml.safe_dump(value, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    return f"{key}: {items}" if items.startswith("[") else f"{key}:\n{indent(items, '  ')}"


def _section(text: str, key: str) -> str:
    """A top-level key with all that stands under it, comments included; empty where it is missing."""
    starts = [(match.group(1), match.start()) for match in _TOP_KEY.finditer(text)] + [("", len(text))]
    for (name, start), (_, end) in pairwise(starts):
        if name == key:
            return text[start:end].rstrip("\n") + "\n"
    return ""


_TEMPLATE = """\
steps:
  - inject: command
    as: break
    with:
      start: [./break-it] # a program of yours that makes the condition true, and ends with 0
      stop: [./mend-it] # takes it back; it may be called at any time, and more than once
      # seen: [./is-it-there] # ends with 0 while the effect is there; without it, exit codes are believed
  - wait: settled # fired, and noticed everywhere
  - undo: break
    as: mend
  - wait: settled # resolved, and the all-clear delivered
"""


def draft(
    config: AlertConfig, alert: str, files: Iterable[Path], profile: Profile, inventory: Inventory
) -> tuple[str, str]:
    """The text of a first scenario for an alert, and the name of the one of `files` whose fault it has.

    The name is empty where the fault is left to fill in. Raises BadInput where there is no such alert, no receiver
    hears of it, or what is promised cannot be planned.
    """
    explanations = explain(config, alert)
    first = explanations[0]
    notifies = _receivers(first)
    labels = _apart(explanations)
    title = f"{alert} fires, is noticed, and clears"

    def planned(head: Mapping[str, Any], body: str) -> tuple[str, Plan]:
        text = f"{dumped({'chaoskit': 1, 'title': title, **head})}{body}"
        scenario = load_scenario(text, "new.yml")
        plan = make_plan(scenario, profile, config, inventory, time_scale=profile.time_scale, seed=0)
        return text, plan

    for model in models(alert, files):
        if not {spec.kind for _, spec in model.scenario.faults()} <= {*known(), *known_actions()}:
            continue
        runbook = {"runbook": model.scenario.runbook} if model.scenario.runbook else {}
        try:
            text, plan = planned(runbook, model.body(notifies, labels))
        except BadInput:
            continue  # it speaks of handles or alerts that are not here
        return _comments(first, plan, profile, model.scenario.name) + text, model.scenario.name
    expectation = {"alert": alert, "from": "break", "until": "mend", "notifies": notifies}
    expectation |= {"labels": labels} if labels else {}
    text, plan = planned({}, f"{_TEMPLATE}{dumped({'expect': [expectation]})}")
    return _comments(first, plan, profile, "") + text, ""


def _receivers(explanation: Explanation) -> Any:
    """The receivers that the promise names or a route certainly reaches; the computed bound where none is promised."""
    promised = {each.receiver for each in explanation.promised}
    heard = {each.receiver: each for each in explanation.reach.heard if each.certain and each.integrations}
    if not promised and not heard:
        name = explanation.reach.subject.rule.alert
        hint = f"`chaoskit explain {name}` says why; add a route, or a row to the promise"
        raise BadInput(Problem(explanation.reach.subject.rule.place, f"no receiver certainly hears of {name}", hint))
    names = sorted(promised | heard.keys())
    if promised >= heard.keys():
        return names
    hold = explanation.reach.hold
    held_s = hold.hi_vs if hold else 0.0
    return {
        name: "promised" if name in promised else {"within": format_duration(round(held_s + heard[name].notify.hi_vs))}
        for name in names
    }


def _apart(explanations: tuple[Explanation, ...]) -> dict[str, str]:
    """Labels that tell the first rule from others of its name."""
    first, *others = (each.reach.subject.rule.labels for each in explanations)
    differing = {k: v for k, v in first.items() if any(other.get(k) != v for other in others)}
    return differing if others else {}


def _comments(explanation: Explanation, plan: Plan, profile: Profile, model: str) -> str:
    rule = explanation.reach.subject.rule
    lines = [
        f"A first scenario for {rule.alert}, written by `chaoskit new`: yours to change.",
        "",
        f"Its condition ({rule.place}), which must become true, and false again:",
        *(f"  {line}" for line in rule.expr.strip().splitlines()),
        "",
        f"Windows that are judged, in virtual time, at a time scale of {plan.time_scale:g}:",
        *_windows(plan, rule.alert),
        "",
    ]
    if model:
        lines += [f"The steps are those of {model}. With other settings, this profile can break:"]
    else:
        lines += ["How to raise it is not known. Put your programs in, or one of what this profile can break:"]
    lines += [*_breakable(profile), "docs/faults.md and `chaoskit schema scenario` tell the settings."]
    return "".join(f"# {clean(line)}".rstrip() + "\n" for line in lines)


def _windows(plan: Plan, name: str) -> Iterator[str]:
    alert = next(each for each in plan.alerts if each.rule.alert == name)
    for to, window in hops_of(alert):
        hop, since = window.hop, window.hop.since
        where = f" at {to}" if to else ""
        yield f"  {hop:9} {span((window.lo_vs, window.hi_vs))} after {since}{where}; {window.setting}"


def _breakable(profile: Profile) -> Iterator[str]:
    """A line for each handle of the profile, with the fault kinds that can break it."""
    kinds: dict[str, list[str]] = {}
    for kind, fault in sorted(known().items()):
        for handle in fault.handles:
            for name in profile.handles.of(handle):
                kinds.setdefault(f"{{{handle}: {name}}}", []).append(kind)
    width = max(map(len, kinds), default=0)
    for target, names in kinds.items():
        yield f"  target: {target:{width}}  {', '.join(names)}"
