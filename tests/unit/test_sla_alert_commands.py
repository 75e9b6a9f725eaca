"""`sla incidents`, `cost` and `metrics` on the command line, and what they say to bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaoskit.cli import run
from chaoskit.errors import ExitCode
from tests.sla_month import filled


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with November's targets and store."""
    (tmp_path / "sla").mkdir()
    filled(tmp_path / "sla")[0].__exit__()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_incidents_are_told_to_people_and_to_programs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sla", "incidents", "--month", "2026-11"]) is ExitCode.PASS
    said = capsys.readouterr().out
    assert "MetricsEndpointDown, HighErrorRate" in said
    assert "by no scenario" in said
    assert "uptime down for 0.8 min; no alert saw it" in said
    assert run(["sla", "incidents", "--month", "2026-11", "--format", "json"]) is ExitCode.PASS
    (one,) = json.loads(capsys.readouterr().out)["environments"]
    assert [each["incident"]["open_s"] for each in one["incidents"]] == [705, 240, 180, 600]
    assert [each["rehearsed"] for each in one["incidents"]] == [True, True, False, False]


def test_the_cost_of_silence_is_told_with_the_repair(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sla", "cost", "--bad", "95%", "--repair", "15m"]) is ExitCode.PASS
    row = next(line for line in capsys.readouterr().out.splitlines() if "HighErrorRate" in line)
    assert row.split()[:3] == ["errors", "HighErrorRate", "critical-alerts"]
    assert row.split()[3:] == ["326–356", "s", "11.9%–13.0%", "46%", "2", "promise"]


def test_gauges_are_written_whole(here: Path) -> None:
    (here / "sla.prom").write_text("old")
    assert run(["sla", "metrics", "--out", "sla.prom"]) is ExitCode.PASS
    text = (here / "sla.prom").read_text()
    assert 'chaoskit_sla_compliant{basis="contract",environment="production",sla="uptime"' in text
    assert sorted(path.name for path in here.iterdir()) == ["sla", "sla.prom"]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["sla", "cost", "--bad", "0%"], ExitCode.USAGE, "is no percentage above 0"),
        (["sla", "cost", "--bad", "95"], ExitCode.USAGE, "is no percentage above 0"),
        (["sla", "cost", "--repair", "soon"], ExitCode.USAGE, "--repair: 'soon' is not a duration"),
        (["sla", "incidents", "--db", "none.db"], ExitCode.USAGE, "there is no store here"),
        (["sla", "incidents", "--environment", "prodction"], ExitCode.USAGE, "did you mean 'production'"),
        (["sla", "incidents", "--witness", "http://127.0.0.1:9"], None, "gives no answer"),
        (["sla", "incidents", "--silences", "http://127.0.0.1:9"], None, "gives no answer"),
        (["sla", "metrics", "--out", "nowhere/sla.prom"], ExitCode.USAGE, "nowhere"),
        (["sla", "check", "--targets", "none.yml"], ExitCode.USAGE, "there are no targets here"),
        (["check", "--no-levels", "--targets", "none.yml"], ExitCode.USAGE, "there are no targets here"),
    ],
)
def test_bad_input_is_a_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], command: list[str], code: ExitCode | None, said: str
) -> None:
    ended = run(command)
    found = capsys.readouterr()
    assert said in found.out + found.err
    assert "Traceback" not in found.err
    assert ended is code if code is not None else ended not in (ExitCode.PASS, ExitCode.BUG)


@pytest.mark.stack
@pytest.mark.sla
@pytest.mark.timeout(1800)
def test_a_month_that_is_missed_in_silence_fails_the_check_until_an_alert_on_the_budget_closes_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "sla" / "targets.yml").write_text(
        "chaoskit: 1\nprometheus: http://127.0.0.1:9\nmatch: {job: insa-crm}\n"
        "levels: {uptime: {up: up, at_least: 99.9 %}}\n"
    )
    assert run(["sla", "check", "--keep", "proof"]) is ExitCode.PASS
    found = capsys.readouterr().out
    assert "uptime: a month can be missed in silence: 44.75 min down of 30 days" in found
    assert "SLABudgetLow, SLABudgetGone would fire" in found
    assert sorted(path.name for path in (here / "proof" / "uptime").iterdir()) == [
        "rules.yml", "silent-1.yml", "silent-2.yml"
    ]  # fmt: skip
    rules = here / "proof" / "bundle" / "sla_alerts.yml"
    rules.write_text(rules.read_text().partition("  - name: insa-crm-sla-budget")[0])
    assert run(["sla", "check", "--bundle", "proof/bundle"]) is ExitCode.FAIL
    assert "add an alert on chaoskit_sla_budget_left_ratio" in capsys.readouterr().out
