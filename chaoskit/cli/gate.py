"""`chaoskit gate`: many scenarios, one answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.console import Group

from chaoskit import bundle
from chaoskit.cli.asking import asking
from chaoskit.cli.console import console
from chaoskit.cli.numbers import Number
from chaoskit.cli.outputs import OUT, ResultFile
from chaoskit.errors import BadInput, ExitCode, Place, Problem, Refused, worst
from chaoskit.examine.preflight import refuse_unconfirmed
from chaoskit.gate.candidate import Candidate, LeftOut, candidate, conflict, proves
from chaoskit.gate.coverage import KINDS, could_prove, covered, proven_by
from chaoskit.gate.gate import Gate, Outcome
from chaoskit.gate.index import write_index
from chaoskit.gate.record import AtScale, Record, load_record, save_record
from chaoskit.gate.schedule import Conflict, Schedule, make_schedule
from chaoskit.gate.select import expression, within_budget
from chaoskit.gate.view import gate_view, left_out_lines, outcome_line, reasons_of, schedule_view
from chaoskit.observe.pressure import idle_cores
from chaoskit.report.checklist import lines
from chaoskit.report.junit import Case, junit
from chaoskit.report.terminal import print_to
from chaoskit.run.planning import Asked, plan_for
from chaoskit.run.prepare import make_folder
from chaoskit.run.signals import signals_end
from chaoskit.scenario.catalog import find_scenario, is_shipped, scenario_names
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.model import Scenario
from chaoskit.surroundings import leave
from chaoskit.units import amount, parse_duration

_TRIES = 64
"""Orders in which the scenarios are offered to the schedule: a quarter of a second for thirty of them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the scenarios, as asked on the command line."""

    names: tuple[str, ...]
    keyword: str | None
    tag: str | None
    failed: bool
    budget: str | None
    count: int


@click.command("gate")
@click.argument("scenarios", nargs=-1)
@asking
@OUT
@click.option("-k", "keyword", metavar="EXPR", help="Names, titles and alerts that match: 'worker and not queue'.")
@click.option("-m", "tag", metavar="TAG", help="Tags that match: 'outage or documented'.")
@click.option("-x", "first", is_flag=True, help="Begin nothing more after the first that does not pass.")
@click.option("-j", "jobs", type=click.IntRange(1, 64), help="Stacks side by side.  [default: three for two cores]")
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True, help="All of it so many times.")
@click.option("--lf", "failed", is_flag=True, help="Only what did not pass last time.")
@click.option("--budget", metavar="TIME", help="Pick what proves the most in so much time, as 20m.")
@click.option("--require-coverage", type=Number(0, 100), metavar="PERCENT", help="A gap is a failure.")
@click.option("--junitxml", type=ResultFile(), help="Write the results as JUnit XML.")
@click.option("--confirm", default="", metavar="NAME", help="The environment of an attached target, to break it.")
@click.option("--dry-run", is_flag=True, help="Explain the schedule and touch nothing.")
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
    dry_run: bool,
) -> ExitCode:
    """Run many scenarios and answer whether to release; without SCENARIOS, all that are known."""
    record = load_record(out)
    shared = replace(asked, confirm=confirm)
    wanted = Wanted(scenarios, keyword, tag, failed, budget, count)
    everyone, left_out = _candidates(wanted, shared, record)
    known = record.at(everyone[0].plan.time_scale) if everyone else AtScale()
    side_by_side = jobs or _side_by_side(os.cpu_count() or 1, idle_cores())
    chosen, more = _select(everyone, wanted, known, side_by_side)
    left_out = sorted([*left_out, *more], key=lambda one: one.name)
    screen = console()
    if not chosen:
        print_to(screen, Group(*left_out_lines(left_out, known)))
        raise BadInput(
            Problem(None, "no scenario is selected", "see `chaoskit list`, or loosen -k, -m, --lf, --budget")
        )
    schedule = _schedule(chosen, side_by_side, tries=_TRIES)
    print_to(screen, schedule_view(schedule, why=dry_run))
    if dry_run:
        print_to(screen, Group(*left_out_lines(left_out, known)))
        return ExitCode.USAGE if any(one.wrong for one in left_out) else ExitCode.PASS
    refuse_unconfirmed(chosen[0].plan, confirm)
    codes: list[ExitCode] = []
    cases: list[Case] = []

    def keep(outcomes: Sequence[Outcome]) -> None:
        again = f", {len(codes) + 1} of {count}" if count > 1 else ""
        found = [*map(_case, outcomes), *(_not_played(one) for one in left_out if one.wrong)]
        cases.extend(replace(case, name=case.name + again) for case in found)
        if junitxml is not None:
            leave(junitxml, junit("chaoskit gate", cases), named=True)

    while len(codes) < count:
        codes.append(_play(schedule, shared, first, out, record, require_coverage, keep, left_out))
        if codes[-1] == ExitCode.ABORTED or (first and codes[-1] != ExitCode.PASS):
            break
    return worst(codes)


def _side_by_side(cores: int, idle: float) -> int:
    """A stack starts, settles and looks on for half of its time, and needs about half a core for the rest.

    Where others have all the cores already it gets its share and no more, and three for two cores are always late.
    """
    return cores if idle < cores / 4 else cores * 3 // 2


def _play(
    schedule: Schedule,
    shared: Asked,
    first: bool,
    out: Path,
    record: Record,
    require: float | None,
    keep: Callable[[Sequence[Outcome]], None],
    not_chosen: Sequence[LeftOut],
) -> ExitCode:
    screen = console()
    where = make_folder(out, "gate", latest=False)

    def hear(outcome: Outcome) -> None:
        print_to(screen, outcome_line(outcome))

    gate = Gate(where, shared, hear, stop_at_first=first)
    with signals_end(gate.interrupt):
        outcomes = gate.run(schedule)
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
    left_out = [*not_chosen, *(_left(one, "the gate ended before it began") for one in members if one.name not in ran)]
    print_to(screen, gate_view(outcomes, coverage, known, left_out))
    keep(outcomes)
    codes = [ExitCode(one.exit_code) for one in outcomes]
    if len(outcomes) < sum(len(stack.members) for stack in schedule.stacks) and all(c == ExitCode.PASS for c in codes):
        codes.append(ExitCode.ABORTED)
    if require is not None and coverage.percent < require:
        gaps = ", ".join(amount(len(coverage.missing(kind)), kind) for kind in KINDS if coverage.missing(kind))
        screen.print(f"coverage is {coverage.percent:.0f} %, {require:g} % is required: {gaps} without proof")
        codes.append(ExitCode.FAIL)
    codes += [ExitCode.USAGE for one in not_chosen if one.wrong]
    ending = worst(codes)
    index = write_index(where, outcomes, coverage, left_out, ending)
    screen.print(f"report: {index}", highlight=False, markup=False)
    screen.print(f"{'release' if ending == ExitCode.PASS else 'do not release'} (exit {int(ending)})", highlight=False)
    return ending


def _candidates(wanted: Wanted, shared: Asked, record: Record) -> tuple[list[Candidate], list[LeftOut]]:
    """The plans of the scenarios that are selected, and what is left out, with the reason.

    Left out are scenarios that are not selected, that cannot be played at this scale or within these limits, or that
    came with chaoskit and do not fit another configuration. What is wrong with whatever else is selected is told beside
    what the others show; where there is no other, all problems are raised at once, as BadInput.
    """
    problems: list[Problem] = []
    candidates: list[Candidate] = []
    left_out: list[LeftOut] = []
    files: dict[str, Path] = {}
    for name in wanted.names:
        try:
            path = find_scenario(name)
            if files.setdefault(path.stem, path) != path:
                what = f"it has one name with {files[path.stem]}"
                raise BadInput(Problem(Place(str(path)), what, "rename one, or give each a gate of its own"))
        except BadInput as error:
            problems += error.problems
            left_out.append(LeftOut(name, "; ".join(map(str, error.problems)), wrong=True))
    narrowed = wanted.tag is not None or wanted.failed or wanted.budget is not None
    selected = _tests(wanted, record)
    for name, path in (files if wanted.names else scenario_names()).items():
        scenario = None
        try:
            scenario = load_scenario_file(path)
            if why := selected(name, scenario):
                left_out.append(LeftOut(name, why, proves(scenario)))
                continue
            plan = plan_for(replace(shared, scenario=str(path)))[0]
            candidates.append(candidate(name, str(path), plan, record.at(plan.time_scale).took_s(name)))
        except BadInput as error:
            its_own = all(problem.place and Path(problem.place.file).name == path.name for problem in error.problems)
            foreign = its_own and shared.bundle != bundle.folder() and is_shipped(path, "scenarios")
            unread = scenario is None and (narrowed or bool(selected(name, None)))
            wrong = name in files or not (isinstance(error, Refused) or foreign or unread)
            problems += error.problems if wrong else ()
            said = "; ".join(str(problem) for problem in error.problems)
            left_out.append(LeftOut(name, said, proves(scenario) if scenario else "", wrong))
    if problems and not candidates:
        raise BadInput(dict.fromkeys(problems))
    return candidates, left_out


def _tests(wanted: Wanted, record: Record) -> Callable[[str, Scenario | None], str]:
    """Why a scenario is not selected by its words, its tags or its last end; of one that cannot be read only the name
    is known. Raises BadInput for what is no expression."""
    words = expression(wanted.keyword, "-k", whole=False) if wanted.keyword is not None else None
    tags = expression(wanted.tag, "-m", whole=True) if wanted.tag is not None else None
    failed = {name for at in record.scales.values() for name in at.failed_last()}

    def why_not(name: str, scenario: Scenario | None) -> str:
        expects = [one.alert for one in scenario.expect] if scenario else []
        if words is not None and not words([name, scenario.title if scenario else "", *expects]):
            return f"not selected by -k '{wanted.keyword}'"
        if tags is not None and not tags(scenario.tags if scenario else ()):
            return f"not selected by -m '{wanted.tag}'"
        if wanted.failed and name not in failed:
            return "not selected by --lf: it did not fail last time"
        return ""

    return why_not


def _not_played(one: LeftOut) -> Case:
    return Case(one.name, one.proves, 0.0, "UNKNOWN", (one.why,))


def _left(one: Candidate, why: str) -> LeftOut:
    return LeftOut(one.name, why, proves(one.plan.scenario))


def _select(
    everyone: list[Candidate], wanted: Wanted, known: AtScale, side_by_side: int
) -> tuple[list[Candidate], list[LeftOut]]:
    """The scenarios that are played, and those that passed last time at this scale or do not fit the budget."""
    failed = known.failed_last() if wanted.failed else {one.name for one in everyone}
    chosen = [one for one in everyone if one.name in failed]
    left_out = [_left(one, "not selected by --lf: it did not fail last time") for one in everyone if one not in chosen]
    if wanted.budget is None or not chosen:
        return chosen, left_out
    try:
        budget_s = parse_duration(wanted.budget)
    except ValueError as error:
        raise BadInput(Problem(None, f"--budget: {error}", "write for example 20m")) from None
    by_name = {one.name: one for one in chosen}
    proven = {
        one.name: frozenset(f"{kind}/{name}" for kind, names in could_prove(one.plan).items() for name in names)
        for one in chosen
    }
    apart = _apart(chosen)
    picked = within_budget(
        proven, lambda names: _schedule([by_name[n] for n in names], side_by_side, apart).bound_s, budget_s
    )
    left_out += [_left(one, f"it does not fit --budget {wanted.budget}") for one in chosen if one.name not in picked]
    return [by_name[name] for name in picked], left_out


def _schedule(chosen: list[Candidate], side_by_side: int, apart: Conflict | None = None, tries: int = 1) -> Schedule:
    if any(one.plan.attached for one in chosen):
        return make_schedule(chosen, lambda one, other: "an attached target bears one scenario at a time", 1)
    return make_schedule(chosen, apart or _apart(chosen), side_by_side, tries)


def _apart(chosen: list[Candidate]) -> Conflict:
    """Who cannot run with whom, found once for each two."""
    config = chosen[0].plan.config
    found: dict[tuple[str, str], str] = {}

    def why(one: Candidate, other: Candidate) -> str:
        names = (one.name, other.name)
        if names not in found:
            found[names] = conflict(config, one, other)
        return found[names]

    return why


def _case(outcome: Outcome) -> Case:
    result = str(outcome.verdict.result) if outcome.verdict else "ERROR"
    reasons = () if result == "PASS" else tuple(reasons_of(outcome))
    title = outcome.candidate.plan.scenario.title
    return Case(outcome.candidate.name, title, outcome.took_s, result, reasons, said=tuple(lines(outcome.checklists)))
