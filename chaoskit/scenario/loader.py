"""A scenario from its file: every problem at once, each with file:line and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from chaoskit.errors import Place
from chaoskit.scenario.expectations import check_settled, read_allow, read_expect, read_notices
from chaoskit.scenario.fields import Fields, Problems, text, unique_texts, version_ok
from chaoskit.scenario.model import Scenario
from chaoskit.scenario.overrides import override
from chaoskit.scenario.steps import Steps, read_steps
from chaoskit.yaml_source import Node, read, read_text

KEYS = ("chaoskit", "title", "runbook", "tags", "steps", "expect", "allow", "notices")


def load_scenario_file(path: Path, overrides: Iterable[str] = ()) -> Scenario:
    """The scenario in this file; raises BadInput, also when the file cannot be read."""
    return load_scenario(read_text(path), str(path), overrides)


def load_scenario(text_: str, file: str, overrides: Iterable[str] = ()) -> Scenario:
    """The scenario that a text holds, defaults filled in; durations become virtual seconds.

    `file` names it in messages, and its stem is the scenario's name. `overrides` are `key=value` options; those
    that begin with `scenario.` apply here. Raises BadInput with every problem found.
    """
    root = override(read(text_, file), overrides, "scenario")
    problems = Problems(file)
    scenario = _scenario(root, file, problems)
    problems.raise_if_any()
    return scenario


def _scenario(root: Node, file: str, problems: Problems) -> Scenario:
    if not version_ok(root, "a scenario", problems):
        problems.raise_if_any()
    fields = Fields(root, "a scenario", KEYS, problems)
    title = fields.need("title", text, "say in a sentence what breaks and what follows")
    runbook = fields.take("runbook", text, "")
    tags = fields.take("tags", unique_texts("[smoke]"), ())
    steps = fields.need("steps", read_steps, "write a list of inject, change, undo, do and wait") or Steps(
        incomplete=True
    )
    expect = read_expect(fields, steps, problems)
    if expect or _expects_nothing(root):
        check_settled(steps, expect, problems)
    return Scenario(
        name=Path(file).stem,
        title=title or "",
        runbook=runbook,
        tags=tags,
        steps=tuple(steps.by_name.values()),
        expect=expect,
        allow=read_allow(fields, problems),
        notices=read_notices(fields, problems),
        place=Place(file, root.place.line),
    )


def _expects_nothing(root: Node) -> bool:
    node = root.get("expect")
    return node is not None and node.value == "nothing"
