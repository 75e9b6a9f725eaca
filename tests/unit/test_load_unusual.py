"""What a target marks as unusual is asked for only by a mix that names it."""

from __future__ import annotations

from typing import Any

from chaoskit.crm.physics import REQUESTS
from chaoskit.run.traffic import _usual, expand, weights
from chaoskit.stack.local import MIX

KNOWN: dict[str, list[dict[str, Any]]] = {"a": [{"path": "/a"}], "b": [{"path": "/b", "unusual": True}]}


def test_without_a_mix_only_the_usual_is_asked_for() -> None:
    assert _usual(KNOWN) == ["a"]
    assert _usual(REQUESTS) == ["leads", "opportunities", "reports", "agent-requests"]


def test_a_mix_may_name_the_unusual_and_the_request_itself_does_not_know_the_mark() -> None:
    specs = expand(KNOWN)
    assert specs["b"].path == "/b"
    assert weights({"a": 3, "b": 1}, specs) == {"a": 3, "b": 1}


def test_what_a_mix_may_name_before_the_run_is_what_the_target_then_has() -> None:
    assert set(MIX) == set(REQUESTS)
