"""Imports go one way, and only the parts made for it know of the CRM that ships with chaoskit."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import chaoskit

ROOT = Path(chaoskit.__file__).parent
LOWER_FIRST = [
    {
        "errors",
        "files",
        "fresh",
        "giving_way",
        "histogram",
        "hop",
        "identity",
        "printable",
        "surroundings",
        "trust",
        "units",
        "waiting",
        "yaml_node",
        "yaml_source",
    },
    {"alerting", "scenario", "bundle", "events"},
    {"access", "inputs", "history", "fold", "plan", "check"},
    {"explain", "diff"},
    {"faults", "load", "observe", "stack", "crm", "verify", "witness"},
    {"safety"},
    {"run", "examine"},
    {"report"},
    {"gate", "rehearse"},
    {"draft"},
    {"cli", "__main__", "pytest_plugin"},
]
LEVEL = {part: number for number, parts in enumerate(LOWER_FIRST) for part in parts}
MODULES = sorted(ROOT.rglob("*.py"))
NEUTRAL = (
    "access",
    "alerting",
    "run",
    "safety",
    "verify",
    "faults",
    "load",
    "observe",
    "stack",
    "witness",
    "examine",
    "plan",
    "rehearse",
    "report",
    "scenario",
    "check",
    "explain",
    "diff",
    "draft",
)


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Parts of chaoskit that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chaoskit"):
            words = (node.module or "").split(".")
            found |= {words[1]} if len(words) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("chaoskit.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_its_own_level_or_lower(path: Path) -> None:
    if part_of(path) == "__init__":
        return
    above = {part for part in imported(path) if LEVEL[part] > LEVEL[part_of(path)]}
    assert not above


def test_the_verifier_and_the_plan_touch_no_world() -> None:
    """No process, no socket, no clock: the same file gives the same verdict."""
    banned = {"time", "socket", "subprocess", "requests", "psutil", "random", "threading"}
    for path in MODULES:
        if part_of(path) not in ("verify", "history", "fold", "alerting", "check", "explain", "diff"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & banned, path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_outside_the_crm_and_the_bundle_knows_whom_it_tests(path: Path) -> None:
    if part_of(path) in NEUTRAL:
        assert "insa" not in path.read_text().lower()
        assert "crm" not in imported(path)


def test_a_module_that_imports_upwards_would_be_seen(tmp_path: Path) -> None:
    """The check itself can fail."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def late():\n    from chaoskit.run.runner import Runner\n")
    assert imported(wrong) == {"run"}
    assert LEVEL["run"] > LEVEL["verify"]
