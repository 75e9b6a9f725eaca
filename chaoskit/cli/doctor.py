"""`doctor`: what was found, which versions, what is missing, and the command that mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from chaoskit.errors import BadInput
from chaoskit.stack.binaries import find
from chaoskit.stack.install import install

_PACKAGES = (
    "locust",
    "prometheus-client",
    "click",
    "psutil",
    "PyYAML",
    "pytest",
    "promql-parser",
    "aiosmtpd",
    "uvicorn",
)


@dataclass(frozen=True, slots=True)
class Found:
    """One line: what it is, whether it is all right, what was found, and what mends it."""

    what: str
    ok: bool
    detail: str
    mend: str = ""


def examine() -> list[Found]:
    """Looks at the programs, the packages and the shipped files; changes nothing."""
    return [*_programs(), *_packages()]


def mend(progress: Callable[[str], None]) -> None:
    """Fetches what is missing into the private cache, without root; raises BadInput where that is impossible."""
    if not all(one.ok for one in _programs()):
        install(progress=progress)


def _programs() -> list[Found]:
    try:
        found = find()
    except BadInput as error:
        return [Found("programs", False, str(error), "mend that environment variable")]
    return [
        Found(tool.name, True, f"{tool.version or 'version unknown'}  {tool.path}")
        if tool.path is not None
        else Found(tool.name, False, "not found", "chaoskit doctor --install")
        for tool in found.tools
    ]


def _packages() -> list[Found]:
    lines = []
    for name in _PACKAGES:
        try:
            lines.append(Found(name, True, version(name)))
        except PackageNotFoundError:
            lines.append(Found(name, False, "not installed", "pip install chaoskit"))
    return lines
