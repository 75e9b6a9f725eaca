"""A kind of fault from another package: found by its entry point, planned, held, undone; a broken one is named."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
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
from chaoskit.run.held_fault import HeldFault
kind = known()["file.flag"]
path = Path(sys.argv[1])
settings, _ = read_settings(kind, {"path": str(path)}, Place("x", 1))
held = HeldFault(kind, kind.prepare(Target("", ()), settings), 60.0, path.parent / "log", print)
held.await_armed(); held.start(); held.await_effect()
print("there" if path.exists() else "missing")
held.take_back()
print("gone" if not path.exists() else "left")
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's example of a fault, in a package of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    example = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    (folder / "chaoskit_example.py").write_text(example)
    installed(folder, "example", "[chaoskit.faults]\nfile.flag = chaoskit_example:FileFlag\n")
    return folder


def installed(folder: Path, name: str, entry_points: str) -> None:
    """As pip would leave it."""
    (folder / f"{name}-1.0.dist-info").mkdir()
    (folder / f"{name}-1.0.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / f"{name}-1.0.dist-info" / "entry_points.txt").write_text(entry_points)


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_another_packages_kind_is_planned_like_ours(tmp_path: Path, plugin: Path) -> None:
    scenario = tmp_path / "flag.yml"
    scenario.write_text(SCENARIO.format(path=tmp_path / "flag"))
    done = python(plugin, "-m", "chaoskit", "plan", str(scenario))
    assert done.returncode == 0, done.stderr
    assert "inject file.flag" in done.stdout
    scenario.write_text(SCENARIO.format(path=tmp_path / "flag").replace("path:", "paht:"))
    done = python(plugin, "-m", "chaoskit", "plan", str(scenario))
    assert done.returncode == 2
    assert f"{scenario}:5: file.flag: with.path: Field required" in done.stderr


def test_another_packages_kind_is_held_and_undone(tmp_path: Path, plugin: Path) -> None:
    done = python(plugin, "-c", HOLD, str(tmp_path / "flag"))
    assert done.stdout.split() == ["there", "gone"], done.stderr


def test_a_plugin_that_is_no_fault_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    kinds = "broken.kind = json:JSONDecoder\nlost.kind = nowhere:X\nother.kind = chaoskit.faults.link:HttpError\n"
    installed(tmp_path, "broken", f"[chaoskit.faults]\n{kinds}[chaoskit.handles]\nrole-2 = json:JSONDecoder\n")
    done = python(tmp_path, "-m", "chaoskit", "list", "--faults")
    assert done.returncode == 2
    assert "fault kind 'broken.kind' (json:JSONDecoder): lacks kind, handles" in done.stderr
    assert "fault kind 'lost.kind' (nowhere:X): cannot be imported" in done.stderr
    assert "Traceback" not in done.stderr
    assert "'other.kind' (chaoskit.faults.link:HttpError): calls itself 'http.error'" in done.stderr
    done = python(tmp_path, "-m", "chaoskit", "list", "--handles")
    assert done.returncode == 2
    assert "handle kind 'role-2' (json:JSONDecoder): lacks kind, at_local" in done.stderr


def test_a_plugin_on_handles_of_no_known_kind_is_named(tmp_path: Path, plugin: Path) -> None:
    (tmp_path / "elsewhere.py").write_text(
        (plugin / "chaoskit_example.py").read_text().replace("tuple[str, ...]] = ()", 'tuple[str, ...]] = ("volumn",)')
    )
    installed(tmp_path, "elsewhere", "[chaoskit.faults]\nfile.flag = elsewhere:FileFlag\n")
    done = python(tmp_path, "-m", "chaoskit", "list", "--faults")
    assert done.returncode == 2
    assert "file.flag acts on handles of no known kind: volumn" in done.stderr
