"""`bundle render`: the shipped alert configuration as files to deploy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from chaoskit.bundle.render import PARTS, render
from chaoskit.bundle.render_settings import PROMETHEUS, SETTINGS
from chaoskit.cli.console import Commands
from chaoskit.errors import BadInput
from chaoskit.stack.binaries import require
from chaoskit.stack.monitoring import check_alertmanager, check_prometheus

_LISTED = {
    **{f"{key}={setting.form}": setting for key, setting in SETTINGS.items()},
    f"to.RECEIVER={SETTINGS['to'].form}": replace(SETTINGS["to"], what="who gets that receiver's mails"),
}
_WIDTH = max(map(len, _LISTED))
_SETTINGS = "\n".join(
    f"  {form.ljust(_WIDTH)}  {setting.what}" + (f" (--with {setting.part})" if setting.part else "")
    for form, setting in sorted(_LISTED.items())
)


@click.group("bundle", cls=Commands)
def bundle_group() -> None:
    """The shipped alert configuration, ready to deploy."""


@bundle_group.command(
    "render",
    epilog=f"\b\nSettings:\n{_SETTINGS}",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write, new or empty.")
@click.option("--with", "parts", multiple=True, metavar="PART,…", help=f"Optional parts: {', '.join(PARTS)}.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Replace an address; see below.")
@click.option("--force", is_flag=True, help="Replace an earlier rendering; the earlier one is kept if this one fails.")
def render_command(out: Path, parts: tuple[str, ...], settings: tuple[str, ...], force: bool) -> None:
    """Write the configuration for your Prometheus and Alertmanager to a folder: all of it, or nothing."""
    wanted = tuple(dict.fromkeys(part.strip() for some in parts for part in some.split(",") if part.strip()))
    unchecked: list[str] = []

    def check(folder: Path) -> None:
        try:
            binaries = require()
        except BadInput:
            unchecked.append("promtool and amtool were not found, so nothing checked the bundle: chaoskit doctor")
            return
        problems = (
            *check_prometheus(binaries.promtool, folder / PROMETHEUS),
            *check_alertmanager(binaries.amtool, folder / "alertmanager.yml"),
        )
        if problems:
            raise BadInput(problems)

    files = render(out, wanted, settings, force=force, check=check)
    for file in files:
        if len(file.parts) == 1:
            click.echo(str(out / file))
    for inside in sorted({file.parts[0] for file in files if len(file.parts) > 1}):
        count = sum(file.parts[0] == inside for file in files)
        click.echo(f"{out / inside}/ ({count})")
    for note in unchecked:
        click.echo(f"note: {note}", err=True)
