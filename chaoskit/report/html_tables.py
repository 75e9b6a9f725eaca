"""A verdict's rows and figures for a page: in words, and each timed one as a small picture of window and truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaoskit.errors import ExitCode
from chaoskit.hop import Hop
from chaoskit.report.html_causes import Cause
from chaoskit.report.html_why import Fact
from chaoskit.report.text import allowed, in_words, margin, observed, seconds, shortened, shown, uncertainty, ways
from chaoskit.verify.verdict import ORDER, Figure, Result, Row, Verdict

_MOST_ROWS = 400
_MOST_CAUSES = 6
_LONGEST = 1500
NOT_JUDGED = "NOT JUDGED"
_SENTENCES = {
    "PASS": "Every promise was kept.",
    "FAIL": "A promise was broken.",
    "UNKNOWN": "The evidence does not tell whether the promises were kept.",
    NOT_JUDGED: "This history cannot be trusted, so nothing is judged.",
}
_ENDINGS = {
    ExitCode.PASS: "PASS",
    ExitCode.FAIL: "FAIL",
    ExitCode.USAGE: "bad input",
    ExitCode.UNKNOWN: "UNKNOWN",
    ExitCode.ABORTED: "interrupted, everything was undone",
    ExitCode.NOT_HEALED: "not healed: something may still be broken",
}


@dataclass(frozen=True, slots=True)
class Banner:
    """The head of the page: the result, its sentence, its causes."""

    result: str
    sentence: str
    exit_code: int
    ending: str
    lead: str
    """The span from the fault to the first receiver; empty where the page begins with what is wrong."""
    causes: Sequence[Cause]
    more: int
    counts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A window and what was observed, in percent of what the picture shows."""

    window: tuple[float, float]
    seen: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the verdict as cells; `number` is its place among all rows."""

    number: int
    result: str
    about: str
    first: bool
    """Whether the row is the first of its promise."""
    alone: bool
    """Whether the row is the only one of its promise."""
    hop: str
    to: str
    observed: str
    allowed: str
    margin: str
    uncertainty: str
    reason: str
    picture: Picture | None
    why: Sequence[Fact]


@dataclass(frozen=True, slots=True)
class Phone:
    """One line from fault to phone; the results are those of the hops to the receiver."""

    about: str
    to: str
    told: str
    within: str
    cleared: str
    cleared_within: str
    result: str
    cleared_result: str


def banner(verdict: Verdict | None, trouble: Sequence[str], causes: Sequence[Cause]) -> Banner:
    """The result, why, and how much of what was promised was kept."""
    if verdict is None:
        found = [Cause("UNKNOWN", shortened(one, _LONGEST), "", (), 0, ()) for one in trouble]
        return _banner(NOT_JUDGED, int(ExitCode.USAGE), "", found, [])
    kept = [sum(row.result is result for row in verdict.rows) for result in ORDER]
    names = (("broken", kept[0]), ("unknown", kept[1]), ("kept", kept[2]))
    counts = [(name, str(number)) for name, number in names if number]
    lead = _lead(verdict.figures) if verdict.result is Result.PASS else ""
    return _banner(str(verdict.result), verdict.exit_code, lead, causes, counts)


def _banner(result: str, code: int, lead: str, causes: Sequence[Cause], counts: Sequence[tuple[str, str]]) -> Banner:
    more = max(0, len(causes) - _MOST_CAUSES)
    ending = _ENDINGS[ExitCode(code)]
    return Banner(result, _SENTENCES[result], code, ending, lead, causes[:_MOST_CAUSES], more, counts)


def _lead(figures: Sequence[Figure]) -> str:
    heard = [(one.fault_to_notice, one) for one in figures if one.fault_to_notice is not None]
    if not heard:
        return ""
    first, one = min(heard, key=lambda item: item[0][1])
    return f"From fault to phone: {observed(first)}, promised within {seconds(one.allowed[1])} ({shortened(one.to)})"


def lines(rows: Sequence[Row], why: Callable[[Row], Sequence[Fact]] = lambda row: ()) -> tuple[list[Line], int]:
    """The rows in their order, and how many were left out: of too many, PASS goes first, then UNKNOWN.

    `why` says of a row what its window comes from.
    """
    kept = set(range(len(rows)))
    if len(rows) > _MOST_ROWS:
        ranked = sorted(kept, key=lambda number: (ORDER.index(rows[number].result), number))
        kept = set(ranked[:_MOST_ROWS])
    found: list[Line] = []
    before = None
    sizes = Counter(rows[number].about for number in kept)
    for number, row in enumerate(rows):
        if number in kept:
            found.append(_line(number, row, row.about != before, sizes[row.about] == 1, why(row)))
            before = row.about
    return found, len(rows) - len(kept)


def _line(number: int, row: Row, first: bool, alone: bool, why: Sequence[Fact]) -> Line:
    return Line(
        number,
        str(row.result),
        shortened(row.about),
        first,
        alone,
        row.hop,
        shortened(row.to),
        shortened(shown(row)),
        allowed(row.allowed),
        margin(row),
        uncertainty(row),
        shortened(in_words(row.reason), _LONGEST),
        _picture(row),
        why,
    )


def _picture(row: Row) -> Picture | None:
    if row.allowed is None:
        return None
    (lo, hi), seen = row.allowed, row.observed
    first, last = min(lo, seen[0] if seen else lo), max(hi, seen[1] if seen else hi)
    room = 1.2 * max(last - first, 0.1 * last, 1.0)
    first = (first + last - room) / 2

    def percent(span: tuple[float, float]) -> tuple[float, float]:
        return round(100 * (span[0] - first) / room, 2), round(max(100 * (span[1] - span[0]) / room, 1.5), 2)

    return Picture(percent((lo, hi)), percent(seen) if seen else None)


def phones(figures: Sequence[Figure], rows: Sequence[Row]) -> list[Phone]:
    """The table of times from the fault to each receiver."""
    worst_last = sorted(rows, key=lambda row: ORDER.index(row.result), reverse=True)
    results = {(row.about, row.hop, row.to): str(row.result) for row in worst_last}
    return [
        Phone(
            shortened(one.about),
            shortened(one.to),
            *ways(one),
            results.get((one.about, Hop.NOTIFY, one.to), ""),
            results.get((one.about, Hop.ALL_CLEAR, one.to), ""),
        )
        for one in figures[:_MOST_ROWS]
    ]


def means(figures: Sequence[Figure]) -> str:
    """The average spans from fault to notice and undo to all-clear; empty for fewer than two."""
    said = []
    for name, spans in (
        ("from fault to notice", [one.fault_to_notice for one in figures if one.fault_to_notice]),
        ("from undo to all-clear", [one.undo_to_all_clear for one in figures if one.undo_to_all_clear]),
    ):
        if len(spans) > 1:
            a, b = (sum(span[end] for span in spans) / len(spans) for end in (0, 1))
            said.append(f"{observed((a, b))} {name} ({len(spans)} of {len(figures)} came)")
    return f"On average {', '.join(said)}." if said else ""
