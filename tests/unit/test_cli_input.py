"""Bad input: every problem in one go, with its place and what to do; exit 2, no traceback, nothing started."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chaoskit import bundle
from chaoskit.cli import run
from chaoskit.errors import ExitCode

GOOD = """chaoskit: 1
title: A worker dies
steps:
  - inject: process.kill
    as: kill
    target: {role: worker, count: 1}
    with: {hold: true}
  - wait: settled
expect:
  - alert: WorkerUnhealthy
    from: kill
"""


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Plans a scenario that must be refused; gives what was said."""

    def plan(text: str, *arguments: str) -> str:
        file = tmp_path / "drill.yml"
        file.write_text(text)
        assert run(["plan", str(file), *arguments]) is ExitCode.USAGE
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return said.replace(str(file), "drill.yml")

    return plan


def test_the_example_itself_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "drill.yml"
    file.write_text(GOOD)
    assert run(["plan", str(file)]) is ExitCode.PASS


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("WorkerUnhealthy", "WorkerUnhealty", "drill.yml:10: alert 'WorkerUnhealty' is defined nowhere"),
        ("process.kill", "process.kil", "drill.yml:4: fault kind 'process.kil' is defined nowhere"),
        ("role: worker", "role: wroker", "drill.yml:4: role handle 'wroker' is defined nowhere"),
        ("count: 1", "count: 9", "drill.yml:4: 9 of role:worker are wanted, 4 of 4 are free"),
        ("count: 1", "count: 4", "4 of 4 workers would be under a fault at once, the limit is 75%"),
        ("hold: true", "hodl: true", "process.kill: with.hodl"),
        ("hold: true", "hold: maybe", "process.kill: with.hold"),
        ("    from: kill", "    from: kill\n    notifies: [nobody]", "receiver 'nobody' is defined nowhere"),
        ("from: kill", "from: kil", "'kil'"),
        ("wait: settled", "wait: 30", "30s"),
        ("  - wait: settled\n", "  - do: queue.reply\n", "action 'queue.reply' is defined nowhere"),
        ("title: A worker dies", "title: A\ntitle: B", "drill.yml:3:"),
        ("steps:", "steps: [", "drill.yml:"),
    ],
)
def test_each_mistake_is_told_with_its_place(refused, old: str, new: str, said: str) -> None:  # type: ignore[no-untyped-def]
    assert said in refused(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("words", "said"),
    [("", "--receivers is given without --profile"), ("--profile local", "a local target has no real receivers")],
)
def test_only_receivers_of_a_running_system_can_be_told(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--receivers", *words.split()]) is ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_all_problems_come_at_once(refused) -> None:  # type: ignore[no-untyped-def]
    """Of the scenario, the alert configuration's names and the fault's settings together."""
    said = refused(GOOD.replace("WorkerUnhealthy", "Nothing").replace("hold: true", "hodl: 1").replace("worker,", "x,"))
    assert len(said.strip().splitlines()) == 3


def test_a_rule_file_that_is_no_yaml_is_told_with_its_line(refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "mine"
    shutil.copytree(bundle.folder(), folder)
    (folder / "prometheus_alerts.yml").write_text("groups:\n  - name: a\n   rules: []\n")
    assert "prometheus_alerts.yml:3" in refused(GOOD, "--bundle", str(folder))


@pytest.mark.stack
def test_a_rule_that_promtool_refuses_is_told_in_its_words(
    tmp_path: Path, binaries: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is expected of it is UNKNOWN; its neighbours stay, nothing is started, and no run folder is left."""
    folder = tmp_path / "mine"
    shutil.copytree(bundle.folder(), folder)
    rules = folder / "prometheus_alerts.yml"
    rules.write_text(rules.read_text().replace("insa_worker_health_status == 0\n", "rate(insa_worker_health_status)\n"))
    file = tmp_path / "drill.yml"
    file.write_text(GOOD)
    assert run(["plan", str(file), "--bundle", str(folder)]) is ExitCode.UNKNOWN
    said = "".join(capsys.readouterr())
    assert "Traceback" not in said
    assert "prometheus_alerts.yml" in said
    assert "refuses the rule" in said


def test_a_scale_that_the_limits_forbid_is_refused_with_the_way_out(refused) -> None:  # type: ignore[no-untyped-def]
    said = refused(GOOD, "--time-scale", "1")
    assert "limits.fault" in said
    assert "--set limits.fault=" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "worker-unhealty"], "did you mean 'worker-unhealthy'?"),
        (["run", "worker-unhealthy", "--profile", "lokal"], "did you mean 'local'?"),
        (["run", "worker-unhealthy", "--set", "load.rat=3/s"], "rate"),
        (["run", "worker-unhealthy", "--set", "load"], "key=value"),
        (["run", "worker-unhealthy", "--bundle", "/nowhere"], "/nowhere"),
        (["run"], "Missing argument"),
        (["verify", "no-such-run"], "no such run"),
        (["frobnicate"], "No such command"),
        (["plan", "worker-unhealthy", "--time-scale", "nan"], "nan is no number of 1<=x<=1000"),
        (["plan", "worker-unhealthy", "--time-scale", "inf"], "not in the range"),
        (["gate", "--require-coverage", "nan"], "nan is no number of 0<=x<=100"),
        (["inject", "freeze", "--for", "soon"], "--for: 'soon' is not a duration"),
        (["rehearse", "--longest", "soon"], "--longest: 'soon' is not a duration"),
    ],
)
def test_a_wrong_command_line_is_told(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) is ExitCode.USAGE
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_run_folder_that_cannot_be_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run(["run", "worker-unhealthy", "--out", str(tmp_path / "file")]) is ExitCode.USAGE
    assert "choose another --out" in capsys.readouterr().err
