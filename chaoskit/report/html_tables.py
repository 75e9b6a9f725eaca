"""A verdict's rows and figures for a page: in words, and each timed one as a small picture of window and truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit.errors import ExitCode
from chaoskit.hop import Hop
from chaoskit.report.text import allowed, observed, seconds, shortened, telling
from chaoskit.verify.verdict import ORDER, Figure, Result, Row, Verdict

_MOST_ROWS = 400
_MOST_REASONS = 6
_LONGEST = 1500
_GOVERNED = "; governed by "
NOT_JUDGED = "NOT JUDGED"
_SENTENCES = {
    "PASS": "Every promise was kept.",
    "FAIL": "A promise was broken.",
    "UNKNOWN": "Nobody can know whether the promises were kept.",
    NOT_JUDGED: "This history cannot be trusted, so nothing is judged.",
}
_NOT_HEALED = "Not everything was seen to be undone: something may still be broken. `chaoskit heal` finishes it."
_ENDINGS = {
    ExitCode.PASS: "PASS",
    ExitCode.FAIL: "FAIL",
    ExitCode.USAGE: "bad input",
    ExitCode.UNKNOWN: "UNKNOWN",
    ExitCode.ABORTED: "interrupted, everything was undone",
    ExitCode.NOT_HEALED: "not healed: something may still be broken",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a verdict is no PASS; `governed` names the setting behind it."""

    result: str
    text: str
    governed: str


@dataclass(frozen=True, slots=True)
class Banner:
    """What is seen first."""

    result: str
    sentence: str
    exit_code: int
    ending: str
    lead: str
    """From fault to phone, for whoever hears first; empty where something is wrong: that comes first then."""
    reasons: Sequence[Reason]
    more: int
    counts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A window and what was observed, in percent of what the picture shows."""

    window: tuple[float, float]
    seen: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the verdict as cells."""

    result: str
    about: str
    first: bool
    """Whether it is the first of its promise."""
    alone: bool
    """Whether it is the only one."""
    hop: str
    to: str
    observed: str
    allowed: str
    margin: str
    uncertainty: str
    reason: str
    picture: Picture | None


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


def banner(verdict: Verdict | None, trouble: Sequence[str]) -> Banner:
    """The result, why, and how much of what was promised was kept."""
    if verdict is None:
        reasons = [Reason("UNKNOWN", shortened(one, _LONGEST), "") for one in trouble]
        return _banner(NOT_JUDGED, int(ExitCode.USAGE), "", reasons, [])
    by_reason = {row.reason: row.result for row in reversed(verdict.rows)}
    reasons = [_reason(str(by_reason[text]), text) for text in telling(verdict.rows)]
    reasons.sort(key=lambda reason: ORDER.index(Result(reason.result)))
    if verdict.exit_code == ExitCode.NOT_HEALED:
        reasons.insert(0, Reason("FAIL", _NOT_HEALED, ""))
    kept = [sum(row.result is result for row in verdict.rows) for result in ORDER]
    names = (("broken", kept[0]), ("unknown", kept[1]), ("kept", kept[2]))
    counts = [(name, str(number)) for name, number in names if number]
    lead = _lead(verdict.figures) if verdict.result is Result.PASS else ""
    return _banner(str(verdict.result), verdict.exit_code, lead, reasons, counts)


def _banner(result: str, code: int, lead: str, reasons: Sequence[Reason], counts: Sequence[tuple[str, str]]) -> Banner:
    more = max(0, len(reasons) - _MOST_REASONS)
    ending = _ENDINGS[ExitCode(code)]
    return Banner(result, _SENTENCES[result], code, ending, lead, reasons[:_MOST_REASONS], more, counts)


def _lead(figures: Sequence[Figure]) -> str:
    heard = [(one.fault_to_notice, one) for one in figures if one.fault_to_notice is not None]
    if not heard:
        return ""
    first, one = min(heard, key=lambda item: item[0][1])
    return f"From fault to phone: {observed(first)}, promised within {seconds(one.allowed[1])} ({shortened(one.to)})"


def _reason(result: str, text: str) -> Reason:
    what, _, governed = text.partition(_GOVERNED)
    return Reason(result, shortened(what, _LONGEST), shortened(governed, _LONGEST))


def lines(rows: Sequence[Row]) -> tuple[list[Line], int]:
    """The rows in their order, and how many were left out: of too many, PASS goes first, then UNKNOWN."""
    kept = set(range(len(rows)))
    if len(rows) > _MOST_ROWS:
        ranked = sorted(kept, key=lambda number: (ORDER.index(rows[number].result), number))
        kept = set(ranked[:_MOST_ROWS])
    found: list[Line] = []
    before = None
    sizes = Counter(rows[number].about for number in kept)
    for number, row in enumerate(rows):
        if number in kept:
            found.append(_line(row, row.about != before, sizes[row.about] == 1))
            before = row.about
    return found, len(rows) - len(kept)


def _line(row: Row, first: bool, alone: bool) -> Line:
    return Line(
        str(row.result),
        shortened(row.about),
        first,
        alone,
        row.hop,
        shortened(row.to),
        observed(row.observed) if row.allowed is not None else shortened(row.rests_on),
        allowed(row.allowed),
        "" if row.margin_vs is None else f"{row.margin_vs:+.1f} s",
        "" if row.uncertainty_vs is None else f"{row.uncertainty_vs:.2f} s",
        shortened(row.reason, _LONGEST),
        _picture(row),
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
    """From the fault to each receiver."""
    worst_last = sorted(rows, key=lambda row: ORDER.index(row.result), reverse=True)
    results = {(row.about, row.hop, row.to): str(row.result) for row in worst_last}
    return [
        Phone(
            shortened(one.about),
            shortened(one.to),
            observed(one.fault_to_notice),
            f"within {seconds(one.allowed[1])}",
            observed(one.undo_to_all_clear) if one.allowed_all_clear else "none promised",
            f"within {seconds(one.allowed_all_clear[1])}" if one.allowed_all_clear else "",
            results.get((one.about, Hop.NOTIFY, one.to), ""),
            results.get((one.about, Hop.ALL_CLEAR, one.to), ""),
        )
        for one in figures[:_MOST_ROWS]
    ]
