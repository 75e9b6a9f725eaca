# ruff: noqa: E501 - golden messages are searched for whole, so they are not broken into pieces
"""`--set key=value` changes one value before reading, and is judged and named like what is in the file."""

from __future__ import annotations

import pytest

from chaoskit.errors import BadInput, Place
from chaoskit.handles.role import Role
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import Inject
from chaoskit.scenario.overrides import override, parse_override
from chaoskit.scenario.profile import load_profile
from chaoskit.yaml_source import Node, read

PROFILE = "chaoskit: 1\ntarget: local\nload: {rate: 40/s}\nlimits: {fault: 60s}\n"
SCENARIO = """\
chaoskit: 1
title: t
steps:
  - inject: http.error
    as: errors
    with: {ratio: 95%}
  - wait: 5m
expect:
  - alert: A
"""


def complaint(*options: str) -> str:
    with pytest.raises(BadInput) as caught:
        load_profile(PROFILE, "p.yml", options)
    return str(caught.value)


def test_a_bare_key_is_the_profiles() -> None:
    profile = load_profile(PROFILE, "p.yml", ["load.rate=20/s", "time_scale=10", "limits.fault=2h", "limits.run=3h"])
    assert (profile.load.rate_per_s, profile.time_scale) == (20.0, 10.0)
    assert (profile.limits.fault_s, profile.limits.run_s) == (7200.0, 10_800.0)
    assert load_profile(PROFILE, "p.yml", ["profile.time_scale=10"]).time_scale == 10


def test_each_document_takes_only_what_is_its_own() -> None:
    options = ["scenario.title=other", "profile.time_scale=10", "limits.cpu=2"]
    assert load_scenario(SCENARIO, "s.yml", options).title == "other"
    assert load_profile(PROFILE, "p.yml", options).limits.cpu == 2


def test_values_are_yaml_and_missing_mappings_are_made() -> None:
    profile = load_profile(
        PROFILE, "p.yml", ["load.mix={leads: 1}", "standing=[Watchdog]", "handles.role.worker.process=worker"]
    )
    assert profile.load.mix == {"leads": 1}
    assert profile.standing == ("Watchdog",)
    assert profile.handles.of("role") == {"worker": Role("worker", "")}


def test_the_last_of_several_wins() -> None:
    assert load_profile(PROFILE, "p.yml", ["time_scale=10", "time_scale=20"]).time_scale == 20


@pytest.mark.parametrize("element", ["errors", "0"])
def test_an_element_of_a_list_is_named_or_counted(element: str) -> None:
    scenario = load_scenario(SCENARIO, "s.yml", [f"scenario.steps.{element}.with.ratio=50%"])
    step = scenario.steps[0]
    assert isinstance(step, Inject)
    assert step.faults[0].settings == {"ratio": "50%"}
    assert load_scenario(SCENARIO, "s.yml", ["scenario.expect.A.instances=3"]).expect[0].instances == 3


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("limits.falt=5s", "--set limits.falt=5s: 'falt' is not a key of 'limits' (did you mean 'fault'?)"),
        ("load.rate=20", "--set load.rate=20: 'rate' has no unit: 20 (write 20/s)"),
        ("time_scale", "--set time_scale: is not of the form key=value (write --set load.rate=20/s, or --set scenario.title=TEXT)"),
        ("=5", "--set =5: is not of the form key=value (write --set load.rate=20/s, or --set scenario.title=TEXT)"),
        ("a..b=5", "--set a..b=5: is not of the form key=value (write --set load.rate=20/s, or --set scenario.title=TEXT)"),
        ("profile=5", "--set profile=5: 'profile' is a whole document, not a key of it (write --set load.rate=20/s, or --set scenario.title=TEXT)"),
        ("time_scale=", "--set time_scale=: has no value (write --set load.rate=20/s, or --set scenario.title=TEXT)"),
        ("target.x=5", "--set target.x=5: 'target' is the text 'local' and has no 'x' (write --set load.rate=20/s, or --set scenario.title=TEXT)"),
        ("time_scale=[", "--set time_scale=[: is not valid YAML: while parsing a flow node did not find expected node content (check indentation, quotes and brackets on this line and the one before)"),
    ],
)  # fmt: skip
def test_a_complaint_names_the_option(option: str, expected: str) -> None:
    assert complaint(option) == expected


def test_a_path_of_any_length_ends_in_a_message() -> None:
    assert "is not of the form key=value" in complaint(".".join("a" * 5000) + "=1")


def test_an_element_that_is_not_there_is_reported_with_the_nearest() -> None:
    with pytest.raises(BadInput) as caught:
        load_scenario(SCENARIO, "s.yml", ["scenario.steps.erors.as=x", "scenario.steps.7.as=x"])
    assert [str(problem) for problem in caught.value.problems] == [
        "--set scenario.steps.erors.as=x: 'erors' is no element of 'steps' (did you mean 'errors'?)",
        "--set scenario.steps.7.as=x: '7' is no element of 'steps' (it has 2 elements, counted from 0)",
    ]


def test_every_changed_node_stands_at_the_option() -> None:
    root = override(read("a: 1\nb: 2\n", "p.yml"), ["b={c: [1]}"], "profile")
    place = Place("--set b={c: [1]}")
    a, b = root.get("a"), root.get("b")
    assert a is not None
    assert a.place == Place("p.yml", 1)
    assert b is not None
    assert b.plain() == {"c": [1]}

    def places(node: Node) -> set[Place]:
        inner = [*node.items, *(part for pair in node.pairs for part in pair)]
        return {node.place}.union(*(places(part) for part in inner))

    assert places(b) == {place}


def test_an_override_says_where_it_belongs() -> None:
    document, path, value = parse_override("scenario.steps.errors.with.ratio=50%")
    assert (document, path, value.plain()) == ("scenario", ("steps", "errors", "with", "ratio"), "50%")
