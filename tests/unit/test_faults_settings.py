"""The registry knows every kind, and settings that do not fit are named together, with where they stand."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from chaoskit.errors import Place
from chaoskit.faults import registry
from chaoskit.faults.base import Changeable

PLACE = Place("drill.yml", 7)
LINKS = {"http.error", "http.slow", "tcp.reset", "tcp.blackhole", "tcp.flaky"}
OTHERS = {"queue.flood", "queue.dead-letters", "cache.thrash", "command"}
ACTIONS = {"queue.replay", "http.request", "command"}
GOOD: dict[str, dict[str, Any]] = {
    "http.error": {"status": 422, "ratio": "95%", "path": "^/v1/agents/"},
    "http.slow": {"by": "15s", "ratio": "10%"},
    "tcp.reset": {"ratio": 0.5},
    "tcp.blackhole": {},
    "tcp.flaky": {"path": "lead-scorer|email-drafter"},
    "queue.flood": {"level": 120},
    "queue.dead-letters": {"level": 75, "replayable": False},
    "cache.thrash": {"path": "/reports/{key}", "ratio": "20%"},
    "command": {"start": ["true"], "stop": ["true"]},
}


def test_every_kind_and_action_is_registered() -> None:
    assert set(registry.known()) >= LINKS | OTHERS
    assert set(registry.known_actions()) >= ACTIONS


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_settings_as_people_write_them_are_read(kind: str) -> None:
    settings, problems = registry.read_settings(registry.known()[kind], GOOD[kind], PLACE)
    assert problems == []
    assert settings is not None


def test_units_are_understood() -> None:
    slow, _ = registry.read_settings(registry.known()["http.slow"], GOOD["http.slow"], PLACE)
    assert slow is not None
    assert slow.model_dump() == {"by": 15.0, "ratio": 0.1, "path": ""}


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("http.error", {"status": 200}, ["with.status"]),
        ("http.error", {"ratio": "120%"}, ["with.ratio", "is not between 0% and 100%"]),
        ("http.error", {"statsu": 500}, ["with.statsu", "its settings are: ratio, path, status"]),
        ("http.error", {"path": "("}, ["with.path", "no regular expression"]),
        ("http.slow", {}, ["with.by"]),
        ("http.slow", {"by": 15}, ["with.by", "no unit"]),
        ("http.slow", {"by": "0s"}, ["with.by"]),
        ("queue.flood", {"level": 0}, ["with.level"]),
        ("queue.flood", {"level": "many"}, ["with.level"]),
        ("queue.dead-letters", {"level": 5001}, ["with.level"]),
        ("cache.thrash", {"path": "/reports/7"}, ["with.path"]),
        ("cache.thrash", {"path": "/reports/{key}", "ratio": "100%"}, ["with.ratio"]),
        ("command", {"start": "rm -rf x", "stop": ["true"]}, ["with.start", "write a list"]),
        ("command", {"start": [], "stop": ["true"]}, ["with.start"]),
        ("command", {"start": ["true"]}, ["with.stop"]),
    ],
)
def test_bad_settings_are_named_with_what_is_wrong(kind: str, given: dict[str, Any], said: list[str]) -> None:
    settings, problems = registry.read_settings(registry.known()[kind], given, PLACE)
    assert settings is None
    text = " | ".join(map(str, problems))
    assert text.startswith(f"drill.yml:7: {kind}: ")
    for words in said:
        assert words in text


def test_all_bad_settings_are_named_at_once() -> None:
    given = {"status": 99, "ratio": "much", "path": "["}
    _, problems = registry.read_settings(registry.known()["http.error"], given, PLACE)
    assert len(problems) == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"path": "http://elsewhere/"}, "not a path on the target"),
        ({"path": "//elsewhere/"}, "not a path on the target"),
        ({"path": "/x", "method": "SEND"}, "with.method"),
        ({"path": "/x", "expect": 99}, "with.expect"),
    ],
)
def test_a_request_goes_to_the_target_only(given: dict[str, Any], said: str) -> None:
    _, problems = registry.read_settings(registry.known_actions()["http.request"], given, PLACE)
    assert said in str(problems[0])


@pytest.mark.parametrize("kind", sorted(LINKS | {"queue.flood", "queue.dead-letters", "cache.thrash"}))
def test_kinds_with_levels_can_be_changed(kind: str) -> None:
    assert isinstance(registry.known()[kind], Changeable)


def test_every_kind_and_every_setting_says_what_it_is() -> None:
    """Tables of the documentation are made from these words."""
    kinds: list[Any] = [*registry.known().values(), *registry.known_actions().values()]
    for kind in kinds:
        assert (kind.__doc__ or "").strip().endswith("."), kind.kind
        for model in kind.settings.__mro__:
            fields = [name for name in getattr(model, "__annotations__", {}) if name in kind.settings.model_fields]
            source = inspect.getsource(model) if fields else ""
            for name in fields:
                after = source.partition(f"    {name}:")[2].partition("\n")[2]
                assert after.lstrip().startswith('"""'), f"{kind.kind}: {name} has no words"


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"query": "up =="}, ["with.seen.query: Value error, invalid promql query"]),
        (
            {"query": '"text"'},
            ["with.seen.query: Value error, the query's answer is a text: write a query for series or a number"],
        ),
        ({"qery": "up"}, ["with.seen.query: Field required", "with.seen.qery: Extra inputs are not permitted"]),
    ],
)
def test_of_a_setting_with_several_forms_the_one_that_was_meant_is_told(seen: dict[str, str], said: list[str]) -> None:
    given = {**GOOD["command"], "seen": seen}
    _, problems = registry.read_settings(registry.known()["command"], given, PLACE)
    assert [each.message for each in problems] == [f"command: {each}" for each in said]
