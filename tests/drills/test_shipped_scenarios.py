"""A part of the gate that stands for the whole: shipped scenarios of every kind, together on one stack."""

from __future__ import annotations

import pytest

from tests.drills.conftest import Drill
from tests.drills.test_gate import gate_named

pytestmark = [pytest.mark.drill, pytest.mark.stack]

PART = ("circuit-breaker-open", "dead-letter-queue-growing", "high-database-error-rate", "disk-space-low")


def test_a_representative_part_of_the_gate_passes(drill: Drill) -> None:
    """A link, a queue, a database and a disk; an alert that mutes another; five receivers, all in one wave."""
    gated = gate_named(drill, *PART, "-j", "1")
    assert gated.code == 0, gated.said
    assert "4 scenarios in 1 stack" in gated.said
    assert "proven: 5 of 22 alerts, 5 of 7 routes, 5 of 7 receivers, 1 of 4 inhibition rules" in gated.said
