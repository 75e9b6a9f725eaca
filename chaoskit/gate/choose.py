"""Which scenarios a gate plays, and which it leaves out and why; then their schedule."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles
from chaoskit.errors import BadInput, Place, Problem, Refused
from chaoskit.examine.preflight import unsuited
from chaoskit.gate.candidate import Candidate, LeftOut, candidate, conflict, proves
from chaoskit.gate.coverage import could_prove
from chaoskit.gate.record import AtScale, Record
from chaoskit.gate.schedule import Conflict, Schedule, gentlest_first, make_schedule
from chaoskit.run.planning import Asked, by_name, plan_for
from chaoskit.scenario.catalog import find_scenario, is_shipped, scenario_names
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.model import Scenario
from chaoskit.units import parse_duration


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the scenarios, as asked on the command line."""

    names: tuple[str, ...]
    keyword: str | None
    tag: str | None
    failed: bool
    budget: str | None


_USED = 0.75
"""The share of what is idle that stacks may take, for they need it in bursts: at 0.63 no scenario of 33 was tried a
second time, at 0.68 one of 165, at 0.79 one of 33, at 1.08 seventeen."""
_MOST = 3
"""Stacks a core, however little they take: each has memory of its own, and starts and judges at full speed."""


def stacks_side_by_side(cores: int, idle: float, stack_cores: float) -> int:
    """As many stacks as the idle cores bear, and one a core at least: where others have them it gets its share."""
    return max(cores, min(_MOST * cores, int(_USED * idle / stack_cores)))


def candidates(wanted: Wanted, shared: Asked, record: Record) -> tuple[list[Candidate], list[LeftOut]]:
    """The plans of the scenarios that are selected, and what is left out, with the reason.

    Left out are scenarios that are not selected, that came with chaoskit and do not fit another configuration, or that
    were not named and are Refused: this scale, these limits or this target alone cannot play them. Problems of other
    selected scenarios are told beside the others' results; where no scenario is left, all are raised at once, as
    BadInput.
    """
    problems: list[Problem] = []
    found: list[Candidate] = []
    left_out: list[LeftOut] = []
    files: dict[str, Path] = {}
    for name in wanted.names:
        try:
            path = find_scenario(name)
            if files.setdefault(path.stem, path) != path:
                what = f"it has the same name as {files[path.stem]}"
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
            plan, sources, *_ = plan_for(replace(shared, scenario=str(path)))
            took_s = record.at(plan.time_scale).took_s(name)
            found.append(candidate(name, str(path), plan, took_s, by_name(sources)))
        except BadInput as error:
            its_own = all(problem.place and Path(problem.place.file).name == path.name for problem in error.problems)
            foreign = its_own and shared.files != ConfigFiles(bundle.folder()) and is_shipped(path, "scenarios")
            unread = scenario is None and (narrowed or bool(selected(name, None)))
            wrong = name in files or not (isinstance(error, Refused) or foreign or unread)
            problems += error.problems if wrong else ()
            said = "; ".join(map(str, {problem.message: problem for problem in reversed(error.problems)}.values()))
            left_out.append(LeftOut(name, said, proves(scenario) if scenario else "", wrong))
    if problems and not found:
        raise BadInput(dict.fromkeys(problems))
    return found, left_out


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


def left(one: Candidate, why: str) -> LeftOut:
    return LeftOut(one.name, why, proves(one.plan.scenario))


def select(
    everyone: list[Candidate], wanted: Wanted, known: AtScale, side_by_side: int
) -> tuple[list[Candidate], list[LeftOut]]:
    """The scenarios that are played, and those that passed last time at this scale or do not fit the budget."""
    failed = known.failed_last() if wanted.failed else {one.name for one in everyone}
    chosen = [one for one in everyone if one.name in failed]
    left_out = [left(one, "not selected by --lf: it did not fail last time") for one in everyone if one not in chosen]
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
    apart = apart_in(chosen)
    picked = within_budget(
        proven, lambda names: scheduled([by_name[n] for n in names], side_by_side, apart).bound_s, budget_s
    )
    left_out += [left(one, f"it does not fit --budget {wanted.budget}") for one in chosen if one.name not in picked]
    return [by_name[name] for name in picked], left_out


def suited(everyone: list[Candidate], wanted: Wanted) -> tuple[list[Candidate], list[LeftOut]]:
    """The scenarios whose alerts a running system has as they are expected, and the others; all of them on a local one.

    Raises Refused where the system does not tell.
    """
    chosen, left_out = [], []
    for one in everyone:
        if wrong := unsuited(one.plan) if one.plan.attached else []:
            named = one.name in {Path(name).stem for name in wanted.names}
            left_out.append(replace(left(one, "; ".join(map(str, wrong))), wrong=named))
        else:
            chosen.append(one)
    return chosen, left_out


def scheduled(chosen: list[Candidate], side_by_side: int, apart: Conflict | None = None, tries: int = 1) -> Schedule:
    if any(one.plan.attached for one in chosen):
        found = make_schedule(chosen, lambda one, other: "an attached target bears one scenario at a time", 1)
        return gentlest_first(found)
    return make_schedule(chosen, apart or apart_in(chosen), side_by_side, tries)


def apart_in(chosen: list[Candidate]) -> Conflict:
    """Why two scenarios cannot run together; each pair is compared once."""
    config = chosen[0].plan.config
    found: dict[tuple[str, str], str] = {}

    def why(one: Candidate, other: Candidate) -> str:
        names = (one.name, other.name)
        if names not in found:
            found[names] = conflict(config, one, other)
        return found[names]

    return why


_WORD = re.compile(r"[^\s()]+")
_KNOWN = (ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Name, ast.Load)

Test = Callable[[Iterable[str]], bool]


def expression(text: str, option: str, *, whole: bool) -> Test:
    """A test of words by `and`, `or`, `not` and parentheses, as in pytest.

    `whole` compares whole words (tags), otherwise a word is found inside any of them (names, alerts). Case does
    not matter. Raises BadInput for a text that is no such expression.
    """
    words: dict[str, str] = {}

    def named(token: re.Match[str]) -> str:
        if token[0] in ("and", "or", "not"):
            return token[0]
        return words.setdefault(token[0].lower(), f"w{len(words)}")

    try:
        tree = ast.parse(_WORD.sub(named, text).strip(), mode="eval")
    except (SyntaxError, RecursionError, MemoryError):
        tree = None
    if tree is None or not all(isinstance(node, _KNOWN) for node in ast.walk(tree)):
        hint = "write for example 'worker and not cache'"
        raise BadInput(Problem(None, f"{option} {text!r} is not an expression", hint))
    wanted, body = {name: word for word, name in words.items()}, tree.body

    def test(found: Iterable[str]) -> bool:
        among = [word.lower() for word in found]
        if whole:
            return _holds(body, lambda name: wanted[name] in among)
        return _holds(body, lambda name: any(wanted[name] in word for word in among))

    return test


def _holds(node: ast.AST, is_true: Callable[[str], bool]) -> bool:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_holds(value, is_true) for value in values)
        case ast.BoolOp(values=values):
            return any(_holds(value, is_true) for value in values)
        case ast.UnaryOp(operand=operand):
            return not _holds(operand, is_true)
        case ast.Name(id=name):
            return is_true(name)
    raise AssertionError(node)  # `expression` has refused everything else


Takes = Callable[[Sequence[str]], float]


def within_budget(proves: Mapping[str, frozenset[str]], takes_s: Takes, budget_s: float) -> list[str]:
    """Names that together prove much within the budget, in the order of their worth; then those that still fit.

    `takes_s` gives what a whole selection takes, since scenarios that run together share their time. The best
    selection is a hard problem; of two greedy ones, by what is gained for the time and by what is gained at all,
    the one that proves more is taken (the shorter of two equals).
    """
    found = [_greedy(proves, takes_s, budget_s, hurried) for hurried in (True, False)]
    best = max(found, key=lambda names: (len(_proven(proves, names)), -(takes_s(names) if names else 0.0)))
    return _filled(best, sorted(set(proves) - set(best)), takes_s, budget_s)


def _filled(chosen: list[str], others: list[str], takes_s: Takes, budget_s: float) -> list[str]:
    """With what proves nothing that is not proven already, the quickest first, until the time is used."""
    filled = list(chosen)
    for name in sorted(others, key=lambda one: takes_s([one])):
        if takes_s([*filled, name]) <= budget_s:
            filled.append(name)
    return filled


def _greedy(proves: Mapping[str, frozenset[str]], takes_s: Takes, budget_s: float, hurried: bool) -> list[str]:
    chosen: list[str] = []
    while True:
        proven, now_s = _proven(proves, chosen), takes_s(chosen) if chosen else 0.0
        worth = {}
        for name in sorted(set(proves) - set(chosen)):
            gain = len(proves[name] - proven)
            with_it_s = takes_s([*chosen, name]) if gain else 0.0
            if gain and with_it_s <= budget_s:
                more_s = max(0.5, with_it_s - now_s)
                worth[name] = (gain / more_s if hurried else float(gain), -more_s)
        if not worth:
            return chosen
        chosen.append(max(worth, key=worth.__getitem__))


def _proven(proves: Mapping[str, frozenset[str]], names: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(proves[name] for name in names))
