"""Every wait has a bound, from what is promised before it or from its own words; one that has neither is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.promql import says_yes
from chaoskit.errors import BadInput
from chaoskit.plan.model import Plan
from chaoskit.run.planning import Asked, plan_for

_SCENARIO = """chaoskit: 1
title: a worker dies
steps:
  - inject: process.kill
    as: kill
    target: {{role: worker}}
    with: {{hold: true}}
  - wait: {wait}
  - undo: kill
    as: recovery
  - wait: settled
expect:
  - alert: WorkerUnhealthy
    from: {since}
    until: end
"""


def plan(folder: Path, wait: str, since: str = "kill") -> Plan:
    file = folder / "one.yml"
    file.write_text(_SCENARIO.format(wait=wait, since=since))
    return plan_for(Asked(str(file), "local", ConfigFiles(bundle.folder())))[0]


def bound_vs(folder: Path, wait: str, since: str = "kill") -> float:
    return plan(folder, wait, since).steps[1].at_most_vs


def test_a_wait_for_what_an_earlier_step_promises_is_bounded_by_that_promise(tmp_path: Path) -> None:
    promised = bound_vs(tmp_path, "{alert: WorkerUnhealthy, state: firing}")
    assert promised == bound_vs(tmp_path, "settled") > 0


def test_a_wait_with_words_of_its_own_needs_no_promise(tmp_path: Path) -> None:
    assert bound_vs(tmp_path, "{alert: HighErrorRate, state: pending, at_most: 2m}") == 120


@pytest.mark.parametrize(
    ("alert", "since"),
    [("HighErrorRate", "kill"), ("WorkerUnhealthy", "recovery")],
    ids=["never", "only from later on"],
)
def test_a_wait_for_what_nothing_before_it_promises_is_refused_with_its_place(
    tmp_path: Path, alert: str, since: str
) -> None:
    """It would end the moment it begins, and the rest of the scenario with it."""
    with pytest.raises(BadInput) as refused:
        plan(tmp_path, f"{{alert: {alert}, state: pending}}", since)
    assert [str(problem) for problem in refused.value.problems] == [
        f"{tmp_path}/one.yml:8: no expectation from a step before this one is of {alert}, so nothing bounds the wait "
        f"for it (say how long it may take: at_most: 2m, or expect {alert})"
    ]


def test_an_alert_that_does_not_exist_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        plan(tmp_path, "{alert: HighErrorRat, state: pending}")
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize("query", ["up ==", "rate(up)", "1d1d", "'text'", "day_of_week() > 2"])
def test_a_query_that_prometheus_cannot_be_asked_is_refused_before_anything_is_broken(
    tmp_path: Path, query: str
) -> None:
    with pytest.raises(BadInput) as refused:
        plan(tmp_path, f'{{query: "{query}", at_most: 1m}}')
    (said,) = refused.value.problems
    assert said.place is not None
    assert said.place.line == 8
    assert f"'{query}' cannot be asked" in said.message


@pytest.mark.parametrize(
    ("kind", "result", "yes"),
    [
        ("vector", [{"metric": {}, "value": [1, "0"]}], True),
        ("vector", [], False),
        ("matrix", [{"metric": {}, "values": [[1, "0"]]}], True),
        ("scalar", [1, "2"], True),
        ("scalar", [1, "0"], False),
        ("scalar", [1, "NaN"], False),
        ("string", [1, "text"], False),
    ],
)
def test_an_answer_says_yes_by_its_result_and_a_scalar_by_its_value(kind: str, result: list[object], yes: bool) -> None:
    assert says_yes({"resultType": kind, "result": result}) is yes
