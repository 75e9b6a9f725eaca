"""The published schemas accept what the loaders accept, and catch what an editor should underline."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from test_profile_loader import RULES as PROFILE_RULES
from test_scenario_loader import ERRORS, LETTERS, WORKERS
from test_scenario_rules import EXPECTATIONS, NOTIFIES, RULES, STEPS, TARGETS

from chaoskit.cli import run
from chaoskit.errors import ExitCode
from chaoskit.scenario.catalog import profile_names, scenario_names
from chaoskit.scenario.fields import DRAFT, Record
from chaoskit.scenario.loader import SCENARIO
from chaoskit.scenario.profile import PROFILE
from chaoskit.yaml_source import read, read_text

TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
}  # fmt: skip


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def has_type(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def valid(value: Any, schema: dict[str, Any]) -> bool:
    """The part of draft 2020-12 that the schemas use; an unknown keyword fails the test that meets it."""
    return all(KEYWORDS[keyword](value, wanted, schema) for keyword, wanted in schema.items())


def other_keys(value: Any, wanted: Any, schema: dict[str, Any]) -> bool:
    others = [v for k, v in value.items() if k not in schema.get("properties", {})] if isinstance(value, dict) else []
    return not others if wanted is False else all(valid(other, wanted) for other in others)


def for_object(check: Any) -> Any:
    return lambda value, wanted, schema: not isinstance(value, dict) or check(value, wanted)


def for_array(check: Any) -> Any:
    return lambda value, wanted, schema: not isinstance(value, list) or check(value, wanted)


def for_number(check: Any) -> Any:
    return lambda value, wanted, schema: not has_type(value, "number") or check(value, wanted)


KEYWORDS: dict[str, Any] = {
    "$schema": lambda value, wanted, schema: wanted == DRAFT,
    "title": lambda value, wanted, schema: True,
    "description": lambda value, wanted, schema: True,
    "examples": lambda value, wanted, schema: True,
    "type": lambda value, wanted, schema: any(
        has_type(value, name) for name in ([wanted] if isinstance(wanted, str) else wanted)
    ),
    "const": lambda value, wanted, schema: same(value, wanted),
    "enum": lambda value, wanted, schema: any(same(value, one) for one in wanted),
    "pattern": lambda value, wanted, schema: not isinstance(value, str) or bool(re.search(wanted, value)),
    "anyOf": lambda value, wanted, schema: any(valid(value, one) for one in wanted),
    "oneOf": lambda value, wanted, schema: sum(valid(value, one) for one in wanted) == 1,
    "not": lambda value, wanted, schema: not valid(value, wanted),
    "minimum": for_number(lambda value, wanted: value >= wanted),
    "exclusiveMinimum": for_number(lambda value, wanted: value > wanted),
    "maximum": for_number(lambda value, wanted: value <= wanted),
    "items": for_array(lambda value, wanted: all(valid(item, wanted) for item in value)),
    "minItems": for_array(lambda value, wanted: len(value) >= wanted),
    "uniqueItems": for_array(lambda value, wanted: len({json.dumps(item) for item in value}) == len(value)),
    "properties": for_object(lambda value, wanted: all(valid(v, wanted[k]) for k, v in value.items() if k in wanted)),
    "required": for_object(lambda value, wanted: set(wanted) <= set(value)),
    "minProperties": for_object(lambda value, wanted: len(value) >= wanted),
    "propertyNames": for_object(lambda value, wanted: all(valid(key, wanted) for key in value)),
    "dependentRequired": for_object(
        lambda value, wanted: all(set(needs) <= set(value) for key, needs in wanted.items() if key in value)
    ),
    "additionalProperties": other_keys,
}


def scenario_valid(text: str) -> bool:
    return valid(read(text, "s.yml").plain(), SCENARIO.document)


@pytest.mark.parametrize("text", [ERRORS, LETTERS, WORKERS], ids=["errors", "letters", "workers"])
def test_scenarios_that_load_are_valid(text: str) -> None:
    assert scenario_valid(text)


@pytest.mark.parametrize("text", list(dict.fromkeys(kept for kept, _, _ in RULES)))
def test_every_scenario_that_keeps_the_rules_is_valid(text: str) -> None:
    assert scenario_valid(text)


@pytest.mark.parametrize("text", list(dict.fromkeys(kept for kept, _, _ in PROFILE_RULES)))
def test_every_profile_that_keeps_the_rules_is_valid(text: str) -> None:
    assert valid(read(text, "p.yml").plain(), PROFILE.document)


@pytest.mark.parametrize("path", scenario_names().values(), ids=str)
def test_shipped_scenarios_are_valid(path: Path) -> None:
    assert valid(read(read_text(path), str(path)).plain(), SCENARIO.document)


@pytest.mark.parametrize("path", profile_names().values(), ids=str)
def test_shipped_profiles_are_valid(path: Path) -> None:
    assert valid(read(read_text(path), str(path)).plain(), PROFILE.document)


ACROSS = ("two steps", "lists '", "is expected twice", "control", "from", "until", "earlier than", "which is never",
          "below its start", "no notice", "above 0% and", "has 'role' and", "has 'count' and", "names no handle",
          "longer than 0", "no longer", "beside a list", "cannot name")  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        broken
        for _, broken, complaint in [*STEPS, *TARGETS, *EXPECTATIONS, *NOTIFIES]
        if complaint and not any(part in complaint for part in ACROSS)
    ],
)
def test_what_is_wrong_in_one_place_is_not_valid(text: str) -> None:
    assert not scenario_valid(text)


@pytest.mark.parametrize(
    "change",
    [
        {"target": "remote"}, {"time_scale": 0}, {"load": {}}, {"load": {"rate": "1/s", "users": 2}},
        {"limits": {"fault": 60}}, {"limits": {"memory": "1G"}}, {"abort": [{}]}, {"handles": {"roles": {}}},
        {"handles": {"link": {"up": {}}}}, {"target": {"attached": {"prometheus": "x"}}}, {"chaoskit": 2}, {"x": 1},
    ],
)  # fmt: skip
def test_a_profile_with_a_wrong_value_is_not_valid(change: dict[str, Any]) -> None:
    good = {"chaoskit": 1, "target": "local", "load": {"users": 1}}
    assert valid(good, PROFILE.document)
    assert not valid(good | change, PROFILE.document)


def test_the_schemas_are_json() -> None:
    for schema in (SCENARIO.document, PROFILE.document):
        assert json.loads(json.dumps(schema)) == schema
        assert schema["$schema"] == DRAFT


@pytest.mark.parametrize(("what", "schema"), [("scenario", SCENARIO), ("profile", PROFILE)])
def test_the_command_prints_the_schema_that_the_shipped_files_keep(
    what: str, schema: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["schema", what]) is ExitCode.PASS
    printed = json.loads(capsys.readouterr().out)
    assert printed == schema.document
    names = scenario_names() if what == "scenario" else profile_names()
    assert names
    assert [name for name, path in names.items() if not valid(read(read_text(path), str(path)).plain(), printed)] == []
    assert not valid({"chaoskit": 1, "titel": "x"}, printed)


def test_a_schema_of_something_else_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "runbook"]) is ExitCode.USAGE
    assert "'scenario', 'profile'" in capsys.readouterr().err
