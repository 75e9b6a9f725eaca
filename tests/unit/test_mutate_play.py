"""A mutant that is played: whose files, whose promise, and what its verdict means."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit import bundle as shipped
from chaoskit.alerting.config import load_config
from chaoskit.cli import commands, run
from chaoskit.cli import mutate as command
from chaoskit.errors import Problem, Refused
from chaoskit.hop import Hop
from chaoskit.mutate.generate import mutants_of
from chaoskit.mutate.model import Mutant
from chaoskit.mutate.play import lay_out, played
from chaoskit.mutate.source import files_of, texts_of
from chaoskit.run.planning import Asked
from chaoskit.verify.verdict import Result, Row, Verdict

FILES = files_of(load_config(shipped.folder()))


def mutant(operator: str, site: str) -> Mutant:
    found = mutants_of(texts_of(FILES), only=[operator])
    return next(each for each in found if each.site == site)


LATE = mutant("for-longer", "WorkerUnhealthy.for")


def test_what_a_mutant_no_longer_names_is_not_loaded(tmp_path: Path) -> None:
    lost = lay_out(FILES, (), mutant("templates-unloaded", "templates"), tmp_path)
    assert lost.templates == ()
    assert not lost.load().shows("template")


def verdict(result: Result, *rows: Row, code: int = 0) -> Verdict:
    return Verdict(
        run_id="r", scenario="worker-unhealthy", title="", time_scale=60, result=result, exit_code=code, figures=[],
        rows=list(rows), notes=[],
    )  # fmt: skip


HELD = Row(about="WorkerUnhealthy worker-1", hop=Hop.HOLD, result=Result.FAIL, reason="fired 60 s too late")
SEEN = Row(about="WorkerUnhealthy worker-1", hop=Hop.DETECT, result=Result.PASS)
BLIND = Row(about="WorkerUnhealthy worker-1", hop=Hop.CLEAR, result=Result.UNKNOWN, reason="Prometheus died")


@pytest.mark.parametrize(
    ("judged", "interrupted", "status", "hop", "reason"),
    [
        (verdict(Result.PASS, SEEN), False, "survived", "", "every row passed"),
        (verdict(Result.FAIL, SEEN, BLIND, HELD), False, "killed", "hold", HELD.reason),
        (verdict(Result.UNKNOWN, SEEN, BLIND), False, "unknown", "clear", BLIND.reason),
        (verdict(Result.FAIL, HELD), True, "unknown", "", "the run was interrupted"),
    ],
)
def test_a_verdict_says_what_became_of_the_mutant(
    judged: Verdict, interrupted: bool, status: str, hop: str, reason: str
) -> None:
    found = played(LATE, judged, interrupted=interrupted)
    assert (found.status, found.hop, found.by) == (status, hop, "worker-unhealthy")
    assert reason in found.reason


def test_the_files_are_the_mutants_and_the_promise_is_as_it_was(tmp_path: Path) -> None:
    old, new = load_config(shipped.folder(), complete=True), lay_out(FILES, (), LATE, tmp_path).load(complete=True)
    assert [rule.for_s for rule in new.alert_rules("WorkerUnhealthy")] == [120.0]
    assert old.promise.notices["WorkerUnhealthy", "worker-alerts"].for_s == 60.0
    assert new.promise.notices["WorkerUnhealthy", "worker-alerts"].for_s == 60.0
    assert len({*new.sources.values()} - {*old.sources.values()}) == 1


@pytest.mark.parametrize(
    ("result", "code", "said", "ends"),
    [
        (verdict(Result.PASS, SEEN), 0, "survived by worker-unhealthy: every row passed", 1),
        (verdict(Result.FAIL, HELD, code=1), 1, "killed by worker-unhealthy at hold", 0),
        (verdict(Result.UNKNOWN, BLIND, code=3), 3, "unknown by worker-unhealthy at clear", 3),
        (verdict(Result.FAIL, HELD, code=5), 5, "killed", 5),
    ],
)
def test_the_command_plays_the_changed_folder_and_ends_as_it_says(
    result: Verdict,
    code: int,
    said: str,
    ends: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit 0 killed, 1 survived, 3 unknown; what is not healed before everything."""
    heard: list[float] = []

    def run_one(asked: Asked, out: Path, keep: bool, before: Verdict | None) -> tuple[Verdict, bool]:
        heard.extend(rule.for_s for rule in asked.files.load().alert_rules("WorkerUnhealthy"))
        return result, False

    monkeypatch.setattr(command, "run_one", run_one)
    assert run(["mutate", "--run", LATE.id, "worker-unhealthy"]) == ends
    assert (heard, said in capsys.readouterr().out) == ([120.0], True)
    assert commands.run_one is not run_one


def test_a_run_that_cannot_begin_says_nothing_of_the_mutant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lock that another run holds is no kill."""

    def run_one(*_: object) -> tuple[Verdict, bool]:
        raise Refused([Problem(None, "another run is going on")])

    monkeypatch.setattr(command, "run_one", run_one)
    assert run(["mutate", "--run", LATE.id, "worker-unhealthy"]) == 2
    said = capsys.readouterr()
    assert ("another run is going on" in said.err, "refused by" in said.out) == (True, False)


def test_what_the_scenario_cannot_be_planned_with_is_refused_and_a_wrong_scenario_is_bad_input(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone = mutant("alert-renamed", "WorkerUnhealthy.alert")
    assert run(["mutate", "--run", gone.id, "worker-unhealthy"]) == 0
    assert "refused by worker-unhealthy" in capsys.readouterr().out
    assert run(["mutate", "--run", gone.id, "worker-unhealty"]) == 2
    assert "worker-unhealthy" in capsys.readouterr().err
