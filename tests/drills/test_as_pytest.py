"""Scenarios as tests: collected by their first key, findings as the message; the fixture plays one from Python."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.drills.conftest import Drill, Turn

pytestmark = [pytest.mark.drill, pytest.mark.stack]

SHIPPED = Path(__file__).parents[2] / "scenarios" / "worker-unhealthy.yml"
TEST = """
def test_a_dead_worker_is_reported(chaoskit_run):
    verdict = chaoskit_run("worker-unhealthy", settings=["load.rate=20/s"])
    assert verdict.result == "PASS", verdict.rows
    assert {figure.to.split()[0] for figure in verdict.figures} == {"critical-alerts", "worker-alerts"}
"""


def run_pytest(turn: Turn, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest in a folder; where this machine was too busy to tell, once more, alone."""
    done = _pytest(folder, arguments)
    if "UNKNOWN" in done.stdout:
        with turn.alone():
            done = _pytest(folder, arguments)
    return done


def _pytest(folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *arguments]
    return subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=170, check=False, cwd=folder)


def test_a_folder_of_scenarios_is_a_folder_of_tests(drill: Drill, tmp_path: Path) -> None:
    """One broken on purpose by its bundle: the finding is the message. Other YAML files are left alone."""
    drill.change("prometheus_alerts.yml", "        for: 1m\n", "        for: 5m\n")
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "late.yml").write_text(SHIPPED.read_text())
    (folder / "profile.yml").write_text("chaoskit: 1\ntarget: local\n")
    (folder / "other.yml").write_text("steps: []\n")
    done = run_pytest(drill.turn, folder, "--chaoskit-bundle", str(drill.folder), "--chaoskit-out", str(drill.out))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL: One worker dies" in done.stdout
    assert re.search(r"hold.*too late", done.stdout)
    assert "1 failed" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_drill_in_python_plays_a_scenario_on_the_same_model(tmp_path: Path, turn: Turn) -> None:
    (tmp_path / "test_night.py").write_text(TEST)
    done = run_pytest(turn, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_a_scenario_that_cannot_run_is_said_with_its_place(tmp_path: Path, turn: Turn) -> None:
    file = tmp_path / "broken.yml"
    file.write_text(SHIPPED.read_text().replace("alert: WorkerUnhealthy", "alert: WorkerUnhealthi"))
    done = run_pytest(turn, tmp_path)
    assert done.returncode == 1
    assert f"{file}:" in done.stdout
    assert "did you mean" in done.stdout.lower() or "WorkerUnhealthy" in done.stdout
    assert "Traceback" not in done.stdout
