"""A gate's page, and JUnit of one run: what did not pass stands first, and every name is text."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from html_page import Page, read_page

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.model import AlertConfig
from chaoskit.cli import commands, run
from chaoskit.errors import BadInput, EquipmentError, ExitCode
from chaoskit.gate.answer import Ended
from chaoskit.gate.candidate import LeftOut, candidate
from chaoskit.gate.coverage import could_prove, covered
from chaoskit.gate.earlier import SUMMARY, Earlier, differences, read_gate
from chaoskit.gate.figures import by_hop, by_receiver, smallest
from chaoskit.gate.gate import Gate, Outcome
from chaoskit.gate.index import INDEX, write_index
from chaoskit.gate.part import FILE as PART
from chaoskit.gate.schedule import Schedule
from chaoskit.hop import Hop
from chaoskit.rehearse.hours import plays
from chaoskit.report.changes import Changed
from chaoskit.report.html import environment
from chaoskit.report.judge_run import MARKDOWN, PAGE, VERDICT
from chaoskit.report.junit import junit, promises
from chaoskit.run.planning import Asked, plan_for
from chaoskit.verify.verdict import Result, Row, Verdict, to_json
from chaoskit.verify.verify import verify, volume_of
from tests.golden.doctored import recorded

PLAN = plan_for(Asked("worker-unhealthy", "local", ConfigFiles(bundle.folder())))[0]
EVIL = "<b>\"'\x1b\u202e"


def outcome(folder: Path, name: str, verdict: Verdict | None, attempt: int = 1, trouble: str = "") -> Outcome:
    where = folder / name
    where.mkdir()
    if verdict is not None:
        (where / PAGE).write_text("its page")
    code = verdict.exit_code if verdict else int(ExitCode.BUG)
    return Outcome(candidate(name, "x.yml", PLAN, None), code, 12.4, where, attempt, verdict, trouble)


def index(
    folder: Path,
    outcomes: list[Outcome],
    left_out: tuple[LeftOut, ...] = (),
    old: Earlier | None = None,
) -> Page:
    coverage = covered(PLAN.config, [could_prove(PLAN)], ())
    file = write_index(Ended(folder, outcomes, coverage, left_out, 146.0, old))
    assert file == folder / INDEX
    return read_page(file.read_bytes())


def links(found: Page) -> list[str]:
    """To scenarios' pages, each once."""
    found_ = [given["href"] for tag, given in found.tags if tag == "a"]
    return list(dict.fromkeys(href.partition("#")[0] for href in found_ if not href.startswith("#")))


def test_a_gates_page_links_every_report_and_says_why_what_failed_did(tmp_path: Path) -> None:
    kept, late, died = (verify(recorded(name)) for name in ("kept", "notified-late", "prometheus-died"))
    outcomes = [outcome(tmp_path, "a", kept), outcome(tmp_path, "b", died), outcome(tmp_path, "c d", late, 2)]
    found = index(tmp_path, outcomes)
    assert links(found) == ["c%20d/report.html", "b/report.html", "a/report.html"]
    said = " ".join(found.text.split())
    assert "do not release" in said
    assert "1 of 3 scenarios passed" in said
    assert "74.4 s too late" in said
    assert "c d second attempt" in said
    assert "alerts 1 of 22; without proof: CircuitBreakerFlapping" in said


def test_a_gates_page_has_the_smallest_margins_by_alert_and_hop_and_by_receiver(tmp_path: Path) -> None:
    """Each leads to its row; `hold` has no room in its window, what came early is not near to breaking."""
    kept, late = (outcome(tmp_path, name, verify(recorded(of))) for name, of in (("a", "kept"), ("b", "notified-late")))
    hops, receivers = by_hop(tmp_path, [kept]), by_receiver(tmp_path, [kept])
    assert hops.columns == ["detect", "hold", "clear", "notify", "all-clear", "content"]
    cells = hops.rows["WorkerUnhealthy"]
    rows = {(row.hop, row.to): (n, row) for n, row in enumerate(verify(recorded("kept")).rows)}
    number, detect = rows["detect", ""]
    assert detect.observed is not None
    assert cells["detect"].margin_vs == pytest.approx(46 - detect.observed[0])
    assert cells["detect"].href == f"a/report.html#row-{number}"
    assert (cells["hold"].text, cells["hold"].margin_vs) == ("kept", None)
    assert receivers.columns == ["critical-alerts", "worker-alerts"]
    both = by_hop(tmp_path, [kept, late]).rows["WorkerUnhealthy"]["notify"]
    assert (both.result, both.text, both.href.partition("#")[0]) == (Result.FAIL, "-74.5 s", "b/report.html")
    assert smallest(tmp_path, late) == both
    found = index(tmp_path, [kept, late])
    said = " ".join(found.text.split())
    assert "notices 12, the all-clears included, for 2 alerts that fired" in said
    assert "smallest margin -74.5 s (b: WorkerUnhealthy worker-1, notify at critical-alerts (webhook))" in said
    assert "took 2:26 min (real)" in said
    assert "b/report.html#row-" in "".join(given.get("href", "") for _, given in found.tags)


def test_a_gates_page_is_filtered_without_a_script_and_shows_retries_apart(tmp_path: Path) -> None:
    first = outcome(tmp_path, "b", verify(recorded("mailbox-died")))
    assert first.verdict is not None
    (first.folder / VERDICT).write_bytes(to_json(first.verdict))
    again = outcome(tmp_path, "b-again", verify(recorded("kept")), 2)
    again = replace(again, candidate=candidate("b", "x.yml", PLAN, None))
    found = index(tmp_path, [outcome(tmp_path, "a", verify(recorded("notified-late"))), again])
    radios = [given["id"] for tag, given in found.tags if tag == "input" and given["type"] == "radio"]
    assert radios == ["show-all", "show-FAIL", "show-PASS", "show-again"]
    assert [given["class"] for tag, given in found.tags if tag == "tbody" and "class" in given] == [
        "FAIL",
        "PASS again",
    ]
    said = " ".join(found.text.split())
    assert "b: the first attempt ( mail-sink was down from before firing on (ended with -9): WorkerUnhealthy" in said
    assert "and 3 more ); the second ended PASS" in said or "and 3 more); the second ended PASS" in said
    assert "b/report.html" in links(found)
    style = environment().get_template("style.css").render()
    assert {f"show-{name}" for name in ("FAIL", "PASS", "UNKNOWN", "ERROR", "again")} == set(
        re.findall(r"#(show-\w+):checked", style)
    )


def test_a_gate_that_left_something_broken_says_so_first(tmp_path: Path) -> None:
    found = index(tmp_path, [outcome(tmp_path, "a", verify(recorded("run-killed")))])
    said = " ".join(found.text.split())
    assert said.startswith("NOT HEALED")
    assert said.index("chaoskit heal --all") < said.rindex("do not release")
    assert "chaoskit heal --all" in (tmp_path / MARKDOWN).read_text()


def test_a_gate_is_compared_with_an_earlier_one(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, of in (
        (old, {"a": "kept", "b": "kept", "c": "kept"}),
        (new, {"a": "notified-late", "b": "kept", "d": "kept"}),
    ):
        folder.mkdir()
        outcomes = [outcome(folder, name, verify(recorded(what))) for name, what in of.items()]
        for one in outcomes:
            assert one.verdict is not None
            (one.folder / "verdict.json").write_bytes(to_json(one.verdict))
        found = index(folder, outcomes, old=read_gate(old) if folder == new else None)
    said = " ".join(found.text.split())
    assert "Changes since old" in said
    assert "played: d no yes" in said
    assert "played: c yes no" in said
    assert "worse a verdict PASS FAIL" in said
    assert "worse a WorkerUnhealthy worker-1, notify at critical-alerts (email) PASS FAIL" in said
    assert " b " not in said.partition("What changed")[2].partition("Alerts and hops")[0]
    assert read_gate(old).verdict("nothing") is None
    for wrong, what in ((tmp_path / "nowhere", "No such file"), (tmp_path, "No such file")):
        with pytest.raises(BadInput, match=what):
            read_gate(wrong)
    (old / SUMMARY).write_text("[]")
    assert run(["gate", "worker-unhealthy", "--dry-run", "--compare", str(old)]) is ExitCode.USAGE


def test_a_gate_as_markdown_says_what_did_not_pass_and_folds_the_rest(tmp_path: Path) -> None:
    kept, late = verify(recorded("kept")), verify(recorded("notified-late"))
    index(tmp_path, [outcome(tmp_path, "a", kept), outcome(tmp_path, "b", late)])
    said = (tmp_path / MARKDOWN).read_text()
    before, _, folded = said.partition("<details>")
    assert before.startswith("## chaoskit gate: do not release\n\n1 of 2 scenarios passed, ")
    assert "- **FAIL** b" in before
    assert "74.4 s too late" in before
    assert "**FAIL** -74.5 s" in folded
    assert said.count("<details>") == said.count("</details>") >= 4


def test_the_count_of_notices_is_read_as_it_is_written() -> None:
    verdict = verify(recorded("kept"))
    assert volume_of(verdict) == (6, 1)
    assert volume_of(msgspec.structs.replace(verdict, notes=["nothing of the kind"])) is None


def test_a_gate_that_passed_says_release(tmp_path: Path) -> None:
    found = index(
        tmp_path,
        [outcome(tmp_path, "a", verify(recorded("kept")))],
        (LeftOut("later", "it does not fit --budget 3m", "LaterAlert"),),
    )
    said = " ".join(found.text.split())
    assert "do not release" not in said
    assert "release 1 of 1 scenarios passed" in said
    assert "1 PASS" in said
    assert "Left out scenario would prove why not played later LaterAlert it does not fit --budget 3m" in said
    summary = json.loads((tmp_path / SUMMARY).read_bytes())
    assert (summary["exit_code"], [one["result"] for one in summary["scenarios"]]) == (0, ["PASS"])
    assert summary["left_out"] == [
        {"name": "later", "why": "it does not fit --budget 3m", "proves": "LaterAlert", "wrong": False},
    ]


def test_a_scenario_without_a_verdict_has_its_trouble_in_place_of_a_link(tmp_path: Path) -> None:
    found = index(tmp_path, [outcome(tmp_path, "a", None, trouble=EVIL)], (LeftOut(EVIL, EVIL, EVIL),))
    assert not links(found)
    assert "ERROR" in found.text
    assert found.text.count("<b>\"'\\x1b\\x202e") == 4
    assert "<b>" not in (tmp_path / MARKDOWN).read_text()


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

    def played(*_: Any, **__: Any) -> tuple[Verdict, bool]:
        return verdicts.pop(0), False

    monkeypatch.setattr(commands, "run_one", played)
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

    def run_one(asked: Asked, *_: Any, **__: Any) -> tuple[Verdict, bool]:
        played.append(asked.scenario)
        if asked.scenario == "high-error-rate":
            raise EquipmentError("prometheus", "it ended")
        return verify(recorded("kept")), False

    monkeypatch.setattr(commands, "run_one", run_one)
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

    def run_one(asked: Asked, *_: Any, **__: Any) -> tuple[Verdict, bool]:
        played.append(asked.scenario)
        return verify(recorded("kept")), True

    monkeypatch.setattr(commands, "run_one", run_one)
    run(["run", "worker-unhealthy", "high-error-rate"])
    assert played == ["worker-unhealthy"]


def test_a_gate_shows_a_scenario_that_is_wrong_beside_those_that_it_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the terminal, the page, in gate.json and JUnit; the gate that passed else ends with 2 and does not release."""
    (tmp_path / "broken.yml").write_text(BROKEN)

    def play(gate: Gate, schedule: Schedule) -> list[Outcome]:
        (tmp_path / "played").mkdir(exist_ok=True)
        (member,) = schedule.stacks[0].members
        kept = verify(recorded("kept"))
        return [Outcome(member, 0, 12.0, tmp_path / "played", 1, kept)]

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
    assert run([*command, "--format", "markdown"]) is ExitCode.USAGE
    assert capsys.readouterr().out.startswith("## chaoskit gate: do not release\n"), "and nothing else there"
    page = " ".join(read_page(summary.with_name(INDEX).read_bytes()).text.split())
    assert f"UNKNOWN broken not played {place}" in page
    cases = {case.get("name"): case for case in ET.fromstring(file.read_bytes()).iter("testcase")}
    assert cases["broken"][0].tag == "error"
    assert not len(cases["worker-unhealthy"])


@pytest.fixture
def timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle with a route that a time interval mutes; every scenario of a gate passes as recorded."""
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.folder(), folder)
    routes = folder / "alertmanager.yml"
    nights = (
        "time_intervals:\n  - {name: nights, time_intervals: [{times: [{start_time: '00:00', end_time: '06:00'}]}]}\n"
    )
    text = routes.read_text().replace(
        "      receiver: worker-alerts\n", "      receiver: worker-alerts\n      mute_time_intervals: [nights]\n"
    )
    assert "mute_time_intervals" in text
    routes.write_text(nights + text)

    def play(gate: Gate, schedule: Schedule) -> list[Outcome]:
        (tmp_path / "played").mkdir()
        (member,) = schedule.stacks[0].members
        return [Outcome(member, 0, 12.0, tmp_path / "played", 1, verify(recorded("kept")))]

    monkeypatch.setattr(Gate, "run", play)
    return folder


@pytest.mark.parametrize(("number", "played"), [(1, ["nights, inside"]), (2, [])])
def test_only_the_first_part_of_a_gate_plays_the_time_intervals(
    number: int,
    played: list[str],
    timed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = Row(about="nights, inside", hop=Hop.HOURS, result=Result.FAIL, reason="the route was told")
    monkeypatch.setattr("chaoskit.cli.gate.play_hours", lambda *_: [row])
    command = ["gate", "worker-unhealthy", "healthy", "--bundle", str(timed), "--shard", f"{number}/2"]
    assert run([*command, "--out", str(tmp_path / "out")]) == (ExitCode.FAIL if played else ExitCode.PASS)
    (file,) = (tmp_path / "out").glob(f"*/{PART}")
    assert [one["about"] for one in json.loads(file.read_bytes())["played"]] == played
    answer = f"part {number} of 2 {'did not pass (exit 1)' if played else 'passed (exit 0)'}"
    assert answer in capsys.readouterr().out


@pytest.mark.parametrize(
    ("result", "code"), [("PASS", ExitCode.PASS), ("FAIL", ExitCode.FAIL), ("UNKNOWN", ExitCode.UNKNOWN)]
)
def test_a_gate_plays_the_time_intervals_of_its_routes_once_and_they_count(
    result: str,
    code: ExitCode,
    timed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[list[str]] = []

    def played(config: AlertConfig, *_: Any) -> list[Row]:
        asked.append([one.about for one in plays(config)])
        why = {"reason": "the route was told"} if result != "PASS" else {"rests_on": "silent"}
        return [Row(about="nights, inside", hop=Hop.HOURS, result=Result(result), **why)]

    monkeypatch.setattr("chaoskit.cli.gate.play_hours", played)
    file = tmp_path / "gate.xml"
    command = ["gate", "worker-unhealthy", "--bundle", str(timed), "--out", str(tmp_path / "out")]
    assert run([*command, "--junitxml", str(file)]) is code
    assert [each.partition(":")[0] for each in asked[0]] == [
        "mute_time_intervals nights, inside", "mute_time_intervals nights, outside"
    ]  # fmt: skip
    assert f"{result:7}  nights, inside: " in capsys.readouterr().out
    cases = {case.get("name"): case for case in ET.fromstring(file.read_bytes()).iter("testcase")}
    assert bool(len(cases["nights, inside"])) is (result != "PASS")
    (where,) = (tmp_path / "out").glob("*-gate")
    (row,) = json.loads((where / SUMMARY).read_bytes())["intervals"]
    assert (row["about"], row["result"]) == ("nights, inside", result)
    why = "the route was told" if result != "PASS" else "silent"
    shown = " ".join(read_page((where / INDEX).read_bytes()).text.split())
    mark = "" if result == "PASS" else f"{result} "
    assert shown.partition(" interval seen ")[2].startswith(f"{mark}nights, inside {why} ")
    told, _, folded = (where / MARKDOWN).read_text().partition("<details>")
    assert (f"- **{result}** nights, inside\n  - {why}\n" in told) is (result != "PASS")
    assert f"| {result} | nights, inside | {why} |" in folded


def test_a_time_interval_that_ends_otherwise_than_in_an_earlier_gate_is_a_change(tmp_path: Path) -> None:
    kept, told = (
        Row(about="nights, inside", hop=Hop.HOURS, result=Result.PASS, rests_on="silent"),
        Row(about="nights, inside", hop=Hop.HOURS, result=Result.FAIL, reason="the route was told"),
    )
    other = msgspec.structs.replace(kept, about="days, inside")
    nothing = covered(PLAN.config, [], ())
    write_index(Ended(tmp_path, [], nothing, (), hours=[kept, other]))
    old = read_gate(tmp_path)
    assert [one for _, one in differences(old, [], nothing, [told, other])] == [
        Changed("nights, inside", "PASS", "FAIL", True)
    ]
    assert differences(old, [], nothing, [kept]) == []
