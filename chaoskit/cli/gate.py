"""`chaoskit gate`: many scenarios, one answer; `gate merge`: one of the parts that several machines played."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from msgspec import structs
from rich.console import Console, Group

from chaoskit.cli.console import console
from chaoskit.cli.numbers import Number
from chaoskit.cli.outputs import ANNOUNCE, CONFIRM, JUNITXML, OUT, form
from chaoskit.cli.sources import FILE, asking
from chaoskit.errors import BadInput, ExitCode, Problem, Refused, worst
from chaoskit.examine.announce import announced
from chaoskit.examine.preflight import refuse_unconfirmed
from chaoskit.gate.answer import Ended, proofs_of
from chaoskit.gate.candidate import Candidate, LeftOut
from chaoskit.gate.choose import Wanted, apart_in, candidates, left, scheduled, select, stacks_side_by_side, suited
from chaoskit.gate.coverage import covered
from chaoskit.gate.earlier import Earlier, read_gate
from chaoskit.gate.gate import Gate, Outcome
from chaoskit.gate.index import write_index
from chaoskit.gate.part import HOURS_PART, Part, Shard, choose_part, describe_part, write_part
from chaoskit.gate.record import AtScale, Record, load_record, read_record, save_record
from chaoskit.gate.schedule import Schedule, shared_out
from chaoskit.gate.view import gate_view, left_out_lines, outcome_line, schedule_view
from chaoskit.inputs import attempt
from chaoskit.observe.pressure import idle_cores
from chaoskit.rehearse.hours import play_hours, plays
from chaoskit.report.judge_run import MARKDOWN
from chaoskit.report.junit import Case, junit
from chaoskit.report.terminal import told_view
from chaoskit.report.text import clean, paragraph
from chaoskit.run.planning import Asked
from chaoskit.run.prepare import make_folder, versions
from chaoskit.run.signals import signals_end
from chaoskit.stack.binaries import require as programs
from chaoskit.surroundings import leave
from chaoskit.units import amount

_TRIES = 200
"""Orders in which the scenarios are offered to the schedule: half a second for thirty of them."""


COMPARE_GATE = click.option("--compare", type=FILE, metavar="OLD", help="Show changes since this gate.")
REQUIRE = click.option("--require-coverage", type=Number(0, 100), metavar="PERCENT", help="Fail below this coverage.")


def _shard(text: str) -> Shard:
    """The part of a gate that is asked for, as 2/5; a usage error for what is none."""
    found = re.fullmatch(r"(\d{1,3})/(\d{1,3})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter(f"'{text}' is no part: write 2/5 for the second of five")
    return Shard(int(found[1]), int(found[2]))


class _GateOrMerge(click.Command):
    """The gate, whose first word may be `merge`; a scenario of that name is `./merge.yml`."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As click's: the context of the command that the words are for."""
        if args[:1] == ["merge"]:
            return merge_command.make_context(f"{info_name} merge", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command("gate", cls=_GateOrMerge)
@click.argument("scenarios", nargs=-1)
@asking
@OUT
@click.option("-k", "keyword", metavar="EXPR", help="Names, titles and alerts that match: 'worker and not queue'.")
@click.option("-m", "tag", metavar="TAG", help="Tags that match: 'outage or documented'.")
@click.option("-x", "first", is_flag=True, help="Start no scenario after the first one that does not pass.")
@click.option("-j", "jobs", type=click.IntRange(1, 64), help="Stacks side by side.  [default: by what is idle]")
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True, help="Run the gate N times.")
@click.option("--lf", "failed", is_flag=True, help="Only scenarios that did not pass last time.")
@click.option("--budget", metavar="TIME", help="Pick the scenarios that prove most within this time (20m).")
@REQUIRE
@JUNITXML
@CONFIRM
@ANNOUNCE
@click.option("--dry-run", is_flag=True, help="Explain the schedule and start nothing.")
@click.option("--shard", type=_shard, metavar="I/N", help="Play this part of N; `gate merge` makes one answer of all.")
@click.option("--times", type=FILE, metavar="FILE", help="Plan by the times in this gates.json, the same everywhere.")
@COMPARE_GATE
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
    shard: Shard | None,
    times: Path | None,
    compare: Path | None,
    format_: str,
) -> ExitCode:
    """Run many scenarios and answer whether to release; without SCENARIOS, all that are known.

    `chaoskit gate merge DIR…` makes one answer of the parts that --shard played.
    """
    _refuse_beside_shard(shard, failed and times is None, budget, require_coverage, count)
    record = load_record(out)
    # Machines remember other times: parts are the same everywhere by what all of them are given, or by the plans alone.
    planned_by = read_record(times) if times else Record() if shard else record
    old = read_gate(compare) if compare is not None else None
    shared = replace(asked, confirm=confirm)
    wanted = Wanted(scenarios, keyword, tag, failed, budget)
    everyone, left_out = candidates(wanted, shared, planned_by)
    if dry_run or confirm:
        everyone, unfit = suited(everyone, wanted)
        left_out += unfit
    one_load = any(one.plan.profile.load.workers for one in everyone)
    known, planned = (each.at(everyone[0].plan.time_scale) if everyone else AtScale() for each in (record, planned_by))
    side_by_side = _side_by_side(jobs, one_load, known.stack_cores)
    chosen, more = select(everyone, wanted, planned, side_by_side)
    left_out = sorted([*left_out, *more], key=lambda one: one.name)
    screen = console(stderr=format_ != "text")
    if not chosen:
        screen.print(Group(*left_out_lines(left_out, known)))
        raise BadInput(
            Problem(None, "no scenario is selected", "see `chaoskit list`, or loosen -k, -m, --lf, --budget")
        )
    part = None
    if shard is not None:
        chosen, others, part = _shared(chosen, shard, left_out, asked, dry_run)
        left_out = sorted([*left_out, *others], key=lambda one: one.name)
    schedule = scheduled(chosen, side_by_side, tries=_TRIES)
    schedule = schedule.calmer() if one_load else schedule
    screen.print(schedule_view(schedule, why=dry_run))
    screen.print(told_view([one.plan for one in chosen]))
    if dry_run:
        screen.print(Group(*left_out_lines(left_out, known)))
        return ExitCode.USAGE if any(one.wrong for one in left_out) else ExitCode.PASS
    plans = [one.plan for one in chosen]
    refuse_unconfirmed(plans, confirm)
    codes: list[ExitCode] = []
    cases: list[Case] = []

    def keep(found: Sequence[Case]) -> None:
        again = f", {len(codes) + 1} of {count}" if count > 1 else ""
        cases.extend(replace(case, name=case.name + again) for case in found)
        if junitxml is not None:
            leave(junitxml, junit("chaoskit gate", cases), named=True)

    while len(codes) < count:
        with announced(plans, screen.print) if announce else nullcontext():
            codes.append(
                _play(schedule, shared, first, out, record, require_coverage, keep, left_out, old, screen, part)
            )
        if codes[-1] == ExitCode.ABORTED or (first and codes[-1] != ExitCode.PASS):
            break
    return worst(codes)


def _side_by_side(jobs: int | None, one_load: bool, stack_cores: float) -> int:
    """How many stacks at once; one where load workers of other machines come to the one port of a profile."""
    if one_load and (jobs or 1) > 1:
        what = f"-j {jobs}: load workers of other machines bear the load of one stack at a time"
        raise BadInput(Problem(None, what, "leave out -j, or play with `processes` on this machine"))
    return 1 if one_load else jobs or stacks_side_by_side(os.cpu_count() or 1, idle_cores(), stack_cores)


def _refuse_beside_shard(
    shard: Shard | None, failed: bool, budget: str | None, require: float | None, count: int
) -> None:
    """Raises Refused with each option that one part of a gate cannot keep."""
    merged = "give it to `chaoskit gate merge`"
    wrong = [
        ("--require-coverage", require is not None, "one part cannot prove everything", merged),
        ("--budget", budget is not None, "what fits depends on the machine", "select with -m or -k"),
        ("--lf", failed, "each machine remembers other ends", "name a record that all parts share with --times"),
        ("--count", count > 1, "a part is one answer", "play all parts once more"),
    ]
    if shard and (
        problems := [Problem(None, f"--shard with {name}: {why}", do) for name, bad, why, do in wrong if bad]
    ):
        raise Refused(problems)


def _shared(
    chosen: list[Candidate], shard: Shard, left_out: Sequence[LeftOut], asked: Asked, dry_run: bool
) -> tuple[list[Candidate], list[LeftOut], Part | None]:
    """The scenarios of a part and of the others, and the part's record; none for a dry run."""
    if any(one.plan.attached for one in chosen):
        why = "--shard: a running system bears one scenario at a time, and each machine's lock is its own"
        raise Refused(Problem(None, why, "leave --shard out"))
    parts = shared_out(chosen, apart_in(chosen), shard.of)
    mine, others = choose_part(parts, shard)
    if dry_run:
        return mine, others, None
    hours = [one.about for one in plays(chosen[0].plan.config)]
    return mine, others, describe_part(shard, parts, left_out, asked, versions(programs()), hours)


def _play(
    schedule: Schedule,
    shared: Asked,
    first: bool,
    out: Path,
    record: Record,
    require: float | None,
    keep: Callable[[Sequence[Case]], None],
    not_chosen: Sequence[LeftOut],
    old: Earlier | None,
    screen: Console,
    part: Part | None,
) -> ExitCode:
    name = f"gate-{part.shard.number}of{part.shard.of}" if part else "gate"
    where = make_folder(out, name, latest=False)
    if part is not None:
        write_part(where, part)

    def hear(outcome: Outcome) -> None:
        screen.print(outcome_line(outcome))

    plan = schedule.stacks[0].members[0].plan
    known = record.at(plan.time_scale)
    gate = Gate(where, shared, hear, stop_at_first=first, cores=known.stack_cores)
    begun_at = time.monotonic()
    with signals_end(gate.interrupt):
        outcomes = sorted(gate.run(schedule), key=lambda one: one.candidate.name)
    took_s, known.cores = time.monotonic() - begun_at, gate.took_cores or known.cores
    coverage = covered(plan.config, proofs_of(outcomes), plan.profile.standing)
    ran = {one.candidate.name for one in outcomes}
    members = [one for stack in schedule.stacks for one in stack.members]
    unplayed = [left(one, "the gate ended before that") for one in members if one.name not in ran]
    # Drills take no route as muted, so the time intervals are played once for all of them.
    others_do = part is not None and part.shard.number != HOURS_PART
    no_hours = plan.attached or unplayed or others_do or not plan.config.intervals
    hours = [] if no_hours else play_hours(plan.config, programs(), where / "hours")
    if part is not None:
        write_part(where, structs.replace(part, played=hours))
    left_out = sorted([*not_chosen, *unplayed], key=lambda one: one.name)
    named, broken_off = str(part.shard) if part else "", bool(unplayed)
    ended = Ended(where, outcomes, coverage, left_out, took_s, old, named, hours, broken_off, require)
    keep(ended.cases)
    tell(ended, out, record, plan.time_scale, screen)
    return ended.ending


def tell(ended: Ended, out: Path, record: Record, time_scale: float, screen: Console) -> None:
    """Prints what a gate or a merge came to, and leaves its page and its record.

    Where the screen is standard error, the Markdown is for standard output.
    """
    known = record.at(time_scale)
    for one in ended.outcomes:
        run = f"{ended.folder.name}/{one.folder.name}"
        known.note(one.candidate.name, one.exit_code, one.folder.stat().st_mtime, one.took_s, run)
    save_record(out, record)
    screen.print(gate_view(ended.outcomes, ended.coverage, known, ended.left_out))
    for row in ended.hours:
        screen.print(f"{row.result:7}  {clean(row.about)}: {paragraph(row.said)}")
    if ended.gap:
        screen.print(ended.gap)
    index = write_index(ended)
    screen.print(f"report: {index}")
    screen.print(f"{ended.answer} (exit {int(ended.ending)})")
    if screen.stderr:
        click.echo(index.with_name(MARKDOWN).read_text(encoding="utf-8"), nl=False)


@click.command("merge")
@click.argument("parts", nargs=-1, required=True, type=FILE, metavar="DIR...")
@OUT
@REQUIRE
@JUNITXML
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
    from chaoskit.gate.merge import merge, read_parts  # which a gate does not need

    wrong: list[Problem] = []
    old = attempt(lambda: read_gate(compare), wrong) if compare is not None else None
    given = read_parts(parts, wrong)
    screen = console(stderr=format_ != "text")
    for one in given:
        screen.print(f"{one.part.shard}: {one.folder}: {amount(len(one.played), 'scenarios')}")
    ended = merge(given, make_folder(out, "gate", latest=False), old, require_coverage)
    if junitxml is not None:
        leave(junitxml, junit("chaoskit gate", ended.cases), named=True)
    tell(ended, out, load_record(out), given[0].part.time_scale, screen)
    return ended.ending
