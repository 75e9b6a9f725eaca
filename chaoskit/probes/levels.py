"""The findings of `check` about levels: those that are promised are proved by promtool, approved answers are compared.

A promised level is put to the rule by an approved probe where there is one, whose series do not follow the rule, and
otherwise by one that is derived now. The answers of promtool are remembered under the hash of rule, records, probes and
version.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from chaoskit.alerting.model import AlertConfig, PromisedLevels, Rule
from chaoskit.check.findings import Violation
from chaoskit.errors import BadInput, Problem
from chaoskit.probes.ask import Asking
from chaoskit.probes.derive import Derived, derive, subject_of
from chaoskit.probes.model import FIRES, QUIET, Answer, Answered, Probe, Subject, fires, raised
from chaoskit.probes.text import LEVELS, answer_lines, generation, read_levels, same, text_of
from chaoskit.rehearse.derive import recording_rules
from chaoskit.safety.remembered import keep, key_of, recall
from chaoskit.stack.binaries import Tool
from chaoskit.yaml_source import read_text

WRONG, CHANGED, UNPROVED = "levels", "levels-approved", "levels-unproved"
"""The ids of the three lints about promised levels and approved answers."""
_KIND = "levels"
_SHOWN = 3
"""Answers that differ and are shown, of each alert."""


@dataclass(frozen=True, slots=True)
class Said:
    """Findings by lint, and by alert the proof of both sides of its threshold, for those that have one."""

    findings: Mapping[str, tuple[Violation, ...]]
    proved: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Approved:
    """The approved probes of an alert, and the name of their file in the folder of what was approved."""

    name: str
    subject: Subject
    file: Answered


@dataclass(slots=True)
class Levels:
    """The alerts of a configuration, asked about their levels with one promtool."""

    config: AlertConfig
    tool: Tool
    approved: Path | None = None
    """The folder of approved answers, one inside for each alert."""
    _records: dict[str, Rule] = field(init=False)

    def __post_init__(self) -> None:
        self._records = recording_rules(self.config.rules)

    def subjects(self, alerts: Iterable[str] = ()) -> list[tuple[str, Subject]]:
        """Each alerting rule, or those of these names, with the name of its file of answers."""
        wanted, found, numbers = set(alerts), list[tuple[str, Subject]](), dict[str, int]()
        for rule in self.config.rules:
            if rule.alert and (not wanted or rule.alert in wanted):
                number = numbers[rule.alert] = numbers.get(rule.alert, 0) + 1
                name = LEVELS if number == 1 else LEVELS.replace(".", f"-{number}.")
                found.append((f"{rule.alert}/{name}", subject_of(rule, self.config.rules, self._records)))
        return found

    def promised(self, subject: Subject) -> PromisedLevels | None:
        """The levels that are promised of an alert; None where none are."""
        beside = self.config.promise.alerts.get(subject.rule.alert)
        return beside.levels if beside else None

    def derived(
        self, subjects: Sequence[Subject], promised_only: bool = False
    ) -> list[tuple[Answered, tuple[str, ...]]]:
        """The probes of each rule as they are derived now, with their answers, and what could not be probed."""

        def derive_again(asking: Asking, numbers: Sequence[int]) -> Sequence[Derived]:
            some = [(subjects[n], self.promised(subjects[n])) for n in numbers]
            return derive(some, self._records, asking, promised_only)

        keys = [self._key(each, _own_code(), str(self.promised(each)), str(promised_only)) for each in subjects]
        return [
            (Answered(one.alert, one.promtool, (), {}), (*lacking, f"promtool refuses its probes: {refused}"))
            if refused
            else (one, lacking)
            for one, lacking, refused in self._remembered(keys, derive_again)
        ]

    def answers(self, asked: Sequence[tuple[Subject, Sequence[Probe]]]) -> list[dict[str, Answer] | str]:
        """The rules' answers to probes that are given, or why there are none; remembered ones where nothing changed."""
        keys = [self._key(subject, _own_code(), json.dumps([asdict(p) for p in probes])) for subject, probes in asked]
        found = self._remembered(keys, lambda _, numbers: [Derived(asked[n][0], tuple(asked[n][1])) for n in numbers])
        return [refused or dict(one.answers) for one, _, refused in found]

    def _remembered(
        self, keys: Sequence[str], make: Callable[[Asking, Sequence[int]], Sequence[Derived]]
    ) -> list[tuple[Answered, tuple[str, ...], str]]:
        """By key: answers, what could not be probed, and why promtool gives no answers, which is not remembered. `make`
        gives the probes of those by number that are to be asked about, as no answer of theirs is remembered."""
        known = [recall(_KIND, key) for key in keys]
        missing = [number for number, text in enumerate(known) if text is None]
        fresh: Iterator[tuple[Derived, dict[str, Answer] | str]] = iter(())
        if missing and self.tool.path is not None:
            with tempfile.TemporaryDirectory(prefix="chaoskit-levels-") as folder:
                asking = Asking(self.tool.path, Path(folder))
                made = make(asking, missing)
                fresh = zip(made, asking.answers([(one.subject, one.probes) for one in made]), strict=True)
        found: list[tuple[Answered, tuple[str, ...], str]] = []
        for key, text in zip(keys, known, strict=True):
            if text is not None:
                alert, kept, lacking = json.loads(text)
                found.append((read_levels(kept, f"{alert}/{LEVELS}"), tuple(lacking), ""))
                continue
            one, answer = next(fresh)
            refused, answers = (answer, {}) if isinstance(answer, str) else (one.refused, answer)
            whole = Answered(one.subject.rule.alert, self.tool.version or "", one.probes, answers)
            found.append((whole, one.lacking, refused))
            if not refused:
                keep(_KIND, key, json.dumps([whole.alert, text_of(whole), one.lacking]))
        return found

    def _key(self, subject: Subject, *more: str) -> str:
        rule = subject.rule
        rules = [
            [r.name, r.expr, r.for_s, r.keep_firing_for_s, r.interval_s, sorted(r.labels.items())]
            for r in (*subject.records, *subject.shown, rule)
        ]
        return key_of([self.tool.version or "", json.dumps(rules), *more])

    def check(self) -> Said:
        """Proves promised levels and compares approved answers."""
        found: dict[str, list[Violation]] = {WRONG: [], CHANGED: [], UNPROVED: []}
        proved: dict[str, str] = {}
        approved: list[Approved] = []
        fresh: list[Subject] = []
        for name, subject in self.subjects():
            problems: list[Problem] = []
            file = self.read(name, problems)
            found[CHANGED] += [Violation(p.place or subject.rule.place, p.message, p.hint) for p in problems]
            levels = self.promised(subject)
            if file is not None:
                approved.append(Approved(name, subject, file))
            if levels is not None and (file is None or not _holds(file, levels)):
                fresh.append(subject)
        answers = self.answers([(one.subject, one.file.probes) for one in approved])
        for one, now in zip(approved, answers, strict=True):
            for lint, said in self.compared(one, now, proved):
                found[lint].append(said)
        for subject, (answered, lacking) in zip(fresh, self.derived(fresh, True), strict=True):
            if levels := self.promised(subject):
                if _holds(answered, levels):
                    found[WRONG] += _judged(subject, levels, answered.answers, proved).values()
                else:
                    found[UNPROVED].append(_unproved(subject, levels, lacking))
        return Said({lint: tuple(some) for lint, some in found.items()}, proved)

    def compared(
        self, one: Approved, now: dict[str, Answer] | str, proved: dict[str, str]
    ) -> Iterator[tuple[str, Violation]]:
        """The findings about the answers to approved probes, by lint; a proof of promised levels is added."""
        rule, told = one.subject.rule, dict[str, Violation]()
        if isinstance(now, str):
            message = f"promtool does not answer the approved probes of {rule.alert}: {now}"
            yield CHANGED, Violation(rule.place, message, "correct the rule")
            return
        levels = self.promised(one.subject)
        if levels is not None and _holds(one.file, levels):
            told = _judged(one.subject, levels, now, proved)
            yield from ((WRONG, each) for each in told.values())
        other = generation(self.tool.version or "") != generation(one.file.promtool)
        before = one.file.answers
        differing = [
            p
            for p in one.file.probes
            if p.name not in told and not same(before[p.name], now[p.name], p.every_s if other else 0.0)
        ]
        if differing:
            lines = [line for p in differing[:_SHOWN] for line in (f"  {p.name}", *_diff(before[p.name], now[p.name]))]
            more = [f"  and {len(differing) - _SHOWN} more"] if len(differing) > _SHOWN else []
            count, where = f"{len(differing)} of {len(one.file.probes)} probes", (self.approved or Path()) / one.name
            message = "\n".join([f"{rule.alert} answers {count} otherwise than approved in {where}:", *lines, *more])
            todo = "correct the rule, or read the new answers and approve them: chaoskit approve --update"
            yield CHANGED, Violation(rule.place, message, todo)

    def changed_from(self, other: Levels) -> list[Approved]:
        """The approved probes of alerts whose rule or records are not as in another configuration."""
        before = {other._key(subject) for _, subject in other.subjects()}
        mine = ((name, subject) for name, subject in self.subjects() if self._key(subject) not in before)
        return [Approved(n, subject, file) for n, subject in mine if (file := self.read(n, [])) is not None]

    def read(self, name: str, problems: list[Problem]) -> Answered | None:
        """The approved probes in a file; None where there are none, or none that can be read, which is reported."""
        if self.approved is None or not (self.approved / name).is_file():
            return None
        file = self.approved / name
        try:
            return read_levels(read_text(file), str(file))
        except BadInput as error:
            problems += error.problems
        return None


@cache
def _own_code() -> str:
    """The hash of the code that makes probes: what another version of it made is made anew."""
    folder = Path(__file__).parent
    files = sorted([*folder.glob("*.py"), *(folder.parent / "rehearse").glob("*.py")])
    return key_of(file.read_text("utf-8") for file in files)


def _judged(
    subject: Subject, levels: PromisedLevels, answers: Mapping[str, Answer], proved: dict[str, str]
) -> dict[str, Violation]:
    """By probe what is wrong with it at the promised levels; else the proof is added."""
    rule, quiet, loud = subject.rule, QUIET.format(levels.quiet), FIRES.format(levels.fires)
    wrong = {}
    todo = "correct the rule, or the promise"
    if raised(answers[quiet]):
        does = "fires" if fires(answers[quiet]) else "becomes pending"
        message = f"{rule.alert} is promised to stay quiet at {levels.quiet:.12g} ({levels.place}), and {does}"
        wrong[quiet] = Violation(rule.place, message, todo)
    if not fires(answers[loud]):
        does = "stays pending" if raised(answers[loud]) else "stays quiet"
        message = f"{rule.alert} is promised to fire at {levels.fires:.12g} ({levels.place}), and {does}"
        wrong[loud] = Violation(rule.place, message, todo)
    if not wrong:
        proved[rule.alert] = f"promtool: quiet at {levels.quiet:.12g}, fires at {levels.fires:.12g}"
    return wrong


def _holds(file: Answered, levels: PromisedLevels) -> bool:
    """Whether both promised levels are among the probes."""
    return {QUIET.format(levels.quiet), FIRES.format(levels.fires)} <= file.answers.keys()


def _diff(before: Answer, now: Answer) -> list[str]:
    old, new = answer_lines(before), answer_lines(now)
    return [f"    -{line[3:]}" for line in old if line not in new] + [
        f"    +{line[3:]}" for line in new if line not in old
    ]


def _unproved(subject: Subject, levels: PromisedLevels, lacking: Sequence[str]) -> Violation:
    reason = "; ".join(lacking) or "chaoskit could make no probe of these levels"
    message = f"the levels of {subject.rule.alert} are promised ({levels.place}) and not proved: {reason}"
    return Violation(subject.rule.place, message, "prove the levels by a drill on either side, or change the promise")
