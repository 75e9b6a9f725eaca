"""`doctor`: what was found, which versions, what is missing, and the command or setting that mends it."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

import click
from rich.table import Table
from rich.text import Text

from chaoskit.alerting.config import ConfigFiles
from chaoskit.cli.console import print_as
from chaoskit.cli.outputs import form
from chaoskit.cli.sources import config_options, or_shipped
from chaoskit.errors import BadInput, ExitCode, Problem
from chaoskit.examine.attached import examine_attached
from chaoskit.examine.endpoint import Checked
from chaoskit.examine.receivers import examine_receivers
from chaoskit.report.table import table
from chaoskit.report.text import clean
from chaoskit.scenario.catalog import find_profile
from chaoskit.scenario.profile import load_profile_file
from chaoskit.stack.binaries import find
from chaoskit.stack.install import install as fetch

_PACKAGES = (
    "locust", "prometheus-client", "click", "psutil", "PyYAML", "pytest", "promql-parser", "aiosmtpd", "uvicorn",
)  # fmt: skip


_SIGNS = {
    "ok": Text("ok", style="green"),
    "warning": Text("warning", style="yellow"),
    "missing": Text("MISSING", style="bold red"),
}


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
            yield Checked("target", "ok", f"{file}: local, so the run itself starts everything")
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


def _view(lines: Iterable[Checked]) -> Table:
    shown = table("", "", "", "", header=False)
    for one in lines:
        shown.add_row(_SIGNS[one.state], clean(one.what), clean(one.detail), clean(one.mend))
    return shown


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


@click.command("doctor")
@click.option("--install", is_flag=True, help="Fetch what is missing into the private cache, without root.")
@click.option("--profile", help="Also examine this profile's handles and endpoints.")
@config_options
@click.option("--canary/--no-canary", default=True, help="Send a harmless test alert to the witness.")
@click.option("--receivers", is_flag=True, help="Send a test alert to each real receiver and see whether it arrives.")
@click.option("--confirm", default="", metavar="NAME", help="The environment whose receivers are told.")
@form("text", "json")
def doctor_command(
    install: bool,
    profile: str | None,
    files: ConfigFiles,
    canary: bool,
    receivers: bool,
    confirm: str,
    format_: str,
) -> ExitCode:
    """Show the programs found, their versions, what is missing, and the command or setting that mends it."""
    if receivers and profile is None:
        raise BadInput(Problem(None, "--receivers is given without --profile", "add --profile NAME"))
    if install and not all(one.state == "ok" for one in _programs()):
        fetch(progress=lambda line: click.echo(line, err=format_ == "json"))
    lines = examine()
    if profile is not None:
        told = tell_receivers(profile, or_shipped(files), confirm) if receivers else []
        lines += [*examine_profile(profile, or_shipped(files), canary=canary), *told]
    print_as(format_, {"text": _view, "json": to_json}, lines)
    return ExitCode.USAGE if any(one.state == "missing" for one in lines) else ExitCode.PASS
