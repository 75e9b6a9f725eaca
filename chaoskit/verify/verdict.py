"""The verdict as data: one row per promise and hop, three values, worst wins."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from chaoskit.errors import ExitCode
from chaoskit.events import Interval
from chaoskit.hop import Hop


class Result(StrEnum):
    """FAIL is worse than UNKNOWN, UNKNOWN is worse than PASS."""

    PASS = "PASS"
    UNKNOWN = "UNKNOWN"
    FAIL = "FAIL"


ORDER = (Result.FAIL, Result.UNKNOWN, Result.PASS)
"""The results in the order from worst to best."""


def worst_of(results: Iterable[Result]) -> Result:
    """The worst of several; nothing judged at all is UNKNOWN."""
    found = set(results)
    return next((result for result in ORDER if result in found), Result.UNKNOWN)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One promise on one hop. Times are virtual seconds counted from the hop's own beginning."""

    about: str
    """The alert and its instance, or what else is judged."""
    hop: Hop
    to: str = ""
    observed: Interval | None = None
    allowed: Interval | None = None
    margin_vs: float | None = None
    """How far the nearest end of what was observed is inside its window; negative outside."""
    uncertainty_vs: float | None = None
    result: Result
    reason: str = ""
    """For FAIL and UNKNOWN: the hop, the figure, and the setting that governs it."""
    rests_on: str = ""
    """For a PASS without a window: what was seen, in a few words."""

    @property
    def said(self) -> str:
        """Why the row is no PASS; else what was seen, in words."""
        return self.reason or self.rests_on


Key = tuple[str, Hop, str]
"""The alert's instance, the hop and the receiver of a row."""


def by_key(rows: Iterable[Row]) -> dict[Key, Row]:
    """The rows in their order; of several of one key only the worst."""
    found: dict[Key, Row] = {}
    for row in rows:
        key = (row.about, row.hop, row.to)
        if key not in found or ORDER.index(row.result) <= ORDER.index(found[key].result):
            found[key] = row
    return found


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """The figures that on-call people ask for first: virtual seconds from the fault to the notice at each receiver."""

    about: str
    to: str
    fault_to_notice: Interval | None
    allowed: Interval
    undo_to_all_clear: Interval | None
    allowed_all_clear: Interval | None


ALL_PHASES = "all"


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one kind and name in one phase of the run, or in all of them. Milliseconds and rates are real."""

    type: str
    name: str
    phase: str
    requests: int
    failures: int
    dropped: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    requests_per_s: float
    failed_by: dict[str, int]
    """The number of failed requests by their kind, or by their own text."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The whole judgement of one history."""

    run_id: str
    scenario: str
    title: str
    time_scale: float
    result: Result
    exit_code: int
    figures: list[Figure]
    rows: list[Row]
    notes: list[str]
    requests: list[Requests] | msgspec.UnsetType = msgspec.UNSET
    """Left out where the history tells of none."""


_ENCODER = msgspec.json.Encoder(order="deterministic")


def to_json(verdict: Verdict) -> bytes:
    """The verdict as a file's bytes: the same history gives the same bytes."""
    return msgspec.json.format(_ENCODER.encode(verdict), indent=1) + b"\n"


def exit_code(result: Result, *, healed: bool, interrupted: bool) -> ExitCode:
    """How a run with this result ends: not healed before everything, an interruption before UNKNOWN."""
    if not healed:
        return ExitCode.NOT_HEALED
    if result is Result.FAIL:
        return ExitCode.FAIL
    if interrupted:
        return ExitCode.ABORTED
    return ExitCode.PASS if result is Result.PASS else ExitCode.UNKNOWN
