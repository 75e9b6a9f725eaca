"""What earlier gates leave behind: a record for each time scale, what is left out, and who is tried again with whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from chaoskit.errors import ExitCode
from chaoskit.gate.candidate import LeftOut
from chaoskit.gate.gate import Outcome, _again
from chaoskit.gate.job import _took_s
from chaoskit.gate.record import FILE, load_record, save_record
from chaoskit.gate.schedule import StackPlan, Wave
from chaoskit.gate.view import left_out_lines
from chaoskit.hop import Hop
from chaoskit.verify.verdict import Result, Row, Verdict
from tests.unit.test_gate_schedule import one


def test_each_time_scale_has_a_record_of_its_own(tmp_path: Path) -> None:
    record = load_record(tmp_path)
    record.at(60).note("a", 0, 1000.0, 37.0, "run")
    record.at(1).note("a", 1, 2000.0, 2220.0, "run")
    save_record(tmp_path, record)
    again = load_record(tmp_path)
    assert (again.at(60).took_s("a"), again.at(1).took_s("a"), again.at(10).took_s("a")) == (37.0, 2220.0, None)
    assert (again.at(60).failed_last(), again.at(1).failed_last()) == (set(), {"a"})


@pytest.mark.parametrize(("code", "took_s"), [(0, 12.0), (1, 12.0), (3, 12.0), (4, 37.0), (70, 37.0)])
def test_what_was_broken_off_does_not_say_how_long_a_scenario_takes(tmp_path: Path, code: int, took_s: float) -> None:
    """The plan goes by the last run that came to its own end; that the last one did not pass is kept all the same."""
    known = load_record(tmp_path).at(60)
    known.note("a", 0, 1000.0, 37.0, "run")
    known.note("a", code, 2000.0, 12.0, "run")
    assert known.took_s("a") == took_s
    assert known.failed_last() == ({"a"} if code else set())


def test_a_record_without_scales_or_one_that_cannot_be_read_is_an_empty_one(tmp_path: Path) -> None:
    old = '{"scenarios": {"a": {"exit_code": 0, "at": 1, "took_s": 37, "passed_at": 1, "run": "x"}}}'
    for text in (old, "{"):
        (tmp_path / FILE).write_text(text)
        assert load_record(tmp_path).at(60).took_s("a") is None


def test_what_is_left_out_is_named_with_what_it_proves_and_when_it_last_passed() -> None:
    known = load_record(Path("/nowhere")).at(60)
    known.note("a", 0, 0.0, 10.0, "run")
    said = [str(line) for line in left_out_lines([LeftOut("a", "no time", "A"), LeftOut("b", "x.yml:3: bad")], known)]
    assert "left out: a, which proves A (last passed: " in said[0]
    assert "days ago" in said[0]
    assert said[0].endswith("): no time")
    assert said[1].endswith("left out: b (last passed: never): x.yml:3: bad")


def test_a_second_attempt_keeps_the_company_of_the_first() -> None:
    """Two that disturbed each other into UNKNOWN meet again; alone each of them might pass."""
    a, b, c, d = (one(name) for name in "abcd")
    plan = StackPlan([Wave([a, b, c]), Wave([d])])
    assert [wave.members for wave in _again(plan, [a, c]).waves] == [[a, c]]
    assert [wave.members for wave in _again(plan, [b, d]).waves] == [[b], [d]]


@pytest.mark.parametrize(
    ("exit_code", "steady", "again"),
    [
        (ExitCode.UNKNOWN, Result.PASS, True),
        (ExitCode.ABORTED, Result.UNKNOWN, True),
        (ExitCode.ABORTED, Result.PASS, False),
        (ExitCode.FAIL, Result.UNKNOWN, False),
        (ExitCode.NOT_HEALED, Result.UNKNOWN, False),
        (ExitCode.PASS, Result.PASS, False),
    ],
)
def test_what_says_nothing_is_tried_again_and_so_is_a_stack_that_never_came_up(
    exit_code: ExitCode, steady: Result, again: bool
) -> None:
    """What ended early with its fault in force is not: there is a reason why it was stopped."""
    verdict = Verdict(
        run_id="",
        scenario="a.yml",
        title="",
        time_scale=60.0,
        result=Result.UNKNOWN,
        exit_code=int(exit_code),
        figures=[],
        rows=[Row(about="before the fault", hop=Hop.STEADY, result=steady)],
        notes=[],
    )
    outcome = Outcome(cast(Any, None), int(exit_code), 0.0, Path(), 1, verdict)
    assert outcome.says_nothing is again


def test_a_scenario_takes_no_time_below_none_where_the_clock_was_set_back_meanwhile() -> None:
    assert _took_s({"steady": 90.0, "steps": 100.0, "tail": 120.0, "stopping": 131.5}) == 31.5
    assert _took_s({"steady": 90.0, "steps": 100.0, "tail": 60.0, "stopping": 71.5}) == 0.0
    assert _took_s({"steady": 90.0}) == 0.0
