"""Requests by name and phase: sliced where phases begin, shown in every view, and judged by what a profile limits."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from rich.console import Console

from chaoskit.events import Event, LoadNames, LoadTotals, NameCounts, Notice, Phase, decode, encode
from chaoskit.history import History
from chaoskit.load.messages import ByName, LoadWindow
from chaoskit.report.html import page
from chaoskit.report.requests import EXCEPTIONS_COLUMNS, FAILURES_COLUMNS, STATS_COLUMNS, csv_files
from chaoskit.report.terminal import verdict_view
from chaoskit.run.names import Names
from chaoskit.scenario.model import FailIf
from chaoskit.verify.case import Case
from chaoskit.verify.requests import EXIT_CODE, LIMITS, is_named
from chaoskit.verify.verdict import ALL_PHASES, Result, Row
from chaoskit.verify.verify import plan_of, verify
from tests.golden.doctored import recorded, with_events

KEPT = recorded("kept")
PLAN = plan_of(KEPT.header)
FAST, SLOW = ((80, 95), (90, 5)), ((348, 100),)
"""Latencies of about 5 ms, and of 1.0 s."""


def slices(**phases: dict[str, NameCounts]) -> History:
    """A history whose phases had these names, each in a slice of ten seconds after the last all-clear."""
    at = max(event.t for event in KEPT.of(Notice)) + 1
    told = [
        LoadNames(t=at, phase=phase.partition("_")[0], span=(at, at + 10), names=names, mixed=phase.endswith("_mixed"))
        for phase, names in phases.items()
    ]
    return with_events(KEPT, [*KEPT.events, *told])


def judged(history: History, *limits: FailIf) -> list[tuple[str, str]]:
    plan = replace(PLAN, profile=replace(PLAN.profile, load=replace(PLAN.profile.load, fail_if=limits)))
    case = Case(history, plan)
    rows = [one.row for one in LIMITS.judge(case)]
    assert [about for about, _, _ in LIMITS.owes(case)] == [row.about for row in rows]
    return [(str(row.result), row.reason or row.rests_on) for row in rows]


def window(second: float, **by_name: int) -> LoadWindow:
    names = {f"GET {name}": ByName(n, n, 0, 0, {80: n}) for name, n in by_name.items()}
    return LoadWindow(second=(second, second + 1), by_name=names)


def test_a_slice_ends_where_a_phase_begins_and_what_is_mixed_belongs_to_none() -> None:
    written: list[Event] = []
    book = Names(written.append)
    book.feed(Phase(name="steady", t=99.0))
    for second in range(100, 103):
        book.take(window(second, a=2))
    book.feed(Phase(name="steps", t=103.5))
    for second in range(103, 106):
        book.take(window(second, a=1, b=1))
    book.feed(Phase(name="tail", t=106.0))
    book.take(window(106, b=4))
    book.close()
    found = [event for event in written if isinstance(event, LoadNames)]
    assert [(one.phase, one.span, one.mixed) for one in found] == [
        ("steady", (100, 102), False),
        ("steady", (102, 103), False),
        ("steady", (103, 104), True),
        ("steps", (104, 106), False),
        ("tail", (106, 107), False),
    ]
    assert [{name: one.finished for name, one in each.names.items()} for each in found] == [
        {"GET a": 4}, {"GET a": 2}, {"GET a": 1, "GET b": 1}, {"GET a": 2, "GET b": 2}, {"GET b": 4},
    ]  # fmt: skip
    assert decode(encode(found[0])) == found[0]


def test_a_slice_of_many_names_is_longer() -> None:
    """Else a locustfile that asks a thousand names would fill the history."""
    written: list[Event] = []
    book = Names(written.append)
    book.feed(Phase(name="steady", t=99.0))
    for second in range(100, 112):
        book.take(window(second, **{f"n{number}": 1 for number in range(50)}))
    found = [event for event in written if isinstance(event, LoadNames)]
    assert [one.span for one in found] == [(100, 105), (105, 110)]


CASES = [
    (FailIf("checkout", 0.01, {95: 0.8}), {"GET checkout": NameCounts(100, 1, 0, FAST)}, "PASS", "1.00% failed, P95"),
    (FailIf("checkout", 0.01, {}), {"GET checkout": NameCounts(100, 2, 0, FAST, {"HTTP 500": 2})}, "FAIL",
     "2.00% of 100 requests failed (2 of them: HTTP 500), more than 0.01"),
    (FailIf("checkout", 0.01, {}), {"GET checkout": NameCounts(99, 0, 2, FAST)}, "FAIL", "more than 0.01"),
    (FailIf("checkout", None, {95: 0.8}), {"GET checkout": NameCounts(100, 0, 0, SLOW)}, "FAIL", "more than 800 ms"),
    (FailIf("checkout", 0.01, {}), {"GET checkout": NameCounts(99, 0, 0, FAST)}, "UNKNOWN", "too few requests"),
    (FailIf("checkout", None, {99: 0.8}), {"GET checkout": NameCounts(99, 0, 0, ((80, 99),))}, "UNKNOWN",
     "P99 needs 100"),
    (FailIf("checkout", 0.0, {}), {"GET checkout": NameCounts(3, 1, 0, FAST)}, "FAIL", "33.33%"),
    (FailIf("chekout", 0.01, {}), {"GET checkout": NameCounts(100, 0, 0, FAST)}, "UNKNOWN", "it made GET checkout"),
    (FailIf("", None, {50: 0.8}), {"GET a": NameCounts(100, 0, 0, SLOW), "GET b": NameCounts(300, 0, 0, ((80, 300),))},
     "PASS", "400 requests, P50"),
]  # fmt: skip


@pytest.mark.parametrize(("limit", "names", "result", "said"), CASES)
def test_more_than_a_limit_fails_and_too_few_requests_are_unknown(
    limit: FailIf, names: dict[str, NameCounts], result: str, said: str
) -> None:
    ((found, why),) = judged(slices(tail=names), limit)
    assert (found, said in why) == (result, True), why


def test_only_a_healthy_service_is_limited() -> None:
    """Faults are meant to fail requests: what counts came before the first step, or after the last all-clear."""
    good, bad = {"GET a": NameCounts(200, 0, 0, FAST)}, {"GET a": NameCounts(900, 900, 0, SLOW)}
    limit = FailIf("a", 0.01, {95: 0.8})
    ((result, _),) = judged(slices(steady=good, steps=bad, undo=bad, tail_mixed=bad, stopping=bad), limit)
    assert result == "PASS"
    ((result, why),) = judged(slices(steps=good), limit)
    assert (result, "too few" in why) == ("UNKNOWN", True)
    early = slices(tail=bad)
    before = [event for event in early.events if isinstance(event, LoadNames)]
    uncleared = with_events(
        early,
        [msgspec.structs.replace(e, span=(0.0, 10.0)) if e in before else e for e in early.events],
    )
    assert judged(uncleared, limit)[0][0] == "UNKNOWN"


def test_nothing_that_told_of_names_and_company_are_unknown() -> None:
    limit = FailIf("a", 0.01, {})
    assert judged(KEPT, limit)[0][0] == "UNKNOWN"
    beside = replace(KEPT, header=msgspec.structs.replace(KEPT.header, beside=["another"]))
    assert "other scenarios' faults" in judged(beside, limit)[0][1]


@pytest.mark.parametrize(
    ("label", "name", "meant"),
    [("GET a", "a", True), ("GET a", "GET a", True), ("GET a/1", "a", True), ("GET a/b", "a", False),
     ("GET ab", "a", False), ("anything", "", True)],
)  # fmt: skip
def test_a_limit_names_requests_by_their_name(label: str, name: str, meant: bool) -> None:
    assert is_named(label, name) is meant


def exit_code_row(history: History) -> Row:
    load = replace(PLAN.profile.load, locustfile="own.py")
    plan = replace(PLAN, profile=replace(PLAN.profile, load=load))
    [one] = EXIT_CODE.judge(Case(history, plan))
    return one.row


@pytest.mark.parametrize(("code", "result"), [(None, "PASS"), (0, "PASS"), (3, "FAIL")])
def test_an_exit_code_of_the_locustfile_is_a_row(code: int | None, result: str) -> None:
    totals = next(KEPT.of(LoadTotals))
    told = [msgspec.structs.replace(e, exit_code=code) if e == totals else e for e in KEPT.events]
    row = exit_code_row(with_events(KEPT, told))
    assert row.result == result
    assert code != 3 or "exit code 3 (process_exit_code or sys.exit)" in row.reason
    without = [event for event in KEPT.events if not isinstance(event, LoadTotals)]
    assert exit_code_row(with_events(KEPT, without)).result is Result.UNKNOWN


def shown() -> History:
    good = {f"GET n{n}": NameCounts(100, 0, 0, FAST) for n in range(15)}
    bad = {"POST flow-login": NameCounts(50, 10, 0, SLOW, {"card refused by the bank": 7, "timeout": 3})}
    return slices(steady=good, tail={**good, **bad})


def test_terminal_page_json_and_csv_have_a_row_for_each_name() -> None:
    history = shown()
    verdict = verify(history)
    console = Console(file=io.StringIO(), width=200)
    console.print(verdict_view(verdict))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.split() for line in said[said.index("Requests") :].splitlines()]
    assert "the worst 10 of 16" in said
    assert lines[2][:4] == ["POST", "flow-login", "50", "10"]
    assert "card refused by the bank: 7" in said
    text = page(history, verdict).decode()
    assert text.index("flow-login") < text.index("n14")
    assert not isinstance(verdict.requests, msgspec.UnsetType)
    (login,) = [one for one in verdict.requests if one.name == "flow-login" and one.phase == ALL_PHASES]
    assert (login.type, login.requests, login.failures, login.requests_per_s) == ("POST", 50, 10, 2.5)
    (n0,) = [one for one in verdict.requests if one.name == "n0" and one.phase == "steady"]
    assert (n0.requests, n0.requests_per_s) == (100, 10)
    files = {name: list(csv.DictReader(io.StringIO(body.decode()))) for name, body in csv_files(history).items()}
    stats = {one["Name"]: one for one in files["load_stats.csv"]}
    assert stats["Aggregated"]["Request Count"] == "3050"
    assert float(stats["flow-login"]["95%"]) == pytest.approx(1000, rel=0.02)
    assert files["load_failures.csv"][0]["Error"] == "card refused by the bank"
    assert csv_files(KEPT) == {}
    assert isinstance(verify(KEPT).requests, msgspec.UnsetType)


def test_the_csv_files_have_locusts_own_columns() -> None:
    code = (
        "import locust, json; from locust.stats import StatsCSV, PERCENTILES_TO_REPORT as P\n"
        "s = StatsCSV(locust.env.Environment(), P)\n"
        "print(json.dumps([s.requests_csv_columns, s.failures_columns, s.exceptions_columns]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    found: Any = msgspec.json.decode(done.stdout)
    assert [tuple(one) for one in found] == [STATS_COLUMNS, FAILURES_COLUMNS, EXCEPTIONS_COLUMNS]
