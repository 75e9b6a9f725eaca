"""`chaoskit gate merge`: the parts of a gate that several machines played, as one answer."""

from __future__ import annotations

from pathlib import Path

import click

from chaoskit.cli.console import console
from chaoskit.cli.gate import COMPARE_GATE, REQUIRE, tell
from chaoskit.cli.outputs import OUT, ResultFile, form
from chaoskit.cli.sources import FILE
from chaoskit.errors import ExitCode, Problem
from chaoskit.gate.earlier import read_gate
from chaoskit.gate.merge import merge, read_parts
from chaoskit.gate.record import load_record
from chaoskit.inputs import attempt
from chaoskit.report.junit import junit
from chaoskit.run.prepare import make_folder
from chaoskit.surroundings import leave
from chaoskit.units import amount


@click.command("merge")
@click.argument("parts", nargs=-1, required=True, type=FILE, metavar="DIR...")
@OUT
@REQUIRE
@click.option("--junitxml", type=ResultFile(), help="Write the results as JUnit XML.")
@COMPARE_GATE
@form("text", "markdown")
def merge_command(
    parts: tuple[Path, ...],
    out: Path,
    require_coverage: float | None,
    junitxml: Path | None,
    compare: Path | None,
    format_: str,
) -> ExitCode:
    """Make one answer of the parts that `chaoskit gate --shard` played; DIR is the folder of a part."""
    wrong: list[Problem] = []
    old = attempt(lambda: read_gate(compare), wrong) if compare is not None else None
    given = read_parts(parts, wrong)
    screen = console(stderr=format_ != "text")
    for one in given:
        screen.print(f"{one.part.shard}: {one.folder}: {amount(len(one.played), 'scenarios')}", highlight=False)
    ended = merge(given, make_folder(out, "gate", latest=False), old, require_coverage)
    if junitxml is not None:
        leave(junitxml, junit("chaoskit gate", ended.cases), named=True)
    tell(ended, out, load_record(out), given[0].part.time_scale, screen)
    return ended.ending
