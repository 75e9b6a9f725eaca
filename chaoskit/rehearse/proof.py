"""Guesses put to the real engine: promtool evaluates the rule's own expression over the series that were guessed.

A guess holds when the expression has no result at rest, a result once the range is filled and still at the end, and
none after the fall. What promtool finds there are the labels that the alert will carry.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

from chaoskit.alerting.model import Rule
from chaoskit.faults.scripted import Course, Scripted, notation
from chaoskit.rehearse.derive import Guess, closure, guesses, queried, watched_by
from chaoskit.rehearse.mismatch import queries, reason
from chaoskit.rehearse.past import Far
from chaoskit.rehearse.promtool import UNENDED, ask
from chaoskit.rehearse.texts import fed
from chaoskit.rehearse.tree import has_subquery, longest_range_s, shortest_range_s
from chaoskit.units import format_duration

_CHUNK, _LEAST_CHUNK = 60, 6
"""So many guesses are put to one promtool: few enough to keep every core busy, enough to be worth its start."""
_TURNS, _ONE_BY_ONE, _TOGETHER = 60, 6, 12
"""The likeliest guesses are asked about one by one, the others so many at once."""
_PROMTOOL_S, _ALONE_S = 120.0, 30.0
"""How long promtool may take for a file, and for a part of one that it refused as a whole."""
_REFUSED, _MOST_SAID = "refused", 300
_SIDE_BY_SIDE = os.cpu_count() or 1
_MARK = re.compile(r'expr: "(?:[^"\\]|\\.)*?# chaoskit (?P<number>\d+) (?P<when>\w+)", time: (?P<rest>.*)')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_RESULT = re.compile(r"(\{.*?\}) [-+.\dENaInf]+(?:, (?=\{)|$)")
_MOST_SAMPLES, _SPARSEST_S = 9600, 270.0
"""promtool's engine takes 10,000 samples at once, and looks back 5m for one."""
_NO_STEP = re.compile(r":\s*\]")
_MOST_TOGETHER = 200
"""Series of one test, above which no rule joins it."""
_ASKED_WHY = 6
"""So many of the guesses that had no result are asked about again, part by part."""
_NARROWED, _AT_ONCE = 5, 24
"""Rounds in which an edge is looked for, and instants that are asked about in each."""
_BROKEN = "<error expanding template"
_FIRING = re.compile(r"^\s*Labels:(\{.*\})$", re.MULTILINE)
_TRIED_SERIES = "the series that were tried"
_REST = 8
"""Intervals of rest that most conditions can do with."""
_SETTLE = 4
"""Intervals until a change is certainly seen."""
_LONGEST_AGO_S = 2 * 86400.0
_LATE = 60
"""Intervals that a condition must last beyond its `for`, so that it may wait for others in its wave."""
_NOTICE_S = 150.0
"""What a condition that ends by itself must leave for the notification after its `for`."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A rule to rehearse: its number gives the mark of its series, `span_s` is how far back it looks."""

    number: int
    rule: Rule
    span_s: float

    @property
    def mark(self) -> str:
        """The label value of its series."""
        return f"rehearsal-{self.number}"

    def every_s(self, interval_s: float) -> float:
        """Seconds between two samples of its series: a range of a week has more than promtool's engine takes."""
        reads = longest_range_s(promql.parse(self.rule.expr)) / interval_s
        return interval_s * min(max(1, math.ceil(reads / _MOST_SAMPLES)), max(1, int(_SPARSEST_S / interval_s)))


@dataclass(frozen=True, slots=True)
class Proven:
    """A guess that held, and the labels of each result that the expression had."""

    subject: Subject
    guess: Guess
    results: tuple[Mapping[str, str], ...]
    lasts_s: float | None = None
    """For a condition that ends by itself: how long after the fault it certainly still holds."""
    within_s: float | None = None
    """So soon after the fault it holds, where that is before its range is filled: 0 where as soon as it is seen."""
    rest_s: float | None = None
    """For how long its series must be at rest before the fault; None where its whole range must be filled."""
    doubt: str = ""
    """Why a template that fails in the stack says nothing of the rule; empty where it says what it says."""
    far: Far | None = None
    """How it is played where it takes too long as it is."""
    hasty: bool = False
    """Whether it is true before its series are there, or before its range is filled at rest."""


@dataclass(frozen=True, slots=True)
class Unproven:
    """A rule for which no series were found, and why."""

    subject: Subject
    reason: str


def prove(
    subjects: Sequence[Subject],
    records: Mapping[str, Rule],
    promtool: Path,
    folder: Path,
    interval_s: float,
    external: Mapping[str, str] = {},
) -> tuple[list[Proven], list[Unproven]]:
    """Tries the guesses of every rule, one round after another, until one holds or none is left.

    `external` are the external labels, which templates of labels may name.
    """
    apart: dict[float, list[Subject]] = {}
    for subject in subjects:
        apart.setdefault(subject.every_s(interval_s), []).append(subject)
    every = [
        _prove(some, records, promtool, folder / f"{every_s:g}s", every_s, external) for every_s, some in apart.items()
    ]
    proven = [one for found, _ in every for one in found]
    return sorted(proven, key=lambda each: each.subject.number), [one for _, lacking in every for one in lacking]


def _prove(
    subjects: Sequence[Subject],
    records: Mapping[str, Rule],
    promtool: Path,
    folder: Path,
    interval_s: float,
    external: Mapping[str, str],
) -> tuple[list[Proven], list[Unproven]]:
    reasons: dict[int, list[str]] = {subject.number: [] for subject in subjects}
    left: dict[int, tuple[Subject, Iterator[Guess]]] = {
        s.number: (s, guesses(s.rule, records, s.mark, interval_s, reasons[s.number])) for s in subjects
    }
    proven: list[Proven] = []
    failed: dict[int, list[tuple[Subject, Guess]]] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for turn in range(_TURNS):
        trying: list[tuple[Subject, Guess]] = []
        for number, (subject, more) in list(left.items()):
            some = list(islice(more, 1 if turn < _ONE_BY_ONE else _TOGETHER))
            if not some:
                del left[number]
            trying += [(subject, guess) for guess in some]
        if not trying:
            break
        for subject, guess, answers in _round(trying, records, promtool, folder, interval_s, str(turn)):
            outcome = _outcome(answers, instants(subject, guess, interval_s))
            if isinstance(outcome, str):
                reasons[subject.number].append(outcome)
                if _REFUSED in answers:
                    left.pop(subject.number, None)  # no other series would change that
                if outcome.endswith(_LACKS["filled"]):
                    failed.setdefault(subject.number, []).append((subject, guess))
            elif subject.number in left:
                results, lasts, within = outcome
                within_s = None if within is None else within * interval_s
                proven.append(Proven(subject, guess, results, lasts and lasts * interval_s, within_s))
                del left[subject.number]
    done = {each.subject.number for each in proven}
    proven = _rested(proven, records, promtool, folder, interval_s)
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        proven = list(pool.map(lambda p: _told(p, records, promtool, folder, interval_s, external), proven))
    why = [pair for n, some in failed.items() if n not in done for pair in some[-_ASKED_WHY:]]
    never = _never(_round(why, records, promtool, folder, interval_s, "why"))
    unproven = [
        Unproven(s, never.get(s.number) or _telling(reasons[s.number])) for s in subjects if s.number not in done
    ]
    return proven, unproven


def edges(
    proven: Sequence[Proven], records: Mapping[str, Rule], promtool: Path, folder: Path, interval_s: float
) -> dict[int, tuple[float, float]]:
    """By rule, how long after its fault the condition becomes true, and how long after the end it ceases to be.

    Both to the interval; the second is 0 for what ends by itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[int, list[tuple[int, int]]] = {}
    whens = {p.subject.number: instants(p.subject, p.guess, p.subject.every_s(interval_s)) for p in proven}
    for one in proven:
        w = whens[one.subject.number]
        rise = (w.rest - 1, w.held(one.within_s)[0])
        found[one.subject.number] = [rise, (w.late, w.late if one.lasts_s else w.fallen)]
    for turn in range(_NARROWED):
        asked = {n: [at for low, high in each for at in _between(low, high)] for n, each in found.items()}
        for every_s in {p.subject.every_s(interval_s) for p in proven}:
            some = [(p.subject, p.guess) for p in proven if p.subject.every_s(interval_s) == every_s]
            some = [(subject, guess) for subject, guess in some if asked[subject.number]]
            answers = _round(some, records, promtool, folder, every_s, f"edge{turn}-{every_s:g}", asked)
            for subject, _, got in answers:
                rise, fall = found[subject.number]
                true = {int(word[2:]) for word in got}
                found[subject.number] = [_narrowed(rise, true, True), _narrowed(fall, true, False)]
    by_number = {p.subject.number: p for p in proven}
    return {
        n: ((rise[1] - whens[n].rest) * every_s, (fall[1] - whens[n].late) * every_s)
        for n, (rise, fall) in found.items()
        for every_s in (by_number[n].subject.every_s(interval_s),)
    }


def _between(low: int, high: int) -> list[int]:
    """Instants between two, so many at most."""
    step = max(1, math.ceil((high - low) / _AT_ONCE))
    return list(range(low + step, high, step))


def _narrowed(edge: tuple[int, int], true: set[int], rises: bool) -> tuple[int, int]:
    """The two neighbours among which the condition changes for the first time."""
    at = [*_between(*edge), edge[1]]
    changed = next((n for n in at if (n in true) == rises), edge[1])
    return (([edge[0], *at])[at.index(changed)], changed)


def _rested(
    proven: Sequence[Proven], records: Mapping[str, Rule], promtool: Path, folder: Path, interval_s: float
) -> list[Proven]:
    """The same, with a short rest where the engine says that it is as good as a filled range, and the hasty named."""
    far = {p.subject.number: p for p in proven if p.subject.span_s > _REST * interval_s and p.within_s is None}
    short: dict[int, Proven] = {}
    for subject, guess, answers in _round(
        [(p.subject, p.guess) for p in far.values()], records, promtool, folder, interval_s, "short"
    ):
        outcome = _outcome(answers, instants(subject, guess, interval_s))
        if not isinstance(outcome, str) and outcome[0] == far[subject.number].results:
            short[subject.number] = replace(far[subject.number], rest_s=_REST * interval_s)
    at_rest = [(p.subject, p.guess) for p in proven]
    hasty = {
        subject.number
        for subject, _, answers in _round(at_rest, records, promtool, folder, interval_s, "unfilled")
        if answers
    }
    # The steps of a subquery lie otherwise than promtool's, so nothing says that it is false while they are few.
    hasty |= {
        p.subject.number
        for p in proven
        if p.subject.number not in short
        and p.subject.span_s > _REST * interval_s
        and has_subquery(promql.parse(p.subject.rule.expr))
    }
    return [replace(short.get(n, p), hasty=n in hasty) for p in proven for n in (p.subject.number,)]


def roused(
    wave: Sequence[Proven], records: Mapping[str, Rule], promtool: Path, folder: Path, interval_s: float
) -> frozenset[int]:
    """The rules, by number, that have a result, or fail, while the series of their whole wave are at rest."""
    folder.mkdir(parents=True, exist_ok=True)
    series = {each.key: each for one in wave for each in one.guess.series}
    end = max(instants(one.subject, one.guess, interval_s).rest for one in wave)
    test = _test(0, wave[0].subject, Guess(tuple(series.values()), ""), interval_s, "unfilled", [end])
    at = format_duration(end * interval_s)
    asked = [_nothing(s.number, "rest", _stepped(s.rule.expr, interval_s), at) for s in (one.subject for one in wave)]
    names = {name: record for one in wave for name, record in closure(one.subject.rule, records).items()}
    name = f"wave-{wave[0].subject.number}"
    head = {
        "rule_files": _rule_file(folder / f"{name}-rules.yml", list(names.values()), interval_s),
        "evaluation_interval": format_duration(interval_s),
    }
    tests = {-1: (frozenset[str](), {**test, "promql_expr_test": asked})}
    return frozenset(_ask(promtool, folder / f"{name}.yml", head, tests)) - {-1}


def _told(
    one: Proven,
    records: Mapping[str, Rule],
    promtool: Path,
    folder: Path,
    interval_s: float,
    external: Mapping[str, str],
) -> Proven:
    """The same with the labels that the engine makes of templates, and with series for what texts query."""
    rule, number = one.subject.rule, one.subject.number
    asks = bool(queried(rule, {}))
    if not asks and not any("{{" in text for text in rule.labels.values()):
        return one
    if asks:
        guess = fed(rule, one.guess, records, interval_s)
        for _, _, answers in _round([(one.subject, guess)], records, promtool, folder, interval_s, f"fed-{number}"):
            outcome = _outcome(answers, instants(one.subject, guess, interval_s))
            if not isinstance(outcome, str) and outcome[0] == one.results:
                one = replace(one, guess=guess)
    when = instants(one.subject, one.guess, interval_s)
    at = format_duration(interval_s * when.held(one.within_s)[1])
    queries = {f"query{n}": text for n, text in enumerate(queried(rule, one.results[0]))}
    test = _test(0, one.subject, one.guess, interval_s, "told") | {
        "external_labels": dict(external),
        "alert_rule_test": [{"alertname": rule.alert, "eval_time": at, "exp_alerts": []}],
        "promql_expr_test": [_nothing(0, word, text, at) for word, text in queries.items()],
    }
    alert = {"alert": rule.alert, "expr": rule.expr, "for": format_duration(rule.for_s), "labels": dict(rule.labels)}
    feeding = [records[name] for name in closure(rule, records)]
    rules = _rule_file(
        folder / f"told-{number}-rules.yml", feeding, interval_s, [{**alert, "annotations": dict(rule.annotations)}]
    )
    file = folder / f"told-{number}.yml"
    document = {"rule_files": rules, "evaluation_interval": format_duration(interval_s), "tests": [test]}
    file.write_text(dumped(document), encoding="utf-8")
    code, said = promtool_tests(promtool, file)
    got = answered(said).get(0, {})
    found = [_labels(match[1]) for match in _FIRING.finditer(said)]
    for labels in found:
        labels.pop("alertname", None)
    doubt = ""
    if empty := next((text for word, text in queries.items() if not got.get(word, "error").startswith("got")), ""):
        doubt = f"no series were found for what it queries: {empty}"
    elif code == UNENDED:
        doubt = said
    elif asks and _BROKEN not in said:
        doubt = "with the series of its rule alone it does not"
    return replace(one, results=tuple(found) or one.results, doubt=doubt)


def _telling(reasons: list[str]) -> str:
    """The reason worth telling: what the first guess lacked, or else why nothing could be guessed."""
    tried = [reason for reason in reasons if reason.startswith(_TRIED_SERIES)]
    return (tried or reasons or ["it reads no series"])[0]


def _never(asked: Iterable[tuple[Subject, Guess, Mapping[str, str]]]) -> dict[int, str]:
    """By rule, why it can never be true, where two of its sides never match, whatever the guess."""
    found: dict[int, str] = {}
    all_of: dict[int, list[tuple[str, Mapping[str, str]]]] = {}
    for subject, _, answers in asked:
        all_of.setdefault(subject.number, []).append((subject.rule.expr, answers))
    for number, some in all_of.items():
        matched = {word: got for _, answers in some for word, got in answers.items() if word.startswith("whole")}
        found[number] = next((why for expr, answers in some if (why := reason(expr, {**matched, **answers}))), "")
    return found


def _round(
    trying: Sequence[tuple[Subject, Guess]],
    records: Mapping[str, Rule],
    promtool: Path,
    folder: Path,
    interval_s: float,
    turn: str,
    asked: Mapping[int, Sequence[int]] = {},
) -> Iterable[tuple[Subject, Guess, Mapping[str, str]]]:
    """What promtool says of one guess each; rules that read recording rules get a file with those rules.

    In the turn `why` it is asked about the parts of the expression as well; in the turn `short` the series begin
    shortly before the fault; in the turn `unfilled` it is asked while they begin, and nothing ever moves. `asked` are
    other instants, in intervals by rule.
    """
    by_rules: dict[tuple[str, ...], list[int]] = {}
    for at, (subject, _) in enumerate(trying):
        by_rules.setdefault(tuple(sorted(closure(subject.rule, records))), []).append(at)
    jobs: list[tuple[list[int], Path, Mapping[str, Any], Mapping[int, _Test]]] = []
    chunk = min(_CHUNK, max(_LEAST_CHUNK, math.ceil(len(trying) / _SIDE_BY_SIDE)))
    for number, (names, members) in enumerate(by_rules.items()):
        files = _rule_file(folder / f"records-{turn}-{number}.yml", [records[name] for name in names], interval_s)
        parts = math.ceil(len(members) / chunk)
        for first in range(parts):
            part = members[first::parts]
            file = folder / f"tests-{turn}-{number}-{first}.yml"
            tests = {
                at: (_metrics(*trying[at], records), _test(at, *trying[at], interval_s, turn, asked.get(number, ())))
                for at in part
                for number in (trying[at][0].number,)
            }
            jobs.append((part, file, {"rule_files": files, "evaluation_interval": format_duration(interval_s)}, tests))
    said: dict[int, Mapping[str, str]] = {}
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        for (part, *_), answers in zip(jobs, pool.map(lambda job: _ask(promtool, *job[1:]), jobs), strict=True):
            said |= {at: answers.get(at, {}) for at in part}
    return [(*pair, said[at]) for at, pair in enumerate(trying)]


_Test = tuple[frozenset[str], Mapping[str, Any]]
"""The metrics that a test shows or reads, and the test."""


def _metrics(subject: Subject, guess: Guess, records: Mapping[str, Rule]) -> frozenset[str]:
    """Those that a rule reads, through recording rules or not, and those of its series; "" where one is not named."""
    rules = (subject.rule, *closure(subject.rule, records).values())
    return frozenset(watched_by(rule.expr for rule in rules)) | {one.name for one in guess.series}


def _rule_file(
    path: Path, records: Sequence[Rule], interval_s: float, more: Sequence[Mapping[str, Any]] = ()
) -> list[str]:
    if not records and not more:
        return []
    rules = [*({"record": r.record, "expr": r.expr, "labels": dict(r.labels)} for r in records), *more]
    groups = [{"name": "records", "interval": format_duration(interval_s), "rules": rules}]
    path.write_text(dumped({"groups": groups}), encoding="utf-8")
    return [str(path)]


@dataclass(frozen=True, slots=True)
class Instants:
    """When a condition is asked for, in intervals from the beginning; the fault begins at `rest`, ends at `late`."""

    rest: int
    early: int
    early_end: int
    soon: int
    soon_end: int
    filled: int
    end: int
    late: int
    fallen: int

    def held(self, within_s: float | None) -> tuple[int, int]:
        """From when to when a condition is known to hold that does so this soon after the fault."""
        if within_s is None:
            return self.filled - 1, self.end - 1
        return (self.soon, self.soon_end - 1) if within_s else (self.early, self.early_end - 1)


def instants(subject: Subject, guess: Guess, interval_s: float) -> Instants:
    """The end of the rest, the filled range, the end of `for`, long after it, the end of the fall.

    Between them, for what ends by itself: as soon as the fault is seen, and once the shortest range is filled.

    promtool's time begins at 0, and a time stamp should not lie before it; one of weeks ago does, for its samples
    would be too many.
    """
    span = math.ceil(subject.span_s / interval_s) + _SETTLE
    ago_s = max((-value for one in guess.series if one.clock for value in _levels(one)), default=0.0)
    rest = span + math.ceil(ago_s / interval_s if 0 < ago_s <= _LONGEST_AGO_S else 0)
    held = math.ceil(subject.rule.for_s / interval_s) + _SETTLE
    early = rest + _SETTLE
    late = rest + span + held + _LATE
    lasts = held + math.ceil(_NOTICE_S / interval_s)
    soon = min(early + math.ceil(shortest_range_s(subject.rule.expr) / interval_s), rest + span)
    return Instants(
        rest, early, min(early + lasts, late), soon, min(soon + lasts, late),
        rest + span, rest + span + held, late, late + span,
    )  # fmt: skip


def _levels(series: Scripted) -> list[float]:
    return [s.start for values in (series.rest, series.values) for s in values.segments if s.start is not None]


def _test(
    number: int, subject: Subject, guess: Guess, interval_s: float, turn: str, at: Sequence[int] = ()
) -> dict[str, Any]:
    when_ = instants(subject, guess, interval_s)
    course = Course(0.0, when_.rest * interval_s, when_.late * interval_s)
    series = []
    begin = max(0, when_.rest - _REST) if turn == "short" else 0
    end = when_.fallen
    if turn == "unfilled":
        course, begin, end = Course(0.0), 1, max([math.ceil(subject.span_s / interval_s) + _SETTLE, *at])
    for one in guess.series:
        values = notation(one, course, interval_s, end + 1, interval_s, begin)
        series.append({"series": one.key, "values": values})
    whens = {
        "rest": when_.rest - 1,
        "early": when_.early,
        "early_end": when_.early_end - 1,
        "soon": when_.soon,
        "soon_end": when_.soon_end - 1,
        "filled": when_.filled - 1,
        "end": when_.end - 1,
        "late": when_.late - 1,
        "fallen": when_.fallen,
    }
    if when_.soon in (when_.early, when_.filled):
        del whens["soon"], whens["soon_end"]
    if turn == "unfilled":
        whens = {f"at{at}": at for at in (0, *(begin + 2**n - 1 for n in range(20))) if at <= end}
    if at:
        whens = {f"at{each}": each for each in at}
    expr = _stepped(subject.rule.expr, interval_s)
    texts = {when: (expr, at) for when, at in whens.items()}
    if turn == "why":
        texts |= {word: (text, when_.filled - 1) for word, text in queries(expr).items()}
    asked = [_nothing(number, word, text, format_duration(at * interval_s)) for word, (text, at) in texts.items()]
    return {"interval": format_duration(interval_s), "input_series": series, "promql_expr_test": asked}


def _stepped(expr: str, interval_s: float) -> str:
    """With a step in each subquery: promtool takes another than Prometheus, whose own is the interval of evaluation."""
    return _NO_STEP.sub(f":{format_duration(interval_s)}]", expr.strip())


def _nothing(number: int, word: str, expr: str, at: str) -> dict[str, Any]:
    """Expects no result, so that promtool tells of any."""
    return {"expr": f"{expr}\n# chaoskit {number} {word}", "eval_time": at, "exp_samples": []}


def _ask(
    promtool: Path,
    file: Path,
    head: Mapping[str, Any],
    tests: Mapping[int, _Test],
    within_s: float = _PROMTOOL_S,
) -> dict[int, dict[str, str]]:
    """By test and instant, what promtool found where nothing was expected.

    Where it refuses the whole file, each half of the tests is asked alone, until the one that it refuses is alone.
    """
    file.write_text(dumped({**head, "tests": _together(tests.values())}), encoding="utf-8")
    code, said = promtool_tests(promtool, file, within_s)
    found = answered(said)
    if found or not code:
        return found
    numbers = list(tests)
    if len(numbers) == 1:
        words = " ".join(said.replace("Unit Testing:", "").replace(str(file), "").split())
        return {numbers[0]: {_REFUSED: f"error {words[-_MOST_SAID:]}"}}
    half = len(numbers) // 2
    for some in (numbers[:half], numbers[half:]):
        part = file.with_name(f"{file.stem}-from-{some[0]}-to-{some[-1]}.yml")
        found |= _ask(promtool, part, head, {number: tests[number] for number in some}, _ALONE_S)
    return found


def _together(tests: Iterable[_Test]) -> list[Mapping[str, Any]]:
    """The same tests, those in one that have no metric in common: promtool opens a store for each, which takes longer
    than most of them."""
    found: list[tuple[set[str], dict[str, Any]]] = []
    for metrics, test in tests:
        alike = (one for one in found if one[0].isdisjoint(metrics) and "" not in metrics | one[0])
        mine, room = next((one for one in alike if len(one[1]["input_series"]) < _MOST_TOGETHER), (set(), {}))
        if not room:
            room |= {"interval": test["interval"], "input_series": [], "promql_expr_test": []}
            found.append((mine, room))
        mine |= metrics
        for key in ("input_series", "promql_expr_test"):
            room[key] += test[key]
    return [room for _, room in found]


def promtool_tests(promtool: Path, file: Path, within_s: float = _PROMTOOL_S) -> tuple[int, str]:
    """How `promtool test rules` ended and all it said; raises EquipmentError where it does not run."""
    return ask(promtool, "test", "rules", file, within_s=within_s)


def answered(said: str) -> dict[int, dict[str, str]]:
    """By test and word of `# chaoskit TEST WORD`, what promtool got for expressions that were expected to be empty."""
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


_Held = tuple[tuple[Mapping[str, str], ...], int | None, int | None]
"""The results, after how many intervals the condition may end by itself, and within how many it holds, where that is
before its range is filled."""


def _outcome(mine: Mapping[str, str], when: Instants) -> _Held | str:
    broken = next((text for text in mine.values() if text.startswith("error ")), "")
    if broken:
        return f"the engine refuses it with such series: {broken.removeprefix('error ')}"
    for instant in ("rest", "fallen"):
        if instant in mine:
            return f"{_TRIED_SERIES} {_LACKS[instant]}"
    if "filled" in mine and "end" in mine:
        return results_of(mine["end"]), None if "late" in mine else when.end - when.rest, None
    if "early" in mine and "early_end" in mine:
        return results_of(mine["early_end"]), when.early_end - when.rest, 0
    if "soon" in mine and "soon_end" in mine:
        return results_of(mine["soon_end"]), when.soon_end - when.rest, when.soon - when.rest
    return f"{_TRIED_SERIES} {_LACKS['end' if {'filled', 'early', 'soon'} & mine.keys() else 'filled']}"


_LACKS = {
    "filled": "do not make it true",
    "end": "do not keep it true for as long as its `for`: it ends by itself",
    "rest": "make it true before the fault",
    "fallen": "leave it true after the fault",
}


def results_of(got: str) -> tuple[Mapping[str, str], ...]:
    """The labels of each result in an answer, without the metric's name; one without labels where there are none."""
    text = got.removeprefix("got:").strip()
    found = []
    for match in _RESULT.finditer(text):
        labels = _labels(match[1])
        labels.pop("__name__", None)
        found.append(labels)
    return tuple(found) or ({},)


def _labels(text: str) -> dict[str, str]:
    return {name: re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), raw) for name, raw in _LABEL.findall(text)}


def dumped(document: Mapping[str, Any]) -> str:
    """A document as YAML, quickly."""
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(dict(document), Dumper=dumper, sort_keys=False, width=1_000_000))
