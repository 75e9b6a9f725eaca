"""A verdict's head, rows and figures for a page; of each timed row a small picture of window and truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaoskit.errors import ExitCode
from chaoskit.hop import Hop
from chaoskit.report.html_causes import Cause
from chaoskit.report.html_why import Fact
from chaoskit.report.text import observed, seconds, shortened
from chaoskit.verify.verdict import ORDER, Figure, Result, Row, Verdict, by_key

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
    counts: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A window and what was observed, in percent of what the picture shows."""

    window: tuple[float, float]
    seen: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the verdict; `number` is its place among all rows, `why` says what its window comes from."""

    number: int
    row: Row
    first: bool
    """Whether the row is the first of its promise."""
    alone: bool
    """Whether the row is the only one of its promise."""
    picture: Picture | None
    why: Sequence[Fact]


@dataclass(frozen=True, slots=True)
class Phone:
    """One line from fault to phone; the results are those of the hops to the receiver."""

    figure: Figure
    result: str
    cleared_result: str


def banner(verdict: Verdict | None, trouble: Sequence[str], causes: Sequence[Cause]) -> Banner:
    """The result, why, and how much of what was promised was kept."""
    if verdict is None:
        causes = [Cause("UNKNOWN", shortened(one, _LONGEST), "", (), 0, ()) for one in trouble]
    result = str(verdict.result) if verdict else NOT_JUDGED
    code = ExitCode(verdict.exit_code) if verdict else ExitCode.USAGE
    counts = Counter(row.result for row in verdict.rows) if verdict else Counter[Result]()
    return Banner(
        result,
        _SENTENCES[result],
        int(code),
        _ENDINGS[code],
        _lead(verdict.figures) if verdict and verdict.result is Result.PASS else "",
        causes[:_MOST_CAUSES],
        max(0, len(causes) - _MOST_CAUSES),
        [(name, counts[one]) for name, one in zip(("broken", "unknown", "kept"), ORDER, strict=True) if counts[one]],
    )


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
            found.append(Line(number, row, row.about != before, sizes[row.about] == 1, _picture(row), why(row)))
            before = row.about
    return found, len(rows) - len(kept)


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
    results = {key: str(row.result) for key, row in by_key(rows).items()}
    return [
        Phone(one, *(results.get((one.about, hop, one.to), "") for hop in (Hop.NOTIFY, Hop.ALL_CLEAR)))
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
