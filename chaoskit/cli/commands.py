"""Each command in a few lines: read what was asked, call what does it, print what came of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console, Group
from rich.text import Text

from chaoskit.alerting.config import ConfigFiles
from chaoskit.cli.console import console as terminal
from chaoskit.cli.console import print_as, say
from chaoskit.cli.numbers import TIME_SCALE
from chaoskit.cli.outputs import ANNOUNCE, CONFIRM, JUNITXML, OUT, ResultFile, form
from chaoskit.cli.sla_price import MAX_BUDGET, told
from chaoskit.cli.sources import PROFILE, asking, config_options, or_shipped
from chaoskit.console import PORT
from chaoskit.errors import BadInput, EquipmentError, ExitCode, Place, Problem, worst
from chaoskit.events import Event, Notice, Stranger
from chaoskit.examine.announce import announced
from chaoskit.history import read_history
from chaoskit.hop import Hop
from chaoskit.plan.model import Plan
from chaoskit.report.changes import compared
from chaoskit.report.checklist import checklist_view
from chaoskit.report.judge_run import PAGE, judge, judge_folder
from chaoskit.report.junit import Case, junit, promises
from chaoskit.report.live import LiveView, PlainLines
from chaoskit.report.summary import to_markdown
from chaoskit.report.table import table
from chaoskit.report.terminal import plan_view, verdict_view
from chaoskit.report.text import clean, paragraph
from chaoskit.run.planning import Asked, plan_for
from chaoskit.run.prepare import Prepared, make_folder, prepare
from chaoskit.run.runner import Runner
from chaoskit.run.target import Live
from chaoskit.run.traffic import WORKERS_S
from chaoskit.run.up import Wanted, run_stack
from chaoskit.scenario.catalog import find_profile, near
from chaoskit.surroundings import leave
from chaoskit.verify.checklist import Checklist
from chaoskit.verify.verdict import Verdict
from chaoskit.verify.verdict import to_json as verdict_json
from chaoskit.verify.verify import verify

_KEEP_S = 600.0
COMPARE = click.option("--compare", metavar="OLD", help="Show changes since this run: its folder, name or history.")


@click.command("run")
@click.argument("scenarios", nargs=-1, required=True)
@asking
@OUT
@CONFIRM
@ANNOUNCE
@COMPARE
@click.option("--keep", is_flag=True, help="Leave the stack up for 10 minutes after a verdict other than PASS.")
@JUNITXML
@click.option("--dry-run", is_flag=True, help="Print the plan and start nothing.")
@MAX_BUDGET
@click.option("--ui", is_flag=True, help="A live page beside the run, in a browser on this machine.")
@click.option("--ui-port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Or the next free one.")
def run_command(
    scenarios: tuple[str, ...],
    asked: Asked,
    out: Path,
    confirm: str,
    announce: bool,
    compare: str | None,
    keep: bool,
    junitxml: Path | None,
    dry_run: bool,
    max_budget: float | None,
    ui: bool,
    ui_port: int,
) -> ExitCode:
    """Run scenarios (names or files) and judge them; one that cannot be run is reported, and the others run."""
    before = judge(_kept(compare, out))[0] if compare else None
    each = [replace(asked, scenario=one, confirm=confirm) for one in scenarios]
    plans: dict[str, Plan] = {}
    wrong: dict[str, BadInput] = {}
    for one in each:
        try:
            plan = plan_for(one)[0]
            told(plan, max_budget)
            plans[one.scenario] = plan
        except BadInput as error:
            wrong[one.scenario] = error
    problems = dict.fromkeys(problem for error in wrong.values() for problem in error.problems)
    if not plans:
        raise BadInput(problems)
    for problem in problems:
        click.echo(paragraph(f"left out: {problem}"), err=True)
    codes = [error.exit_code for error in wrong.values()]
    if dry_run:
        for plan in plans.values():
            terminal().print(plan_view(plan))
        return worst([*codes, ExitCode.PASS])
    cases = [Case(name, "left out", 0.0, "ERROR", (str(error),)) for name, error in wrong.items()]
    chosen = [mine for mine in each if mine.scenario in plans]
    for plan in plans.values():
        if (there := plan.profile.load.workers) is not None:
            at = f"{there.bind}:{there.port} for {there.expect} workers"
            say(f"{plan.scenario.name} waits at {at}, at most {WORKERS_S:g} s")
    if ui:
        from chaoskit.console.beside import beside  # a web server's parts are long to import

        page = beside(ui_port, out, asked.files, chosen[0].scenario, say, terminal=terminal().is_terminal)
    with page if ui else nullcontext():
        for one in chosen:
            begun, interrupted = time.monotonic(), False
            try:
                verdict, interrupted = run_one(one, out, keep, before, announce=announce)
            except (BadInput, EquipmentError) as error:
                if len(chosen) == 1 and not cases:
                    raise
                click.echo(paragraph(f"{one.scenario}: {error}"), err=True)
                codes.append(error.exit_code)
                cases.append(Case(one.scenario, "did not begin", 0.0, "ERROR", (str(error),)))
            else:
                codes.append(ExitCode(verdict.exit_code))
                cases += promises(verdict, time.monotonic() - begun)
            if junitxml is not None:
                leave(junitxml, junit("chaoskit run", cases), named=True)
            if interrupted:
                break
    return worst(codes)


@click.command("plan")
@click.argument("scenario")
@asking
@MAX_BUDGET
def plan_command(scenario: str, asked: Asked, max_budget: float | None) -> ExitCode:
    """Show targets, timeline and windows, and what a drill on a running system may cost; touches nothing."""
    plan = plan_for(replace(asked, scenario=scenario))[0]
    terminal().print(plan_view(plan))
    told(plan, max_budget)
    return ExitCode.UNKNOWN if any(each.broken for each in plan.puzzles) else ExitCode.PASS


@click.command("verify")
@click.argument("run", metavar="RUN|latest")
@OUT
@click.option("--write", type=ResultFile(), help="Also write the verdict to this file.")
@click.option("--html", type=ResultFile(), help="Write the run's page to this file.")
@COMPARE
@form("text", "json", "markdown")
def verify_command(
    run: str, out: Path, write: Path | None, html: Path | None, compare: str | None, format_: str
) -> ExitCode:
    """Judge a stored history again: same file, same verdict; no network, no clock."""
    before = judge(_kept(compare, out))[0] if compare else None
    verdict, checklists = judge(_kept(run, out), html, before)
    if write is not None:
        leave(write, verdict_json(verdict))
    forms = {
        "text": lambda: _judged(verdict, checklists, before),
        "json": lambda: verdict_json(verdict).decode(),
        "markdown": lambda: to_markdown(verdict, before),
    }
    print_as(format_, forms)
    return ExitCode(verdict.exit_code)


def _kept(run: str, out: Path) -> Path:
    """The folder or history of a run, by its path or its name below `out`; raises BadInput where there is none."""
    folder = Path(run) if Path(run).exists() and run != "latest" else out / run
    if not folder.exists():
        kept = sorted(path.name for path in out.glob("*") if path.is_dir() and path.name != "latest")[-3:]
        hint = f"the last ones are {', '.join(kept)}" if kept else f"there are none in {out}"
        raise BadInput(Problem(Place(str(folder)), "no such run", hint))
    return folder


def _judged(verdict: Verdict, checklists: Sequence[Checklist], before: Verdict | None) -> Group:
    """The checklist, the verdict, and the rows that changed since an earlier run where one was named."""
    found = Group(checklist_view(checklists), verdict_view(verdict))
    if before is None:
        return found
    shown = table("", "what", "before", "now")
    for one in compared(before, verdict):
        shown.add_row(one.direction, clean(one.what), clean(one.old), clean(one.new))
    title = Text(f"\nChanges since {clean(before.run_id)}", style="bold")
    return Group(found, title, shown if shown.rows else Text("nothing"))


@click.command("up")
@click.option("--time-scale", type=TIME_SCALE, default=1.0, show_default=True, help="1 is real time.")
@config_options
@click.option("--ports", type=click.Choice(["documented", "free"]), default="documented", show_default=True)
@click.option("--environment", default="local", show_default=True, help="The environment's name on its metrics page.")
@click.option("--witness", default="", metavar="URL", help="A witness that every receiver tells as well.")
@click.option("--witness-token-file", default="", metavar="FILE", help="The file with the witness's token.")
@form("text", "json")
def up_command(
    time_scale: float,
    files: ConfigFiles,
    ports: str,
    environment: str,
    witness: str,
    witness_token_file: str,
    format_: str,
) -> None:
    """Run the local stack until Ctrl-C; print addresses (with json, as the first line), and notices as they arrive."""
    ended = threading.Event()
    wanted = Wanted(or_shipped(files), time_scale, ports == "free", environment, witness, witness_token_file)

    def up(addresses: Mapping[str, str], notes: tuple[str, ...]) -> None:
        if format_ == "json":
            click.echo(json.dumps({"addresses": dict(addresses), "notes": list(notes)}))
            return
        for name, address in addresses.items():
            click.echo(f"{name:13} {address}")
        for note in notes:
            click.echo(f"note: {paragraph(note)}")
        click.echo("Ctrl-C ends it")

    def notice(event: Event) -> None:
        if isinstance(event, Stranger):
            click.echo(clean(f"{event}"))
        if isinstance(event, Notice):
            clock = time.strftime("%H:%M:%S", time.localtime(event.sent[1]))
            click.echo(
                clean(f"{clock} {event.receiver or 'unknown'} ({event.integration}): {event.subject or event.status}")
            )

    run_stack(wanted, up, notice, ended)


@click.command("ui")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Or the next free one.")
@PROFILE
@OUT
def ui_command(port: int, profile: str, out: Path) -> ExitCode:
    """Choose, watch, stop and compare drills in a browser on this machine, until Ctrl-C."""
    from chaoskit.console.beside import serve_here  # a web server's parts are long to import

    find_profile(profile)
    return serve_here(port, out, profile, say, terminal=terminal().is_terminal)


def run_one(
    asked: Asked, out: Path, keep: bool, before: Verdict | None, *, announce: bool = False
) -> tuple[Verdict, bool]:
    """The verdict, and whether the run was ended early, so that no other is to begin."""
    console = terminal()
    prepared = prepare([asked], lambda plan: make_folder(out, plan.scenario.name))
    run = prepared.runs[0]
    plain = PlainLines(run.plan, lambda line: console.print(line))
    watched = console.is_terminal
    track = run.track((lambda event: None) if watched else plain.feed)
    runner = Runner(Live(prepared.stack), [[track]], load=prepared.load)
    with announced([run.plan], say) if announce else nullcontext():
        with LiveView(run.plan, track.progress, console) if watched else nullcontext():
            runner.run((lambda: _keep(prepared, runner, console)) if keep else None)
    folder = prepared.runs[0].folder
    verdict, checklists = judge_folder(folder, before)
    console.print(_judged(verdict, checklists, before))
    for what, file in (("history", "events.jsonl"), ("report", PAGE)):
        if (folder / file).exists():
            console.print(f"{what}: {near(folder)}/{file}")
    return verdict, runner.interrupted


def _keep(prepared: Prepared, runner: Runner, console: Console) -> None:
    """Leaves the stack up for a bounded time when what is known so far is not a PASS."""
    so_far = verify(read_history(prepared.runs[0].folder)).rows
    # The load's totals and the run's end are still to come.
    if all(row.result == "PASS" for row in so_far if row.hop not in (Hop.LOAD, Hop.END)):
        return
    stack = prepared.stack
    console.print(f"kept for {_KEEP_S / 60:.0f} minutes, Ctrl-C ends it:")
    for name, url in (("Prometheus", stack.prometheus_url), ("Alertmanager", stack.alertmanager_url)):
        console.print(f"  {name}: {url}")
    runner.idle(_KEEP_S)
