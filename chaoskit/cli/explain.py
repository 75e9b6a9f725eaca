"""`explain`: who hears of an alert, when, over which route, and what is in the way; starts nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click

from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.model import Matcher
from chaoskit.alerting.silences import silence_matchers
from chaoskit.cli.console import print_as
from chaoskit.cli.outputs import form
from chaoskit.cli.sources import FILE as _FILE
from chaoskit.cli.sources import config_options, or_shipped, readable
from chaoskit.errors import BadInput, ExitCode, Problem
from chaoskit.explain.alert import explain
from chaoskit.explain.output import to_json
from chaoskit.explain.when import instant_of, silence
from chaoskit.report.explanation import explanation_view
from chaoskit.report.text import paragraph
from chaoskit.scenario.catalog import scenario_files
from chaoskit.stack.original import understood
from chaoskit.zones import zone_named


@click.command("explain")
@click.argument("alert", required=False)
@click.argument("labels", nargs=-1, metavar="[LABEL=VALUE]...")
@config_options
@click.option("--scenarios", type=_FILE, metavar="DIR", help="Scenarios that may prove the alert; default: all.")
@click.option("--at", metavar="TIME", help="The receivers told then: 'Sat 03:00', '03:00' or '2026-12-24 18:00'.")
@click.option("--zone", default="UTC", show_default=True, metavar="NAME", help="The time zone of --at.")
@click.option("--silence", "silencing", metavar="MATCHERS", help="The alerts that a silence would mute: 'team=db'.")
@form("text", "json")
def explain_command(
    alert: str | None,
    labels: tuple[str, ...],
    files: ConfigFiles,
    scenarios: Path | None,
    at: str | None,
    zone: str,
    silencing: str | None,
    format_: str,
) -> ExitCode:
    """Explain ALERT: who hears of it, from fault to phone, who can mute it, what proves it; starts nothing.

    LABEL=VALUE says what a label is that only the series know, as worker_name=worker-1. With --silence ALERT may be
    left out.

    Exit codes: 0 explained, 2 no such alert, or something cannot be read (what can be is explained),
    3 the alert's rule is not understood.
    """
    given = _given(labels)
    if alert is None and silencing is None:
        raise BadInput(Problem(None, "no alert is named", "name an alert, or give --silence MATCHERS"))
    when = instant_of(at, zone_named(zone), datetime.now(UTC)) if at is not None else None
    matchers = _matchers(silencing) if silencing is not None else None
    config = understood(or_shipped(files).load())
    names = [alert] if alert is not None else []
    doubts = [each for each in config.not_understood if each.broken or not names or each.concerns(names)]
    for doubt in doubts:
        click.echo(paragraph(str(doubt)), err=True)
    wrong = any(each.broken for each in doubts)
    if alert is not None and any(each.concerns(names) for each in doubts) and not config.alert_rules(alert):
        return ExitCode.USAGE if wrong else ExitCode.UNKNOWN
    known = readable(scenario_files(scenarios, bool(files)))
    found = explain(config, alert, given, known, when) if alert is not None else ()
    muted = silence(config, matchers) if matchers is not None else None
    print_as(format_, {"text": explanation_view, "json": to_json}, found, muted)
    return ExitCode.USAGE if wrong else ExitCode.PASS


def _matchers(text: str) -> tuple[Matcher, ...]:
    try:
        return silence_matchers(text)
    except ValueError as error:
        raise BadInput(Problem(None, f"--silence: {error}", "as --silence 'severity=warning,team=db'")) from None


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
