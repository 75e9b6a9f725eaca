"""Guesses put to the real engine: promtool evaluates the rule's own expression over the series that were guessed.

A guess holds when the expression has no result at rest, a result once the range is filled and still at the end, and
none after the fall. The labels of promtool's results are those that the alert will carry.
"""

from __future__ import annotations

import math
import os
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from chaoskit.alerting.expression import expression, walk
from chaoskit.alerting.model import Rule
from chaoskit.faults.series import Course, Scripted, Values, notation, value_at
from chaoskit.rehearse.derive import Guess, Subject, closure, exprs_of, fed, guesses, queried, watched_by
from chaoskit.rehearse.matching import queries, reason
from chaoskit.rehearse.past import Far
from chaoskit.rehearse.promtool import TESTS_S, UNENDED, answered, asking, dumped, labels_in, results_of, run_tests
from chaoskit.rehearse.tree import shortest_range_s
from chaoskit.units import format_duration

_CHUNK, _LEAST_CHUNK = 60, 6
"""So many guesses are put to one promtool: few enough to keep every core busy, enough to be worth its start."""
_TURNS, _ONE_BY_ONE, _TOGETHER = 60, 6, 12
"""The likeliest guesses are asked about one by one, the others so many at once."""
_ALONE_S = 30.0
"""How long promtool may take for a part of a file that it refused as a whole."""
_REFUSED, _MOST_SAID = "refused", 300
_SIDE_BY_SIDE = os.cpu_count() or 1
_NO_STEP = re.compile(r":\s*\]")
_MOST_TOGETHER = 200
"""Series of one test, above which no rule joins it."""
_SHAKEN, _JITTER, _LOOKS = "shaken", 0.1, 12
"""Of an interval: how early or late a scrape may be; and how often what is at rest is then looked at."""
_CLOCK, _NOW_S = re.compile(r"\btime\s*\(\s*\)"), 1.7e9
_BETWEEN = 0.4
"""Of an interval: evaluations are not at the instants of scrapes, and so a range of four intervals has four samples."""
_ONE_STEP = "1000d"
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
"""Seconds that a condition which ends by itself must last beyond its `for`, so that the notification is sent."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A guess that held, and the labels of each result that the expression had."""

    guess: Guess
    results: tuple[Mapping[str, str], ...]
    lasts_s: float | None = None
    """For a condition that ends by itself: how long after the fault it certainly still holds."""
    within_s: float | None = None
    """So soon after the fault it holds, where that is before its range is filled: 0 where as soon as it is seen."""
    rest_s: float | None = None
    """For how long the rule's series must be at rest before the fault; None where its whole range must be filled."""
    doubt: str = ""
    """Why a template that fails in the stack says nothing of the rule; empty where it says what it says."""
    far: Far | None = None
    """The shorter way of playing a rule that takes too long as it is."""
    hasty: bool = False
    """Whether the expression is true before its series are there, or before its range is filled at rest."""

    @property
    def subject(self) -> Subject:
        """The rule that was proven."""
        return self.guess.subject


@dataclass(frozen=True, slots=True)
class Unproven:
    """A rule for which no series were found, and why."""

    subject: Subject
    reason: str


@dataclass(frozen=True, slots=True)
class Engine:
    """promtool as it is asked about series whose samples are `interval_s` apart; its files lie in `folder`. `external`
    are the external labels, which templates of labels may name."""

    records: Mapping[str, Rule]
    promtool: Path
    folder: Path
    interval_s: float
    external: Mapping[str, str] = field(default_factory=dict)

    def head(self, name: str, records: Iterable[Rule], more: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """The beginning of a file of tests, with a file of these rules beside it."""
        rules = [*({"record": r.record, "expr": r.expr, "labels": dict(r.labels)} for r in records), *more]
        every, files = format_duration(self.interval_s), []
        if rules:
            path = self.folder / f"{name}.yml"
            path.write_text(dumped({"groups": [{"name": "records", "interval": every, "rules": rules}]}), "utf-8")
            files = [str(path)]
        return {"rule_files": files, "evaluation_interval": every}


def prove(subjects: Sequence[Subject], engine: Engine) -> tuple[list[Proven], list[Unproven]]:
    """Tries the guesses of every rule, one round after another, until one holds or none is left."""
    apart: dict[float, list[Subject]] = {}
    for subject in subjects:
        apart.setdefault(subject.every_s(engine.interval_s), []).append(subject)
    every = [
        _prove(some, replace(engine, folder=engine.folder / f"{every_s:g}s", interval_s=every_s))
        for every_s, some in apart.items()
    ]
    proven = [one for found, _ in every for one in found]
    return sorted(proven, key=lambda each: each.subject.number), [one for _, lacking in every for one in lacking]


def _prove(subjects: Sequence[Subject], engine: Engine) -> tuple[list[Proven], list[Unproven]]:
    interval_s = engine.interval_s
    reasons: dict[int, list[str]] = {subject.number: [] for subject in subjects}
    left = {s.number: guesses(s, engine.records, interval_s, reasons[s.number]) for s in subjects}
    proven: list[Proven] = []
    failed: dict[int, list[Guess]] = {}
    engine.folder.mkdir(parents=True, exist_ok=True)
    for turn in range(_TURNS):
        trying: list[Guess] = []
        for number, more in list(left.items()):
            some = list(islice(more, 1 if turn < _ONE_BY_ONE else _TOGETHER))
            if not some:
                del left[number]
            trying += some
        if not trying:
            break
        for guess, answers in _round(trying, engine, str(turn)):
            outcome, number = _outcome(answers, instants(guess, interval_s)), guess.subject.number
            if isinstance(outcome, str):
                reasons[number].append(outcome)
                if _REFUSED in answers:
                    left.pop(number, None)  # no other series would change that
                if outcome.endswith(_LACKS["filled"]):
                    failed.setdefault(number, []).append(guess)
            elif number in left:
                if guess.by_trial and not _is_robust(guess, outcome[2], engine):
                    reasons[number].append(f"{_TRIED_SERIES} {_LACKS['shaken']}")
                    continue
                results, lasts, within = outcome
                within_s = None if within is None else within * interval_s
                proven.append(Proven(guess, results, lasts and lasts * interval_s, within_s))
                del left[number]
    done = {each.subject.number for each in proven}
    proven = _rested(proven, engine)
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        proven = list(pool.map(lambda p: _told(p, engine), proven))
    why = [guess for n, some in failed.items() if n not in done for guess in some[-_ASKED_WHY:]]
    never = _never(_round(why, engine, "why"))
    unproven = [
        Unproven(s, never.get(s.number) or _telling(reasons[s.number])) for s in subjects if s.number not in done
    ]
    return proven, unproven


def _is_robust(guess: Guess, within: int | None, engine: Engine) -> bool:
    """Whether series that were found by trial do the same where scrapes are not on time, as they never quite are."""
    when, number = instants(guess, engine.interval_s), guess.subject.number
    quiet = [*range(max(0, when.rest - _LOOKS), when.rest), when.asked["fallen"]]
    ((_, answers),) = _round([guess], engine, f"{_SHAKEN}-{number}", {number: [*quiet, *when.held(within)]})
    return {int(word[2:]) for word in answers if word.startswith("at")} == set(when.held(within))


def edges(proven: Sequence[Proven], engine: Engine) -> dict[int, tuple[float, float]]:
    """By rule, how long after its fault the condition becomes true, and how long after the end it ceases to be. Both to
    the interval; the second is 0 for what ends by itself."""
    engine.folder.mkdir(parents=True, exist_ok=True)
    every = {p.subject.number: p.subject.every_s(engine.interval_s) for p in proven}
    found: dict[int, list[tuple[int, int]]] = {}
    whens = {p.subject.number: instants(p.guess, every[p.subject.number]) for p in proven}
    for one in proven:
        w = whens[one.subject.number]
        rise = (w.rest - 1, w.held(one.within_s)[0])
        found[one.subject.number] = [rise, (w.late, w.late if one.lasts_s else w.asked["fallen"])]
    for turn in range(_NARROWED):
        asked = {n: [at for low, high in each for at in _between(low, high)] for n, each in found.items()}
        for every_s in set(every.values()):
            some = [p.guess for p in proven if every[p.subject.number] == every_s and asked[p.subject.number]]
            apart = replace(engine, interval_s=every_s)
            for guess, got in _round(some, apart, f"edge{turn}-{every_s:g}", asked):
                rise, fall = found[guess.subject.number]
                true = {int(word[2:]) for word in got}
                found[guess.subject.number] = [_narrowed(rise, true, True), _narrowed(fall, true, False)]
    return {
        n: ((rise[1] - whens[n].rest) * every[n], (fall[1] - whens[n].late) * every[n])
        for n, (rise, fall) in found.items()
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


def _rested(proven: Sequence[Proven], engine: Engine) -> list[Proven]:
    """The same, with a short rest where the engine says that it is as good as a filled range, and the hasty named."""
    rest_s = _REST * engine.interval_s
    far = {p.subject.number: p for p in proven if p.subject.span_s > rest_s and p.within_s is None}
    short: dict[int, Proven] = {}
    for guess, answers in _round([p.guess for p in far.values()], engine, "short"):
        outcome, number = _outcome(answers, instants(guess, engine.interval_s)), guess.subject.number
        if not isinstance(outcome, str) and outcome[0] == far[number].results:
            short[number] = replace(far[number], rest_s=rest_s)
    at_rest = _round([p.guess for p in proven], engine, "unfilled")
    hasty = {guess.subject.number for guess, answers in at_rest if answers}
    # The steps of a subquery lie otherwise than promtool's, so nothing says that it is false while they are few.
    hasty |= {
        p.subject.number
        for p in proven
        if p.subject.number not in short
        and p.subject.span_s > rest_s
        and any(one.kind == "subquery" for one in walk(expression(p.subject.rule.expr)))
    }
    return [replace(short.get(n, p), hasty=n in hasty) for p in proven for n in (p.subject.number,)]


def roused(wave: Sequence[Proven], engine: Engine) -> frozenset[int]:
    """The rules, by number, that have a result, or fail, while the series of their whole wave are at rest."""
    engine.folder.mkdir(parents=True, exist_ok=True)
    series = {each.key: each for one in wave for each in one.guess.series}
    every_s = engine.interval_s
    end = max(instants(one.guess, every_s).rest for one in wave)
    test = _test(0, replace(wave[0].guess, series=tuple(series.values())), every_s, "unfilled", [end])
    asked = [
        asking(s.number, "rest", stepped(s.rule.expr, every_s), (end + _BETWEEN) * every_s)
        for s in (one.subject for one in wave)
    ]
    names = {name: record for one in wave for name, record in closure(one.subject.rule, engine.records).items()}
    name = f"wave-{wave[0].subject.number}"
    tests = {-1: (frozenset[str](), {**test, "promql_expr_test": asked})}
    head = engine.head(f"{name}-rules", names.values())
    return frozenset(_ask(engine.promtool, engine.folder / f"{name}.yml", head, tests)) - {-1}


def _told(one: Proven, engine: Engine) -> Proven:
    """The same with the labels that the engine makes of templates, and with series for what texts query."""
    rule, number, every_s = one.subject.rule, one.subject.number, engine.interval_s
    asks = bool(queried(rule, {}))
    if not asks and not any("{{" in text for text in rule.labels.values()):
        return one
    if asks:
        ((guess, answers),) = _round([fed(one.guess, engine.records, every_s)], engine, f"fed-{number}")
        outcome = _outcome(answers, instants(guess, every_s))
        if not isinstance(outcome, str) and outcome[0] == one.results:
            one = replace(one, guess=guess)
    at_s = every_s * instants(one.guess, every_s).held(one.within_s)[1]
    queries = {f"query{n}": text for n, text in enumerate(queried(rule, one.results[0]))}
    test = _test(0, one.guess, every_s, "told") | {
        "external_labels": dict(engine.external),
        "alert_rule_test": [{"alertname": rule.alert, "eval_time": format_duration(at_s), "exp_alerts": []}],
        "promql_expr_test": [asking(0, word, text, at_s) for word, text in queries.items()],
    }
    alert = {"alert": rule.alert, "expr": rule.expr, "for": format_duration(rule.for_s), "labels": dict(rule.labels)}
    feeding = closure(rule, engine.records).values()
    head = engine.head(f"told-{number}-rules", feeding, [{**alert, "annotations": dict(rule.annotations)}])
    code, said = run_tests(engine.promtool, engine.folder / f"told-{number}.yml", {**head, "tests": [test]})
    got = answered(said).get(0, {})
    found = [labels_in(match[1]) for match in _FIRING.finditer(said)]
    for labels in found:
        labels.pop("alertname", None)
    doubt = ""
    if empty := next((text for word, text in queries.items() if not got.get(word, "error").startswith("got")), ""):
        doubt = f"chaoskit found no series for the template's query {empty}"
    elif code == UNENDED:
        doubt = said
    elif asks and _BROKEN not in said:
        doubt = "with the series of its rule alone the template does not fail"
    return replace(one, results=tuple(found) or one.results, doubt=doubt)


def _telling(reasons: list[str]) -> str:
    """The reason worth telling: what the first guess lacked, or else why nothing could be guessed."""
    tried = [reason for reason in reasons if reason.startswith(_TRIED_SERIES)]
    return (tried or reasons or ["it reads no series"])[0]


def _never(asked: Iterable[tuple[Guess, Mapping[str, str]]]) -> dict[int, str]:
    """By rule's number, why it can never be true where two of its sides match in no guess; empty where they do."""
    found: dict[int, str] = {}
    all_of: dict[int, list[tuple[str, Mapping[str, str]]]] = {}
    for guess, answers in asked:
        all_of.setdefault(guess.subject.number, []).append((guess.subject.rule.expr, answers))
    for number, some in all_of.items():
        matched = {word: got for _, answers in some for word, got in answers.items() if word.startswith("whole")}
        found[number] = next((why for expr, answers in some if (why := reason(expr, {**matched, **answers}))), "")
    return found


_Test = tuple[frozenset[str], Mapping[str, Any]]
"""The metrics that a test shows or reads, and the test."""


def _round(
    trying: Sequence[Guess], engine: Engine, turn: str, asked: Mapping[int, Sequence[int]] = {}
) -> Iterable[tuple[Guess, Mapping[str, str]]]:
    """promtool's answers on one guess each; rules that read recording rules get a file with those rules. In the turn
    `why` it is asked about the parts of the expression as well; in the turn `short` the series begin shortly before the
    fault; in the turn `unfilled` it is asked while they begin, and nothing ever moves. `asked` are other instants, in
    intervals by rule."""

    def test(at: int) -> _Test:
        guess, subject = trying[at], trying[at].subject
        late_s = _late(subject.rule, engine.records)
        test = _test(at, guess, engine.interval_s, turn, asked.get(subject.number, ()), late_s)
        return _metrics(guess, engine.records), test

    by_rules: dict[tuple[str, ...], list[int]] = {}
    for at, guess in enumerate(trying):
        by_rules.setdefault(tuple(sorted(closure(guess.subject.rule, engine.records))), []).append(at)
    jobs: list[tuple[list[int], Path, Mapping[str, Any], Mapping[int, _Test]]] = []
    chunk = min(_CHUNK, max(_LEAST_CHUNK, math.ceil(len(trying) / _SIDE_BY_SIDE)))
    for number, (names, members) in enumerate(by_rules.items()):
        head = engine.head(f"records-{turn}-{number}", [engine.records[name] for name in names])
        parts = math.ceil(len(members) / chunk)
        for first in range(parts):
            part = members[first::parts]
            file = engine.folder / f"tests-{turn}-{number}-{first}.yml"
            jobs.append((part, file, head, {at: test(at) for at in part}))
    said: dict[int, Mapping[str, str]] = {}
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        for (part, *_), answers in zip(jobs, pool.map(lambda job: _ask(engine.promtool, *job[1:]), jobs), strict=True):
            said |= {at: answers.get(at, {}) for at in part}
    return [(guess, said[at]) for at, guess in enumerate(trying)]


def _metrics(guess: Guess, records: Mapping[str, Rule]) -> frozenset[str]:
    """Those that a rule reads, through recording rules or not, and those of its series; "" where one is not named."""
    return frozenset(watched_by(exprs_of(guess.subject.rule, records))) | {one.name for one in guess.series}


@dataclass(frozen=True, slots=True)
class Instants:
    """When a condition is asked for, in intervals from the beginning; the fault begins at `rest`, ends at `late`."""

    rest: int
    late: int
    asked: Mapping[str, int]
    """By a word for each instant."""

    def held(self, within_s: float | None) -> tuple[int, int]:
        """From when to when a condition is known to hold that does so this soon after the fault."""
        first = "filled" if within_s is None else "soon" if within_s else "early"
        return self.asked[first], self.asked[{"filled": "end"}.get(first, f"{first}_end")]


def instants(guess: Guess, interval_s: float) -> Instants:
    """The end of the rest, the filled range, the end of `for`, long after it, the end of the fall.

    Between them, for what ends by itself: as soon as the fault is seen, and once the shortest range is filled.

    promtool's time begins at 0, and a time stamp should not lie before it; one of weeks ago does, for its samples
    would be too many.
    """
    subject = guess.subject
    span = math.ceil(subject.span_s / interval_s) + _SETTLE
    ago_s = max((-value for one in guess.series if one.clock for value in _levels(one)), default=0.0)
    rest = span + math.ceil(ago_s / interval_s if 0 < ago_s <= _LONGEST_AGO_S else 0)
    held = math.ceil(subject.rule.for_s / interval_s) + _SETTLE
    early = rest + _SETTLE
    late = rest + span + held + _LATE
    lasts = held + math.ceil(_NOTICE_S / interval_s)
    soon = min(early + math.ceil(shortest_range_s(subject.rule.expr) / interval_s), rest + span)
    asked = {"rest": rest - 1, "early": early, "early_end": min(early + lasts, late) - 1}
    if soon not in (early, rest + span):
        asked |= {"soon": soon, "soon_end": min(soon + lasts, late) - 1}
    asked |= {"filled": rest + span - 1, "end": rest + span + held - 1, "late": late - 1, "fallen": late + span}
    return Instants(rest, late, asked)


def _levels(series: Scripted) -> list[float]:
    return [s.start for values in (series.rest, series.values) for s in values.segments if s.start is not None]


def _late(rule: Rule, records: Mapping[str, Rule]) -> float:
    """Seconds to add to promtool's clock, which begins at 0: a value that is no time stamp must not pass for one."""
    first, *others = exprs_of(rule, records)
    odd = "timestamp(" in first or any(_CLOCK.search(expr) for expr in others)
    return _NOW_S if _CLOCK.search(first) and not odd else 0.0


def _moved(values: Values, by_s: float) -> Values:
    some = (one if one.start is None else replace(one, start=one.start + by_s) for one in values.segments)
    return replace(values, segments=tuple(some))


def _test(
    number: int, guess: Guess, interval_s: float, turn: str, at: Sequence[int] = (), late_s: float = 0.0
) -> dict[str, Any]:
    subject, when = guess.subject, instants(guess, interval_s)
    course = Course(0.0, when.rest * interval_s, when.late * interval_s)
    series = []
    begin = max(0, when.rest - _REST) if turn == "short" else 0
    end = when.asked["fallen"]
    if turn == "unfilled":
        course, begin, end = Course(0.0), 1, max([math.ceil(subject.span_s / interval_s) + _SETTLE, *at])
    for one in guess.series:
        if one.clock and late_s:
            one = replace(one, rest=_moved(one.rest, late_s), values=_moved(one.values, late_s))
        make = _shaken if turn.startswith(_SHAKEN) else notation
        values = make(one, course, interval_s, end + 1, interval_s, begin)
        series.append({"series": one.key, "values": values})
    whens = dict(when.asked)
    if turn == "unfilled":
        whens = {f"at{at}": at for at in (0, *(begin + 2**n - 1 for n in range(20))) if at <= end}
    if at:
        whens = {f"at{each}": each for each in at}
    expr = stepped(subject.rule.expr, interval_s)
    if late_s:
        expr = _CLOCK.sub(f"(time() + {late_s:.0f})", expr)
    texts = {when: (expr, at) for when, at in whens.items()}
    if turn == "why":
        texts |= {word: (text, when.asked["filled"]) for word, text in queries(expr).items()}
    asked = [asking(number, word, text, (at + _BETWEEN) * interval_s) for word, (text, at) in texts.items()]
    return {"interval": format_duration(interval_s), "input_series": series, "promql_expr_test": asked}


def _shaken(series: Scripted, course: Course, every_s: float, count: int, interval_s: float, begin: int) -> str:
    """The same as `notation`, each sample as if it were scraped a little early or late."""
    draw, words = random.Random(series.key), list[str]()
    for i in range(count):
        at_s = max(0.0, (i + draw.uniform(-_JITTER, _JITTER)) * every_s)
        value = None if i < begin else value_at(series, course, at_s, interval_s)
        if value is None:
            words.append("stale" if words and words[-1] not in ("stale", "_") else "_")
        else:
            words.append(f"{value + i * every_s if series.clock else value:.17g}")
    return " ".join(words)


def stepped(expr: str, interval_s: float) -> str:
    """The expression with a step in each subquery: promtool's default differs from Prometheus's evaluation interval."""
    return _NO_STEP.sub(f":{format_duration(interval_s)}]", expr.strip())


def _ask(
    promtool: Path, file: Path, head: Mapping[str, Any], tests: Mapping[int, _Test], within_s: float = TESTS_S
) -> dict[int, dict[str, str]]:
    """By test and instant, what promtool found where nothing was expected. Where it refuses the whole file, each half
    of the tests is asked alone, until the one that it refuses is alone."""
    together = _together(tests.values())
    if not head["rule_files"]:
        # Where nothing is recorded, one step brings all samples in; promtool takes as many as end before it does.
        head = {**head, "evaluation_interval": _ONE_STEP}
        for test in together:
            test["promql_expr_test"].append({"expr": "vector(0) == 1", "eval_time": _ONE_STEP, "exp_samples": []})
    code, said = run_tests(promtool, file, {**head, "tests": together}, within_s)
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


def _together(tests: Iterable[_Test]) -> list[dict[str, Any]]:
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


_Held = tuple[tuple[Mapping[str, str], ...], int | None, int | None]
"""The results, after how many intervals the condition may end by itself, and within how many it holds, where that is
before its range is filled."""


def _outcome(mine: Mapping[str, str], when: Instants) -> _Held | str:
    broken = next((text for text in mine.values() if text.startswith("error ")), "")
    if broken:
        return f"Prometheus's engine refuses the expression with such series: {broken.removeprefix('error ')}"
    for instant in ("rest", "fallen"):
        if instant in mine:
            return f"{_TRIED_SERIES} {_LACKS[instant]}"
    for first, last in (("filled", "end"), ("early", "early_end"), ("soon", "soon_end")):
        if first in mine and last in mine:
            found, lasts = results_of(mine[last]), when.asked[last] + 1 - when.rest
            if first == "filled":
                return found, None if "late" in mine else lasts, None
            return found, lasts, when.asked[first] - when.rest if first == "soon" else 0
    return f"{_TRIED_SERIES} {_LACKS['end' if {'filled', 'early', 'soon'} & mine.keys() else 'filled']}"


_LACKS = {
    "filled": "do not make it true",
    "end": "do not keep the expression true for as long as the rule's `for`: it ends by itself",
    "rest": "make the expression true before the fault",
    "fallen": "leave the expression true after the fault",
    "shaken": "make the expression true only where every scrape is on time",
}
