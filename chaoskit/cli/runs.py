"""`runs prune`: old runs' folders, removed."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from chaoskit.cli.console import say
from chaoskit.cli.outputs import OUT
from chaoskit.errors import ExitCode, Place, Problem, Refused
from chaoskit.safety.survey import prune


@click.group("runs")
def runs_group() -> None:
    """What is kept of earlier runs."""


@runs_group.command("prune")
@click.option("--keep", type=click.IntRange(min=0), required=True, metavar="N", help="The newest so many stay.")
@OUT
@click.option("--dry-run", is_flag=True, help="Show what would be removed.")
def prune_command(keep: int, out: Path, dry_run: bool) -> ExitCode:
    """Remove the folders of old runs; never one that is not healed, a live one, or another user's."""
    removed = kept = 0
    named = click.get_current_context().get_parameter_source("out") is ParameterSource.COMMANDLINE
    if not named and not out.exists():
        say(f"there are no runs in {out}")
        return ExitCode.PASS
    try:
        for one in prune(out, keep, remove=not dry_run):
            removed, kept = removed + (not one.kept), kept + bool(one.kept)
            word = "kept       " if one.kept else "would go   " if dry_run else "removed    "
            say(f"{word}{one.folder}" + (f": {one.kept}" if one.kept else ""))
    except OSError as error:
        why = f"no runs of yours can be removed here: {error.strerror}"
        raise Refused(Problem(Place(str(out)), why, "name another folder with --out")) from None
    say(f"{removed} {'would be removed' if dry_run else 'removed'}, {kept} kept beyond the newest {keep}")
    return ExitCode.PASS
