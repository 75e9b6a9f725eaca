"""A row that fails shows as failed in every view: on the terminal, in HTML, JUnit, JSON, a gate and a rehearsal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from html_page import read_page
from rich.console import Console

from chaoskit.errors import ExitCode
from chaoskit.gate.answer import Ended, _case
from chaoskit.gate.candidate import candidate
from chaoskit.gate.coverage import KINDS, covered, proven_by
from chaoskit.gate.gate import Outcome
from chaoskit.gate.index import write_index
from chaoskit.gate.record import AtScale
from chaoskit.gate.view import gate_view
from chaoskit.hop import Hop, Lane
from chaoskit.rehearse import outcome as rehearsing
from chaoskit.rehearse.outcome import Rehearsed
from chaoskit.rehearse.output import exit_code, text_lines, to_github, to_junit
from chaoskit.rehearse.output import to_json as rehearsed_json
from chaoskit.report.html import page
from chaoskit.report.html_expected import expected_groups
from chaoskit.report.html_lanes import axis_of
from chaoskit.report.html_tables import lines
from chaoskit.report.junit import junit, promises
from chaoskit.report.terminal import verdict_view
from chaoskit.verify.case import Case
from chaoskit.verify.checklist import Checklist
from chaoskit.verify.verdict import Result, Row, Verdict, to_json
from chaoskit.verify.verify import judge_all, plan_of
from tests.golden.doctored import recorded

KEPT = recorded("kept")
PLAN = plan_of(KEPT.header)
ABOUT, MAIL = "WorkerUnhealthy worker-1", "worker-alerts (email)"
WHY = "planted: this row failed"
BY_LANE = {
    Lane.RUN: ("planted", ""),
    Lane.ALERT: (ABOUT, ""),
    Lane.RECEIVER: (ABOUT, MAIL),
    Lane.FINDING: ("nothing else", ""),
}
THERE = {row.hop: row.about for row in judge_all(KEPT)[0].rows if row.hop.lane is Lane.RUN}
ROWS = {
    **{hop.value: (THERE.get(hop, BY_LANE[hop.lane][0]), BY_LANE[hop.lane][1]) for hop in Hop},
    "notify without integration": (ABOUT, "dlq-alerts"),
    "volume": ("notices total", ""),
}
"""By hop, or by what else a row is: whom it is about, and to whom."""
HOPS = {"notify without integration": "notify", "volume": "finding"}


def seeded(what: str) -> tuple[Verdict, list[Checklist]]:
    """The verdict in which everything was kept, but for one row that failed."""
    verdict, checklists = judge_all(KEPT)
    about, to = ROWS[what]
    bad = Row(about=about, hop=Hop(HOPS.get(what, what)), to=to, result=Result.FAIL, reason=f"{about}: {WHY}")
    others = [row for row in verdict.rows if (row.about, row.hop, row.to) != (bad.about, bad.hop, bad.to)]
    return msgspec.structs.replace(verdict, rows=[*others, bad], result=Result.FAIL, exit_code=1), checklists


def printed(view: object) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(view)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def terminal(what: str, folder: Path) -> bool:
    said = printed(verdict_view(seeded(what)[0])).splitlines()
    hop, to = HOPS.get(what, what), ROWS[what][1]
    return any(line.startswith("FAIL") and hop in line and to in line for line in said) and WHY in "".join(said)


def html(what: str, folder: Path) -> bool:
    verdict, checklists = seeded(what)
    found = read_page(page(KEPT, verdict, (), checklists))
    [line] = [one for one in lines(verdict.rows)[0] if WHY in one.row.reason]
    return line.row.result == "FAIL" and WHY in found.text and "A promise was broken" in found.text


def timeline(what: str, folder: Path) -> bool:
    """The lane of the receiver or of the alert itself, and the group of both; other rows have none."""
    lane, to = Hop(HOPS.get(what, what)).lane, ROWS[what][1]
    if lane not in (Lane.ALERT, Lane.RECEIVER):
        return True
    case = Case(KEPT, PLAN)
    groups = expected_groups(case, seeded(what)[0], axis_of(KEPT, case.evidence))
    [mine] = [group for group in groups if group.title == ABOUT]
    failed = [lane.label for lane in mine.lanes if lane.result == "FAIL"]
    return mine.result == "FAIL" and failed == [to or Lane.ALERT.value]


def xml(what: str, folder: Path) -> bool:
    root = ET.fromstring(junit("chaoskit run", promises(seeded(what)[0], 1.0)))
    [failure] = root.findall(".//failure")
    [case] = [one for one in root.iter("testcase") if one.find("failure") is not None]
    return case.get("name") == ROWS[what][0] and WHY in (failure.get("message") or "")


def as_json(what: str, folder: Path) -> bool:
    document = json.loads(to_json(seeded(what)[0]))
    return document["result"] == "FAIL" and [row["result"] for row in document["rows"]].count("FAIL") == 1


def outcome(what: str, folder: Path) -> Outcome:
    verdict, checklists = seeded(what)
    where = folder / "a"
    where.mkdir(exist_ok=True)
    return Outcome(candidate("a", "a.yml", PLAN, None), 1, 12.4, where, 1, verdict, "", tuple(checklists))


def gate_page(what: str, folder: Path) -> bool:
    one = outcome(what, folder)
    coverage = covered(PLAN.config, [proven_by(PLAN, seeded(what)[0])], ())
    text = read_page(write_index(Ended(folder, [one], coverage, ())).read_bytes()).text
    assert not any(coverage.proven[kind] for kind in KINDS)
    return "do not release" in text and "FAIL" in text and WHY in text


def gate_terminal(what: str, folder: Path) -> bool:
    coverage = covered(PLAN.config, [proven_by(PLAN, seeded(what)[0])], ())
    said = printed(gate_view([outcome(what, folder)], coverage, AtScale(), []))
    return any(line.startswith("FAIL") for line in said.splitlines()) and WHY in said and "(0 %)" in said


def gate_xml(what: str, folder: Path) -> bool:
    case = _case(outcome(what, folder))
    return case.result == "FAIL" and WHY in case.reasons[0] and WHY in outcome(what, folder).reasons[0]


def rehearsal(what: str, folder: Path) -> bool:
    """Text, JSON, JUnit and GitHub alike. A rehearsal has no load, and does not judge when a condition shows."""
    if not Hop(HOPS.get(what, what)).scripted:
        return True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rehearsing, "judge_case", lambda _: seeded(what))
        verdict, by_name, others = rehearsing.judge_wave(Case(KEPT, PLAN), "a")
    found = Rehearsed(tuple(by_name.values()), tuple(others), (), (), "given")
    return (
        verdict.result is Result.FAIL
        and exit_code(found) == ExitCode.FAIL
        and any(line.startswith("FAIL") for line in text_lines(found))
        and all(WHY in said for said in ("".join(text_lines(found)), rehearsed_json(found), "".join(to_github(found))))
        and '"FAIL"' in rehearsed_json(found)
        and ET.fromstring(to_junit(found)).find(".//failure") is not None
    )


VIEWS: list[Callable[[str, Path], bool]] = [
    terminal, html, timeline, xml, as_json, gate_page, gate_terminal, gate_xml, rehearsal,
]  # fmt: skip


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
@pytest.mark.parametrize("what", ROWS)
def test_a_row_that_fails_shows_as_failed(what: str, view: Callable[[str, Path], bool], tmp_path: Path) -> None:
    assert view(what, tmp_path)
