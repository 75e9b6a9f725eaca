"""Asking promtool, as a child that ends with us: unit tests of rules go in, and what it got where it expected nothing.

An expression is asked for by expecting no result of it, so that promtool tells of any. A mark in a comment behind it
(`# chaoskit TEST WORD`) says in the answer to which question it belongs.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from chaoskit.alerting.model import Rule
from chaoskit.errors import EquipmentError
from chaoskit.host.process import run
from chaoskit.stack.monitoring import contained_environment
from chaoskit.units import format_duration

UNENDED = 124
_ROOMY = {"GOGC": "400", "GOMEMLIMIT": "256MiB"}
"""It opens a database for each test: with more memory before Go's collector begins, it takes a fifth less CPU."""
TESTS_S = 120.0
"""Seconds that promtool may take for one file of tests."""
_MARK = re.compile(r'expr: "(?:[^"\\]|\\.)*?# chaoskit (?P<number>\d+) (?P<when>\w+)", time: (?P<rest>.*)')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_RESULT = re.compile(r"(\{.*?\}) ([-+.\dENaInf]+)(?:, (?=\{)|$)")


def ask(promtool: Path, *words: str | Path, within_s: float) -> tuple[int, str]:
    """How promtool ended (UNENDED where it did not in time) and its output; EquipmentError where it does not run."""
    try:
        done = run([promtool, *words], within_s, env={**_ROOMY, **contained_environment()})
    except OSError as error:
        raise EquipmentError("promtool", str(error)) from None
    except subprocess.TimeoutExpired:
        return UNENDED, f"promtool did not end within {within_s:g} s"
    return done.returncode, done.stdout + done.stderr


def run_tests(promtool: Path, file: Path, document: Mapping[str, Any], within_s: float = TESTS_S) -> tuple[int, str]:
    """How `promtool test rules` ended on a document, which it reads from `file`, and all it said; raises as `ask`."""
    file.write_text(dumped(document), encoding="utf-8")
    return ask(promtool, "test", "rules", file, within_s=within_s)


def rule_entry(rule: Rule) -> dict[str, Any]:
    """A rule as a rule file has it, without its annotations, whose queries may need more."""
    named = {"alert": rule.alert} if rule.alert else {"record": rule.record}
    held = {"for": rule.for_s, "keep_firing_for": rule.keep_firing_for_s}
    times = {key: format_duration(seconds) for key, seconds in held.items() if seconds}
    return {**named, "expr": rule.expr, "labels": dict(rule.labels), **times}


def asking(number: int, word: str, expr: str, at_s: float) -> dict[str, Any]:
    """The question what an expression results in at an instant, for `promql_expr_test`."""
    return {"expr": f"{expr}\n# chaoskit {number} {word}", "eval_time": format_duration(at_s), "exp_samples": []}


def answered(said: str) -> dict[int, dict[str, str]]:
    """By test and word of `asking`, what promtool got for expressions that were expected to be empty."""
    found: dict[int, dict[str, str]] = {}
    lines = said.splitlines()
    for number, line in enumerate(lines):
        match = _MARK.search(line)
        if match is None:
            continue
        broken = match["rest"].partition("err: ")[2]
        got = next((each.strip() for each in lines[number + 1 : number + 3] if each.strip().startswith("got:")), "")
        found.setdefault(int(match["number"]), {})[match["when"]] = f"error {broken}" if broken else got
    return found


def results_of(got: str) -> tuple[Mapping[str, str], ...]:
    """The labels of each result in an answer, without the metric's name; one without labels where there are none."""
    return tuple(labels for labels, _ in values_of(got)) or ({},)


def values_of(got: str) -> list[tuple[dict[str, str], float]]:
    """The labels of each result in an answer, without the metric's name, and its value; empty for none or an error."""
    found = [(labels_in(match[1]), float(match[2])) for match in _RESULT.finditer(got.removeprefix("got:").strip())]
    for labels, _ in found:
        labels.pop("__name__", None)
    return found


def labels_in(text: str) -> dict[str, str]:
    """The labels of a series as promtool writes it."""
    return {name: re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), raw) for name, raw in _LABEL.findall(text)}


def dumped(document: Mapping[str, Any]) -> str:
    """A document as YAML text, written by the fast C emitter."""
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(dict(document), Dumper=dumper, sort_keys=False, allow_unicode=True, width=1_000_000))
