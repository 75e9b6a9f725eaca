"""Imports go one way, and only the parts made for it know of the CRM that ships with chaoskit."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Set
from functools import cache
from pathlib import Path

import pytest

import chaoskit

ROOT = Path(chaoskit.__file__).parent
LOWER_FIRST = [
    {
        "collector",
        "errors",
        "files",
        "fresh",
        "niceness",
        "handles",
        "histogram",
        "hop",
        "identity",
        "json_text",
        "kinds",
        "markdown",
        "marked",
        "printable",
        "surroundings",
        "trust",
        "units",
        "waiting",
        "yaml_source",
        "zones",
    },
    {"alerting", "scenario", "bundle", "events", "host"},
    {"access", "inputs", "history", "fold", "plan", "check", "localize"},
    {"explain", "diff", "wording"},
    {"adapters", "faults", "load", "observe", "stack", "crm", "verify", "witness"},
    {"safety"},
    {"run", "examine"},
    {"report"},
    {"approve", "gate", "mutate", "probes", "rehearse", "sla"},
    {"draft", "api", "console"},
    {"cli", "__main__", "pytest_plugin"},
]
LEVEL = {part: number for number, parts in enumerate(LOWER_FIRST) for part in parts}
MODULES = sorted(ROOT.rglob("*.py"))
NEUTRAL = (
    "adapters",
    "access",
    "alerting",
    "host",
    "localize",
    "plan",
    "run",
    "safety",
    "verify",
    "faults",
    "load",
    "observe",
    "stack",
    "handles",
    "witness",
    "examine",
    "rehearse",
    "report",
    "scenario",
    "check",
    "explain",
    "diff",
    "draft",
    "sla",
    "mutate",
    "approve",
    "probes",
    "wording",
)


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@cache
def imported(path: Path) -> frozenset[str]:
    """Parts of chaoskit that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chaoskit"):
            words = (node.module or "").split(".")
            found |= {words[1]} if len(words) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("chaoskit.")}
    return frozenset(found - {"__version__"})


def circle(imports: Mapping[str, Set[str]]) -> list[str]:
    """Parts that import each other in a circle, the first one again at the end; empty where there is none."""
    left = {part: set(others) for part, others in imports.items()}
    while ready := [part for part, others in left.items() if not others & left.keys()]:
        for part in ready:
            del left[part]
    # Whatever is left imports something that is left: going on from one to the next comes back to one that was met.
    way = list(left)[:1]
    while way and len(set(way)) == len(way):
        way.append(min(left[way[-1]] & left.keys()))
    return way[way.index(way[-1]) :] if way else []


def test_no_parts_import_each_other_in_a_circle() -> None:
    """Not even inside a level."""
    imports: dict[str, set[str]] = {}
    for path in MODULES:
        imports.setdefault(part_of(path), set()).update(imported(path) - {part_of(path)})
    assert circle(imports) == []
    assert {"plan", "verify", "run"} <= imports.keys()


@pytest.mark.parametrize(
    ("imports", "found"),
    [
        ({"plan": {"errors"}, "errors": set(), "verify": {"plan", "errors"}}, []),
        ({"stack": {"observe"}, "observe": {"stack"}, "run": {"stack"}}, ["stack", "observe", "stack"]),
        ({"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set()}, ["a", "b", "c", "a"]),
        ({"above": {"plan"}, "plan": {"check"}, "check": {"plan"}}, ["plan", "check", "plan"]),
    ],
)
def test_a_circle_that_is_put_in_is_found(imports: dict[str, set[str]], found: list[str]) -> None:
    assert circle(imports) == found


def test_a_module_imports_only_its_own_level_or_lower() -> None:
    above = [
        (str(path.relative_to(ROOT)), part)
        for path in MODULES
        for part in sorted(imported(path))
        if part_of(path) != "__init__" and LEVEL[part] > LEVEL[part_of(path)]
    ]
    assert above == []


def touches(source: str) -> set[str]:
    """What of the world a module's text reaches for; `Random(SEED)` is no chance."""
    banned = {"time", "socket", "subprocess", "requests", "psutil", "random", "threading"}
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and (node.module, [a.name for a in node.names]) != ("random", ["Random"]):
            names = [node.module or ""]
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "Random"
            and not node.args
        ):
            names = ["random"]
        found |= {name.split(".")[0] for name in names} & banned
    return found


def test_the_verifier_and_the_plan_touch_no_world() -> None:
    """No process, no socket, no clock: the same file gives the same verdict."""
    pure = {"verify", "history", "fold", "alerting", "check", "explain", "diff", "plan"}
    seen = {path: touches(path.read_text()) for path in MODULES if part_of(path) in pure}
    assert {path: what for path, what in seen.items() if what} == {}
    assert {part_of(path) for path in seen} == pure


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import time", {"time"}),
        ("def now():\n    from socket import socket", {"socket"}),
        ("from random import Random\nRandom(1)", set()),
        ("from random import Random\nRandom()", {"random"}),
        ("from random import Random, choice", {"random"}),
    ],
)
def test_a_module_that_reaches_for_the_world_would_be_seen(source: str, what: set[str]) -> None:
    assert touches(source) == what


def test_nothing_outside_the_crm_and_the_bundle_knows_whom_it_tests() -> None:
    neutral = [path for path in MODULES if part_of(path) in NEUTRAL]
    assert [str(path) for path in neutral if "insa" in path.read_text().lower() or "crm" in imported(path)] == []


def test_a_module_that_imports_upwards_would_be_seen(tmp_path: Path) -> None:
    """The check itself can fail."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def late():\n    from chaoskit.run.runner import Runner\n")
    assert imported(wrong) == {"run"}
    assert LEVEL["run"] > LEVEL["verify"]


def derived_from(source: str, names: set[str]) -> list[str]:
    """Classes of a module that derive from one of these."""
    named = any(each in source for each in names)
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)] if named else []
    return [one.name for one in classes if names & {ast.unparse(base).rpartition(".")[2] for base in one.bases}]


def test_there_is_one_runner() -> None:
    """What a run plays on is a target; nothing outside derives from what plays it."""
    one = {"Runner", "Track", "StepRunner"}
    outside = {
        str(path): derived_from(path.read_text(), one) for path in MODULES if part_of(path) not in ("run", "load")
    }
    assert {path: found for path, found in outside.items() if found} == {}
    assert derived_from("class Stage(runner.Runner): ...\nclass Other(Base): ...", one) == ["Stage"]


def test_one_module_asks_the_promql_parser() -> None:
    """One tree: every question about an expression is asked of the nodes that alerting/expression.py makes."""
    named = [path for path in MODULES if "promql_parser" in path.read_text()]
    asking = [str(path.relative_to(ROOT)) for path in named if "promql_parser" in outside(path.read_text())]
    assert asking == ["alerting/expression.py"]


def test_only_commands_import_the_console_and_only_its_mirror_imports_locust() -> None:
    """A web server's parts are long to import, and Locust patches its whole process."""
    importing = {part_of(path) for path in MODULES if "console" in imported(path)}
    assert importing <= {"cli", "console", "__main__"}
    locust = [path for path in (ROOT / "console").rglob("*.py") if "locust" in outside(path.read_text())]
    assert [path.name for path in locust] == ["mirror.py"]
    started_at_once = [
        one for one in (ROOT / "cli").glob("*.py") if "chaoskit.console.server" in at_top(one.read_text())
    ]
    assert started_at_once == []


def outside(source: str) -> set[str]:
    """The packages that a module's text imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(source)))
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.partition(".")[0] for name in named} | {
        (node.module or "").partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)
    }


def at_top(source: str) -> set[str]:
    """The modules that are imported when this one is."""
    return {node.module or "" for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)}
