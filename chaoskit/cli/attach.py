"""`attach`: a first profile for a system that runs already."""

from __future__ import annotations

from pathlib import Path

import click

from chaoskit.cli.new import write_new
from chaoskit.draft.attach import written
from chaoskit.draft.surroundings import surroundings


@click.command("attach")
@click.option("--prometheus", required=True, metavar="URL", help="Where the system's Prometheus answers.")
@click.option("--alertmanager", required=True, metavar="URL", help="Where the system's Alertmanager answers.")
@click.option(
    "--environment", default="", metavar="NAME", help="The environment's name; asked of Prometheus unless given."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("profiles/staging.yml"),
    show_default=True,
    help="The file to write; an existing one is left alone.",
)
def attach_command(prometheus: str, alertmanager: str, environment: str, out: Path) -> None:
    """Write a first profile for a running system, each line with its reason; touches nothing of that system.

    Exit codes: 0 written, 2 the file is there already, or Prometheus or Alertmanager gives no answer.
    """
    found = surroundings()
    write_new(out, written(prometheus.rstrip("/"), alertmanager.rstrip("/"), environment, found))
    click.echo(f"wrote {out}, with {len(found)} handles for what was found on this host")
    click.echo(f"next: read {out}, then: chaoskit doctor --profile {out} --bundle DIR")
