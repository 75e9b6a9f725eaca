"""Whether the faults and actions of scenarios are of a known kind, with settings that the kind accepts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chaoskit.check.findings import Said
from chaoskit.errors import Place
from chaoskit.faults.registry import known, known_actions, read_settings
from chaoskit.scenario.model import Change, Do, FaultSpec, Inject, Scenario
from chaoskit.yaml_source import nearest


def ask_faults(scenarios: Iterable[Scenario]) -> tuple[Said, ...]:
    """What is wrong with the steps of these scenarios; raises BadInput when a plugin is no fault."""
    return tuple(said for scenario in scenarios for said in _of(scenario))


def _of(scenario: Scenario) -> Iterator[Said]:
    begun: dict[str, tuple[FaultSpec, ...]] = {}
    for step in scenario.steps:
        if isinstance(step, Inject):
            begun[step.name] = step.faults
            for fault in step.faults:
                yield from _wrong(known(), "fault", fault.kind, fault.settings, fault.place)
        elif isinstance(step, Do):
            yield from _wrong(known_actions(), "action", step.action, step.settings, step.place)
        elif isinstance(step, Change) and len(changed := begun.get(step.of, ())) == 1:
            settings = {**changed[0].settings, **step.settings}
            if changed[0].kind in known():  # an unknown one was named where it began
                yield from _wrong(known(), "fault", changed[0].kind, settings, step.place)


def _wrong(kinds: Mapping[str, Any], what: str, kind: str, settings: Mapping[str, Any], place: Place) -> Iterator[Said]:
    if kind not in kinds:
        todo = nearest(kind, kinds) or f"known: {', '.join(sorted(kinds)) or 'none'}"
        yield Said(place, f"no {what} is called {kind}", todo)
        return
    for problem in read_settings(kinds[kind], settings, place)[1]:
        yield Said(problem.place or place, problem.message, problem.hint)
