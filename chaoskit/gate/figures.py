"""A gate's figures, from its verdicts: smallest margins, by alert and hop and by alert and receiver; sums. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from chaoskit.gate.gate import Outcome
from chaoskit.hop import Hop, Lane
from chaoskit.report.changes import slack_vs
from chaoskit.report.judge_run import PAGE
from chaoskit.verify.verdict import ORDER, Result, Row
from chaoskit.verify.verify import volume_of


@dataclass(frozen=True, slots=True)
class Cell:
    """The worst of several rows: its result, margin and place; among equal results the smallest margin."""

    result: Result
    margin_vs: float | None
    href: str
    where: str
    """The scenario, alert, hop and receiver of the row."""

    @property
    def text(self) -> str:
        """The margin, or that it was kept or not."""
        kept = {Result.PASS: "kept", Result.FAIL: "broken", Result.UNKNOWN: "unknown"}[self.result]
        return kept if self.margin_vs is None else f"{self.margin_vs:+.1f} s"


@dataclass(frozen=True, slots=True)
class Matrix:
    """Cells by row and column; what was not promised has none."""

    columns: Sequence[str]
    rows: Mapping[str, Mapping[str, Cell]]


def href_of(folder: Path, outcome: Outcome) -> str:
    """The link from the gate's folder to a scenario's page; empty where there is none."""
    page = outcome.folder / PAGE
    return quote(page.relative_to(folder).as_posix()) if page.is_file() else ""


def by_hop(folder: Path, outcomes: Iterable[Outcome]) -> Matrix:
    """Alerts against the hops of the alert itself and of all its receivers."""
    return _matrix(folder, outcomes, lambda row: str(row.hop), [str(hop) for hop in Hop])


def by_receiver(folder: Path, outcomes: Iterable[Outcome]) -> Matrix:
    """Alerts against receivers, each with its notices and all-clears of every integration."""
    return _matrix(folder, outcomes, lambda row: row.to.partition(" (")[0], None)


def smallest(folder: Path, outcome: Outcome) -> Cell | None:
    """The margin of a scenario that is the smallest; None where nothing of it has one."""
    cells = (cell for _, _, cell in _cells(folder, outcome) if cell.margin_vs is not None)
    return min(cells, key=lambda cell: cell.margin_vs or 0.0, default=None)


def notices_and_alerts(outcomes: Iterable[Outcome]) -> tuple[int, int]:
    """How many notices told people of how many alerts that fired, in all scenarios together."""
    counts = [volume for one in outcomes if one.verdict is not None and (volume := volume_of(one.verdict))]
    return sum(told for told, _ in counts), sum(fired for _, fired in counts)


def promises(outcomes: Iterable[Outcome]) -> dict[Result, int]:
    """How many rows were broken, unknown and kept."""
    rows = [row for one in outcomes if one.verdict is not None for row in one.verdict.rows]
    return {result: sum(row.result is result for row in rows) for result in ORDER}


def _matrix(
    folder: Path, outcomes: Iterable[Outcome], column: Callable[[Row], str], order: Sequence[str] | None
) -> Matrix:
    found: dict[str, dict[str, Cell]] = {}
    for outcome in outcomes:
        for alert, row, cell in _cells(folder, outcome):
            if name := column(row):
                cells = found.setdefault(alert, {})
                cells[name] = min(cells.get(name, cell), cell, key=_rank)
    columns = {name for cells in found.values() for name in cells}
    return Matrix(sorted(columns, key=order.index if order else None), dict(sorted(found.items())))


def _cells(folder: Path, outcome: Outcome) -> Iterable[tuple[str, Row, Cell]]:
    """Every row that is about an alert which the scenario expects, with the alert's name."""
    names = sorted(outcome.candidate.expects, key=len, reverse=True)
    href = href_of(folder, outcome)
    for number, row in enumerate(outcome.verdict.rows if outcome.verdict else ()):
        alert = next((name for name in names if row.about == name or row.about.startswith(f"{name} ")), None)
        if alert is not None and row.hop.lane in (Lane.ALERT, Lane.RECEIVER):
            where = f"{outcome.candidate.name}: {row.about}, {row.hop}{f' at {row.to}' if row.to else ''}"
            yield alert, row, Cell(row.result, slack_vs(row), f"{href}#row-{number}" if href else "", where)


def _rank(cell: Cell) -> tuple[int, float]:
    return ORDER.index(cell.result), float("inf") if cell.margin_vs is None else cell.margin_vs
