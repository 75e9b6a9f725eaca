"""`mutate`: harmful changes of a configuration, which of them `check` notices, and one of them played for real."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.model import AlertConfig
from chaoskit.check.findings import Severity
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.cli.check import beside
from chaoskit.cli.commands import run_one
from chaoskit.cli.console import console
from chaoskit.cli.outputs import OUT, form
from chaoskit.cli.sources import FILE as _FILE
from chaoskit.cli.sources import (
    PROFILE,
    approved_folder,
    approved_option,
    config_options,
    or_shipped,
    unknown,
    unknown_alerts,
    yours_option,
)
from chaoskit.diff.expressions import behind
from chaoskit.errors import BadInput, ExitCode, Problem
from chaoskit.inputs import attempt
from chaoskit.mutate.generate import mutants_of, sampled
from chaoskit.mutate.model import OPERATORS, Mutant, unified
from chaoskit.mutate.play import lay_out, played
from chaoskit.mutate.should import Exercised
from chaoskit.mutate.source import files_of, texts_of
from chaoskit.mutate.static import STATUSES, Ground, Outcome, judge_all
from chaoskit.report.table import table
from chaoskit.report.text import clean
from chaoskit.run.planning import Asked, ask_faults, ask_plans, plan_for
from chaoskit.stack.check_programs import ask_programs
from chaoskit.stack.original import checkers

_SAID = {"execute": "to execute"}
_LEAST_ID = 4


@click.command("mutate")
@click.argument("rule_files", nargs=-1, metavar="[RULES…]")
@config_options
@click.option("--list", "listed", is_flag=True, help="List the mutants, without judging any.")
@click.option("--show", metavar="ID", help="Show one mutant: its change, why that does harm, which hop should notice.")
@click.option("--run", "play", nargs=2, metavar="ID SCENARIO", help="Play a scenario with one for real.")
@click.option("--static", is_flag=True, help="Judge the mutants by `check`; starts no drill. The default.")
@click.option("--only", multiple=True, metavar="OPERATOR", help="Only this operator's; repeatable.")
@click.option(
    "--alert", "alerts", multiple=True, metavar="NAME", help="Only of this alert and its records; repeatable."
)
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Only N, of each operator in proportion.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the sample, reproducibly.")
@click.option("--scenarios", type=_FILE, metavar="DIR", help="Scenarios that `check` reads; default: ./scenarios.")
@click.option("--metrics", type=_FILE, metavar="FILE", help="Known metrics: a name a line, or a saved metrics page.")
@click.option("--targets", type=_FILE, metavar="FILE", help="Targets of service levels; default: sla/targets.yml.")
@click.option("--no-programs", is_flag=True, help="Do not ask promtool and amtool.")
@click.option("--no-levels", is_flag=True, help="Do not compare approved answers of alerts.")
@approved_option
@PROFILE
@OUT
@form("text", "json")
@yours_option
def mutate_command(
    rule_files: tuple[str, ...],
    files: ConfigFiles,
    listed: bool,
    show: str | None,
    play: tuple[str, str] | None,
    static: bool,
    only: tuple[str, ...],
    alerts: tuple[str, ...],
    sample: int | None,
    seed: int,
    scenarios: Path | None,
    metrics: Path | None,
    targets: Path | None,
    no_programs: bool,
    no_levels: bool,
    approved: Path | None,
    profile: str,
    out: Path,
    format_: str,
    yours: Mapping[str, str],
) -> ExitCode:
    """Change the alert configuration in harmful ways, one at a time, and tell which changes would be noticed.

    Exit codes: 0 done (with --run: the change was noticed, or refused), 1 with --run: it was not noticed, 2 bad input,
    or `check` finds an error before anything is changed, 3 with --run: it cannot be told.
    """
    if sum((listed, show is not None, play is not None, static)) > 1:
        raise BadInput(Problem(None, "--list, --show, --run and --static exclude each other", "give one of them"))
    files = replace(files, rules=(*files.rules, *rule_files))
    config = or_shipped(files).load()
    given = frozenset(role for role, named in (("rules", files.rules), ("template", files.templates)) if named)
    on_disk = files_of(config)
    mutants = _chosen(config, mutants_of(texts_of(on_disk)), only, alerts)
    if show is not None:
        found = beside(files, scenarios, metrics, targets, [])[0]
        mutant = _one(mutants, show)
        return _show(mutant, on_disk, Exercised(config, found).by(mutant), format_)
    if play is not None:
        asked = Asked(play[1], profile, or_shipped(files), yours=yours)
        return _play(_one(mutants, play[0]), on_disk, given, asked, out)
    mutants = sampled(mutants, sample, seed) if sample is not None else mutants
    if listed:
        return _list(mutants, format_)
    problems: list[Problem] = []
    found, profiles, plannable, known, runbooks, levels = beside(files, scenarios, metrics, targets, problems)
    facts = LintContext(config, found, profiles, known, runbooks, {}, levels)
    tools = {} if no_programs else checkers(yours)
    said = attempt(lambda: ask_programs(config, yours, tools), problems) or {}
    facts.elsewhere = {
        "scenario-fault": ask_faults(found),
        "scenario-plan": ask_plans(found, plannable, config),
        **said,
    }
    wrong = [each for each in check(facts).findings if each.severity is Severity.ERROR]
    if problems or wrong:
        hint = "mend that first: a mutant counts as seen when `chaoskit check` says more than for the unchanged files"
        raise BadInput([*problems, *(Problem(each.place, f"{each.message} [{each.id}]", hint) for each in wrong)])
    ground = Ground(on_disk, facts, plannable, tools, approved or approved_folder(files), not no_levels, given)
    screen = console(stderr=True)

    def told(count: int) -> None:
        if count % 100 == 0 and screen.is_terminal:
            screen.print(f"{count} of {len(mutants)}", end="\r")

    return _judged(judge_all(ground, mutants, told), Exercised(config, found), format_)


def _chosen(config: AlertConfig, mutants: list[Mutant], only: tuple[str, ...], alerts: tuple[str, ...]) -> list[Mutant]:
    """Those of these operators, and of these alerts with the records that they read; raises BadInput for unknown."""
    if problems := [*unknown("--only: no operator", only, OPERATORS), *unknown_alerts(config, alerts)]:
        raise BadInput(problems)
    rules = (rule for name in alerts for rule in config.alert_rules(name))
    about = {*alerts, *(name for rule in rules for name in behind(config, rule))}
    return [each for each in mutants if (not only or each.operator in only) and (not alerts or each.about in about)]


def _one(mutants: Sequence[Mutant], id_: str) -> Mutant:
    found = [each for each in mutants if each.id.startswith(id_) and len(id_) >= _LEAST_ID]
    if len(found) != 1:
        what = "no mutant has" if not found else f"{len(found)} mutants have"
        raise BadInput(Problem(None, f"{what} the id '{id_}'", "chaoskit mutate --list tells them"))
    return found[0]


def _described(mutant: Mutant) -> dict[str, Any]:
    return {
        "id": mutant.id, "operator": mutant.operator, "role": mutant.role, "file": mutant.file, "site": mutant.site,
        "about": mutant.about, "should": OPERATORS[mutant.operator].hop,
        "edits": [{"line": e.line, "column": e.column, "old": e.old, "new": e.new} for e in mutant.edits],
    }  # fmt: skip


def _list(mutants: Sequence[Mutant], format_: str) -> ExitCode:
    if format_ == "json":
        click.echo(json.dumps([_described(each) for each in mutants], indent=1, ensure_ascii=False))
        return ExitCode.PASS
    shown = table("id", "operator", "where", "change")
    for each in mutants:
        where = f"{each.file}:{each.edits[0].line}:{each.edits[0].column}"
        shown.add_row(each.id, each.operator, clean(where), clean(f"{each.site}: {each.change}"))
    console().print(shown)
    click.echo(f"{len(mutants)} mutants by {len({each.operator for each in mutants})} operators")
    return ExitCode.PASS


def _show(mutant: Mutant, files: dict[tuple[str, str], str], scenarios: tuple[str, ...], format_: str) -> ExitCode:
    operator = OPERATORS[mutant.operator]
    change = unified(files[mutant.role, mutant.file], mutant)
    if format_ == "json":
        more = {"what": operator.what, "why": operator.why, "scenarios": scenarios, "diff": change}
        click.echo(json.dumps({**_described(mutant), **more}, indent=1, ensure_ascii=False))
        return ExitCode.PASS
    click.echo(clean(f"{mutant.id} {mutant.operator}: {mutant.site}"))
    click.echo(f"what:   {operator.what}\nwhy:    {operator.why}\nshould be noticed by: {operator.hop}")
    click.echo(f"exercised by: {', '.join(scenarios) or 'no scenario'}\n")
    for line in change.splitlines():
        click.echo(clean(line))
    return ExitCode.PASS


def _play(
    mutant: Mutant, files: dict[tuple[str, str], str], given: frozenset[str], asked: Asked, out: Path
) -> ExitCode:
    plan_for(asked)  # what is wrong with the configuration as it is, is none of the mutant's doing
    with tempfile.TemporaryDirectory(prefix="chaoskit-mutant-") as folder:
        spoilt = replace(asked, files=lay_out(files, given, mutant, Path(folder)))
        code = ExitCode.PASS
        try:
            plan_for(spoilt)
        except BadInput as bad:
            outcome = Outcome(mutant, "refused", asked.scenario, "", str(bad.problems[0]).replace(f"{folder}/", ""))
        else:
            verdict, interrupted = run_one(spoilt, out, False, None)
            outcome, code = played(mutant, verdict, interrupted=interrupted), ExitCode(verdict.exit_code)
    hop = f" at {outcome.hop}" if outcome.hop else ""
    said = f"mutant {mutant.id} ({mutant.operator}, {mutant.site}): {outcome.status} by {outcome.by}{hop}"
    click.echo(clean(f"{said}: {outcome.reason}"))
    if code in (ExitCode.NOT_HEALED, ExitCode.ABORTED):
        return code
    return {"survived": ExitCode.FAIL, "unknown": ExitCode.UNKNOWN}.get(outcome.status, ExitCode.PASS)


def _judged(outcomes: Sequence[Outcome], exercised: Exercised, format_: str) -> ExitCode:
    if format_ == "json":
        told = [
            {
                **_described(each.mutant),
                "status": each.status,
                "by": each.by,
                "reason": each.reason,
                "scenarios": exercised.by(each.mutant),
            }
            for each in outcomes
        ]
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return ExitCode.PASS
    for each in outcomes:
        if each.status in ("execute", "warned"):
            where = f"{each.mutant.file}:{each.mutant.edits[0].line}"
            more = f" (only warned: {each.by})" if each.by else ""
            line = f"{each.mutant.id}  {each.mutant.operator}  {where}  {each.mutant.site}: {each.mutant.change}{more}"
            console().print(Text(clean(line)), soft_wrap=True)
    shown = table("file", "mutants", *(_SAID.get(each, each) for each in STATUSES), right=("mutants", *STATUSES))
    counts = Counter((each.mutant.role, each.status) for each in outcomes)
    for role in (*dict.fromkeys(role for role, _ in counts), "all"):
        mine = [sum(n for (r, s), n in counts.items() if s == status and role in (r, "all")) for status in STATUSES]
        shown.add_row(role, str(sum(mine)), *map(str, mine))
    console().print(shown)
    return ExitCode.PASS
