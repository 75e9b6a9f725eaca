"""A kind of fault from another package: found by its entry point, planned, held, undone; a broken one is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "example_plugin"
SCENARIO = """chaoskit: 1
title: a flag
runbook: flag
steps:
  - inject: file.flag
    as: flag
    with: {{path: {path}}}
  - wait: 1m
expect:
  - alert: WorkerUnhealthy
    from: flag
"""
HOLD = """
import sys
from pathlib import Path
from chaoskit.errors import Place
from chaoskit.faults.base import Target
from chaoskit.faults.registry import known, read_settings
from chaoskit.run.held import HeldFault
kind = known()["file.flag"]
path = Path(sys.argv[1])
settings, _ = read_settings(kind, {"path": str(path)}, Place("x", 1))
held = HeldFault(kind, kind.prepare(Target("", ()), settings), 60.0, path.parent / "log", print)
held.await_armed(); held.go(); held.await_effect()
print("there" if path.exists() else "missing")
held.take_back()
print("gone" if not path.exists() else "left")
"""


def python(*arguments: str, more: Path = EXAMPLE) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (more, EXAMPLE)))}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_another_packages_kind_is_planned_like_ours(tmp_path: Path) -> None:
    scenario = tmp_path / "flag.yml"
    scenario.write_text(SCENARIO.format(path=tmp_path / "flag"))
    done = python("-m", "chaoskit", "plan", str(scenario))
    assert done.returncode == 0, done.stderr
    assert "inject file.flag" in done.stdout
    scenario.write_text(SCENARIO.format(path=tmp_path / "flag").replace("path:", "paht:"))
    done = python("-m", "chaoskit", "plan", str(scenario))
    assert done.returncode == 2
    assert f"{scenario}:5: file.flag: with.path: Field required" in done.stderr


def test_another_packages_kind_is_held_and_undone(tmp_path: Path) -> None:
    done = python("-c", HOLD, str(tmp_path / "flag"))
    assert done.stdout.split() == ["there", "gone"], done.stderr


def test_a_plugin_that_is_no_fault_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    folder = tmp_path / "broken-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[chaoskit.faults]\nbroken.kind = json:JSONDecoder\nlost.kind = nowhere:X\n"
    )
    done = python("-m", "chaoskit", "plan", "worker-unhealthy", more=tmp_path)
    assert done.returncode == 2
    assert "fault kind 'broken.kind' (json:JSONDecoder): lacks kind, handles" in done.stderr
    assert "fault kind 'lost.kind' (nowhere:X): cannot be imported" in done.stderr
    assert "Traceback" not in done.stderr
