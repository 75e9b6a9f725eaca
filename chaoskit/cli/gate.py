"""`chaoskit gate`: many scenarios, one answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console, Group

from chaoskit.cli.console import console
from chaoskit.cli.numbers import Number
from chaoskit.cli.outputs import ANNOUNCE, CONFIRM, OUT, ResultFile, form
from chaoskit.cli.sources import asking
from chaoskit.errors import BadInput, ExitCode, Problem, worst
from chaoskit.examine.announce import announced
from chaoskit.examine.preflight import refuse_unconfirmed
from chaoskit.gate.candidate import LeftOut
from chaoskit.gate.choose import Wanted, candidates, left, scheduled, select, stacks_side_by_side, suited
from chaoskit.gate.coverage import KINDS, covered, proven_by
from chaoskit.gate.earlier import Earlier, read_gate
from chaoskit.gate.gate import Gate, Outcome
from chaoskit.gate.index import Ended, write_index
from chaoskit.gate.record import AtScale, Record, load_record, save_record
from chaoskit.gate.schedule import Schedule
from chaoskit.gate.view import gate_view, left_out_lines, outcome_line, reasons_of, schedule_view
from chaoskit.observe.pressure import idle_cores
from chaoskit.rehearse.hours import play_hours
from chaoskit.rehearse.output import CODES
from chaoskit.report.checklist import lines
from chaoskit.report.judge_run import MARKDOWN
from chaoskit.report.junit import Case, junit
from chaoskit.report.terminal import print_to, told_view
from chaoskit.report.text import clean, paragraph
from chaoskit.run.planning import Asked
from chaoskit.run.prepare import make_folder
from chaoskit.run.signals import signals_end
from chaoskit.stack.binaries import require as programs
from chaoskit.surroundings import leave
from chaoskit.units import amount
from chaoskit.verify.verdict import Row

_TRIES = 64
"""Orders in which the scenarios are offered to the schedule: a quarter of a second for thirty of them."""


@click.command("gate")
@click.argument("scenarios", nargs=-1)
@asking
@OUT
@click.option("-k", "keyword", metavar="EXPR", help="Names, titles and alerts that match: 'worker and not queue'.")
@click.option("-m", "tag", metavar="TAG", help="Tags that match: 'outage or documented'.")
@click.option("-x", "first", is_flag=True, help="Start no scenario after the first one that does not pass.")
@click.option("-j", "jobs", type=click.IntRange(1, 64), help="Stacks side by side.  [default: three for two cores]")
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True, help="Run the gate N times.")
@click.option("--lf", "failed", is_flag=True, help="Only scenarios that did not pass last time.")
@click.option("--budget", metavar="TIME", help="Pick the scenarios that prove most within this time (20m).")
@click.option("--require-coverage", type=Number(0, 100), metavar="PERCENT", help="Fail below this coverage.")
@click.option("--junitxml", type=ResultFile(), help="Write the results as JUnit XML.")
@CONFIRM
@ANNOUNCE
@click.option("--dry-run", is_flag=True, help="Explain the schedule and start nothing.")
@click.option("--compare", type=click.Path(path_type=Path), metavar="OLD", help="Show changes since this gate.")
@form("text", "markdown")
def gate_command(
    scenarios: tuple[str, ...],
    asked: Asked,
    out: Path,
    keyword: str | None,
    tag: str | None,
    first: bool,
    jobs: int | None,
    count: int,
    failed: bool,
    budget: str | None,
    require_coverage: float | None,
    junitxml: Path | None,
    confirm: str,
    announce: bool,
    dry_run: bool,
    compare: Path | None,
    format_: str,
) -> ExitCode:
    """Run many scenarios and answer whether to release; without SCENARIOS, all that are known."""
    record = load_record(out)
    old = read_gate(compare) if compare is not None else None
    shared = replace(asked, confirm=confirm)
    wanted = Wanted(scenarios, keyword, tag, failed, budget, count)
    everyone, left_out = candidates(wanted, shared, record)
    if dry_run or confirm:
        everyone, unfit = suited(everyone, wanted)
        left_out += unfit
    known = record.at(everyone[0].plan.time_scale) if everyone else AtScale()
    side_by_side = jobs or stacks_side_by_side(os.cpu_count() or 1, idle_cores())
    chosen, more = select(everyone, wanted, known, side_by_side)
    left_out = sorted([*left_out, *more], key=lambda one: one.name)
    screen = console(stderr=format_ != "text")
    if not chosen:
        print_to(screen, Group(*left_out_lines(left_out, known)))
        raise BadInput(
            Problem(None, "no scenario is selected", "see `chaoskit list`, or loosen -k, -m, --lf, --budget")
        )
    schedule = scheduled(chosen, side_by_side, tries=_TRIES)
    print_to(screen, schedule_view(schedule, why=dry_run))
    print_to(screen, told_view([one.plan for one in chosen]))
    if dry_run:
        print_to(screen, Group(*left_out_lines(left_out, known)))
        return ExitCode.USAGE if any(one.wrong for one in left_out) else ExitCode.PASS
    plans = [one.plan for one in chosen]
    refuse_unconfirmed(plans, confirm)
    codes: list[ExitCode] = []
    cases: list[Case] = []

    def keep(outcomes: Sequence[Outcome], hours: Sequence[Row]) -> None:
        again = f", {len(codes) + 1} of {count}" if count > 1 else ""
        found = [
            *map(_case, outcomes),
            *(Case(row.about, "", 0.0, str(row.result), (row.reason,) if row.reason else ()) for row in hours),
            *(Case(one.name, one.proves, 0.0, "UNKNOWN", (one.why,)) for one in left_out if one.wrong),
        ]
        cases.extend(replace(case, name=case.name + again) for case in found)
        if junitxml is not None:
            leave(junitxml, junit("chaoskit gate", cases), named=True)

    while len(codes) < count:
        with announced(plans, screen.print) if announce else nullcontext():
            code, index = _play(schedule, shared, first, out, record, require_coverage, keep, left_out, old, screen)
        codes.append(code)
        if format_ == "markdown":
            click.echo(index.with_name(MARKDOWN).read_text(encoding="utf-8"), nl=False)
        if codes[-1] == ExitCode.ABORTED or (first and codes[-1] != ExitCode.PASS):
            break
    return worst(codes)


def _play(
    schedule: Schedule,
    shared: Asked,
    first: bool,
    out: Path,
    record: Record,
    require: float | None,
    keep: Callable[[Sequence[Outcome], Sequence[Row]], None],
    not_chosen: Sequence[LeftOut],
    old: Earlier | None,
    screen: Console,
) -> tuple[ExitCode, Path]:
    where = make_folder(out, "gate", latest=False)

    def hear(outcome: Outcome) -> None:
        print_to(screen, outcome_line(outcome))

    gate, begun_at = Gate(where, shared, hear, stop_at_first=first), time.monotonic()
    with signals_end(gate.interrupt):
        outcomes = gate.run(schedule)
    took_s = time.monotonic() - begun_at
    known = record.at(schedule.stacks[0].members[0].plan.time_scale)
    for one in outcomes:
        at = one.folder.stat().st_mtime
        known.note(one.candidate.name, one.exit_code, at, one.took_s, f"{where.name}/{one.folder.name}")
    save_record(out, record)
    config = schedule.stacks[0].members[0].plan.config
    standing = schedule.stacks[0].members[0].plan.profile.standing
    proofs = [proven_by(one.candidate.plan, one.verdict) for one in outcomes if one.verdict is not None]
    coverage = covered(config, proofs, standing)
    ran = {one.candidate.name for one in outcomes}
    members = [one for stack in schedule.stacks for one in stack.members]
    left_out = [*not_chosen, *(left(one, "the gate ended before that") for one in members if one.name not in ran)]
    print_to(screen, gate_view(outcomes, coverage, known, left_out))
    attached, ended = schedule.stacks[0].members[0].plan.attached, len(ran) < len(members)
    # Drills take no route as muted, so the time intervals are played once for all of them.
    hours = [] if attached or ended or not config.intervals else play_hours(config, programs(), where / "hours")
    for row in hours:
        screen.print(f"{row.result:7}  {clean(row.about)}: {paragraph(row.reason or row.rests_on)}", highlight=False)
    keep(outcomes, hours)
    codes = [*(ExitCode(one.exit_code) for one in outcomes), *(CODES[row.result] for row in hours)]
    if len(outcomes) < sum(len(stack.members) for stack in schedule.stacks) and all(c == ExitCode.PASS for c in codes):
        codes.append(ExitCode.ABORTED)
    if require is not None and coverage.percent < require:
        gaps = ", ".join(amount(len(coverage.missing(kind)), kind) for kind in KINDS if coverage.missing(kind))
        screen.print(f"coverage is {coverage.percent:.0f} %, {require:g} % is required: {gaps} without proof")
        codes.append(ExitCode.FAIL)
    codes += [ExitCode.USAGE for one in not_chosen if one.wrong]
    ending = worst(codes)
    index = write_index(Ended(where, outcomes, coverage, left_out, ending, took_s, old))
    screen.print(f"report: {index}", highlight=False, markup=False)
    screen.print(f"{'release' if ending == ExitCode.PASS else 'do not release'} (exit {int(ending)})", highlight=False)
    return ending, index


def _case(outcome: Outcome) -> Case:
    result = str(outcome.verdict.result) if outcome.verdict else "ERROR"
    reasons = () if result == "PASS" else tuple(reasons_of(outcome))
    title = outcome.candidate.plan.scenario.title
    return Case(outcome.candidate.name, title, outcome.took_s, result, reasons, said=tuple(lines(outcome.checklists)))
