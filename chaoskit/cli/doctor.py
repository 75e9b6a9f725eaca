"""`doctor`: what was found, which versions, what is missing, and the command or setting that mends it."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

from chaoskit.alerting.config import ConfigFiles
from chaoskit.errors import BadInput, Problem
from chaoskit.examine.attached import examine_attached
from chaoskit.examine.endpoint import Checked
from chaoskit.examine.receivers import examine_receivers
from chaoskit.scenario.catalog import find_profile
from chaoskit.scenario.profile import load_profile_file
from chaoskit.stack.binaries import find
from chaoskit.stack.install import install

_PACKAGES = (
    "locust", "prometheus-client", "click", "psutil", "PyYAML", "pytest", "promql-parser", "aiosmtpd", "uvicorn",
)  # fmt: skip


def examine() -> list[Checked]:
    """Looks at the programs, the packages and the shipped files; changes nothing."""
    return [*_programs(), *_packages()]


def examine_profile(name: str, files: ConfigFiles, *, canary: bool) -> Iterator[Checked]:
    """Looks at what a profile names: a system that runs already is asked; what is wrong in a file is a line.

    `files` are the alert configuration that should be loaded there.
    """
    try:
        file = find_profile(name)
        profile = load_profile_file(file)
        if profile.target == "local":
            yield Checked("target", "ok", f"{file}: local, so everything is started by the run itself")
            return
        config = files.load(complete=True)
        yield from (_wrong(each.problem) for each in config.not_understood if each.broken)
        yield from examine_attached(profile.target, profile.handles, config, canary=canary)
    except BadInput as error:
        yield from map(_wrong, error.problems)


def tell_receivers(name: str, files: ConfigFiles, confirm: str) -> list[Checked]:
    """Sends a test alert to each receiver of a profile's target and says what arrived; raises Refused where the
    environment was not confirmed, BadInput for what is wrong in a file."""
    profile = load_profile_file(find_profile(name))
    if profile.target == "local":
        raise BadInput(Problem(profile.place, "a local target has no real receivers", "name an attached profile"))
    return list(examine_receivers(profile.target, files.load(complete=True), confirm))


def _wrong(problem: Problem) -> Checked:
    where = f"{problem.place}: " if problem.place else ""
    return Checked("file", "missing", f"{where}{problem.message}", problem.hint)


def to_json(lines: Iterable[Checked]) -> str:
    """The lines as a JSON list."""
    return json.dumps([dataclasses.asdict(one) for one in lines], indent=2, ensure_ascii=False)


def mend(progress: Callable[[str], None]) -> None:
    """Fetches what is missing into the private cache, without root; raises BadInput where that is impossible."""
    if not all(one.state == "ok" for one in _programs()):
        install(progress=progress)


def _programs() -> list[Checked]:
    try:
        found = find()
    except BadInput as error:
        return [Checked("programs", "missing", str(error), "mend that environment variable")]
    return [
        Checked(tool.name, "ok", f"{tool.version or 'version unknown'}  {tool.path}")
        if tool.path is not None
        else Checked(tool.name, "missing", "not found", "run: chaoskit doctor --install")
        for tool in found.values()
    ]


def _packages() -> list[Checked]:
    lines = []
    for name in _PACKAGES:
        try:
            lines.append(Checked(name, "ok", version(name)))
        except PackageNotFoundError:
            lines.append(Checked(name, "missing", "not installed", f"run: {sys.executable} -m pip install {name}"))
    return lines
