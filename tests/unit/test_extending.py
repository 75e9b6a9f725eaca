"""docs/extending.md is true: its map is the imports, and what it shows works when it is put where it says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import chaoskit
from chaoskit.faults.registry import known, known_actions
from chaoskit.handles import handle_kinds
from chaoskit.verify.checks import CHECKS

ROOT = Path(chaoskit.__file__).parent
PAGE = (ROOT.parent / "docs" / "extending.md").read_text(encoding="utf-8")
MAP = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", PAGE, re.MULTILINE)
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PLACES = ("faults", "handles", "verify", "check.lints")
EXAMPLES = {place: (CODE[2 * number], CODE[2 * number + 1]) for number, place in enumerate(PLACES)}
"""By the package that it belongs to, a module and its test."""
CONFTEST = """
from importlib import import_module
from pathlib import Path

from chaoskit.verify import verify

for name in ("faults", "handles", "verify", "check.lints"):
    import_module(f"chaoskit.{name}").__path__.append(str(Path(__file__).parent / name))
import_module("chaoskit.check.lints.example")
verify.CHECKS = (*verify.CHECKS, import_module("chaoskit.verify.example").FLOOD)
"""


def packages() -> list[str]:
    return sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


def imported(package: str) -> set[str]:
    """The packages that one imports, anywhere in it."""
    found = set()
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "chaoskit":
                found |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {word for word in (node.module or "").split(".")[1:2] if node.module.startswith("chaoskit.")}
    return found & set(packages()) - {package}


def test_the_map_has_every_package_and_each_says_what_it_is() -> None:
    assert sorted(MAP) == packages()
    assert [name for name in MAP if not import_module(f"chaoskit.{name}").__doc__] == []


def test_everything_that_is_listed_says_what_it_is() -> None:
    listed: list[object] = [*known().values(), *known_actions().values(), *handle_kinds().values()]
    assert [one for one in [*listed, *(check.judge for check in CHECKS)] if not one.__doc__] == []


@pytest.mark.parametrize("package", MAP)
def test_a_package_imports_only_from_those_above_it_in_the_map(package: str) -> None:
    assert imported(package) - set(MAP[: MAP.index(package)]) == set()


def test_what_the_page_shows_works_where_it_says(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for place, (module, its_test) in EXAMPLES.items():
        (tmp_path / place).mkdir()
        (tmp_path / place / "example.py").write_text(module)
        (tmp_path / f"test_{place.replace('.', '_')}.py").write_text(its_test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, timeout=150, check=False, cwd=ROOT.parent
    )
    assert "5 passed" in done.stdout, done.stdout + done.stderr
