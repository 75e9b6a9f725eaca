"""A drill on a running system has its price said before it begins, and --max-budget refuses one that is too dear."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from chaoskit.cli import run
from chaoskit.errors import ExitCode
from chaoskit.sla.compute import remember
from chaoskit.sla.model import SLICE_S, Slice
from chaoskit.sla.store import open_store
from chaoskit.sla.targets import load_targets
from chaoskit.sla.windows import month_of

PROFILE = """\
chaoskit: 1
target:
  attached:
    environment: staging
    prometheus: http://127.0.0.1:9
    alertmanager: http://127.0.0.1:9
    metrics: http://127.0.0.1:9/metrics
    witness: http://127.0.0.1:9
limits: {fault: 4m, run: 30m}
"""
SCENARIO = """\
chaoskit: 1
title: The web server is stopped
steps:
  - inject: command
    as: stopped
    with: {start: [touch, x], stop: [rm, -f, x]}
  - wait: 3m
expect: nothing
"""
TARGETS = "chaoskit: 1\nprometheus: http://127.0.0.1:9\nlevels: {uptime: {up: up, at_least: 99.9 %}}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "staging.yml").write_text(PROFILE)
    (tmp_path / "stopped.yml").write_text(SCENARIO)
    (tmp_path / "sla").mkdir()
    (tmp_path / "sla" / "targets.yml").write_text(TARGETS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*more: str) -> ExitCode:
    return run(["plan", "stopped.yml", "--profile", "staging.yml", *more])


def test_the_price_of_an_attached_drill_is_said_and_too_dear_a_one_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan() is ExitCode.PASS
    assert "price of uptime: at most 6.9% of the month's budget (3m); the rest is not known" in capsys.readouterr().out
    assert plan("--max-budget", "10%") is ExitCode.PASS
    capsys.readouterr()
    assert plan("--max-budget", "5%") is ExitCode.USAGE
    assert "sla/targets.yml:3: the drill may cost too much: uptime: at most 6.9%" in capsys.readouterr().err


def test_a_drill_that_may_cost_more_than_is_left_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = int(time.time())
    begin = month_of(now, "UTC").starts_at
    with open_store("sla/levels.db") as store:
        remember(store, load_targets(here / "sla" / "targets.yml"), begin)
        down = [
            Slice("staging", "uptime", begin + n * SLICE_S, begin + (n + 1) * SLICE_S, 0, SLICE_S, 0) for n in range(9)
        ]
        store.write("staging", down)
    assert plan() is ExitCode.PASS
    assert "% is left" in capsys.readouterr().out
    assert plan("--max-budget", "50%") is ExitCode.USAGE


def test_a_local_stack_has_no_price_and_a_budget_needs_targets(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "worker-unhealthy", "--max-budget", "1%"]) is ExitCode.PASS
    assert "price" not in capsys.readouterr().out
    (here / "sla" / "targets.yml").unlink()
    assert plan("--max-budget", "10%") is ExitCode.USAGE
    assert "--max-budget needs targets" in capsys.readouterr().err
    assert plan("--max-budget", "10") is ExitCode.USAGE
    assert "is no percentage" in capsys.readouterr().err
