"""Mutants judged without starting anything: which ones `check` notices, and which only a run could.

The one idea: what `check` says of the configuration as it is counts for nothing; only what it says beyond that does.
Shares of the mutants are judged by two forks: of a share promtool sees all rule files in one call, amtool all
Alertmanager configurations in one, and the texts that differ.
"""

from __future__ import annotations

import pickle
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from queue import SimpleQueue
from typing import cast

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig
from chaoskit.approve.texts import TEXTS, UNRENDERED, first_change, is_approved, rendered
from chaoskit.check.findings import Severity, Violation
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.diff.expressions import behind
from chaoskit.errors import BadInput
from chaoskit.explain.alert import without_places
from chaoskit.files import write_private
from chaoskit.host.lines import Lines
from chaoskit.host.process import Child, fork
from chaoskit.mutate.equivalence import equivalent
from chaoskit.mutate.model import Mutant
from chaoskit.mutate.source import Text, file_of, mutated, texts_of
from chaoskit.probes.levels import Approved, Levels
from chaoskit.probes.model import Answer, Probe
from chaoskit.run.planning import ask_plans
from chaoskit.scenario.model import Profile, Scenario
from chaoskit.stack.binaries import Tool
from chaoskit.stack.check_programs import failing_templates, template_texts
from chaoskit.stack.monitoring import check_alertmanagers, check_rules, check_syntax
from chaoskit.yaml_source import Node

STATUSES = ("refused", "killed", "warned", "equivalent", "execute")
_PROBES = 4
"""Further probes that a mutant is put to together: one that answers the first ones otherwise is asked no more."""
_TOGETHER = 100
"""Mutants that the programs are asked about together; so many names of files fit on a command line."""
_SHARE_S = 3600.0
"""So long they may take on a busy machine; alone they take seconds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a mutant: one of STATUSES, or killed, survived or unknown where it was played."""

    mutant: Mutant
    status: str
    by: str = ""
    """The programs and lints that saw the mutant: lints, promtool, amtool, the reader here, or a scenario."""
    hop: str = ""
    """Of one that was played: the hop whose row decided."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Left:
    """A mutant that `check` does not notice, as it was read."""

    mutant: Mutant
    texts: Mapping[str, str]
    config: AlertConfig
    warned: Outcome | None


@dataclass
class Ground:
    """The ground on which mutants are judged: the files as they are, and what `check` knows beside them."""

    files: Mapping[tuple[str, str], str]
    """By role and name, as they are on disk."""
    beside: LintContext
    """Scenarios, profiles, metrics, runbooks and levels; its configuration is not looked at."""
    plannable: Sequence[Profile] = ()
    """The profiles that scenarios are planned with."""
    tools: Mapping[str, Tool] = field(default_factory=dict)
    approved: Path | None = None
    """The folder of approved answers and texts; None where none are compared."""
    levels: bool = True
    """Whether approved answers are compared."""
    given: frozenset[str] = frozenset()
    """The roles (rules, template) whose files were named by hand, also where the configurations name others."""

    @cached_property
    def texts(self) -> dict[str, str]:
        """The configuration's texts by `role:NAME`."""
        return texts_of(self.files)

    @cached_property
    def config(self) -> AlertConfig:
        """The configuration before any mutant; raises BadInput."""
        return load_texts(self.texts, complete=False)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(name for _, name in self.files)

    @cached_property
    def _before(self) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        planned = self._planned(self.config, self.beside.scenarios)
        return Counter(k for k, *_ in self._found(self.config)), Counter(k for k, *_ in planned)

    def _found(self, config: AlertConfig) -> Iterator[tuple[tuple[str, str], Severity, str]]:
        facts = replace(self.beside, config=config, elsewhere={}, _lines={})
        for each in check(facts, least=Severity.WARNING).findings:
            yield (each.id, without_places(each.message, self._names)), each.severity, each.message

    def _planned(
        self, config: AlertConfig, scenarios: Sequence[Scenario]
    ) -> Iterator[tuple[tuple[str, str], Severity, str]]:
        for each in ask_plans(scenarios, self.plannable, config):
            severity = Severity.ERROR if each.severity is None else each.severity
            yield ("scenario-plan", without_places(each.message, self._names)), severity, each.message

    def noticed(self, mutant: Mutant, config: AlertConfig) -> Outcome | None:
        """The findings of `check` for this configuration that it lacks for the one as it is; None for nothing."""
        new = list(_beyond(self._found(config), self._before[0]))
        if all(severity < Severity.ERROR for _, severity, _ in new):
            new += _beyond(self._planned(config, self.may_differ(mutant)), self._before[1])
        for severity, status in ((Severity.ERROR, "killed"), (Severity.WARNING, "warned")):
            if said := [each for each in new if each[1] is severity]:
                return Outcome(mutant, status, ", ".join(dict.fromkeys(each[0][0] for each in said)), "", said[0][2])
        return None

    @cached_property
    def _told_before(self) -> frozenset[str]:
        """The scenarios of which the plan says something already; those have to be asked of each mutant anew."""
        return frozenset(one.name for one in self.beside.scenarios if ask_plans([one], self.plannable, self.config))

    @cached_property
    def _readers(self) -> Mapping[str, frozenset[str]]:
        """By alert or record, the alerts that read it, an alert itself among them."""
        found = dict[str, set[str]]()
        for rule in self.config.rules:
            for name in {rule.alert, *behind(self.config, rule)} if rule.alert else ():
                found.setdefault(name, set()).add(rule.alert)
        return {name: frozenset(some) for name, some in found.items()}

    def may_differ(self, mutant: Mutant) -> Sequence[Scenario]:
        """The scenarios whose plan may be another one: of an alert's expression or texts no other one's plan knows."""
        part = mutant.site.removeprefix(f"{mutant.about}.").partition(".")[0]
        if mutant.role != "template" and (mutant.role != "rules" or part not in ("expr", "annotations")):
            return self.beside.scenarios
        alerts = self._readers.get(mutant.about, frozenset())
        mine = (each for each in self.beside.scenarios if each.name in self._told_before or alerts & each.alerts)
        return list(mine)

    @cached_property
    def _pairs(self) -> dict[tuple[str, str], tuple[tuple[Node, Node], ...]]:
        yaml = ((file, text) for file, text in self.files.items() if file[0] != "template")
        return {file: Text("rules", file[1], text).root.pairs for file, text in yaml}

    def sections(self, mutant: Mutant) -> frozenset[str]:
        """The keys at the top of the file in which the mutant's edits stand."""
        pairs = self._pairs.get((mutant.role, mutant.file), ())
        return frozenset(
            next((key.raw for key, _ in reversed(pairs) if key.place.line <= each.line), "") for each in mutant.edits
        )


def _beyond(
    found: Iterable[tuple[tuple[str, str], Severity, str]], before: Counter[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], Severity, str]]:
    left = Counter(before)
    for each in found:
        left[each[0]] -= 1
        if left[each[0]] < 0:
            yield each


def judge_all(
    ground: Ground, mutants: Sequence[Mutant], told: Callable[[int], None] = lambda count: None
) -> list[Outcome]:
    """An outcome for each mutant, in their order; `told` hears after each share how many there are by now.

    Many are judged by two processes. Raises EquipmentError where promtool or amtool cannot be run.
    """
    # Templates, which take longest, come first.
    ordered = sorted(mutants, key=lambda each: (each.role, each.about), reverse=True)
    shares = [ordered[start : start + _TOGETHER] for start in range(0, len(ordered), _TOGETHER)]
    found: dict[str, Outcome] = {}
    some = (_judged(ground, share) for share in shares) if len(shares) < 2 else _side_by_side(ground, shares)
    for outcomes in some:
        found |= outcomes
        told(len(found))
    return [found[mutant.id] for mutant in mutants]


def _side_by_side(ground: Ground, shares: Sequence[Sequence[Mutant]]) -> Iterator[dict[str, Outcome]]:
    """The outcomes of each share, in any order, from two forks, which know the ground as we do; they end with us."""
    with tempfile.TemporaryDirectory(prefix="chaoskit-mutate-") as name:
        folder = Path(name)

        def main() -> int:
            parent = Lines(1, 0)
            for number in parent:
                found: object
                try:
                    found = _judged(ground, shares[int(number)])
                except Exception as error:
                    error.add_note(traceback.format_exc())
                    found = error
                (folder / number.strip().decode()).write_bytes(pickle.dumps(found))
                parent.send(number)
            return 0

        def asked(number: int) -> dict[str, Outcome]:
            child = free.get()
            try:
                child.lines.send(b"%d" % number)
                child.hello(_SHARE_S, "the outcomes of its mutants")
            finally:
                free.put(child)
            found = pickle.loads((folder / str(number)).read_bytes())
            if isinstance(found, Exception):
                raise found
            return cast(dict[str, Outcome], found)

        free: SimpleQueue[Child] = SimpleQueue()
        children: list[Child] = []
        with ThreadPoolExecutor(2) as pool:
            try:
                for judge in ("judge-1", "judge-2"):
                    title = f"chaoskit mutate: {judge}"
                    children.append(fork(main, name=judge, log=folder / f"{judge}.log", title=title))
                    free.put(children[-1])
                for done in as_completed([pool.submit(asked, number) for number in range(len(shares))]):
                    yield done.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                for child in children:
                    child.stop(0)


def _judged(ground: Ground, mutants: Sequence[Mutant]) -> dict[str, Outcome]:
    known = {each.problem.message for each in ground.config.not_understood}
    found: dict[str, Outcome] = {}
    left: list[_Left] = []
    for mutant in mutants:
        judged = _by_check(ground, mutant, known)
        if isinstance(judged, Outcome):
            found[mutant.id] = judged
        else:
            left.append(judged)
    with tempfile.TemporaryDirectory(prefix="chaoskit-mutate-") as folder, ThreadPoolExecutor(2) as pool:
        return found | _by_programs(ground, left, Path(folder), pool)


def _by_check(ground: Ground, mutant: Mutant, known: Collection[str]) -> Outcome | _Left:
    """The judgement of reading, `check` and the proof of equivalence; `known` puzzles are in the files as they are."""
    try:
        texts = mutated(ground.files, ground.given, mutant)
        config = load_texts(texts, complete=False)
    except BadInput as bad:
        return Outcome(mutant, "refused", "reading", "", str(bad.problems[0]))
    for puzzle in config.not_understood:
        if puzzle.problem.message not in known:
            return Outcome(mutant, "refused", "reading", "", str(puzzle))
    noticed = ground.noticed(mutant, config)
    if noticed is not None and noticed.status == "killed":
        return noticed
    if why := equivalent(ground.config, config, mutant, ground.sections(mutant)):
        return Outcome(mutant, "equivalent", reason=why)
    return _Left(mutant, texts, config, noticed)


def _by_programs(ground: Ground, left: Sequence[_Left], folder: Path, pool: ThreadPoolExecutor) -> dict[str, Outcome]:
    """The files that promtool and amtool refuse, the texts that amtool cannot render, and all others as they stand."""
    promtool, amtool = (ground.tools[name].path if name in ground.tools else None for name in ("promtool", "amtool"))
    found: dict[str, Outcome] = {}
    if promtool is not None:
        rules = [each for each in left if each.mutant.role == "rules"]
        found |= _rules(promtool, rules, folder)
        if ground.levels:
            found |= _levels(ground, [each for each in rules if each.mutant.id not in found])
        files = {folder / f"{each.mutant.id}.yml": each for each in left if each.mutant.role == "prometheus"}
        for file, each in files.items():
            file.write_text(each.texts[f"prometheus:{each.mutant.file}"], encoding="utf-8")
        refusals = pool.map(partial(check_syntax, promtool), files)
        for each, problems in zip(files.values(), refusals, strict=True):
            if problems:
                found[each.mutant.id] = Outcome(each.mutant, "refused", "promtool", "", problems[0].message)
    if amtool is not None:
        read = _texts(ground, [each for each in left if each.mutant.id not in found], pool)
        mine = [each for each in left if each.mutant.role in ("alertmanager", "template")]
        rendered_otherwise = [id_ for id_, each in read.items() if UNRENDERED not in each.reason]
        found |= read | _notices(ground, amtool, mine, rendered_otherwise, folder, pool)
    return {each.mutant.id: each.warned or Outcome(each.mutant, "execute") for each in left} | found


def _notices(
    ground: Ground, amtool: Path, mine: Sequence[_Left], other: Collection[str], folder: Path, pool: ThreadPoolExecutor
) -> dict[str, Outcome]:
    """The Alertmanager configurations that amtool refuses, and those with a text that it cannot render; of the `other`
    ones, whose notices are known to read otherwise, no text is rendered."""
    if not mine:
        return {}
    found: dict[str, Outcome] = {}
    beforehand = {(each.text, each.html) for each in template_texts(ground.config)}
    laid = [_laid_out(each.texts, folder / each.mutant.id) for each in mine]
    as_it_is, *said = _amtool(amtool, [_laid_out(ground.texts, folder / "as-it-is"), *laid])
    for each, texts, problems in zip(mine, laid, said, strict=True):
        refused = [problem for problem in problems if problem not in as_it_is]
        lost = {file_of(key) for key in ground.texts} != {file_of(key) for key in each.texts}
        others = {(one.text, one.html) for one in template_texts(each.config)} != beforehand
        failing: tuple[Violation, ...] = ()
        if not refused and each.mutant.id not in other and (each.mutant.role == "template" or lost or others):
            failing = failing_templates(load_texts(texts, complete=False), amtool, folder, pool)
        if refused:
            found[each.mutant.id] = Outcome(each.mutant, "refused", "amtool", "", refused[0])
        elif failing:
            found[each.mutant.id] = Outcome(each.mutant, "killed", "template-fails", "", failing[0].message)
    return found


def _texts(ground: Ground, left: Sequence[_Left], pool: ThreadPoolExecutor) -> dict[str, Outcome]:
    """Mutants of which a notice is not as approved."""
    folder = ground.approved
    if folder is None or not is_approved(folder):
        return {}
    amtool = ground.tools["amtool"]
    rendered(ground.config, amtool, folder)  # what all share is remembered before they ask side by side
    said = pool.map(lambda each: first_change(each.config, amtool, folder), left)
    return {
        each.mutant.id: Outcome(each.mutant, "killed", TEXTS, "", message)
        for each, message in zip(left, said, strict=True)
        if message
    }


def _rules(promtool: Path, some: Sequence[_Left], folder: Path) -> dict[str, Outcome]:
    """One call for the rule files of so many mutants."""
    files: dict[str, Mutant] = {}
    for each in some:
        parts = (
            text for key, text in each.texts.items() if key.startswith("rules:") and file_of(key) == each.mutant.file
        )
        for number, text in enumerate(parts):
            file = folder / f"{each.mutant.id}-{number}.yml"
            file.write_text(text, encoding="utf-8")
            files[str(file)] = each.mutant
    found: dict[str, Outcome] = {}
    for problem in check_rules(promtool, list(map(Path, files))):
        mutant = files.get(problem.place.file if problem.place else "")
        if mutant is not None:
            found.setdefault(mutant.id, Outcome(mutant, "refused", "promtool", "", problem.message))
    return found


def _levels(ground: Ground, rules: Sequence[_Left]) -> dict[str, Outcome]:
    """Mutants that answer approved probes otherwise: those at promised levels first, a few more at a time where that
    is not enough."""
    found: dict[str, Outcome] = {}
    before = Levels(ground.config, ground.tools["promtool"], ground.approved)
    pairs = [(each.mutant, replace(before, config=each.config)) for each in rules]
    changed = [(mutant, levels, levels.changed_from(before)) for mutant, levels in pairs]
    known: dict[tuple[str, str], dict[str, Answer]] = {}
    # Many read a record that was changed; most often the first of them answers otherwise already.
    rounds = range(max((len(some) for _, _, some in changed), default=0))
    longest = max((len(one.file.probes) for _, _, some in changed for one in some), default=0)
    for begin, number in ((begin, number) for begin in (None, *range(0, longest, _PROBES)) for number in rounds):
        left = [
            (mutant, levels, some[number], _share(some[number], begin))
            for mutant, levels, some in changed
            if mutant.id not in found and number < len(some) and _share(some[number], begin)
        ]
        fresh = before.answers([(one.subject, probes) for _, _, one, probes in left])
        for (mutant, levels, one, _), answer in zip(left, fresh, strict=True):
            now = answer
            if not isinstance(answer, str):
                now = known[mutant.id, one.name] = {**known.get((mutant.id, one.name), {}), **answer}
                asked = tuple(probe for probe in one.file.probes if probe.name in now)
                one = replace(one, file=replace(one.file, probes=asked))
            for lint, said in levels.compared(one, now, {}):
                found.setdefault(mutant.id, Outcome(mutant, "killed", lint, "", said.message))
    return found


def _share(one: Approved, begin: int | None) -> Sequence[Probe]:
    """The probes of promised levels, or some of the others."""
    promised = one.file.at_promised().probes
    others = [probe for probe in one.file.probes if probe not in promised]
    return promised if begin is None else others[begin : begin + _PROBES]


def _laid_out(texts: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The texts with Alertmanager's configuration and templates as files below `folder`, named as they are there."""
    home = next((Path(file_of(key)).parent for key in texts if key.startswith("alertmanager:")), Path())
    laid: dict[str, str] = {}
    for key, text in texts.items():
        role, name = key.partition(":")[0], Path(file_of(key))
        if role in ("alertmanager", "template"):
            file = folder / (name.relative_to(home) if name.is_relative_to(home) else Path("elsewhere") / name.name)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_private(file, text.encode())
            key = f"{role}:{file}"
        laid[key] = text
    return laid


def _amtool(amtool: Path, texts: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """For each of these configurations the faults that amtool finds in Alertmanager's file."""
    files = [next((Path(file_of(key)) for key in each if key.startswith("alertmanager:")), None) for each in texts]
    said = iter(check_alertmanagers(amtool, [file for file in files if file is not None]))
    return [
        [each.message.replace(str(file.parent), "") for each in next(said)] if file is not None else []
        for file in files
    ]
