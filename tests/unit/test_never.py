"""Negative controls: an alert does not fire while its level is just below the threshold; broken, blinded, refused."""

from __future__ import annotations

import dataclasses
import re
import threading
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from chaoskit import bundle
from chaoskit.alerting.config import load_config
from chaoskit.alerting.quantity import Quantity, quantity_of
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.errors import BadInput, Place
from chaoskit.events import Level, Poll, UndoBegin
from chaoskit.gate.view import both_sides
from chaoskit.history import History
from chaoskit.hop import Hop
from chaoskit.plan.controls import plan_controls
from chaoskit.run.steps import Measured, StepRunner
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import Control
from chaoskit.verify.verdict import Result, Row
from chaoskit.verify.verify import verify
from tests.golden.doctored import mapped, recorded, with_events

ROOT = Path(__file__).parents[2]
SCENARIO = """\
chaoskit: 1
title: Errors stay just below their threshold
steps:
  - inject: http.error
    as: errors
    target: {link: upstream}
    with: {status: 422, ratio: 95%}
  - wait: 20m
  - change: errors
    as: normal
    with: {ratio: 4%}
  - wait: 30m
expect:
  - {alert: HighErrorRate, never: true, during: normal}
"""


LASTED_VS = 200.0
"""The level lasted so long: enough for MultipleWorkersDown, too short for WorkerHighQueueDepth."""


@cache
def controlled(alert: str, **measured: object) -> History:
    """The recorded run in which a worker died, with a control of this alert and the level that was measured."""
    history = recorded("kept")
    key = next(key for key in history.header.sources if key.startswith("scenario:"))
    entry = f"expect:\n  - {{alert: {alert}, never: true, during: kill}}\n"
    sources = {**history.header.sources, key: history.header.sources[key].replace("expect:\n", entry)}
    promise = next(key for key in sources if key.startswith("promise:"))
    levels = "  WorkerUnhealthy:\n    levels: {quiet: 1, fires: 0}\n"
    sources[promise] = sources[promise].replace("  WorkerUnhealthy:\n", levels)
    header = msgspec.structs.replace(history.header, sources=sources)
    ended = next(history.of(UndoBegin)).t
    level = Level(
        alert=alert, step="kill", during=(ended - LASTED_VS / 60, ended), expected=10,
        **({"low": 0.0, "high": 95.0, "samples": 10} | measured),  # type: ignore[arg-type]
    )  # fmt: skip
    told = [header, *history.events[1:]]
    place = next(n for n, event in enumerate(told) if isinstance(event, UndoBegin))
    if measured.get("samples", 1):
        told.insert(place, level)
    return dataclasses.replace(with_events(history, told), header=header)


def row(history: History) -> Row:
    (found,) = [one for one in verify(history).rows if one.hop == "never"]
    return found


def test_silence_at_a_measured_level_below_the_threshold_passes_and_says_the_level() -> None:
    found = row(controlled("MultipleWorkersDown", low=1.0, high=1.9))
    assert (found.about, found.result) == ("MultipleWorkersDown during kill", Result.PASS)
    assert found.rests_on == "measured 1 to 1.9, below 2, for 200 s"


def test_an_alert_that_fires_at_such_a_level_fails() -> None:
    found = row(controlled("WorkerUnhealthy", low=1.0, high=1.0))
    assert found.result is Result.FAIL
    assert "WorkerUnhealthy during kill: the alert fired although the level was 1 to 1, at least 1" in found.reason


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        ({"high": 105.0}, "the level was 0 to 105, not at most 100 all the time"),
        ({"high": 70.0}, "the level was 0 to 70, which is more than a fifth from 100"),
        (
            {"low": None, "high": None, "detail": "Prometheus did not tell"},
            "the level was not measured: Prometheus did",
        ),
        ({"samples": 0}, "the level was not measured: the run ended before the step did"),
        ({"samples": 3}, "the level was seen 3 of 10 times"),
        ({}, "s, and the alert needs"),
    ],
)
def test_a_level_that_was_not_seen_or_not_below_or_too_short_proves_nothing(
    measured: dict[str, object], why: str
) -> None:
    found = row(controlled("WorkerHighQueueDepth", **measured))
    assert found.result is Result.UNKNOWN
    assert why in found.reason


@pytest.mark.parametrize(
    ("near_s", "told"),
    [
        (2.0, "for 200 s; within a fifth for 120 s on end, at least its `for` (120 s)"),
        (1.75, "for 200 s; within a fifth for 105 s on end, less than its `for` (120 s)"),
        (None, "for 200 s"),
    ],
)
def test_the_row_says_whether_a_threshold_lowered_by_a_fifth_would_have_fired(near_s: float | None, told: str) -> None:
    """Of an older history, which does not tell, nothing is said."""
    found = row(controlled("MultipleWorkersDown", low=1.0, high=1.9, near_s=near_s))
    assert (found.result, found.rests_on) == (Result.PASS, f"measured 1 to 1.9, below 2, {told}")


def test_what_is_measured_is_the_longest_span_near_the_threshold_of_one_series_without_a_gap() -> None:
    """A level that swings away, comes and goes, or is near in turns on two series would not have fired a lower one."""
    (planned,), _ = plan_controls(load_scenario(SCENARIO, "s.yml"), load_config(bundle.folder()))
    every_s = planned.rule.interval_s / 60

    def measured(*each: str) -> Level:
        """`n` is a value near the threshold, `f` one far from it, and a blank is none."""
        value = {"n": 0.045, "f": 0.02}
        series = [[(n * every_s, value[one]) for n, one in enumerate(told) if one != " "] for told in each]
        journal: list[Level] = []
        world = SimpleNamespace(level=lambda *_: Measured(series))
        plan = SimpleNamespace(time_scale=60.0, controls=[dataclasses.replace(planned, ends_before="undo")])
        given: Any = (plan, SimpleNamespace(write=journal.append), None, world, Path(), threading.Event())
        StepRunner(*given, _done_at={"normal": 0.0}).measure("undo")
        return journal[0]

    spans = {told: measured(*told.split("|")).near_s for told in ("nnnn", "nnfnnn", "nn nn", "nnff|ffnn", "n", "f", "")}
    assert [round((span or 0.0) / every_s) for span in spans.values()] == [3, 2, 1, 1, 0, 0, 0]
    found = measured("nfn", " nn ")
    assert (found.low, found.high, found.samples) == (0.02, 0.045, 3)


def test_silence_that_the_observer_did_not_watch_is_unknown() -> None:
    blind = mapped(
        controlled("MultipleWorkersDown", low=1.0, high=1.9),
        lambda event: None if isinstance(event, Poll) and event.source == "prometheus" else event,
    )
    assert row(blind).result is Result.UNKNOWN


def problems(text: str) -> list[str]:
    config = load_config(bundle.folder())
    try:
        return [str(each) for each in plan_controls(load_scenario(text, "s.yml"), config)[1]]
    except BadInput as bad:
        return [str(each) for each in bad.problems]


def test_a_control_knows_what_is_measured_on_which_side_and_for_how_long() -> None:
    (planned,), wrong = plan_controls(load_scenario(SCENARIO, "s.yml"), load_config(bundle.folder()))
    assert wrong == []
    assert planned.query == "environment:insa_agent_request_errors:ratio_rate5m"
    assert (planned.quiet, planned.below, planned.ends_before) == (0.0495, True, "")
    assert planned.settle_vs > 300  # what was before the change leaves the range first
    assert planned.quiet_at(0.01, 0.0495)
    assert not planned.quiet_at(0.01, 0.05)
    assert planned.is_near(0.0, 0.041)
    assert not planned.is_near(0.0, 0.03)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("wait: 30m", "wait: 10m", "the level lasts 10m, and the alert needs"),
        ("HighErrorRate", "HighErorRate", "HighErorRate"),
        ("during: normal", "during: nrmal", "'during' names no step: 'nrmal'"),
        ("never: true", "never: false", "'never' must be true"),
        (", during: normal", "", "a negative control needs 'during'"),
        ("during: normal", "during: normal, from: errors", "'from' is not a key of a negative control"),
        ("during: normal}\n", "during: normal}\n  - {alert: HighErrorRate, never: true, during: normal}\n", "twice"),
    ],
)
def test_what_is_wrong_with_a_control_is_said_at_its_line(old: str, new: str, message: str) -> None:
    text = SCENARIO.replace(old, new)
    assert any("s.yml:1" in each and message in each for each in problems(text)), problems(text)


def test_an_alert_that_compares_nothing_with_a_number_has_no_control() -> None:
    config = load_config(bundle.folder())
    rules = [dataclasses.replace(one, expr="a > b") if one.alert == "HighErrorRate" else one for one in config.rules]
    _, (said,) = plan_controls(load_scenario(SCENARIO, "s.yml"), dataclasses.replace(config, rules=tuple(rules)))
    assert "HighErrorRate compares nothing with a number, so no level of it can be below its threshold" in str(said)


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        ("queue > 100", Quantity("queue", ">", 100.0)),
        ("0.1 > free", Quantity("free", "<", 0.1)),
        ("queue > 2 * 60", Quantity("queue", ">", 120.0)),
        ("count(up == 0) >= 2 and on() x", Quantity("count(up == 0)", ">=", 2.0)),
        ("a > b", None),
        ("absent(up)", None),
    ],
)
def test_the_quantity_is_the_side_that_is_no_number(expr: str, found: Quantity | None) -> None:
    assert quantity_of(expr) == found


def test_the_gate_says_of_which_alerts_both_sides_were_shown_live() -> None:
    """A control counts where its own row passed, firing where the whole scenario did."""

    def outcome(fired: list[str], quiet: list[str], result: Result) -> SimpleNamespace:
        controls = [SimpleNamespace(control=Control(name, "step", Place("s.yml"))) for name in quiet]
        rows = [Row(about=one.control.about, hop=Hop.NEVER, to="", result=result) for one in controls]
        alerts = [SimpleNamespace(rule=SimpleNamespace(alert=name)) for name in fired]
        plan = SimpleNamespace(alerts=alerts, controls=controls)
        return SimpleNamespace(
            candidate=SimpleNamespace(plan=plan), verdict=SimpleNamespace(rows=rows, result=Result.PASS)
        )

    shown = [outcome(["A", "B", "C"], [], Result.PASS), outcome([], ["A"], Result.PASS)]
    blind = outcome([], ["B"], Result.UNKNOWN)
    assert both_sides([*shown, blind]) == [  # type: ignore[list-item]
        "both sides of the threshold, live: A",
        "  fired, and quiet below it only by promtool (chaoskit check): B, C",
    ]
    assert both_sides(shown[:1]) == []  # type: ignore[arg-type]


def test_check_says_by_what_both_sides_are_proved() -> None:
    config = load_config(bundle.folder())
    scenario = load_scenario(SCENARIO, "errors-below.yml")
    facts = LintContext(config, [scenario], elsewhere={"levels": ()}, proved={"HighErrorRate": "promtool: both"})
    assert check(facts).proved == {"HighErrorRate": "promtool: both; drills: quiet in errors-below"}


def test_each_shipped_alert_has_a_control_and_the_table_says_in_which_scenario() -> None:
    """A control that no row names, and a row without its control, are wrong."""
    config = load_config(bundle.folder())
    controls = {
        (one.alert, file.stem)
        for file in (ROOT / "scenarios").glob("*.yml")
        for one in load_scenario(file.read_text(), file.name).controls
    }
    rows = re.findall(r"^\| (\w+) \|.*\| `(.+)` \|$", (ROOT / "docs" / "alert-bundle.md").read_text(), re.MULTILINE)
    assert {(alert, place) for alert, place in rows if any(config.alert_rules(alert))} == controls
    assert {alert for alert, _ in controls} == {rule.alert for rule in config.rules if rule.alert}
