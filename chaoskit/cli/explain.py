"""`explain`: who hears of an alert, when, over which route, and what is in the way; starts nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from chaoskit.alerting.config import ConfigFiles
from chaoskit.cli.console import console
from chaoskit.cli.outputs import form
from chaoskit.cli.sources import FILE as _FILE
from chaoskit.cli.sources import config_options, or_shipped
from chaoskit.errors import BadInput, ExitCode, Problem
from chaoskit.explain.alert import explain
from chaoskit.explain.output import to_json
from chaoskit.report.explanation import explanation_view
from chaoskit.report.terminal import print_to
from chaoskit.report.text import paragraph
from chaoskit.scenario.catalog import scenario_files
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.model import Scenario
from chaoskit.stack.original import understood


@click.command("explain")
@click.argument("alert")
@click.argument("labels", nargs=-1, metavar="[LABEL=VALUE]...")
@config_options
@click.option(
    "--scenarios", type=_FILE, metavar="DIR", help="Scenarios that may prove it; default: all that are known."
)
@form("text", "json")
def explain_command(
    alert: str,
    labels: tuple[str, ...],
    files: ConfigFiles,
    scenarios: Path | None,
    format_: str,
) -> ExitCode:
    """Explain ALERT: who hears of it, from fault to phone, who can mute it, what proves it; starts nothing.

    LABEL=VALUE says what a label is that only the series know, as worker_name=worker-1.

    Exit codes: 0 explained, 2 no such alert, or something cannot be read (what can be is explained),
    3 the alert's rule is not understood.
    """
    given = _given(labels)
    config = understood(or_shipped(files).load())
    doubts = [each for each in config.not_understood if each.broken or each.concerns([alert])]
    for doubt in doubts:
        click.echo(paragraph(str(doubt)), err=True)
    wrong = any(each.broken for each in doubts)
    if any(each.concerns([alert]) for each in doubts) and not config.alert_rules(alert):
        return ExitCode.USAGE if wrong else ExitCode.UNKNOWN
    found = explain(config, alert, given, _scenarios(scenario_files(scenarios, bool(files))))
    if format_ == "json":
        click.echo(to_json(found))
    else:
        print_to(console(), explanation_view(found))
    return ExitCode.USAGE if wrong else ExitCode.PASS


def _given(labels: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    problems = []
    for text in labels:
        name, equals, value = text.partition("=")
        if not equals or not name:
            problems.append(Problem(None, f"'{text}' is not label=value", "as worker_name=worker-1"))
        elif found.setdefault(name, value) != value:
            problems.append(Problem(None, f"{name} is given twice, as '{found[name]}' and '{value}'", "give it once"))
    if problems:
        raise BadInput(problems)
    return found


def _scenarios(paths: Iterable[Path]) -> Iterator[Scenario]:
    """The scenarios that can be read; each other one is reported on stderr."""
    for path in paths:
        try:
            yield load_scenario_file(path)
        except BadInput as error:
            said = paragraph(str(error.problems[0]))
            console(stderr=True).print(f"left out, cannot be read: {said}", soft_wrap=True)
