"""Rows are judged strictly, and one pass asks for excuses: it makes rows UNKNOWN, and nothing else of them.

Literals in virtual seconds after the fault; one real second is a virtual minute.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import chaoskit
from chaoskit.events import Equipment, FaultOk, Notice, Poll, Watch
from chaoskit.history import History
from chaoskit.hop import Hop, Lane
from chaoskit.verify.case import Case, Instance
from chaoskit.verify.check import Need, Strict, broken, but, kept, unknown
from chaoskit.verify.checks import CHECKS
from chaoskit.verify.excuses import excuse, unseen
from chaoskit.verify.verdict import Result
from chaoskit.verify.verify import plan_of
from tests.golden.doctored import NAMES, Truth, mapped, recorded, told, with_events

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN
TOLD = told(Truth())
PLAN = plan_of(TOLD.header)


def strict_rows(case: Case) -> list[Strict]:
    subjects: list[Any] = [case, *case.instances]
    return [one for check in CHECKS for each in subjects if isinstance(each, check.of) for one in check.judge(each)]


def since_fault(case: Case, virtual_s: float) -> float:
    return next(case.history.of(FaultOk)).effect[0] + virtual_s / case.scale


def need(case: Case, begin_vs: float, end_vs: float, **more: Any) -> Need:
    begin = since_fault(case, begin_vs)
    return Need((begin, since_fault(case, end_vs)), but("seen"), begin, "the fault", **more)


def down(name: str, at_vs: float) -> History:
    case = Case(TOLD, PLAN)
    events = [*TOLD.events, Equipment(t=since_fault(case, at_vs), name=name, state="down", detail="it ended with -9")]
    return with_events(TOLD, sorted(events, key=lambda event: event.t))


@pytest.mark.parametrize("name", NAMES)
def test_no_excuse_makes_anything_pass_or_fail(name: str) -> None:
    """And what was blinded on purpose is excused by this pass alone: without it, it would be FAIL or PASS."""
    history = recorded(name)
    blind = mapped(history, lambda event: None if isinstance(event, Watch | Poll) else event)
    for case in (Case(history, plan_of(history.header)), Case(blind, plan_of(history.header))):
        for one in strict_rows(case):
            row = excuse(one, case)
            assert row.result in (one.row.result, UNKNOWN)
            assert row == one.row or (row.hop.excusable and one.needs and row.reason and not row.rests_on)


def test_a_notice_that_never_came_is_strictly_a_failure_and_unknown_only_by_its_excuse() -> None:
    deaf = mapped(TOLD, lambda event: None if isinstance(event, Watch | Notice) else event)
    case = Case(deaf, PLAN)
    strict = [one for one in strict_rows(case) if one.row.hop is Hop.NOTIFY]
    assert {one.row.result for one in strict} == {FAIL}
    assert {excuse(one, case).result for one in strict} == {UNKNOWN}


@pytest.mark.parametrize("result", [PASS, FAIL])
def test_what_rests_on_silence_is_unknown_where_its_observer_did_not_look(result: Result) -> None:
    blind = mapped(TOLD, lambda event: None if isinstance(event, Watch) and event.sink == "mail-sink" else event)
    case = Case(blind, PLAN)
    make = kept if result is PASS else broken
    for observer, wanted in (("mail-sink", UNKNOWN), ("webhook-sink", result)):
        row = excuse(make(Hop.FINDING, "x", "seen", need(case, 10, 60, observers=(observer,))), case)
        assert row.result is wanted
        assert (
            row.reason == "seen, but mail-sink was not watched all the time (blind from 0.0 s after the fault on)"
        ) is (wanted is UNKNOWN)


@pytest.mark.parametrize(("at_vs", "wanted"), [(5, UNKNOWN), (30, UNKNOWN), (70, FAIL)], ids=["before", "in", "after"])
def test_equipment_that_is_down_excuses_only_what_it_touches(at_vs: float, wanted: Result) -> None:
    case = Case(down("alertmanager", at_vs), PLAN)
    strict = broken(Hop.FINDING, "x", "seen", need(case, 10, 60, equipment=("alertmanager",)))
    assert excuse(strict, case).result is wanted
    assert excuse(broken(Hop.FINDING, "x", "seen", need(case, 10, 60, equipment=("prometheus",))), case).result is FAIL


def test_a_check_that_ran_past_the_end_of_looking_on_is_unknown() -> None:
    case = Case(TOLD, PLAN)
    past = need(case, 10, (case.until - since_fault(case, 0)) * case.scale + 1, observers=("prometheus",))
    assert unseen(past, case).startswith("the run ended ")
    assert not unseen(need(case, 10, 60, observers=("prometheus", "mail-sink", "webhook-sink")), case)


@pytest.mark.parametrize("hop", Hop)
def test_what_is_not_excusable_stays_a_failure_whatever_was_blind(hop: Hop) -> None:
    case = Case(mapped(TOLD, lambda event: None if isinstance(event, Watch) else event), PLAN)
    row = excuse(broken(hop, "x", "wrong", need(case, 10, 60, observers=("mail-sink",))), case)
    assert row.result is (UNKNOWN if hop.excusable else FAIL)


def test_what_is_unknown_for_want_of_knowledge_stays_so_with_its_own_reason() -> None:
    case = Case(TOLD, PLAN)
    assert excuse(unknown(Hop.DETECT, "x", "not judged: why"), case).reason == "not judged: why"


def test_each_hop_says_what_is_to_be_known_of_it() -> None:
    """The timed ones are those that have words for their beginning and end; only they are drawn as windows."""
    parts = {Hop.DETECT, Hop.HOLD, Hop.NOTIFY, Hop.AFTER_SILENCE, Hop.CLEAR, Hop.ALL_CLEAR}
    assert {hop for hop in Hop if hop.timed} == parts | {Hop.FAULT_TO_PHONE, Hop.UNDO_TO_ALL_CLEAR}
    assert all(hop.start and hop.did and hop.excusable for hop in Hop if hop.timed)
    assert Hop.NOTIFY.never == "was never notified"
    assert Hop.HOLD.never == "never fired"
    assert not Hop.CONTENT.excusable


def test_every_hop_is_made_and_its_rows_name_a_receiver_where_its_lane_is_one() -> None:
    """A hop that nothing makes would be a word without a meaning; what no recorded run has stands in the sources."""
    cases = [Case(recorded(name), plan_of(recorded(name).header)) for name in NAMES]
    rows = [one.row for case in cases for one in strict_rows(case)]
    assert [row for row in rows if bool(row.to) is not (row.hop.lane is Lane.RECEIVER)] == []
    sources = "\n".join(file.read_text() for file in Path(chaoskit.__file__).parent.rglob("*.py"))
    assert {row.hop for row in rows} | {Hop[name] for name in re.findall(r"\bHop\.([A-Z_]+)\b", sources)} == set(Hop)
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert {check.of for check in CHECKS} == {Case, Instance}
