"""Probes put to promtool: one file of tests for each alert, with its rule and the records it reads and nothing else.

A file with its own rules takes 26 ms for a probe, where a whole configuration as rules took 180 ms. Two promtools
share the files. Rules that are asked the same (an alert as several mutants have it) stand in one file under names of
their own: most of a probe's time goes into its series.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import count
from pathlib import Path
from typing import Any

from chaoskit.alerting.model import Rule
from chaoskit.alerting.promql_durations import CannotScale
from chaoskit.alerting.promql_syntax import Form, Node
from chaoskit.alerting.promql_syntax import read as read_promql
from chaoskit.probes.model import Answer, Instance, Probe, Subject
from chaoskit.rehearse.promtool import answered, ask, asking, dumped, values_of
from chaoskit.rehearse.proof import stepped
from chaoskit.units import format_duration

_SIDE_BY_SIDE = 2
_LEAST_S, _A_RULE_S = 60.0, 2.0
"""So long promtool may take: at least, and for each rule beyond."""


_BY_NAME = re.compile(r"__name__|\bALERTS")
"""In an expression that tells series apart by their name, or looks at alerts."""
_TOGETHER = 40
"""Rules in one file."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The questions about rules: by probe, further expressions and when they are asked for."""

    subjects: Sequence[Subject]
    """No two of them have a name in common."""
    probes: Sequence[tuple[Probe, Mapping[str, tuple[str, float]]]]
    every_s: float


@dataclass(slots=True)
class Asking:
    """Test files of several alerts in one folder, asked about together."""

    promtool: Path
    folder: Path
    _numbers: count[int] = field(default_factory=count)

    def answers(self, subjects: Sequence[tuple[Subject, Sequence[Probe]]]) -> list[dict[str, Answer] | str]:
        """For each alert the answers by probe, or why promtool does not give them."""
        found: dict[int, dict[str, Answer] | str] = {}
        left = _alike(subjects)
        while left:
            halves: list[list[int]] = []
            sheets = [_sheet([subjects[number][0] for number in some], subjects[some[0]][1]) for some in left]
            for some, said in zip(left, self.ask(sheets), strict=True):
                if len(some) > 1 and (isinstance(said, str) or not all("asked" in got for got in said)):
                    # One that cannot be evaluated ends the test of all.
                    halves += [some[: len(some) // 2], some[len(some) // 2 :]]
                    continue
                for at, number in enumerate(some):
                    subject, probes = subjects[number]
                    if isinstance(said, str):
                        found[number] = said
                        continue
                    mine = [_without(_own(at, len(some)), got) for got in said]
                    found[number] = {p.name: _answer(subject, got) for p, got in zip(probes, mine, strict=True)}
            left = halves
        return [found[number] for number in range(len(subjects))]

    def ask(self, sheets: Sequence[Sheet]) -> list[list[dict[str, str]] | str]:
        """For each sheet promtool's answers by probe and question, or why it gives none."""
        files: list[Path] = []
        numbers: list[list[int]] = []
        for sheet in sheets:
            mine = [next(self._numbers) for _ in sheet.probes]
            alert = sheet.subjects[0].rule.alert
            file = self.folder / f"{alert}-{mine[0] if mine else next(self._numbers)}.yml"
            groups = [group for subject in sheet.subjects for group in rules_of(subject, sheet.every_s)["groups"]]
            file.with_suffix(".rules.yml").write_text(dumped({"groups": groups}), "utf-8")
            file.write_text(dumped(document(sheet, file.with_suffix(".rules.yml").name, mine)), "utf-8")
            files.append(file)
            numbers.append(mine)
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            rules = sum(len(sheet.subjects) for sheet in sheets)
            run = partial(self._run, within_s=_LEAST_S + _A_RULE_S * rules)
            said = list(pool.map(run, [files[n::_SIDE_BY_SIDE] for n in range(_SIDE_BY_SIDE)]))
        whole = "\n".join(said)
        got = answered(whole)
        found: list[list[dict[str, str]] | str] = []
        for file, mine in zip(files, numbers, strict=True):
            mark = got.get(mine[0], {}) if mine else {}
            if mine and "asked" not in mark:
                # The first question of each file always has a result: without it, the file was refused.
                found.append(_reason(whole, file))
            else:
                found.append([got.get(number, {}) for number in mine])
        return found

    def _run(self, files: Sequence[Path], within_s: float) -> str:
        return ask(self.promtool, "test", "rules", *files, within_s=within_s)[1] if files else ""


def _alike(subjects: Sequence[tuple[Subject, Sequence[Probe]]]) -> list[list[int]]:
    """The numbers of those that are asked the same and do not go by names, together; each other one alone."""
    found: list[list[int]] = []
    by_probes: dict[tuple[Probe, ...], list[int]] = {}
    for number, (subject, probes) in enumerate(subjects):
        series = {name.partition("{")[0] for probe in probes for name, _ in probe.series}
        mine = by_probes.get(tuple(probes)) if probes and _may_share(subject, series) else []
        if mine is None or len(mine) == _TOGETHER:
            mine = by_probes[tuple(probes)] = []
        if not mine:
            found.append(mine)
        mine.append(number)
    return found


def _may_share(subject: Subject, series: Collection[str]) -> bool:
    """Whether it is the same under another name: none of its records is among the series, and no text asks by name."""
    rules = (*subject.records, *subject.shown, subject.rule)
    labels = "".join(value for rule in rules for value in rule.labels.values())
    names = {rule.record for rule in rules[:-1]}
    return not any(name in series or name in labels for name in names) and all(
        not _BY_NAME.search(rule.expr) and _selectors(rule.expr) is not None for rule in rules
    )


@lru_cache(maxsize=4096)
def _selectors(expr: str) -> tuple[tuple[int, str], ...] | None:
    """Where which series are named; None where that is not read, or one is named otherwise than by its first word."""
    try:
        left, found = [read_promql(expr)], list[Node]()
    except (CannotScale, RecursionError):
        return None
    while left:
        node = left.pop()
        left += node.children
        found += [node] if node.form is Form.SELECTOR else []
    plain = all(node.name and expr.startswith(node.name, node.start) for node in found)
    return tuple(sorted((node.start, node.name) for node in found)) if plain else None


def _own(at: int, among: int) -> str:
    """The ending of each name that tells one of several questions in a file from the others."""
    return f"_{at}" if among > 1 else ""


def _without(own: str, got: Mapping[str, str]) -> dict[str, str]:
    """The answers to questions whose words end so, by the words without it."""
    return {word.removesuffix(own): text for word, text in got.items() if word.endswith(own)}


def _renamed(subject: Subject, own: str) -> Subject:
    """The same with this behind the names of its alert, its group and its records."""
    names = {each.record for each in (*subject.records, *subject.shown)}

    def rename(rule: Rule) -> Rule:
        expr = rule.expr
        for start, name in reversed(_selectors(expr) or ()):
            if name in names:
                expr = f"{expr[: start + len(name)]}{own}{expr[start + len(name) :]}"
        called: dict[str, Any] = {
            key: f"{getattr(rule, key)}{own}" for key in ("alert", "record", "group") if getattr(rule, key)
        }
        return replace(rule, expr=expr, **called)

    return Subject(rename(subject.rule), tuple(map(rename, subject.records)), tuple(map(rename, subject.shown)))


def _sheet(subjects: Sequence[Subject], probes: Sequence[Probe]) -> Sheet:
    """The questions about rules that are asked the same; each one's words end as its names do."""
    owns = [_own(at, len(subjects)) for at in range(len(subjects))]
    renamed = [_renamed(subject, own) if own else subject for subject, own in zip(subjects, owns, strict=True)]
    asked = []
    for probe in probes:
        of_each = [(own, _questions(one, probe)) for one, own in zip(renamed, owns, strict=True)]
        asked.append((probe, {f"{word}{own}": each for own, some in of_each for word, each in some.items()}))
    return Sheet(renamed, asked, probes[0].every_s if probes else subjects[0].rule.interval_s)


def rules_of(subject: Subject, every_s: float) -> dict[str, Any]:
    """A rule file of the alert and the records it reads, as one group; without annotations, whose queries need more."""
    rule, interval = subject.rule, format_duration(every_s)
    records = [
        {"record": r.record, "expr": stepped(r.expr, every_s), "labels": dict(r.labels)}
        for r in (*subject.records, *subject.shown)
    ]
    alert: dict[str, Any] = {"alert": rule.alert, "expr": stepped(rule.expr, every_s), "labels": dict(rule.labels)}
    alert |= {"for": format_duration(rule.for_s)} if rule.for_s else {}
    alert |= {"keep_firing_for": format_duration(rule.keep_firing_for_s)} if rule.keep_firing_for_s else {}
    return {"groups": [{"name": rule.group, "interval": interval, "rules": [*records, alert]}]}


def document(sheet: Sheet, rules: str, numbers: Sequence[int]) -> dict[str, Any]:
    """The file of tests for `promtool test rules`, with the questions of each probe."""
    tests = []
    for number, (probe, questions) in zip(numbers, sheet.probes, strict=True):
        asked = [asking(number, word, expr, at_s) for word, (expr, at_s) in questions.items()]
        tests.append(test_of(probe) | {"promql_expr_test": [asking(number, "asked", "vector(1)", 0.0), *asked]})
    return {"rule_files": [rules], "evaluation_interval": format_duration(sheet.every_s), "tests": tests}


def test_of(probe: Probe) -> dict[str, Any]:
    """A probe's series as a test group."""
    series = [{"series": name, "values": values} for name, values in probe.series]
    return {"name": probe.name, "interval": format_duration(probe.every_s), "input_series": series}


def _questions(subject: Subject, probe: Probe) -> dict[str, tuple[str, float]]:
    rule = subject.rule
    stamp = f'timestamp(ALERTS{{alertname="{rule.alert}"}})'
    over = f"[{format_duration(probe.until_s + probe.every_s)}:{format_duration(probe.every_s)}]"
    return {
        "first": (f"min_over_time({stamp}{over})", probe.until_s),
        "last": (f"max_over_time({stamp}{over})", probe.until_s),
        "value": (stepped(rule.expr, probe.every_s), probe.looks_s),
        **{f"early{number}": (each.record, probe.early_s) for number, each in enumerate(subject.shown)},
        **{f"shown{number}": (each.record, probe.looks_s) for number, each in enumerate(subject.shown)},
    }


def _answer(subject: Subject, got: Mapping[str, str]) -> Answer:
    found: dict[tuple[tuple[str, str], ...], dict[str, list[float]]] = {}
    for word in ("first", "last"):
        for labels, at_s in values_of(got.get(word, "")):
            state = labels.pop("alertstate", "")
            labels.pop("alertname", None)
            found.setdefault(tuple(sorted(labels.items())), {}).setdefault(state, []).append(at_s)
    values = {tuple(sorted(labels.items())): value for labels, value in values_of(got.get("value", ""))}
    made = []
    for key, states in sorted(found.items()):
        # A result's labels are those of its alert without what the rule adds.
        own = [value for labels, value in values.items() if set(labels) <= set(key)]
        spans = {state: (some[0], some[-1]) for state, some in states.items()}
        made.append(Instance(key, spans.get("pending"), spans.get("firing"), own[0] if len(own) == 1 else None))
    for number, record in enumerate(subject.shown):
        early, late = (
            {tuple(sorted((labels | {"__name__": record.record}).items())): value for labels, value in values_of(said)}
            for said in (got.get(f"early{number}", ""), got.get(f"shown{number}", ""))
        )
        made += [Instance(key, None, None, late.get(key), early.get(key)) for key in sorted(early.keys() | late.keys())]
    return tuple(made)


def _reason(said: str, file: Path) -> str:
    """The words of promtool about a file that it refuses, or that it did not come to."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    at = next((n for n, line in enumerate(lines) if file.stem in line), None)
    about = lines[at : at + 3] if at is not None else lines[-1:]
    return " ".join(about).replace(f"{file.parent}/", "") or "promtool says nothing of it"
