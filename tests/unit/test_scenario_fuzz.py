"""Whatever a file holds, it is read or refused with places: no other error, no endless work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_scenario_loader import ERRORS, LETTERS, WORKERS

from chaoskit.errors import BadInput
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.profile import load_profile

PROFILE = (Path(__file__).parents[2] / "profiles" / "local.yml").read_text()
SCENARIOS = (ERRORS, LETTERS, WORKERS)
VALUES = (
    "", "nothing", "[]", "{}", "0", "-1", "1e3", "true", "null", "all", "end", "never", "load", "settled", "30", "30s",
    "1..3", "..", "[all]", "{a: b}", "[[]]", "&a [*a]", "*x", "'", '"', "<<", "95%", "nan%",
    "inf/s", "1" * 30, "9" * 400 + "s",
    "\t", "é", "\u0663s", "{alert: A}", "{query: up}", "[{kind: x}]", "!!int x",
)  # fmt: skip


def problems(load: Any, text: str, options: tuple[str, ...] = ()) -> list[str]:
    """What is wrong with it; anything else than BadInput escapes and fails the test."""
    try:
        load(text, "f.yml", options)
    except BadInput as error:
        assert_placed(error)
        return [str(problem) for problem in error.problems]
    return []


def assert_placed(error: BadInput) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.place is not None
        assert problem.place.file == "f.yml" or problem.place.file.startswith("--set ")
        assert problem.message


@st.composite
def mutated(draw: st.DrawFn, texts: tuple[str, ...]) -> str:
    """A valid file with some lines dropped, doubled, moved, indented, or given another value."""
    lines = draw(st.sampled_from(texts)).split("\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        match draw(st.integers(0, 5)):
            case 0:
                lines[at] = ""
            case 1:
                lines.insert(at, line)
            case 2:
                lines.append(line)
            case 3:
                lines[at] = " " * draw(st.integers(1, 3)) + line
            case 4:
                lines[at] = line.partition(":")[0] + ": " + draw(st.sampled_from(VALUES))
            case _:
                cut = draw(st.integers(0, len(line)))
                lines[at] = line[:cut] + draw(st.text(max_size=3)) + line[cut + 1 :]
    return "\n".join(lines)


@given(mutated(SCENARIOS))
@settings(max_examples=150)
def test_a_mutated_scenario_is_read_or_refused(text: str) -> None:
    problems(load_scenario, text)


@given(mutated((PROFILE,)))
@settings(max_examples=100)
def test_a_mutated_profile_is_read_or_refused(text: str) -> None:
    problems(load_profile, text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    problems(load_scenario, text)
    problems(load_scenario, "chaoskit: 1\n" + text)
    problems(load_profile, "chaoskit: 1\n" + text)


keys = st.sampled_from(
    [
        "load",
        "rate",
        "mix",
        "limits",
        "fault",
        "steps",
        "0",
        "errors",
        "expect",
        "wait",
        "as",
        "with",
        "scenario",
        "",
        "é",
    ]
)
options = st.builds(
    lambda path, equals, value: ".".join(path) + equals + value,
    st.lists(keys, max_size=5), st.sampled_from(["=", "=", ""]), st.sampled_from(VALUES) | st.text(max_size=10),
)  # fmt: skip


@given(st.lists(options, max_size=3))
@settings(max_examples=100)
def test_any_override_is_applied_or_refused(given_options: list[str]) -> None:
    problems(load_profile, PROFILE, tuple(given_options))
    problems(load_scenario, ERRORS, tuple("scenario." + option for option in given_options))


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("text", [*SCENARIOS, PROFILE], ids=["errors", "letters", "workers", "profile"])
def test_every_key_survives_every_odd_value(text: str, value: str) -> None:
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if ":" in line:
            odd = [*lines[:at], line.partition(":")[0] + ": " + value, *lines[at + 1 :]]
            problems(load_profile if text is PROFILE else load_scenario, "\n".join(odd))


@pytest.mark.parametrize("dropped", ["title:", "chaoskit:", "steps:", "expect:", "  - alert:", "  - inject:"])
def test_a_scenario_without_a_line_it_needs_is_refused(dropped: str) -> None:
    kept = "\n".join(line for line in ERRORS.split("\n") if not line.startswith(dropped))
    assert problems(load_scenario, ERRORS) == []
    assert problems(load_scenario, kept)


def test_the_number_of_steps_and_expectations_is_bounded() -> None:
    def text(steps: int, expectations: int) -> str:
        many = "  - wait: 1s\n" * (steps - 1)
        expect = "".join(f"  - alert: A{n}\n" for n in range(expectations))
        return f"chaoskit: 1\ntitle: t\nsteps:\n  - inject: cpu.burn\n{many}expect:\n{expect}"

    assert problems(load_scenario, text(250, 250)) == []
    assert problems(load_scenario, text(251, 1)) == [
        "f.yml:4: 'steps' has more than 250 steps (split it into several scenarios)"
    ]
    assert problems(load_scenario, text(1, 251)) == [
        "f.yml:6: 'expect' has more than 250 entries (split it into several scenarios)"
    ]


def test_ten_thousand_unknown_keys_are_all_named() -> None:
    many = "".join(f"titl{n}: x\n" for n in range(10_000))
    assert len(problems(load_profile, PROFILE + many)) == 10_000
