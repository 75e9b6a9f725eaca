"""`chaoskit ui`: game days from a browser on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from chaoskit.cli.console import console, say
from chaoskit.cli.outputs import OUT
from chaoskit.cli.sources import PROFILE
from chaoskit.console import PORT
from chaoskit.errors import ExitCode
from chaoskit.scenario.catalog import find_profile


@click.command("ui")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Or the next free one.")
@PROFILE
@OUT
def ui_command(port: int, profile: str, out: Path) -> ExitCode:
    """Choose, watch, stop and compare drills in a browser on this machine, until Ctrl-C."""
    from chaoskit.console.beside import serve_here  # a web server's parts are long to import

    find_profile(profile)
    return serve_here(port, out, profile, say, terminal=console().is_terminal)
