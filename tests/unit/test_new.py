"""A first scenario for any alert: it loads, can be planned, names whoever is promised, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit import bundle
from chaoskit.alerting.config import load_config
from chaoskit.cli import run
from chaoskit.errors import ExitCode
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.model import Inject, Scenario
from tests.check_examples import ALERTMANAGER, PROMETHEUS, PROMISE, RULES

SHIPPED = load_config(bundle.folder(), complete=True)
ALERTS = sorted(rule.alert for rule in SHIPPED.rules if rule.alert)
PROFILE = "chaoskit: 1\ntarget: local\nload: {users: 1}\nhandles: {link: {upstream: {proxy: upstream}}}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def team(folder: Path, promise: str = PROMISE, rules: str = RULES) -> Path:
    """A configuration of another team, of whose alerts no scenario knows anything."""
    folder.mkdir()
    for name, text in (
        ("rules.yml", rules),
        ("alertmanager.yml", ALERTMANAGER),
        ("prometheus_config.yml", PROMETHEUS),
        ("notification_windows.yml", promise),
    ):
        (folder / name).write_text(text)
    return folder


def expected_at(scenario: Scenario, alert: str) -> set[str]:
    """The receivers at which the alert is expected."""
    return {name for one in scenario.expect if one.alert == alert for name in one.notifies or {}}


def kinds(scenario: Scenario) -> list[str]:
    return [fault.kind for step in scenario.steps if isinstance(step, Inject) for fault in step.faults]


def test_there_are_shipped_alerts_to_try() -> None:
    assert len(ALERTS) == 22


@pytest.mark.parametrize("alert", ALERTS)
def test_every_shipped_alert_gets_a_scenario_that_loads_plans_and_names_its_receivers(alert: str, here: Path) -> None:
    assert run(["new", "--alert", alert, "--out", "my first.yml"]) is ExitCode.PASS
    scenario = load_scenario_file(here / "my first.yml")
    promised = {receiver for name, receiver in SHIPPED.promise.notices if name == alert}
    assert promised
    assert expected_at(scenario, alert) == promised
    assert "command" not in kinds(scenario)
    assert run(["plan", "my first.yml"]) is ExitCode.PASS


def test_what_was_written_is_clean_for_check(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for alert in ALERTS:
        assert run(["new", "--alert", alert]) is ExitCode.PASS
    assert len(list((here / "scenarios").iterdir())) == 22
    assert run(["check", "--no-programs", "--scenarios", "scenarios", "--strict"]) is ExitCode.PASS
    assert "scenarios exercise 22 of 22 alerts" in capsys.readouterr().out


def test_the_file_is_named_after_the_alert_and_its_windows_stand_in_it(here: Path) -> None:
    for alert, name in (("HighCPUUsage", "high-cpu-usage"), ("HighLatencyP95", "high-latency-p95")):
        assert run(["new", "--alert", alert]) is ExitCode.PASS
        assert (here / "scenarios" / f"{name}.yml").is_file()
    text = (here / "scenarios" / "high-cpu-usage.yml").read_text()
    assert "insa_system_cpu_usage_ratio > 0.8" in text
    assert "#   hold      exactly 600 s after pending; promised for 10m\n" in text
    assert "cpu.burn, disk.fill, memory.burn" in text


def test_a_file_that_is_there_is_never_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.yml").write_text("mine")
    assert run(["new", "--alert", "WorkerUnhealthy", "--out", "mine.yml"]) is ExitCode.USAGE
    assert "mine.yml: is there already (nothing was changed; name another file with --out)" in capsys.readouterr().err
    assert (here / "mine.yml").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("")
    assert run(["new", "--alert", "WorkerUnhealthy", "--out", "file/x.yml"]) is ExitCode.USAGE
    assert "Traceback" not in capsys.readouterr().err


def test_a_recording_rule_is_no_alert_without_a_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new", "--alert", ""]) is ExitCode.USAGE
    assert "no alerting rule is called ''" in capsys.readouterr().err


def test_an_unknown_alert_is_refused_with_the_nearest_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new", "--alert", "WorkerUnhealty"]) is ExitCode.USAGE
    assert "did you mean 'WorkerUnhealthy'?" in capsys.readouterr().err
    assert not list(here.iterdir())


def test_without_the_handles_of_the_known_fault_it_is_left_to_fill_in(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fault that is known needs a part that this profile does not name; what the profile names is listed."""
    (here / "own.yml").write_text(PROFILE)
    assert run(["new", "--alert", "WorkerUnhealthy", "--profile", "own.yml", "--out", "my first.yml"]) is ExitCode.PASS
    next_ = (
        "next: chaoskit plan 'my first.yml' --profile own.yml, then: chaoskit run 'my first.yml' --profile own.yml\n"
    )
    assert capsys.readouterr().out.endswith(next_)
    scenario = load_scenario_file(here / "my first.yml")
    assert kinds(scenario) == ["command"]
    assert expected_at(scenario, "WorkerUnhealthy") == {"critical-alerts", "worker-alerts"}
    text = (here / "my first.yml").read_text()
    assert "target: {link: upstream}" in text
    assert "process.kill" not in text
    assert run(["plan", "my first.yml", "--profile", "own.yml"]) is ExitCode.PASS


def test_another_teams_alert_gets_a_template_with_its_own_receivers_and_condition(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    team(here / "own")
    assert run(["new", "--alert", "ManyErrors", "--bundle", "own"]) is ExitCode.PASS
    said = capsys.readouterr().out
    assert "how to raise this alert is not known" in said
    assert "chaoskit plan scenarios/many-errors.yml --bundle own" in said
    file = here / "scenarios" / "many-errors.yml"
    scenario = load_scenario_file(file)
    assert kinds(scenario) == ["command"]
    assert expected_at(scenario, "ManyErrors") == {"web"}
    assert "#   job:errors:ratio5m > 0.05\n" in file.read_text()
    assert run(["plan", str(file), "--bundle", "own"]) is ExitCode.PASS
    assert run(["check", "--no-programs", "--bundle", "own", "--scenarios", "scenarios"]) is ExitCode.PASS


def test_an_alert_of_another_team_that_a_scenario_of_theirs_proves_gets_its_fault(here: Path) -> None:
    team(here / "own")
    (here / "scenarios").mkdir()
    (here / "scenarios" / "theirs.yml").write_text(
        "chaoskit: 1\ntitle: x\ntags: [slow, uses-lab]\nsteps:\n  - inject: http.error # as on that day\n"
        "    as: err\n    target: {link: upstream}\n    with: {status: 500, ratio: 90%}\n  - wait: settled\n"
        "expect:\n  - alert: ManyErrors\n"
    )
    assert run(["new", "--alert", "ManyErrors", "--bundle", "own"]) is ExitCode.PASS
    scenario = load_scenario_file(here / "scenarios" / "many-errors.yml")
    assert kinds(scenario) == ["http.error"]
    assert scenario.tags == ("uses-lab",)
    assert expected_at(scenario, "ManyErrors") == {"web"}
    assert "# as on that day" in (here / "scenarios" / "many-errors.yml").read_text()


def test_whom_nothing_is_promised_is_bounded_by_what_the_configuration_implies(here: Path) -> None:
    promise = PROMISE.replace("  ManyErrors:\n    notices:\n      web: {for: 1m, group_wait: 10s, repeat: 4h}\n", "")
    team(here / "own", promise)
    assert run(["new", "--alert", "ManyErrors", "--bundle", "own", "--out", "x.yml"]) is ExitCode.PASS
    (expectation,) = load_scenario_file(here / "x.yml").expect
    assert expectation.notifies is not None
    # for 1m, group_wait 10s, and 2 s for the delivery
    assert {name: (ask.mode, ask.within_vs) for name, ask in expectation.notifies.items()} == {"web": ("bounded", 72.0)}
    assert run(["plan", "x.yml", "--bundle", "own"]) is ExitCode.PASS


def test_rules_of_one_name_are_told_apart_by_labels(here: Path) -> None:
    second = RULES[RULES.index("      - alert: ManyErrors") : RULES.index("      - alert: WorkerDown")]
    rules = RULES + second.replace("0.05", "0.5").replace("severity: critical", "severity: warning")
    team(here / "own", rules=rules)
    assert run(["new", "--alert", "ManyErrors", "--bundle", "own", "--out", "x.yml"]) is ExitCode.PASS
    (expectation,) = load_scenario_file(here / "x.yml").expect
    assert expectation.labels == {"severity": "critical"}
    assert run(["plan", "x.yml", "--bundle", "own"]) is ExitCode.PASS


def test_an_alert_of_which_nobody_hears_is_refused_and_says_where(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promise = PROMISE.replace("  ManyErrors:\n    notices:\n      web: {for: 1m, group_wait: 10s, repeat: 4h}\n", "")
    folder = team(here / "own", promise)
    silent = ALERTMANAGER.replace("    webhook_configs:\n      - url: http://localhost:9/\n", "")
    assert silent != ALERTMANAGER
    (folder / "alertmanager.yml").write_text(silent)
    assert run(["new", "--alert", "ManyErrors", "--bundle", "own"]) is ExitCode.USAGE
    said = capsys.readouterr().err
    assert "no receiver certainly hears of ManyErrors" in said
    assert "rules.yml:" in said
    assert not (here / "scenarios").exists()
