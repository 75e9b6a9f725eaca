"""What the standard library got after Python 3.11.0, found in source code without running it on 3.11.0.

Two readers, for two kinds. What came with a new minor version is told by mypy, which knows for every name, method and
argument since which minor version it is there. What came in between (3.11.1 and later, mostly to mend weaknesses) is
in no such record: `BACKPORTED` lists it, and the syntax tree is searched for it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("chaoskit", "tests", "benchmarks", "scripts")

# Names of modules: since which version.
BACKPORTED = {
    "email.errors.HeaderWriteError": "3.11.10",
    "email.utils.supports_strict_parsing": "3.11.10",
    "errno.ENOTCAPABLE": "3.11.1",
    "tarfile.AbsoluteLinkError": "3.11.4",
    "tarfile.AbsolutePathError": "3.11.4",
    "tarfile.FilterError": "3.11.4",
    "tarfile.LinkFallbackError": "3.11.13",
    "tarfile.LinkOutsideDestinationError": "3.11.4",
    "tarfile.OutsideDestinationError": "3.11.4",
    "tarfile.SpecialFileError": "3.11.4",
    "tarfile.data_filter": "3.11.4",
    "tarfile.fully_trusted_filter": "3.11.4",
    "tarfile.tar_filter": "3.11.4",
}
# Arguments by the function's last name, whatever it is called on, and attributes of any object.
BACKPORTED_ARGUMENTS = {
    ("HTMLParser", "scripting"): "3.11.14",
    ("extract", "filter"): "3.11.4",
    ("extractall", "filter"): "3.11.4",
    ("getaddresses", "strict"): "3.11.10",
    ("parseaddr", "strict"): "3.11.10",
    ("unpack_archive", "filter"): "3.11.4",
    ("clone", "verify_generated_headers"): "3.11.10",
    ("EmailPolicy", "verify_generated_headers"): "3.11.10",
}
BACKPORTED_ATTRIBUTES = {
    "GetReparseDeferralEnabled": "3.11.9",
    "SetReparseDeferralEnabled": "3.11.9",
    "extraction_filter": "3.11.4",
    "verify_generated_headers": "3.11.10",
}
_SAID = re.compile(
    r"(?P<where>\S+?:\d+): error: (?P<what>.*)  \[(?:attr-defined|call-arg|call-overload|import-not-found)]"
)
_NEWER = re.compile(r"has no attribute|Unexpected keyword argument|No overload variant|Cannot find implementation")
_MODULE = re.compile(r"module named \"(?P<name>[\w.]+)\"")


def sources() -> list[Path]:
    """Every Python file of the project."""
    return sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))


def backported(code: str, file: str = "code") -> list[str]:
    """Uses of what came with 3.11.1 or later, as `file:line: what needs Python x`, in the order of the code."""
    return [f"{file}:{line}: {what} needs Python {since}" for line, what, since in sorted(_uses(ast.parse(code)))]


def _uses(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    names: dict[str, str] = {}  # what a name of this file stands for
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                names[one.asname or one.name.partition(".")[0]] = one.name if one.asname else one.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for one in node.names:
                whole = names[one.asname or one.name] = f"{node.module}.{one.name}"
                if whole in BACKPORTED:
                    yield node.lineno, whole, BACKPORTED[whole]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            whole = _dotted(node, names)
            if whole in BACKPORTED:
                yield node.lineno, whole, BACKPORTED[whole]
            elif node.attr in BACKPORTED_ATTRIBUTES:
                yield node.lineno, f".{node.attr}", BACKPORTED_ATTRIBUTES[node.attr]
        elif isinstance(node, ast.Call):
            called = (
                node.func.attr if isinstance(node.func, ast.Attribute) else _dotted(node.func, names).split(".")[-1]
            )
            for keyword in node.keywords:
                since = BACKPORTED_ARGUMENTS.get((called, keyword.arg or ""))
                if since:
                    yield node.lineno, f"{called}({keyword.arg}=)", since


def _dotted(node: ast.AST, names: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names)}.{node.attr}"
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def later_minor(files: Iterable[Path]) -> list[str]:
    """What mypy, told in pyproject.toml that this is 3.11, does not know in these files: names, arguments, modules.

    Raises AssertionError when mypy itself fails.
    """
    mypy = [
        sys.executable,
        "-m",
        "mypy",
        "--show-error-codes",
        "--no-error-summary",
        "--no-pretty",
        "--explicit-package-bases",
    ]
    done = subprocess.run([*mypy, *map(str, files)], cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = [match for match in map(_SAID.match, done.stdout.splitlines()) if match]
    return [f"{match['where']}: {match['what']}" for match in found if _newer(match["what"])]


def _newer(what: str) -> bool:
    """Whether it can be a later library's doing; what no class was narrowed from, and files beside a test, are not."""
    if what.startswith('"object" has') or not _NEWER.search(what):
        return False
    module = _MODULE.search(what)
    return module is None or not any((ROOT / "tests").rglob(f"{module['name']}.py"))
