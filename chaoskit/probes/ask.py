"""Probes put to promtool: one file of tests for each alert, with its rule and the records it reads and nothing else.

A file with its own rules takes 26 ms for a probe, where a whole configuration as rules took 180 ms. Two promtools
share the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from chaoskit.probes.model import Answer, Instance, Probe, Subject
from chaoskit.rehearse.promtool import answered, ask, asking, dumped, rule_entry, values_of
from chaoskit.rehearse.proof import stepped
from chaoskit.units import format_duration

_SIDE_BY_SIDE = 2
_LEAST_S, _A_TEST_S = 60.0, 2.0
"""So long promtool may take: at least, and for each test beyond."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The questions about one rule: by probe, further expressions and when they are asked for."""

    subject: Subject
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
        sheets = []
        for subject, probes in subjects:
            with_questions = [(probe, _questions(subject, probe)) for probe in probes]
            sheets.append(Sheet(subject, with_questions, probes[0].every_s if probes else subject.rule.interval_s))
        found: list[dict[str, Answer] | str] = []
        for sheet, said in zip(sheets, self.ask(sheets), strict=True):
            if isinstance(said, str):
                found.append(said)
            else:
                pairs = zip(sheet.probes, said, strict=True)
                found.append({p.name: _answer(sheet.subject, got) for (p, _), got in pairs})
        return found

    def ask(self, sheets: Sequence[Sheet]) -> list[list[dict[str, str]] | str]:
        """For each sheet promtool's answers by probe and question, or why it gives none."""
        files: list[Path] = []
        numbers: list[list[int]] = []
        for sheet in sheets:
            mine = [next(self._numbers) for _ in sheet.probes]
            file = self.folder / f"{sheet.subject.rule.alert}-{mine[0] if mine else next(self._numbers)}.yml"
            file.with_suffix(".rules.yml").write_text(dumped(rules_of(sheet.subject, sheet.every_s)), "utf-8")
            file.write_text(dumped(document(sheet, file.with_suffix(".rules.yml").name, mine)), "utf-8")
            files.append(file)
            numbers.append(mine)
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            said = list(pool.map(self._run, [files[n::_SIDE_BY_SIDE] for n in range(_SIDE_BY_SIDE)]))
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

    def _run(self, files: Sequence[Path]) -> str:
        if not files:
            return ""
        within_s = _LEAST_S + _A_TEST_S * len(files)
        return ask(self.promtool, "test", "rules", *files, within_s=within_s)[1]


def rules_of(subject: Subject, every_s: float) -> dict[str, Any]:
    """A rule file of the alert and the records it reads, as one group; without annotations, whose queries need more."""
    rules = (*subject.records, *subject.shown, subject.rule)
    entries = [rule_entry(replace(one, expr=stepped(one.expr, every_s))) for one in rules]
    return {"groups": [{"name": subject.rule.group, "interval": format_duration(every_s), "rules": entries}]}


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
