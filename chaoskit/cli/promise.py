"""`promise`: what people can be told, written from the configuration for a person to review; starts nothing."""

from __future__ import annotations

from pathlib import Path

import click

from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.promise_text import COMPUTED, promise_text
from chaoskit.cli.console import Commands
from chaoskit.cli.new import write_new
from chaoskit.cli.sources import config_options, or_shipped
from chaoskit.errors import ExitCode
from chaoskit.explain.promise import computed_promise
from chaoskit.stack.original import understood


@click.group("promise", cls=Commands)
def promise_group() -> None:
    """The promise that receivers rely on, written from a configuration."""


@promise_group.command("write")
@config_options
@click.option("--alert", "alerts", multiple=True, metavar="NAME", help="Only this alert; repeatable.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file; default: standard output.")
def write_command(files: ConfigFiles, alerts: tuple[str, ...], out: Path | None) -> ExitCode:
    """Write the promise that the configuration implies, each entry marked as computed and not promised yet.

    Review it, and say of each entry why it is promised: `# documented: ...` or `# decided here: ...`. A file that is
    there is never overwritten.

    Exit codes: 0 written, 2 the file is there already, or something cannot be read.
    """
    text = promise_text(computed_promise(understood(or_shipped(files).load()), set(alerts) or None), COMPUTED)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_new(out, text)
    return ExitCode.PASS
