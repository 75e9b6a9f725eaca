"""Which scenarios a gate takes: expressions as in pytest, and what proves most in the time there is."""

from __future__ import annotations

import pytest

from chaoskit.errors import BadInput
from chaoskit.gate.select import expression, within_budget

WORDS = ["worker-unhealthy", "One worker dies", "WorkerUnhealthy"]


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("worker", True),
        ("WORKER", True),
        ("cache", False),
        ("not cache", True),
        ("worker and not unhealthy", False),
        ("cache or unhealthy", True),
        ("not (cache or unhealthy)", False),
        ("not cache and dies", True),
        ("cache and dies or worker", True),
    ],
)
def test_words_are_found_inside_names_titles_and_alerts(text: str, selected: bool) -> None:
    assert expression(text, "-k", whole=False)(WORDS) is selected


def test_tags_are_compared_whole() -> None:
    assert expression("outage", "-m", whole=True)(["outage", "slow"])
    assert not expression("out", "-m", whole=True)(["outage"])


@pytest.mark.parametrize("text", ["", "and", "worker and", "(worker", "worker)", "not", "worker cache", "or or"])
def test_what_is_no_expression_is_said(text: str) -> None:
    with pytest.raises(BadInput, match="is not an expression"):
        expression(text, "-k", whole=False)


PROVES = {
    "wide": frozenset({"a", "b", "c", "d"}),
    "narrow": frozenset({"a"}),
    "other": frozenset({"e"}),
    "slow": frozenset({"f", "g"}),
}
TAKES_S = {"wide": 30.0, "narrow": 5.0, "other": 10.0, "slow": 300.0}


def takes(names: object) -> float:
    assert isinstance(names, list)
    return sum(TAKES_S[name] for name in names)


def test_a_budget_takes_what_adds_most_for_its_time_and_nothing_twice() -> None:
    assert set(within_budget(PROVES, takes, 100)) == {"wide", "other"}
    assert set(within_budget(PROVES, takes, 40)) == {"wide", "other"}
    assert within_budget(PROVES, takes, 12) == ["narrow"]
    assert within_budget(PROVES, takes, 4) == []


def test_a_large_budget_takes_everything_that_proves_something() -> None:
    chosen = within_budget(PROVES | {"nothing": frozenset()}, takes, 1e6)
    assert frozenset().union(*(PROVES[name] for name in chosen)) == frozenset("abcdefg")
