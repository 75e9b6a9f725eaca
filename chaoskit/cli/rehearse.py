"""`chaoskit rehearse`: rules and routes of any team, on scripted series, without an application."""

from __future__ import annotations

from pathlib import Path

import click

from chaoskit.cli.console import console
from chaoskit.cli.sources import given, load_config
from chaoskit.errors import BadInput, ExitCode, Problem
from chaoskit.rehearse.output import exit_code, text_lines, to_github, to_json, to_junit
from chaoskit.rehearse.session import Asked, Session
from chaoskit.run.prepare import make_folder
from chaoskit.stack.binaries import require
from chaoskit.units import parse_duration
from chaoskit.yaml_source import read, read_text

RUNS = Path("chaoskit-runs")
_FILE = click.Path(path_type=Path)
_ASSUMED = "global: {scrape_interval: 15s, evaluation_interval: 15s}\nscrape_configs: [{job_name: any}]\n"


@click.command("rehearse")
@click.argument("inputs", nargs=-1, metavar="RULES… [SCENARIO…]")
@click.option("--alertmanager", type=_FILE, metavar="FILE", help="The Alertmanager configuration.")
@click.option("--prometheus", type=_FILE, metavar="FILE", help="The Prometheus configuration, for its intervals.")
@click.option("--promise", type=_FILE, metavar="FILE", help="Judge against this promise; default: computed windows.")
@click.option("--alert", "alerts", multiple=True, metavar="NAME", help="Only this alert; repeatable.")
@click.option("--time-scale", type=click.FloatRange(min=1), help="Virtual seconds per real second; default: chosen.")
@click.option("--longest", default="60s", show_default=True, metavar="TIME", help="Real time that one rule may take.")
@click.option("--write-promise", type=_FILE, metavar="FILE", help="Write the computed windows down as a promise.")
@click.option("--format", "format_", type=click.Choice(("text", "json", "github")), default="text", show_default=True)
@click.option("--junitxml", type=_FILE, metavar="FILE", help="Write the results as JUnit XML.")
@click.option("--out", type=_FILE, default=RUNS, show_default=True, help="Where runs are kept.")
def rehearse_command(
    inputs: tuple[str, ...],
    alertmanager: Path | None,
    prometheus: Path | None,
    promise: Path | None,
    alerts: tuple[str, ...],
    time_scale: float | None,
    longest: str,
    write_promise: Path | None,
    format_: str,
    junitxml: Path | None,
    out: Path,
) -> ExitCode:
    """Rehearse alert rules on scripted series: real Prometheus, real Alertmanager, every receiver a sink."""
    if not inputs or alertmanager is None:
        hint = "chaoskit rehearse rules/*.yml --alertmanager alertmanager.yml"
        raise BadInput(Problem(None, "a rehearsal needs rule files and an Alertmanager configuration", hint))
    binaries = require()
    folder = make_folder(out, "rehearsal")
    notes = []
    if prometheus is None:
        prometheus = folder / "assumed-prometheus.yml"
        prometheus.write_text(_ASSUMED, encoding="utf-8")
        notes.append("scrape and evaluation every 15s are assumed; give --prometheus for yours")
    config = load_config(None, inputs, alertmanager, prometheus, promise)
    interval = (read(read_text(prometheus), str(prometheus)).plain() or {}).get("global") or {}
    asked = Asked(
        config=config,
        interval_s=parse_duration(str(interval.get("scrape_interval") or "1m")),
        folder=folder,
        promise_given=given(config, "promise"),
        time_scale=time_scale,
        longest_real_s=parse_duration(longest),
        only=frozenset(alerts) or None,
        notes=tuple(notes),
    )
    screen = console()
    quiet = format_ != "text"
    session = Session(
        asked,
        binaries,
        (lambda line: None) if quiet else (lambda line: screen.print(line, markup=False, highlight=False)),
    )
    found = session.rehearse()
    if write_promise is not None:
        write_promise.write_text(session.promise_text(found.outcomes), encoding="utf-8")
    if junitxml is not None:
        junitxml.write_bytes(to_junit(found))
    if format_ == "json":
        click.echo(to_json(found))
    elif format_ == "github":
        for line in to_github(found):
            click.echo(line)
    else:
        for line in text_lines(found):
            screen.print(line, markup=False, highlight=False, soft_wrap=True)
    return exit_code(found)
