"""`promise`: what people can be told, written from the configuration for a person to review; starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.promise_text import COMPUTED, promise_text
from chaoskit.cli.console import Commands
from chaoskit.cli.new import write_new
from chaoskit.cli.sources import (
    approved_folder,
    approved_option,
    config_options,
    known_alerts,
    or_shipped,
    programs_of,
    yours_option,
)
from chaoskit.errors import ExitCode
from chaoskit.explain.promise import computed_promise
from chaoskit.probes.levels import Levels
from chaoskit.probes.unit_tests import write_tests
from chaoskit.stack.original import understood


@click.group("promise", cls=Commands)
def promise_group() -> None:
    """The promise that receivers rely on, written from a configuration."""


@promise_group.command("write")
@config_options
@click.option("--alert", "alerts", multiple=True, metavar="NAME", help="Only this alert; repeatable.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file; default: standard output.")
def write_command(files: ConfigFiles, alerts: tuple[str, ...], out: Path | None) -> None:
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


@promise_group.command("tests")
@config_options
@approved_option
@click.option("--alert", "alerts", multiple=True, metavar="NAME", help="Only this alert; repeatable.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new or empty folder.")
@yours_option
def tests_command(
    files: ConfigFiles, approved: Path | None, alerts: tuple[str, ...], out: Path, yours: Mapping[str, str]
) -> ExitCode:
    """Write the probes of each alert with its answers as unit tests for `promtool test rules`, to keep.

    Approved probes are written as they were approved, others as they are derived now. Each test file lies beside a
    rule file with its alert and the records that it reads; name your own rule files there instead.

    Exit codes: 0 written, 2 bad input, or the folder is not empty, 3 an alert has no probes, and why is said.
    """
    config = understood(or_shipped(files).load())
    levels = Levels(config, programs_of(yours, "promtool")["promtool"], approved or approved_folder(files))
    written, lacking = write_tests(levels, levels.subjects(known_alerts(config, alerts)), out)
    click.echo(f"{out}: {written} test files; try them: promtool test rules {out}/*.test.yml")
    for reason in lacking:
        click.echo(reason, err=True)
    return ExitCode.UNKNOWN if lacking else ExitCode.PASS
