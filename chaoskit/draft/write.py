"""The text of a first scenario: a condition to make true, steps that do so, and who must hear of it by when.

Whatever is written has been loaded and planned before, so that it can be run, or filled in, as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaoskit.alerting.model import AlertConfig
from chaoskit.draft.model import Model, dumped, models
from chaoskit.errors import BadInput, Problem
from chaoskit.explain.alert import Explanation, explain
from chaoskit.explain.words import span
from chaoskit.faults.registry import known, known_actions
from chaoskit.plan.build import make_plan
from chaoskit.plan.model import Inventory, Plan
from chaoskit.report.terminal import hops_of
from chaoskit.report.text import clean
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import Profile
from chaoskit.units import format_duration

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


@dataclass(frozen=True, slots=True)
class Draft:
    """A scenario's text; `model` names the scenario whose fault it has, empty where the fault is left to fill in."""

    text: str
    model: str


def draft(config: AlertConfig, alert: str, files: Iterable[Path], profile: Profile, inventory: Inventory) -> Draft:
    """A first scenario for an alert; `files` are the scenarios that may know how to raise it.

    Raises BadInput where there is no such alert, nobody hears of it, or what is promised cannot be planned.
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
        try:
            text, plan = planned(_runbook(model), model.body(notifies, labels))
        except BadInput:
            continue  # it speaks of handles or alerts that are not here
        return Draft(_comments(first, plan, profile, model.scenario.name) + text, model.scenario.name)
    expectation = {"alert": alert, "from": "break", "until": "mend", "notifies": notifies}
    expectation |= {"labels": labels} if labels else {}
    text, plan = planned({}, f"{_TEMPLATE}{dumped({'expect': [expectation]})}")
    return Draft(_comments(first, plan, profile, "") + text, "")


def _receivers(explanation: Explanation) -> Any:
    """Whom the promise names or a route certainly reaches; to whom nothing is promised, the computed bound applies."""
    promised = {each.receiver for each in explanation.promised}
    heard = {each.receiver: each for each in explanation.told.heard if each.certain and each.integrations}
    if not promised and not heard:
        name = explanation.told.subject.rule.alert
        hint = f"`chaoskit explain {name}` says why; add a route, or a row to the promise"
        raise BadInput(Problem(explanation.told.subject.rule.place, f"nobody certainly hears of {name}", hint))
    names = sorted(promised | heard.keys())
    if promised >= heard.keys():
        return names
    hold = explanation.told.windows.hold
    held_s = hold.hi_vs if hold else 0.0
    return {
        name: "promised" if name in promised else {"within": format_duration(round(held_s + heard[name].notify.hi_vs))}
        for name in names
    }


def _apart(explanations: tuple[Explanation, ...]) -> dict[str, str]:
    """Labels that tell the first rule from others of its name."""
    first, *others = (each.told.subject.rule.labels for each in explanations)
    differing = {k: v for k, v in first.items() if any(other.get(k) != v for other in others)}
    return differing if others else {}


def _runbook(model: Model) -> dict[str, str]:
    return {"runbook": model.scenario.runbook} if model.scenario.runbook else {}


def _comments(explanation: Explanation, plan: Plan, profile: Profile, model: str) -> str:
    rule = explanation.told.subject.rule
    lines = [
        f"A first scenario for {rule.alert}, written by `chaoskit new`: yours to change.",
        "",
        f"Its condition ({rule.place}), which must become true, and false again:",
        *(f"  {line}" for line in rule.expr.strip().splitlines()),
        "",
        f"What is judged, in virtual time, at a time scale of {plan.time_scale:g}:",
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
    """What each handle of the profile can be broken with."""
    kinds: dict[str, list[str]] = {}
    for kind, fault in sorted(known().items()):
        for handle in fault.handles:
            for name in profile.handles.of(handle):
                kinds.setdefault(f"{{{handle}: {name}}}", []).append(kind)
    width = max(map(len, kinds), default=0)
    for target, names in kinds.items():
        yield f"  target: {target:{width}}  {', '.join(names)}"
