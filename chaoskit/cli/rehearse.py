"""`chaoskit rehearse`: rules and routes of any team, on scripted series, without an application."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import click

from chaoskit.alerting.config import ConfigFiles
from chaoskit.cli.console import console, print_as
from chaoskit.cli.numbers import TIME_SCALE, seconds_of
from chaoskit.cli.outputs import JUNITXML, OUT, ResultFile, form
from chaoskit.cli.sources import FILE as _FILE
from chaoskit.cli.sources import config_options, yours_option
from chaoskit.errors import BadInput, ExitCode, Place, Problem
from chaoskit.rehearse.inputs import (
    ASSUMED,
    EVERY,
    Asked,
    changed_alerts,
    scrape_interval,
    sorted_inputs,
    with_a_job,
)
from chaoskit.rehearse.outcome import Rehearsed
from chaoskit.rehearse.output import exit_code, text_lines, to_github, to_json, to_junit, to_markdown
from chaoskit.rehearse.session import Session
from chaoskit.rehearse.unit_tests import groups_in
from chaoskit.report.judge_run import MARKDOWN
from chaoskit.report.text import clean_lines
from chaoskit.run.prepare import make_folder
from chaoskit.stack.binaries import require
from chaoskit.stack.original import able, ask
from chaoskit.surroundings import leave


@click.command("rehearse")
@click.argument("inputs", nargs=-1, metavar="RULES… [SCENARIO…]")
@config_options
@click.option("--alert", "alerts", multiple=True, metavar="NAME", help="Only this alert; repeatable.")
@click.option("--from-tests", multiple=True, type=_FILE, metavar="FILE", help="Use the series of promtool tests.")
@click.option("--changed-since", metavar="GITREV", help="Only alerts whose rule is new or changed since then.")
@click.option("--time-scale", type=TIME_SCALE, help="Virtual seconds per real second; default: chosen.")
@click.option("-j", "jobs", type=click.IntRange(1, 64), help="Stacks side by side.  [default: one or two a core]")
@click.option("--longest", default="60s", show_default=True, metavar="TIME", help="Real time that one rule may take.")
@click.option("--require-told", is_flag=True, help="Fail alerts that reach no receiver with an integration.")
@click.option("--write-promise", type=ResultFile(), metavar="FILE", help="As `chaoskit promise write`.")
@form("text", "json", "github", "markdown")
@JUNITXML
@OUT
@yours_option
def rehearse_command(
    inputs: tuple[str, ...],
    files: ConfigFiles,
    alerts: tuple[str, ...],
    from_tests: tuple[Path, ...],
    changed_since: str | None,
    time_scale: float | None,
    jobs: int | None,
    longest: str,
    require_told: bool,
    write_promise: Path | None,
    format_: str,
    junitxml: Path | None,
    out: Path,
    yours: Mapping[str, str],
) -> ExitCode:
    """Rehearse alert rules on scripted series: real Prometheus, real Alertmanager, every receiver a sink.

    Without --promise the computed windows are what is judged.
    """
    longest_s = seconds_of("--longest", longest)
    rules, given_scenarios = sorted_inputs(inputs)
    files = replace(files, rules=(*files.rules, *rules))
    if not (files.bundle or (files.rules and files.alertmanager)):
        hint = "chaoskit rehearse rules/*.yml --alertmanager alertmanager.yml"
        raise BadInput(Problem(None, "a rehearsal needs rule files and an Alertmanager configuration", hint))
    folder = make_folder(out, "rehearsal")
    notes = []
    if not (files.bundle or files.prometheus):
        files = replace(files, prometheus=folder / "assumed-prometheus.yml")
        (folder / "assumed-prometheus.yml").write_text(ASSUMED, encoding="utf-8")
        notes.append(f"scrape and evaluation every {EVERY} are assumed; give --prometheus for yours")
    config = files.load(needs_jobs=False)
    lacking = [role for role in ("prometheus", "alertmanager") if not config.shows(role)]
    if lacking:
        raise BadInput(
            Problem(Place(str(files.bundle)), f"holds no {role} configuration", f"add --{role} FILE")
            for role in lacking
        )
    answer = ask(config, yours)
    config = with_a_job(answer.settle(config))
    if not any(rule.alert for rule in config.rules) and any(each.broken for each in config.not_understood):
        raise BadInput(each.problem for each in config.not_understood)
    binaries = able(require(), answer)
    notes += answer.notes
    only: frozenset[str] | None = frozenset(alerts) if alerts else None
    if changed_since is not None:
        changed = changed_alerts(config, changed_since)
        only = changed if only is None else only & changed
        if len(only) == 0:
            click.echo(f"no alert rule has changed since {changed_since}", err=True)
            return ExitCode.PASS
    unknown = sorted(set(alerts) - {rule.alert for rule in config.rules} - config.unread)
    if unknown:
        raise BadInput([Problem(None, f"no rule is called {name}", "see --alert") for name in unknown])
    asked = Asked(
        config=config,
        interval_s=scrape_interval(config),
        folder=folder,
        promise_given=config.shows("promise"),
        time_scale=time_scale,
        longest_real_s=longest_s,
        only=only,
        notes=tuple(notes),
        given=tuple(given_scenarios),
        tests=tuple(test for file in from_tests for test in groups_in(file)),
        side_by_side=jobs,
        require_told=require_told,
        doubts=answer.rows,
    )
    screen = console()
    quiet = format_ != "text"
    session = Session(
        asked,
        binaries,
        (lambda line: None) if quiet else (lambda line: screen.print(line)),
    )
    found = session.rehearse()
    leave(folder / MARKDOWN, to_markdown(found).encode())
    if write_promise is not None:
        leave(write_promise, session.promise_text(found.outcomes).encode(), named=True)
    if junitxml is not None:
        leave(junitxml, to_junit(found), named=True)
    forms = {"text": _text, "json": to_json, "github": to_github, "markdown": to_markdown}
    print_as(format_, forms, found)
    return exit_code(found)


def _text(found: Rehearsed) -> Iterator[str]:
    return map(clean_lines, text_lines(found))
