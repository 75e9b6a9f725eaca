"""One rule that promtool refuses, or never ends on, is a reason of this rule; its neighbours are asked without it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaoskit.alerting.model import Rule
from chaoskit.errors import EquipmentError, Place
from chaoskit.faults.series import Scripted, Values, constant, parse_values, slope
from chaoskit.rehearse import proof
from chaoskit.rehearse.derive import Guess, Subject
from chaoskit.rehearse.promtool import dumped, run_tests
from chaoskit.rehearse.proof import Engine, prove
from chaoskit.stack.binaries import require


def rule(metric: str) -> Rule:
    return Rule(metric.title(), "", f"{metric} > 1", 60.0, 0.0, {}, {}, "g", 15.0, Place("rules.yml", 1))


@pytest.mark.parametrize("code", [1, 124])
def test_a_rule_that_promtool_refuses_is_found_and_ends_no_other(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def promtool(program: Path, file: Path, document: Mapping[str, Any], within_s: float = 0.0) -> tuple[int, str]:
        """Every series holds as it should but poison, for which the whole file is refused."""
        text = dumped(document)
        asked.append(len(set(re.findall(r"# chaoskit (\d+)", text))))
        if "poison" in text:
            return code, f"Unit Testing: {file}\n  FAILED:\n    the whole file is wrong"
        marks = [m for m in re.findall(r"# chaoskit (\d+) (\w+)", text) if m[1] in ("filled", "end", "late")]
        said = [f'expr: "a # chaoskit {n} {when}", time: 1m,\n exp: nil\n got: {{a="b"}} 1' for n, when in marks]
        return 1, "\n".join(said)

    monkeypatch.setattr(proof, "run_tests", promtool)
    subjects = [Subject(number, rule(name), 0.0) for number, name in enumerate(["a", "b", "poison", "c", "d"])]
    proven, unproven = prove(subjects, Engine({}, Path("promtool"), tmp_path / "proof", 15.0))
    assert [one.subject.rule.alert for one in proven] == ["A", "B", "C", "D"]
    (bad,) = unproven
    assert bad.subject.rule.alert == "Poison"
    assert bad.reason == "Prometheus's engine refuses the expression with such series: FAILED: the whole file is wrong"
    assert asked[:5] == [5, 2, 3, 1, 2], "the halves of what was refused, until it is alone"


def test_a_promtool_that_does_not_end_is_ended(tmp_path: Path) -> None:
    program = tmp_path / "promtool"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    assert run_tests(program, tmp_path / "t.yml", {}, 0.1) == (124, "promtool did not end within 0.1 s")


def test_where_there_is_no_promtool_that_is_said_of_none_of_the_rules(tmp_path: Path) -> None:
    with pytest.raises(EquipmentError, match="promtool"):
        prove([Subject(0, rule("a"), 0.0)], Engine({}, Path("/nonexistent/promtool"), tmp_path / "proof", 15.0))


def test_rules_that_see_nothing_of_each_other_are_asked_in_one_test(tmp_path: Path) -> None:
    """promtool opens a store for each test. What reads a metric of another, or any metric, has a test of its own."""

    def test(*metrics: str) -> tuple[frozenset[str], dict[str, object]]:
        series = [{"series": metric, "values": "1"} for metric in metrics]
        return frozenset(metrics), {"interval": "15s", "input_series": series, "promql_expr_test": [*metrics]}

    found = proof._together([test("a", "b"), test("c"), test("b", "d"), test(""), test("e")])
    assert [one["promql_expr_test"] for one in found] == [["a", "b", "c", "e"], ["b", "d"], [""]]
    assert [len(one["input_series"]) for one in found] == [4, 2, 1]


def test_what_holds_only_by_promtools_clock_is_not_proven(tmp_path: Path) -> None:
    """Its evaluations are at the instants of samples, and its time begins at 0: in a stack neither is so."""
    engine = Engine({}, require().promtool, tmp_path, 15.0)

    def holds(expr: str, values: Values, clock: bool = False) -> bool:
        series = Scripted("a", (("instance", "rehearsal-0"),), constant(0.0), values, clock=clock)
        asked = [Guess(Subject(0, replace(rule("a"), expr=expr), 60.0), (series,))]
        ((_, answers),) = proof._round(asked, engine, "0")
        return "filled" in answers

    soon, flips = constant(18 * 86400.0), parse_values("1 0 1 0 1 0 1 0 1 0 1 0")
    assert [holds("3 <= (a - time()) / 86400 < 20", soon, clock) for clock in (True, False)] == [True, False]
    assert [holds(f"changes(a[1m]) > {n}", replace(flips, repeat=True)) for n in (2, 3)] == [True, False]


def test_series_that_hold_only_where_every_scrape_is_on_time_are_not_taken(tmp_path: Path) -> None:
    """A counter that grows fast at rest makes a difference of two rates large by itself."""
    subject = Subject(0, replace(rule("a"), expr="abs(rate(a[1m]) - rate(a[1m] offset 1m)) > 2"), 120.0)
    engine = Engine({}, require().promtool, tmp_path, 15.0)

    def robust(rest: Values) -> bool:
        series = Scripted("a", (("instance", "rehearsal-0"),), rest, slope(0.0, 7500.0), counter=True)
        return proof._is_robust(Guess(subject, (series,)), 0, engine)

    assert [robust(constant(1.0)), robust(slope(0.0, 3000.0))] == [True, False]
