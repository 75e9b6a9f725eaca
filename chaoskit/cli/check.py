"""`check`: promise, configuration and scenarios compared without running anything; prints and exits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import click
from rich.text import Text

from chaoskit import bundle as shipped
from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.model import AlertConfig
from chaoskit.approve.texts import TEXTS, compared, is_approved, rendered
from chaoskit.check.findings import LINTS, Finding, Severity, Violation
from chaoskit.check.lint_context import LintContext
from chaoskit.check.metrics import Metrics, read_metrics
from chaoskit.check.output import to_github, to_json, to_markdown
from chaoskit.check.run import Outcome, check
from chaoskit.check.service_levels import Level
from chaoskit.cli.console import console, print_as
from chaoskit.cli.outputs import form
from chaoskit.cli.sources import FILE as _FILE
from chaoskit.cli.sources import (
    approved_folder,
    approved_option,
    config_options,
    or_shipped,
    unknown,
    yours_option,
)
from chaoskit.collector import gc_pause
from chaoskit.errors import BadInput, ExitCode, Place, Problem
from chaoskit.examine.exported import live_metrics
from chaoskit.inputs import attempt
from chaoskit.probes.levels import Levels
from chaoskit.report.text import clean, paragraph
from chaoskit.run.planning import ask_faults, ask_plans
from chaoskit.scenario.catalog import find_profile, is_shipped, near, profile_names, scenario_files
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.model import Profile, Scenario
from chaoskit.scenario.profile import load_profile_file
from chaoskit.sla.targets import TARGETS, load_targets
from chaoskit.stack.binaries import Tool
from chaoskit.stack.check_programs import ask_programs
from chaoskit.stack.original import Answer, ask, checkers
from chaoskit.yaml_source import read_text

T = TypeVar("T")

METRICS = "metrics.txt"
RUNBOOKS = "runbooks"
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}


@click.command("check")
@config_options
@click.option("--scenarios", type=_FILE, metavar="DIR", help="Scenarios to check as well; default: ./scenarios.")
@click.option("--metrics", type=_FILE, metavar="FILE", help="Known metrics: a name a line, or a saved metrics page.")
@click.option(
    "--prometheus-url", metavar="URL|PROFILE", help="Take known metrics, labels and jobs from a live Prometheus."
)
@click.option("--targets", type=_FILE, metavar="FILE", help="Targets of service levels; default: sla/targets.yml.")
@form("table", "json", "github", "markdown")
@click.option("--ignore", multiple=True, metavar="ID", help="Leave out this lint's findings; repeatable.")
@click.option("--strict", is_flag=True, help="Warnings count like errors.")
@click.option("--no-programs", is_flag=True, help="Do not run promtool and amtool.")
@click.option("--no-levels", is_flag=True, help="Do not prove the levels of alerts with promtool.")
@approved_option
@yours_option
@gc_pause()  # thousands of rules are made and kept, and no garbage
def check_command(
    files: ConfigFiles,
    scenarios: Path | None,
    metrics: Path | None,
    prometheus_url: str | None,
    targets: Path | None,
    format_: str,
    ignore: tuple[str, ...],
    strict: bool,
    no_programs: bool,
    no_levels: bool,
    approved: Path | None,
    yours: Mapping[str, str],
) -> ExitCode:
    """Compare promise, configuration and scenarios, and lint them; starts nothing.

    Exit codes: 0 nothing wrong, 1 an error was found (with --strict also a warning), 2 something cannot be read, or
    promtool or amtool refuses it, 3 what is promised or expected rests on something that is not understood.
    """
    if wrong := unknown("--ignore: no lint", ignore, LINTS, "docs/checks.md lists them"):
        raise BadInput(wrong)
    problems: list[Problem] = []
    config = attempt(or_shipped(files).load, problems)
    found, profiles, plannable, known, runbooks, levels = beside(files, scenarios, metrics, targets, problems)
    if config is None:
        raise BadInput(dict.fromkeys(problems))
    if prometheus_url is not None:
        known = live_metrics(prometheus_url, config)
    tools: dict[str, Tool] | None = {} if no_programs else None
    elsewhere = {"scenario-fault": ask_faults(found), "scenario-plan": ask_plans(found, plannable, config)}
    said = attempt(lambda: ask_programs(config, yours, tools), problems)
    if said is None:
        problems += [each.problem for each in config.not_understood if not each.newer]
        raise BadInput(dict.fromkeys(problems))
    elsewhere |= said
    elsewhere["not-understood"] = (*elsewhere["not-understood"], *map(_left_out, problems))
    proved: Mapping[str, str] = {}
    promtool = None if no_programs or no_levels else checkers(yours).get("promtool")
    if promtool is not None:
        answered = Levels(config, promtool, approved or approved_folder(files)).check()
        elsewhere, proved = {**elsewhere, **answered.findings}, answered.proved
    elsewhere |= _texts(config, {} if no_programs else checkers(yours), approved or approved_folder(files))
    now = datetime.now(UTC)
    outcome = check(LintContext(config, found, profiles, known, runbooks, elsewhere, levels, now, proved), ignore)
    forms = {"table": _print, "json": to_json, "github": to_github, "markdown": to_markdown}
    print_as(format_, forms, outcome)
    answer = ask(config, yours, tools)
    unread = any(each.broken for each in config.not_understood) or answer.unsettled(config, rules=True)
    if problems or unread or any(each.id in ("promtool", "amtool") for each in outcome.findings):
        return ExitCode.USAGE
    worst = outcome.worst()
    if worst is not None and worst >= (Severity.WARNING if strict else Severity.ERROR):
        return ExitCode.FAIL
    return ExitCode.UNKNOWN if _in_doubt(config, found, answer) else ExitCode.PASS


def _texts(config: AlertConfig, tools: Mapping[str, Tool], folder: Path) -> dict[str, tuple[Violation, ...]]:
    """The differences from approved texts; no entry where none were approved, or they cannot be rendered here."""
    if "amtool" not in tools or not is_approved(folder) or config.lost_templates:
        return {}
    return {TEXTS: tuple(compared(config, folder, *rendered(config, tools["amtool"], folder)))}


def beside(
    files: ConfigFiles, scenarios: Path | None, metrics: Path | None, targets: Path | None, problems: list[Problem]
) -> tuple[list[Scenario], list[Profile], list[Profile], Metrics | None, frozenset[str] | None, list[Level] | None]:
    """The parts beside a configuration: scenarios, profiles, those to plan with, metrics, runbooks, levels.

    A file that cannot be read adds to `problems`, and the others are there.
    """
    own, bundle = bool(files), files.bundle
    folder = bundle if own else shipped.folder()
    # A folder laid out like the shipped configuration is checked with the scenarios here, those of a clone too.
    here = Path("scenarios").resolve() if bundle else None
    files_found = attempt(lambda: scenario_files(scenarios, own, here), problems) or []
    found = _read(load_scenario_file, files_found, problems)
    mine = [near(path) for path in profile_names().values() if not (own and is_shipped(path, "profiles"))]
    profiles = _read(load_profile_file, mine, problems)
    known = attempt(lambda: known_metrics(metrics, folder), problems)
    levels = attempt(lambda: _levels(targets), problems)
    # Without any, scenarios are planned with the one that `plan` takes by itself.
    return found, profiles, profiles or [load_profile_file(find_profile("local"))], known, _runbooks(folder), levels


def _left_out(problem: Problem) -> Violation:
    """A problem of a file beside the configuration as a finding; the other files are checked without it."""
    message, todo = f"left out: {problem.message}", problem.hint or "correct it, and check again"
    return Violation(problem.place or Place(""), message, todo, Severity.ERROR)


def _in_doubt(config: AlertConfig, scenarios: list[Scenario], answer: Answer) -> bool:
    """Whether something that is promised or expected rests on what is not understood."""
    names = {name for notice in config.promise.notices for name in notice}
    names |= {each.alert for scenario in scenarios for each in scenario.expect}
    puzzles = config.without(answer.set_aside).not_understood
    return bool(names) and (any(each.concerns(names) for each in puzzles) or bool(answer.rows))


def _read(load: Callable[[Path], T], paths: Iterable[Path], problems: list[Problem]) -> list[T]:
    read = (attempt(partial(load, path), problems) for path in paths)
    return [each for each in read if each is not None]


def known_metrics(file: Path | None, folder: Path | None) -> Metrics | None:
    """The metrics that a file lists, or the one in the bundle's folder; None where there is neither."""
    if file is None and folder is not None and (folder / METRICS).is_file():
        file = near(folder / METRICS)
    return None if file is None else read_metrics(read_text(file), str(file))


def _levels(file: Path | None) -> list[Level] | None:
    """The levels of the targets that were named, or of those here; None where there are none."""
    from chaoskit.sla.against import watched

    return watched(load_targets(file or TARGETS)) if file is not None or TARGETS.is_file() else None


def _runbooks(folder: Path | None) -> frozenset[str] | None:
    found = folder / RUNBOOKS if folder is not None else None
    return frozenset(path.stem for path in found.iterdir()) if found is not None and found.is_dir() else None


def _print(outcome: Outcome) -> None:
    screen = console()
    print_findings(finding for finding in outcome.findings if LINTS[finding.id].topic != "coverage")
    for each in outcome.coverage:
        screen.print(Text(clean(each.said)), soft_wrap=True)
    for skipped in outcome.skipped:
        left_out = f"not checked, since {skipped.reason}: {', '.join(skipped.lints)}"
        screen.print(Text(left_out, style="yellow"), soft_wrap=True)
    counts = {severity: sum(each.severity is severity for each in outcome.findings) for severity in Severity}
    said = [f"{count} {name}" for count, name in _counted(counts)]
    said += [f"{outcome.ignored} ignored"] if outcome.ignored else []
    screen.print(", ".join(said) or "nothing found", soft_wrap=True)


def print_findings(findings: Iterable[Finding]) -> None:
    """Prints each finding with its place, what it leads to and what to do."""
    screen = console()
    for finding in findings:
        for line in _shown(finding):
            screen.print(line, soft_wrap=True)


def _counted(counts: dict[Severity, int]) -> list[tuple[int, str]]:
    names = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
    return [(counts[s], names[s] + ("" if counts[s] == 1 else "s")) for s in reversed(Severity) if counts[s]]


def _shown(finding: Finding) -> Iterator[Text]:
    head = Text(f"{finding.severity!s:8}", style=_STYLES[finding.severity])
    head.append(f"{clean(str(finding.place))}: ", style="not dim bold")
    head.append(f"{paragraph(finding.message)} ", style="default not bold")
    head.append(f"[{finding.id}]", style="dim not bold")
    yield head
    yield Text(f"        why: {finding.why}", style="dim")
    yield Text(f"        do:  {clean(finding.todo)}", style="dim")
