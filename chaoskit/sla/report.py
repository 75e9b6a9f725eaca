"""Results for people and for other programs: the terminal, CSV and JSON; an instant is shown in the window's zone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from chaoskit.errors import ExitCode, worst
from chaoskit.report.table import table
from chaoskit.report.terminal import STYLES
from chaoskit.report.text import clean
from chaoskit.sla.arithmetic import minutes
from chaoskit.sla.model import Planned, Result, Window
from chaoskit.sla.windows import shown
from chaoskit.units import format_duration
from chaoskit.verify.verdict import Result as Verdict

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SKIPPED = ("window", "allowed")


@dataclass(frozen=True, slots=True)
class Report:
    """A window's results, those of its parts (a quarter's months), and the time that was planned in it."""

    window: Window
    results: Sequence[Result]
    parts: Sequence[Result] = ()
    planned: Sequence[Planned] = ()


def verdict(one: Result) -> Verdict:
    """The report's result: PASS, FAIL or UNKNOWN."""
    return Verdict.UNKNOWN if one.compliant is None else Verdict.PASS if one.compliant else Verdict.FAIL


def gate(results: Iterable[Result]) -> ExitCode:
    """The exit code of a window: 1 where a level was missed on the contract's basis, 3 where one is not known."""
    codes = {Verdict.PASS: ExitCode.PASS, Verdict.FAIL: ExitCode.FAIL, Verdict.UNKNOWN: ExitCode.UNKNOWN}
    return worst(codes[verdict(one)] for one in results if one.basis == "contract")


def view(report: Report) -> RenderableType:
    """A report of service levels for the terminal."""
    window = report.window
    over = all(one.final for one in report.results)
    head = Text.assemble(
        (f"Service levels, {window.name}", "bold"),
        f"  {shown(window.starts_at, window.zone)} to {shown(window.ends_at, window.zone)}"
        f" ({format_duration(window.ends_at - window.starts_at)}){'' if over else ', not over yet'}",
    )
    parts: list[RenderableType] = [head]
    for environment in dict.fromkeys(one.environment for one in report.results):
        mine = [one for one in report.results if one.environment == environment]
        parts += [Text(f"\n{clean(environment)}", style="bold"), _table(mine)]
        parts += [
            Padding(Text(f"• {one.level} ({one.basis}): {clean(said)}", style="dim"), (0, 0, 0, 1))
            for one in mine
            for said in (*((one.reason,) if one.reason else ()), *one.notes)
        ]
        months = [one for one in report.parts if one.environment == environment and one.basis == "contract"]
        if months:
            parts.append(_months(months))
    if report.planned:
        parts += [Text(""), planned_view(report.planned, window.zone)]
    return Group(*parts)


def planned_view(planned: Sequence[Planned], zone: str) -> RenderableType:
    """Planned windows, those declared afterwards among them, with who declared them and why."""
    found = table("id", "planned", "environment", "from", "to", "declared by", "reason", right=("id",))
    for one in planned:
        kind = one.kind if one.revoked_at is None else f"{one.kind}, revoked"
        found.add_row(
            str(one.id), kind, clean(one.environment), shown(one.starts_at, zone), shown(one.ends_at, zone),
            clean(one.declared_by), clean(one.reason),
        )  # fmt: skip
    return found


def status_view(results: Sequence[Result], recent: Sequence[Result], settled: int) -> RenderableType:
    """A table of the running month's budgets: what is left, how fast they burn, and when they are gone at this rate."""
    window = results[0].window
    shown_ = table(
        "", "level", "environment", "actual", "target", "budget left", "of", "burn", "burn, 3 days", "gone by"
    )
    for one, last in zip(results, recent, strict=True):
        end = exhausted_at(one, last, settled)
        shown_.add_row(
            Text(str(verdict(one)), style=STYLES[verdict(one)]),
            clean(one.level), clean(one.environment), percent(one.actual), f"{one.comparison} {percent(one.target)}",
            amount(one.budget_left, one.unit), amount(one.budget, one.unit), _burn(one.burn), _burn(last.burn),
            "not at this rate" if end is None else "gone" if end <= settled else shown(end, window.zone),
        )  # fmt: skip
    head = f"{window.name}, known up to {shown(settled, window.zone)}; planned time does not count"
    return Group(Text(head, style="bold"), shown_)


def exhausted_at(one: Result, recent: Result, settled: int) -> int | None:
    """When a window's budget is gone if all goes on as of late; None where it outlasts the window at that rate.

    An event level's budget grows with its traffic: what counts is what it loses beyond what that adds.
    """
    if one.budget_left <= 0:
        return settled
    length_s = min(recent.window.ends_at, settled) - recent.window.starts_at
    lost = recent.bad if one.unit == "s" else recent.bad - float(recent.allowed) * recent.counted
    if lost <= 0 or length_s <= 0:
        return None
    end = settled + int(one.budget_left / (lost / length_s))
    return end if end < one.window.ends_at else None


def to_csv(results: Iterable[Result]) -> str:
    """A row a result (RFC 4180); instants in UTC. No cell is taken for a formula by a spreadsheet."""
    rows = [row(one) for one in results]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(rows[0] if rows else [])
    writer.writerows([_cell(value) for value in one.values()] for one in rows)
    return text.getvalue()


def to_json(report: Report) -> str:
    """A report of service levels as JSON, for programs."""
    window = report.window
    found = {
        "chaoskit": 1,
        "window": {
            "span": window.span,
            "name": window.name,
            "starts_at": _iso(window.starts_at),
            "ends_at": _iso(window.ends_at),
            "zone": window.zone,
        },
        "results": [row(one) for one in report.results],
        "months": [row(one) for one in report.parts],
        "planned": [
            {name: _iso(value) if name.endswith("_at") and value is not None else value for name, value in _fields(one)}
            for one in report.planned
        ],
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def row(one: Result) -> dict[str, Any]:
    """A result's fields by name, its window's among them."""
    window = one.window
    named = {"environment": one.environment, "sla_type": one.level, "span": window.span, "window": window.name}
    instants = {"starts_at": _iso(window.starts_at), "ends_at": _iso(window.ends_at), "zone": window.zone}
    others = {name: value for name, value in _fields(one) if name not in ("environment", "level", *_SKIPPED)}
    return {**named, **instants, **others, "verdict": str(verdict(one)), "notes": list(one.notes)}


def percent(share: float | None) -> str:
    """A share for people, to a ten-thousandth of a percent: `99.9074 %`."""
    return "" if share is None else f"{100 * share:.4f} %"


def amount(value: float, unit: str) -> str:
    """Seconds as minutes, events as a number."""
    return minutes(value) if unit == "s" else f"{value:,.0f}"


def _table(results: Sequence[Result]) -> RenderableType:
    titles = ("actual", "target", "worst–best", "bad", "unknown", "budget", "left", "burn")
    found = table("", "level", "basis", *titles, "", right=titles)
    before = ""
    for one in results:
        bounds = f"{percent(one.worst)}–{percent(one.best)}" if one.unknown else ""
        found.add_row(
            Text(str(verdict(one)), style=STYLES[verdict(one)]),
            clean(one.level) if one.level != before else "",
            one.basis, percent(one.actual), f"{one.comparison} {percent(one.target)}", bounds,
            amount(one.bad, one.unit), amount(one.unknown, one.unit) if one.unknown else "",
            amount(one.budget, one.unit), amount(one.budget_left, one.unit), _burn(one.burn), one.shown,
        )  # fmt: skip
        before = one.level
    return found


def _months(results: Sequence[Result]) -> RenderableType:
    names = list(dict.fromkeys(one.window.name for one in results))
    found = table("month by month", *names)
    for level in dict.fromkeys(one.level for one in results):
        cells = [one for one in results if one.level == level]
        texts = [Text.assemble((str(verdict(one)), STYLES[verdict(one)]), f" {percent(one.actual)}") for one in cells]
        found.add_row(clean(level), *texts)
    return found


def _burn(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _fields(one: Result | Planned) -> Iterator[tuple[str, Any]]:
    return ((each.name, getattr(one, each.name)) for each in fields(one))


def _iso(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = "; ".join(value)
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA) and value not in (">=", ">", "<"):
        return f"'{value}"
    return value
