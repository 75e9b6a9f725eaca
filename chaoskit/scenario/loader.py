"""A scenario from its file: every problem at once, each with file:line and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from chaoskit.alerting.model import VOLUMES
from chaoskit.errors import Place
from chaoskit.scenario import fields as form
from chaoskit.scenario.expectations import EXPECT_SCHEMA, allow, check_settled, notices, read_expect
from chaoskit.scenario.fields import Fields, Problems, Record
from chaoskit.scenario.model import Scenario
from chaoskit.scenario.overrides import override
from chaoskit.scenario.steps import Steps, read_steps
from chaoskit.yaml_source import read, read_text

SCENARIO = Record(
    "a scenario",
    {
        "chaoskit": form.VERSION_FORM,
        "title": form.text,
        "runbook": form.text,
        "tags": form.listed(form.text, "[smoke]", unique=True),
        "steps": read_steps,
        "expect": form.as_node(EXPECT_SCHEMA),
        "allow": allow,
        "notices": notices,
        "volume": form.choice(*VOLUMES),
    },
    {
        "title": "say in a sentence what breaks and what follows",
        "steps": "write a list of inject, change, undo, do and wait",
    },
    more={"required": ["chaoskit", "title", "steps", "expect"]},
)


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
    if not form.version_ok(root, "a scenario", problems):
        problems.raise_if_any()
    fields = Fields(root, SCENARIO, problems)
    read_ = {"title": "", "runbook": "", "tags": (), "allow": (), "notices": {}, **fields.all()}
    read_.pop("chaoskit", None)
    steps: Steps = read_.pop("steps", None) or Steps(problems, incomplete=True)
    expect, controls = read_expect(fields, read_.pop("expect", None), steps, problems)
    written = root.get("expect")
    if expect or (written is not None and written.value == "nothing"):
        check_settled(steps, expect, problems)
    scenario = Scenario(
        name=Path(file).stem,
        steps=tuple(steps.by_name.values()),
        expect=expect,
        controls=controls,
        place=Place(file, root.place.line),
        **read_,
    )
    problems.raise_if_any()
    return scenario
