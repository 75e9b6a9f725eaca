"""A window's report as one page of HTML: verdicts, a grid of its days, budgets as they burn, incidents, reconciliation.

The page loads nothing and runs nothing; it is drawn from the store's evidence alone, in the look of the pages of runs.
A day is coloured by its own evidence: green where nothing was bad or no more than an even share of the budget, red by
how much it took beyond, hatched where there is no evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from chaoskit.report.html import render
from chaoskit.sla.arithmetic import minutes
from chaoskit.sla.incidents import Story
from chaoskit.sla.model import DAY_S, SLICE_S, Result, Slice, Window
from chaoskit.sla.report import Report, amount, percent, verdict
from chaoskit.sla.spans import shared
from chaoskit.sla.stories import Read
from chaoskit.sla.views import drilled, noticed, reconciled, used
from chaoskit.sla.windows import day_starts, shown
from chaoskit.zones import zone_named

WIDTH, HEIGHT = 1000.0, 100.0
_STEPS = 240
_HURT = 0.10
"""A day that takes more of the budget has the darkest shade."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day on the page, a square of the grid."""

    number: str
    shade: str
    hatched: bool
    title: str
    gap: int
    """Columns left free before the day: the first day stands under its weekday."""


@dataclass(frozen=True, slots=True)
class Burn:
    """The rest of the budget over time, from the window's begin to the end of evidence, in a box of 1000 by 100."""

    points: str
    ideal: str
    zero: float
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One service level of one environment, as the page shows it."""

    level: str
    contract: Result
    everything: Result
    days: Sequence[Day]
    burn: Burn | None


def page(report: Report, reads: Sequence[Read], stories: Sequence[Story]) -> bytes:
    """The page's bytes; the same evidence gives the same page."""
    window = report.window
    told = {one.environment: one for one in stories}
    environments = [
        {
            "name": one.environment,
            "levels": _levels(report, one),
            "months": _months(report, one.environment),
            "incidents": _incidents(told.get(one.environment), window),
            "figures": told[one.environment].figures if one.environment in told else (),
            "downtime": minutes(told[one.environment].alert_downtime_s) if one.environment in told else "",
            "reconciled": reconciled(told[one.environment], window.zone) if one.environment in told else [],
        }
        for one in reads
    ]
    contract = [one for one in report.results if one.basis == "contract"]
    return render(
        "sla.html",
        window=window,
        span=f"{shown(window.starts_at, window.zone)} to {shown(window.ends_at, window.zone)}",
        over=all(one.final for one in contract),
        result=_worst(contract),
        sentence=_sentence(contract),
        environments=environments,
        planned=[
            (one.kind, one.environment, shown(one.starts_at, window.zone), shown(one.ends_at, window.zone),
             one.declared_by, one.reason)
            for one in report.planned
        ],
        minutes=minutes,
        percent=percent,
        amount=amount,
        verdict=lambda one: str(verdict(one)),
    )  # fmt: skip


def _worst(results: Sequence[Result]) -> str:
    found = {str(verdict(one)) for one in results}
    return next((one for one in ("FAIL", "UNKNOWN") if one in found), "PASS" if found else "UNKNOWN")


def _sentence(results: Sequence[Result]) -> str:
    counts = [(str(verdict(one)), one) for one in results]
    missed = [one for result, one in counts if result == "FAIL"]
    unknown = [one for result, one in counts if result == "UNKNOWN"]
    if missed:
        return f"missed: {', '.join(dict.fromkeys(one.level for one in missed))}"
    if unknown:
        return f"not known: {', '.join(dict.fromkeys(one.level for one in unknown))}"
    return f"all {len(results)} levels kept" if results else "nothing was recorded"


def _levels(report: Report, read: Read) -> list[Shown]:
    found = []
    for level, contract in read.evidence.results.items():
        everything = next(
            (
                one
                for one in report.results
                if (one.environment, one.level, one.basis) == (read.environment, level, "all")
            ),
            contract,
        )
        slices = read.evidence.slices.get(level, ())
        days = _days(report.window, contract, slices, read.evidence.planned)
        found.append(Shown(level, contract, everything, days, _burn(report.window, contract, slices, read)))
    return found


def _days(window: Window, result: Result, slices: Sequence[Slice], planned: Sequence[tuple[int, int]]) -> list[Day]:
    starts = [*day_starts(window), window.ends_at]
    zone = zone_named(window.zone)
    parts: list[list[Slice]] = [[] for _ in starts[1:]]
    number = 0
    for one in slices:
        while number < len(parts) - 1 and one.starts_at >= starts[number + 1]:
            number += 1
        parts[number].append(one)
    found = []
    for number, (begin, end) in enumerate(pairwise(starts)):
        some = parts[number]
        bad = sum(_bad(one, result) for one in some if not shared(planned, one.starts_at, one.ends_at))
        seen = sum((one.ends_at - one.starts_at) * one.coverage for one in some)
        share = bad / result.budget if result.budget > 0 else 0.0
        shade = _shade(share, 1 / len(parts)) if seen else "none"
        local = datetime.fromtimestamp(begin, zone)
        what = f"{minutes(bad)} down" if result.unit == "s" else f"{bad:,.0f} bad"
        unseen = (end - begin) - seen
        hatched = unseen >= SLICE_S
        title = f"{local:%a %d %b}: {what}, {share:.1%} of the budget"
        title = f"{local:%a %d %b}: nothing was recorded" if not seen else title
        if seen and hatched:
            title += f"; {minutes(unseen)} not seen"
        if shared(planned, begin, end):
            title += "; partly planned"
        found.append(Day(f"{local.day}", shade, hatched, title, local.weekday() if number == 0 else 0))
    return found


def _shade(share: float, even: float) -> str:
    return "well" if share <= 0 else "within" if share <= even else "hurt" if share <= _HURT else "lost"


def _bad(one: Slice, result: Result) -> float:
    if result.unit == "s":
        return one.down_s or 0.0
    return one.total - one.good if one.total is not None and one.good is not None else 0.0


def _burn(window: Window, result: Result, slices: Sequence[Slice], read: Read) -> Burn | None:
    """The share that is left over the window; of events against the budget of all that was counted in the end."""
    if result.budget <= 0 or not slices:
        return None
    left, points = 1.0, [(window.starts_at, 1.0)]
    for one in slices:
        bad = 0.0 if shared(read.evidence.planned, one.starts_at, one.ends_at) else _bad(one, result)
        if bad:
            points.append((one.starts_at, left))
            left -= bad / result.budget
            points.append((one.ends_at, left))
    points.append((read.until, left))
    low = min(0.0, left)
    length_s = window.ends_at - window.starts_at

    def place(at: int, value: float) -> str:
        x = WIDTH * (at - window.starts_at) / length_s
        return f"{x:.1f},{HEIGHT * (1 - (value - low) / (1 - low)):.1f}"

    kept = points if len(points) <= 4 * _STEPS else [*points[:: len(points) // _STEPS], points[-1]]
    return Burn(
        " ".join(place(at, value) for at, value in kept),
        f"{place(window.starts_at, 1.0)} {place(window.ends_at, 0.0)}",
        round(HEIGHT * (1 - (0 - low) / (1 - low)), 1),
        f"{left:.1%} left",
        f"{(window.ends_at - window.starts_at) / DAY_S:.3g} days",
    )


def _months(report: Report, environment: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """By level, each month's name, verdict and figure; of a quarter."""
    mine = [one for one in report.parts if one.environment == environment and one.basis == "contract"]
    return [
        (level, [(one.window.name, str(verdict(one)), percent(one.actual)) for one in mine if one.level == level])
        for level in dict.fromkeys(one.level for one in mine)
    ]


def _incidents(story: Story | None, window: Window) -> list[tuple[str, str, str, str, str, str, str]]:
    return [
        (
            shown(one.incident.begin, window.zone),
            one.incident.severity,
            ", ".join(one.incident.alerts),
            minutes(one.incident.open_s) + (", still" if one.incident.open else ""),
            noticed(one),
            used(one),
            drilled(one),
        )
        for one in (story.incidents if story else ())
    ]
