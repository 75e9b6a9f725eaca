"""Which fault raises an alert: known from the scenarios that prove it, whose steps are taken over as they stand.

The nearest model is the one that expects the least besides, in the fewest steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from chaoskit.errors import BadInput
from chaoskit.gate.candidate import ALONE_TAG, USES_TAG
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import Expectation, Scenario
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
        """How much there is in it besides; one with bounds of its own is about something else."""
        notifies = self.scenario.expect[self.index].notifies or {}
        own_bounds = any(notify.mode != "promised" for notify in notifies.values())
        return own_bounds, len(self.scenario.expect), len(self.scenario.steps), self.scenario.name

    def body(self, notifies: Any, labels: Mapping[str, str]) -> str:
        """Its steps, expectations and what it allows, with these receivers for the alert."""
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
        index = next((i for i, one in enumerate(scenario.expect) if _tells(one, alert)), None)
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


def _tells(expectation: Expectation, alert: str) -> bool:
    return expectation.alert == alert and expectation.suppressed_by is None


def _section(text: str, key: str) -> str:
    """A top-level key with all that stands under it, comments included; empty where it is missing."""
    starts = [(match.group(1), match.start()) for match in _TOP_KEY.finditer(text)] + [("", len(text))]
    for (name, start), (_, end) in pairwise(starts):
        if name == key:
            return text[start:end].rstrip("\n") + "\n"
    return ""
