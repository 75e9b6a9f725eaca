"""A gate's page, and JUnit of one run: what did not pass stands first, and every name is text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from html_page import Page, read_page

from chaoskit import bundle
from chaoskit.cli import commands, run
from chaoskit.errors import EquipmentError, ExitCode
from chaoskit.gate.candidate import LeftOut, candidate
from chaoskit.gate.coverage import could_prove, covered
from chaoskit.gate.gate import Gate, Outcome
from chaoskit.gate.index import INDEX, SUMMARY, write_index
from chaoskit.gate.schedule import Schedule
from chaoskit.report.junit import junit, promises
from chaoskit.report.written import PAGE
from chaoskit.run.planning import Asked, plan_for
from chaoskit.verify.verdict import Verdict
from chaoskit.verify.verify import verify
from tests.golden.doctored import recorded

PLAN = plan_for(Asked("worker-unhealthy", "local", bundle.folder()))[0]
EVIL = "<b>\"'\x1b\u202e"


def outcome(folder: Path, name: str, verdict: Verdict | None, attempt: int = 1, trouble: str = "") -> Outcome:
    where = folder / name
    where.mkdir()
    if verdict is not None:
        (where / PAGE).write_text("its page")
    code = verdict.exit_code if verdict else int(ExitCode.BUG)
    return Outcome(candidate(name, "x.yml", PLAN, None), code, 12.4, where, attempt, 1, verdict, trouble)


def index(folder: Path, outcomes: list[Outcome], ending: ExitCode, left_out: tuple[LeftOut, ...] = ()) -> Page:
    coverage = covered(PLAN.config, [could_prove(PLAN)], ())
    file = write_index(folder, outcomes, coverage, left_out, ending)
    assert file == folder / INDEX
    return read_page(file.read_bytes())


def links(found: Page) -> list[str]:
    return [given["href"] for tag, given in found.tags if tag == "a"]


def test_a_gates_page_links_every_report_and_says_why_what_failed_did(tmp_path: Path) -> None:
    kept, late, died = (verify(recorded(name)) for name in ("kept", "notified-late", "prometheus-died"))
    outcomes = [outcome(tmp_path, "a", kept), outcome(tmp_path, "b", died), outcome(tmp_path, "c d", late, 2)]
    found = index(tmp_path, outcomes, ExitCode.FAIL)
    assert links(found) == ["c%20d/report.html", "b/report.html", "a/report.html"]
    said = " ".join(found.text.split())
    assert "do not release" in said
    assert "1 of 3 scenarios passed" in said
    assert "74.4 s too late" in said
    assert "c d second attempt" in said
    assert "alerts 1 of 22; without proof: CircuitBreakerFlapping" in said


def test_a_gate_that_passed_says_release(tmp_path: Path) -> None:
    found = index(
        tmp_path,
        [outcome(tmp_path, "a", verify(recorded("kept")))],
        ExitCode.PASS,
        (LeftOut("later", "it does not fit --budget 3m", "LaterAlert"),),
    )
    said = " ".join(found.text.split())
    assert "do not release" not in said
    assert "release 1 of 1 scenarios passed" in said
    assert "Left out scenario would prove why not played later LaterAlert it does not fit --budget 3m" in said
    summary = json.loads((tmp_path / SUMMARY).read_bytes())
    assert (summary["exit_code"], [one["result"] for one in summary["scenarios"]]) == (0, ["PASS"])
    assert summary["left_out"] == [
        {"name": "later", "why": "it does not fit --budget 3m", "proves": "LaterAlert", "wrong": False},
    ]


def test_a_scenario_without_a_verdict_has_its_trouble_in_place_of_a_link(tmp_path: Path) -> None:
    found = index(tmp_path, [outcome(tmp_path, "a", None, trouble=EVIL)], ExitCode.BUG, (LeftOut(EVIL, EVIL, EVIL),))
    assert not links(found)
    assert "ERROR" in found.text
    assert found.text.count("<b>\"'\\x1b\\x202e") == 4


def test_junit_of_a_run_has_a_case_for_each_promise() -> None:
    verdict = verify(recorded("notified-late"))
    root = ET.fromstring(junit("chaoskit run", promises(verdict, 21.5)))
    assert root.attrib == {"tests": "5", "failures": "1", "errors": "0", "time": "21.500"}
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert [name for name, case in cases.items() if len(case)] == ["WorkerUnhealthy worker-1"]
    assert {case.get("classname") for case in cases.values()} == {"worker-unhealthy"}
    assert {case.get("time") for case in cases.values()} == {"21.500"}, "side by side: each as long as the run"
    failure = cases["WorkerUnhealthy worker-1"][0]
    assert failure.tag == "failure"
    assert "74.4 s too late" in (failure.text or "")
    assert "74.5 s too late" in (failure.text or "")


def test_what_nobody_knows_is_an_error_and_no_failure() -> None:
    root = ET.fromstring(junit("chaoskit run", promises(verify(recorded("load-died")), 1.0)))
    assert (root.get("failures"), root.get("errors")) == ("0", "1")


def test_run_writes_junit_of_all_its_scenarios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = [verify(recorded("kept")), msgspec.structs.replace(verify(recorded("stray-alert")), scenario="other")]
    file = tmp_path / "run.xml"

    def played(*_: Any) -> tuple[Verdict, bool]:
        return verdicts.pop(0), False

    monkeypatch.setattr(commands, "_run_one", played)
    assert run(["run", "worker-unhealthy", "high-error-rate", "--junitxml", str(file)]) is ExitCode.FAIL
    root = ET.fromstring(file.read_bytes())
    assert {case.get("classname") for case in root.iter("testcase")} == {"worker-unhealthy", "other"}
    assert [case.get("name") for case in root.iter("testcase") if len(case)] == ["Stray"]


BROKEN = "chaoskit: 1\ntitle: broken\nsteps: 3\n"


def test_run_tells_of_a_scenario_that_is_wrong_and_runs_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.yml").write_text(BROKEN)
    played: list[str] = []

    def run_one(asked: Asked, *_: Any) -> tuple[Verdict, bool]:
        played.append(asked.scenario)
        if asked.scenario == "high-error-rate":
            raise EquipmentError("prometheus", "it ended")
        return verify(recorded("kept")), False

    monkeypatch.setattr(commands, "_run_one", run_one)
    names = [str(tmp_path / "broken.yml"), "high-error-rate", "worker-unhealthy"]
    file = tmp_path / "run.xml"
    assert run(["run", *names, "--junitxml", str(file)]) is ExitCode.USAGE
    assert played == names[1:]
    said = capsys.readouterr().err
    assert f"left out: {tmp_path}/broken.yml:3: " in said
    assert "high-error-rate: prometheus: it ended" in said
    wrong = [case.get("name") for case in ET.fromstring(file.read_bytes()).iter("testcase") if len(case)]
    assert wrong == names[:2]


def test_run_begins_no_other_scenario_after_one_that_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[str] = []

    def run_one(asked: Asked, *_: Any) -> tuple[Verdict, bool]:
        played.append(asked.scenario)
        return verify(recorded("kept")), True

    monkeypatch.setattr(commands, "_run_one", run_one)
    run(["run", "worker-unhealthy", "high-error-rate"])
    assert played == ["worker-unhealthy"]


def test_a_gate_shows_a_scenario_that_is_wrong_beside_those_that_it_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the terminal, the page, in gate.json and JUnit; the gate that passed else ends with 2 and does not release."""
    (tmp_path / "broken.yml").write_text(BROKEN)

    def play(gate: Gate, schedule: Schedule) -> list[Outcome]:
        (tmp_path / "played").mkdir()
        (member,) = schedule.stacks[0].members
        kept = verify(recorded("kept"))
        return [Outcome(member, 0, 12.0, tmp_path / "played", 1, 1, kept)]

    monkeypatch.setattr(Gate, "run", play)
    file, out = tmp_path / "gate.xml", tmp_path / "out"
    command = ["gate", "worker-unhealthy", str(tmp_path / "broken.yml"), "--out", str(out), "--junitxml", str(file)]
    assert run(command) is ExitCode.USAGE
    place = f"{tmp_path}/broken.yml:"
    said = " ".join(capsys.readouterr().out.split())
    assert "UNKNOWN broken" in said
    assert "do not release (exit 2)" in said
    assert "not played: " in said
    (summary,) = out.glob("*/gate.json")
    rows = {one["name"]: one for one in json.loads(summary.read_bytes())["scenarios"]}
    assert {name: one["exit_code"] for name, one in rows.items()} == {"worker-unhealthy": 0, "broken": 2}
    assert rows["broken"]["reasons"][0].startswith(place)
    page = " ".join(read_page(summary.with_name(INDEX).read_bytes()).text.split())
    assert f"UNKNOWN broken not played {place}" in page
    cases = {case.get("name"): case for case in ET.fromstring(file.read_bytes()).iter("testcase")}
    assert cases["broken"][0].tag == "error"
    assert not len(cases["worker-unhealthy"])
