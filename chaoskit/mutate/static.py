"""Mutants judged without starting anything: which ones `check` notices, and which only a run could.

The one idea: what `check` says of the configuration as it is counts for nothing; only what it says beyond that does.
promtool sees all rule files in one call, amtool each Alertmanager configuration and the texts that differ.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig
from chaoskit.approve.texts import TEXTS, first_change, is_approved
from chaoskit.check.findings import Severity, Violation
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.errors import BadInput
from chaoskit.explain.alert import without_places
from chaoskit.files import write_private
from chaoskit.mutate.equivalence import equivalent
from chaoskit.mutate.model import Mutant
from chaoskit.mutate.source import Text, file_of, mutated, texts_of
from chaoskit.probes.levels import Levels
from chaoskit.run.planning import ask_plans
from chaoskit.scenario.model import Profile
from chaoskit.stack.binaries import Tool
from chaoskit.stack.check_programs import failing_templates, template_texts
from chaoskit.stack.monitoring import check_alertmanager, check_rules, check_syntax
from chaoskit.yaml_source import Node

STATUSES = ("refused", "killed", "warned", "equivalent", "execute")
_FILES_A_CALL = 400
"""So many names of files fit on a command line with room to spare."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a mutant: one of STATUSES, or killed, survived or unknown where it was played."""

    mutant: Mutant
    status: str
    by: str = ""
    """Its finders: lints, promtool, amtool, the reader here, or a scenario."""
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
        """The texts by `role:NAME`."""
        return texts_of(self.files)

    @cached_property
    def config(self) -> AlertConfig:
        """The configuration as it is; raises BadInput."""
        return load_texts(self.texts, complete=False)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(name for _, name in self.files)

    @cached_property
    def _before(self) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        return Counter(k for k, *_ in self._found(self.config)), Counter(k for k, *_ in self._planned(self.config))

    def _found(self, config: AlertConfig) -> Iterator[tuple[tuple[str, str], Severity, str]]:
        facts = replace(self.beside, config=config, elsewhere={}, _lines={})
        for each in check(facts).findings:
            yield (each.id, without_places(each.message, self._names)), each.severity, each.message

    def _planned(self, config: AlertConfig) -> Iterator[tuple[tuple[str, str], Severity, str]]:
        for each in ask_plans(self.beside.scenarios, self.plannable, config):
            severity = Severity.ERROR if each.severity is None else each.severity
            yield ("scenario-plan", without_places(each.message, self._names)), severity, each.message

    def noticed(self, mutant: Mutant, config: AlertConfig) -> Outcome | None:
        """The findings of `check` for this configuration that it lacks for the one as it is; None for nothing."""
        new = list(_beyond(self._found(config), self._before[0]))
        if all(severity < Severity.ERROR for _, severity, _ in new):
            new += _beyond(self._planned(config), self._before[1])
        for severity, status in ((Severity.ERROR, "killed"), (Severity.WARNING, "warned")):
            if said := [each for each in new if each[1] is severity]:
                return Outcome(mutant, status, ", ".join(dict.fromkeys(each[0][0] for each in said)), "", said[0][2])
        return None

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
    """An outcome for each mutant, in their order; `told` hears how many `check` has looked at."""
    found: dict[str, Outcome] = {}
    left: list[_Left] = []
    known = {each.problem.message for each in ground.config.not_understood}
    for count, mutant in enumerate(mutants, 1):
        told(count)
        try:
            texts = mutated(ground.files, ground.given, mutant)
            config = load_texts(texts, complete=False)
        except BadInput as bad:
            found[mutant.id] = Outcome(mutant, "refused", "reading", "", str(bad.problems[0]))
            continue
        puzzles = [each for each in config.not_understood if each.problem.message not in known]
        noticed = ground.noticed(mutant, config) if not puzzles else None
        if puzzles:
            found[mutant.id] = Outcome(mutant, "refused", "reading", "", str(puzzles[0]))
        elif noticed is not None and noticed.status == "killed":
            found[mutant.id] = noticed
        elif why := equivalent(ground.config, config, mutant, ground.sections(mutant)):
            found[mutant.id] = Outcome(mutant, "equivalent", reason=why)
        else:
            left.append(_Left(mutant, texts, config, noticed))
    with tempfile.TemporaryDirectory(prefix="chaoskit-mutate-") as folder, ThreadPoolExecutor(4) as pool:
        found |= _by_programs(ground, left, Path(folder), pool)
    for each in left:
        found.setdefault(each.mutant.id, each.warned or Outcome(each.mutant, "execute"))
    return [found[mutant.id] for mutant in mutants]


def _by_programs(ground: Ground, left: Sequence[_Left], folder: Path, pool: ThreadPoolExecutor) -> dict[str, Outcome]:
    """The files that promtool and amtool refuse, and the texts that amtool cannot render."""
    promtool, amtool = (ground.tools[name].path if name in ground.tools else None for name in ("promtool", "amtool"))
    found: dict[str, Outcome] = {}
    if promtool is not None:
        rules = [each for each in left if each.mutant.role == "rules"]
        for number in range(0, len(rules), _FILES_A_CALL):
            found |= _rules(promtool, rules[number : number + _FILES_A_CALL], folder)
        if ground.levels:
            found |= _levels(ground, [each for each in rules if each.mutant.id not in found])
        for each in (each for each in left if each.mutant.role == "prometheus"):
            file = folder / f"{each.mutant.id}.yml"
            file.write_text(each.texts[f"prometheus:{each.mutant.file}"], encoding="utf-8")
            if problems := check_syntax(promtool, file):
                found[each.mutant.id] = Outcome(each.mutant, "refused", "promtool", "", problems[0].message)
    if amtool is not None:
        beforehand = {(each.text, each.html) for each in template_texts(ground.config)}
        found |= _texts(ground, [each for each in left if each.mutant.id not in found], pool)
        as_it_is = set(_amtool(amtool, _laid_out(ground.texts, folder / "as-it-is")))
        for each in left:
            if each.mutant.role not in ("alertmanager", "template"):
                continue
            texts = _laid_out(each.texts, folder / each.mutant.id)
            refused = [problem for problem in _amtool(amtool, texts) if problem not in as_it_is]
            lost = {file_of(key) for key in ground.texts} != {file_of(key) for key in each.texts}
            others = {(one.text, one.html) for one in template_texts(each.config)} != beforehand
            said: tuple[Violation, ...] = ()
            if not refused and (each.mutant.role == "template" or lost or others):
                config = load_texts(texts, complete=False)
                said = failing_templates(config, amtool, folder, pool)
            if refused:
                found[each.mutant.id] = Outcome(each.mutant, "refused", "amtool", "", refused[0])
            elif said:
                found[each.mutant.id] = Outcome(each.mutant, "killed", "template-fails", "", said[0].message)
    return found


def _texts(ground: Ground, left: Sequence[_Left], pool: ThreadPoolExecutor) -> dict[str, Outcome]:
    """Mutants of which a notice is not as approved."""
    folder = ground.approved
    if folder is None or not is_approved(folder):
        return {}
    said = pool.map(lambda each: first_change(each.config, ground.tools["amtool"], folder), left)
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
    """Mutants that answer approved probes otherwise: those at promised levels first, all of them where that is not
    enough."""
    found: dict[str, Outcome] = {}
    before = Levels(ground.config, ground.tools["promtool"], ground.approved)
    pairs = [(each, levels) for each in rules for levels in (replace(before, config=each.config),)]
    probed = [(each.mutant, levels, one) for each, levels in pairs for one in levels.changed_from(before)]
    for first in (True, False):
        left = [
            (mutant, levels, replace(one, file=one.file.at_promised() if first else one.file))
            for mutant, levels, one in probed
            if mutant.id not in found
        ]
        answers = before.answers([(one.subject, one.file.probes) for _, _, one in left])
        for (mutant, levels, one), now in zip(left, answers, strict=True):
            for lint, said in levels.compared(one, now, {}):
                found.setdefault(mutant.id, Outcome(mutant, "killed", lint, "", said.message))
    return found


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


def _amtool(amtool: Path, texts: Mapping[str, str]) -> list[str]:
    """The faults that amtool finds in the Alertmanager configuration among these texts."""
    files = [Path(file_of(key)) for key in texts if key.startswith("alertmanager:")]
    return [each.message.replace(str(file.parent), "") for file in files for each in check_alertmanager(amtool, file)]
