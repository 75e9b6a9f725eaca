"""Whole commands as they were recorded once: a gate, an attached drill, a rehearsal. Each is judged as it was then."""

from __future__ import annotations

import pytest

from tests.corpus.record import history, names, said, told


@pytest.mark.parametrize("name", names())
def test_a_recorded_command_is_judged_as_it_was_byte_for_byte(name: str) -> None:
    """Verdict, exit code and complaint."""
    assert said(history(name), name).decode() == told(name).decode()


def test_the_corpus_holds_a_gate_an_attached_drill_and_a_rehearsal() -> None:
    assert {name.partition("-")[0] for name in names()} == {"gate", "attached", "rehearsal"}
