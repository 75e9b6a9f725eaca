"""approved/ALERT/levels.txt: an alert's probes and answers for a person to read once, and for `check` to read again.

    probe: fires at the promised 101
      level from 1m to 8m, until 9m, every 15s, value at 7m30s
      series worker_queue_depth{instance="one",job="one"} 50x3 101x27 50x5
      = pending 1m to 5m45s, firing 6m to 7m45s, value 101 {instance="one",job="one",severity="warning"}

Series are in promtool's notation. Times count from the first sample; an answer's are those of the first and the last
evaluation that found it so. `= quiet` says that nothing was raised. `= shows 0.03 then 0.05 NAME{...}` is what a record
that only annotations read comes to, soon after the level was reached and when the value is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.faults.series import identity, parse_identity, parse_values
from chaoskit.probes.model import Answer, Answered, Instance, Probe, raised
from chaoskit.units import format_duration, parse_duration

LEVELS = "levels.txt"
_HEAD = "# {alert}: how it answers series around its threshold, as promtool {version} says. Read it once;\n"
_HEAD += "# `chaoskit approve` writes it, `chaoskit check` compares.\n"
_VERSION = re.compile(r"as promtool (\S+) says")
_LEVEL = re.compile(r"  level from (\S+) to (\S+), until (\S+), every (\S+), value at (\S+)")
_SERIES = re.compile(r'  series ([a-zA-Z_:][\w:]*(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?) (.*)')
_ANSWER = re.compile(r"  = (?:pending (\S+) to (\S+?))?(?:, )?(?:firing (\S+) to (\S+?))?(?:, value (\S+))? (\{.*\})")
_SHOWS = re.compile(r"  = shows (\S+) then (\S+) (.+)")
_NOTHING = "nothing"
_QUIET = "  = quiet"


def generation(version: str) -> str:
    """The part of promtool's version on which answers may depend: from 3 on a range is open on its left."""
    return version.partition(".")[0]


def text_of(found: Answered) -> str:
    """Probes and answers as the file's text."""
    head = _HEAD.format(alert=found.alert, version=generation(found.promtool))
    return head + "".join("\n" + "\n".join(_probe(p, found.answers[p.name])) + "\n" for p in found.probes)


def _probe(probe: Probe, answer: Answer) -> Iterator[str]:
    spans = (probe.begins_s, probe.ends_s, probe.until_s, probe.every_s, probe.looks_s)
    yield f"probe: {probe.name}"
    yield "  level from {} to {}, until {}, every {}, value at {}".format(*map(format_duration, spans))
    yield from (f"  series {name} {values}" for name, values in probe.series)
    yield from answer_lines(answer)


def answer_lines(answer: Answer) -> list[str]:
    """An answer as lines of the file of approved answers."""
    mine = raised(answer)
    return [*map(_instance, mine or (None,)), *(_instance(each) for each in answer if each not in mine)]


def _instance(one: Instance | None) -> str:
    if one is None:
        return _QUIET
    if not (one.pending_s or one.firing_s):
        labels = dict(one.labels)
        early, late = (_NOTHING if each is None else f"{each:.6g}" for each in (one.early, one.value))
        return f"  = shows {early} then {late} {identity(labels.pop('__name__'), labels)}"
    parts = [
        f"{word} {format_duration(span[0])} to {format_duration(span[1])}"
        for word, span in (("pending", one.pending_s), ("firing", one.firing_s))
        if span
    ]
    parts += [] if one.value is None else [f"value {one.value:.6g}"]
    return f"  = {', '.join(parts)} {identity('', dict(one.labels)) or '{}'}"


@lru_cache(maxsize=64)
def read_levels(text: str, file: str) -> Answered:
    """The probes and answers of a file; raises BadInput for each line that is none."""
    version = _VERSION.search(text)
    alert = Path(file).parent.name
    probes: list[Probe] = []
    answers: dict[str, Answer] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            _read(line, probes, answers)
        except ValueError as error:
            hint = "let chaoskit write the file anew: chaoskit approve --update"
            problems.append(Problem(Place(file, number), f"no line of a probe: {error}", hint))
    if problems:
        raise BadInput(problems)
    return Answered(alert, version[1] if version else "", tuple(probes), answers)


def _read(line: str, probes: list[Probe], answers: dict[str, Answer]) -> None:
    if not line.strip() or line.startswith("#"):
        return
    if line.startswith("probe: "):
        name = line.removeprefix("probe: ")
        if name in answers:
            raise ValueError(f"'{name}' stands there twice")
        probes.append(Probe(name, (), 15.0, 0.0, 0.0, 0.0, 0.0))
        answers[name] = ()
    elif not probes:
        raise ValueError("the line stands before the first probe")
    elif level := _LEVEL.fullmatch(line):
        begins, ends, until, every, looks = map(parse_duration, level.groups())
        probes[-1] = Probe(probes[-1].name, probes[-1].series, every, begins, ends, until, looks)
    elif series := _SERIES.fullmatch(line):
        parse_identity(series[1])
        parse_values(series[2])
        probes[-1] = replace(probes[-1], series=(*probes[-1].series, (series[1], series[2])))
    elif shown := _SHOWS.fullmatch(line):
        name, labels = parse_identity(shown[3])
        early, late = (None if each == _NOTHING else float(each) for each in shown.group(1, 2))
        key = tuple(sorted({**labels, "__name__": name}.items()))
        answers[probes[-1].name] += (Instance(key, None, None, late, early),)
    elif answer := _ANSWER.fullmatch(line):
        answers[probes[-1].name] += (_read_instance(answer),)
    elif line != _QUIET:
        raise ValueError(f"'{line.strip()[:60]}'")


def _read_instance(found: re.Match[str]) -> Instance:
    spans = [None if found[n] is None else (parse_duration(found[n]), parse_duration(found[n + 1])) for n in (1, 3)]
    labels = parse_identity(f"x{found[6]}")[1]
    value = None if found[5] is None else float(found[5])
    return Instance(tuple(sorted(labels.items())), spans[0], spans[1], value)


def same(approved: Answer, now: Answer, tolerance_s: float) -> bool:
    """Whether an answer is the approved one; with a tolerance, as between generations of promtool, but for so much in
    each time, and for any values."""
    if len(approved) != len(now):
        return False
    for a, b in zip(approved, now, strict=True):
        if a.labels != b.labels or (a.pending_s is None) != (b.pending_s is None):
            return False
        if (a.firing_s is None) != (b.firing_s is None):
            return False
        mine, theirs = ((*(one.pending_s or ()), *(one.firing_s or ())) for one in (a, b))
        if any(abs(x - y) > tolerance_s + 1e-6 for x, y in zip(mine, theirs, strict=True)):
            return False
        if not tolerance_s and _instance(a) != _instance(b):
            return False
    return True
