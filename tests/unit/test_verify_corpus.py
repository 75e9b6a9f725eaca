"""Whole commands as they were recorded once: a gate, an attached drill, a rehearsal. Each is judged as it was then."""

from __future__ import annotations

import json

import pytest

from chaoskit.history import parse_history
from tests.corpus.record import history, names, said, told


@pytest.mark.parametrize("name", names())
def test_a_recorded_command_is_judged_as_it_was_byte_for_byte(name: str) -> None:
    """Verdict, exit code and complaint."""
    assert said(history(name), name).decode() == told(name).decode()


def test_the_corpus_holds_a_gate_an_attached_drill_and_a_rehearsal() -> None:
    assert {name.partition("-")[0] for name in names()} == {"gate", "attached", "rehearsal"}


def test_a_wave_of_schema_2_is_judged_as_its_rehearsal_judged_it_in_each_way_it_can_end() -> None:
    """`record` stores none whose own verdict is another one."""
    waves = [name for name in names() if name.startswith("rehearsal-schema-2-")]
    assert {json.loads(told(name))["result"] for name in waves} == {"PASS", "FAIL", "UNKNOWN"}
    assert all(parse_history(history(name), name).header.rehearsal is not None for name in waves)
