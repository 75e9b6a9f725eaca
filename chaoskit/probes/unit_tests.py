"""Probes and their answers as files for `promtool test rules`, to keep and run without chaoskit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.probes.ask import rules_of, test_of
from chaoskit.probes.levels import Levels
from chaoskit.probes.model import Answer, Answered, Probe, Subject
from chaoskit.rehearse.promtool import dumped
from chaoskit.units import format_duration


def write_tests(levels: Levels, subjects: Sequence[tuple[str, Subject]], out: Path) -> tuple[int, list[str]]:
    """Writes two files for each alert: its rules and its tests. The number of test files, and for each alert that has
    none the reason. Raises BadInput where the folder cannot be used."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise BadInput(Problem(Place(str(out)), "the folder is not empty", "name a new one"))
        problems: list[Problem] = []
        kept = [levels.read(name, problems) for name, _ in subjects]
        if problems:
            raise BadInput(problems)
        fresh = iter(levels.derived([s for (_, s), file in zip(subjects, kept, strict=True) if file is None]))
        written, lacking = 0, list[str]()
        for (name, subject), file in zip(subjects, kept, strict=True):
            answered, without = next(fresh) if file is None else (file, ())
            lacking += [f"{subject.rule.alert} ({subject.rule.place}): {reason}" for reason in without]
            if answered.probes:
                stem = name.replace("/levels", "").removesuffix(".txt")
                every_s = answered.probes[0].every_s
                (out / f"{stem}.rules.yml").write_text(dumped(rules_of(subject, every_s)), "utf-8")
                (out / f"{stem}.test.yml").write_text(
                    dumped(_document(subject, answered, f"{stem}.rules.yml")), "utf-8"
                )
                written += 1
    except OSError as error:
        raise BadInput(Problem(Place(str(error.filename or out)), f"cannot be written: {error.strerror}")) from None
    return written, lacking


def _document(subject: Subject, answered: Answered, rules: str) -> dict[str, Any]:
    tests = [
        test_of(probe) | {"alert_rule_test": _tests(subject, probe, answered.answers[probe.name])}
        for probe in answered.probes
    ]
    return {"rule_files": [rules], "evaluation_interval": format_duration(answered.probes[0].every_s), "tests": tests}


def _tests(subject: Subject, probe: Probe, answer: Answer) -> list[dict[str, Any]]:
    """The alerts that fire when the probe looks, at its end, and on either side of each change, an evaluation away:
    generations of promtool differ by one."""
    every_s = probe.every_s
    edges = {probe.looks_s, probe.until_s}
    for first, last in (each.firing_s for each in answer if each.firing_s):
        edges |= {first - 2 * every_s, first + every_s, last - every_s, last + 2 * every_s}
    at = sorted(edge for edge in edges if 0 <= edge <= probe.until_s)
    return [
        {"alertname": subject.rule.alert, "eval_time": format_duration(edge), "exp_alerts": list(_firing(answer, edge))}
        for edge in at
    ]


def _firing(answer: Answer, at_s: float) -> Iterator[Mapping[str, Any]]:
    for each in answer:
        if each.firing_s and each.firing_s[0] <= at_s <= each.firing_s[1]:
            yield {"exp_labels": {name: value for name, value in each.labels if name != "alertname"}}
