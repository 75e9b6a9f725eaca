"""A gate's folder as one page: what may not be released and why, margins, every scenario's report, and what was proven;
the same as Markdown for a job's summary, and for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from chaoskit.errors import ExitCode
from chaoskit.events import Header, decode
from chaoskit.gate.answer import Ended
from chaoskit.gate.candidate import LeftOut
from chaoskit.gate.coverage import KINDS
from chaoskit.gate.earlier import SUMMARY, Scenario, differences
from chaoskit.gate.figures import Cell, by_hop, by_receiver, href_of, notices_and_alerts, promises, smallest
from chaoskit.gate.gate import Outcome
from chaoskit.markdown import document, folded, plain, table
from chaoskit.report.html import began_at, render
from chaoskit.report.html_causes import Cause, causes
from chaoskit.report.judge_run import MARKDOWN, PAGE, read_verdict
from chaoskit.report.text import real, shortened
from chaoskit.surroundings import leave
from chaoskit.units import amount
from chaoskit.verify.verdict import ORDER, Result

INDEX = "index.html"
_MOST_REASONS = 5
_MOST_CHANGES = 200
_WORST_FIRST = ("FAIL", "ERROR", "UNKNOWN", "PASS")


@dataclass(frozen=True, slots=True)
class _Line:
    """One scenario on the page."""

    result: str
    name: str
    title: str
    alerts: str
    reasons: Sequence[str]
    more: int = 0
    """Reasons that are not shown."""
    took: str = ""
    before: Sequence[str] = ()
    """Why the first attempt said nothing."""
    first: str = ""
    """The link to the first attempt."""
    href: str = ""
    margin: Cell | None = None
    volume: str = ""


def write_index(gate: Ended) -> Path:
    """Writes the page, what did not pass first, and the same for jobs and machines, beside the scenarios' folders.

    Returns the page.
    """
    leave(gate.folder / SUMMARY, _summary(gate))
    shown = _shown(gate)
    leave(gate.folder / INDEX, render("gate.html", **shown))
    leave(gate.folder / MARKDOWN, _markdown(shown).encode())
    return gate.folder / INDEX


def _shown(gate: Ended) -> dict[str, Any]:
    """Everything that the page and the Markdown say."""
    folder, outcomes, coverage = gate.folder, gate.outcomes, gate.coverage
    listed = sorted(outcomes, key=lambda one: (_WORST_FIRST.index(one.result), one.candidate.name))
    lines = [*(_not_played(one) for one in gate.left_out if one.wrong), *(_line(folder, one) for one in listed)]
    results = [line.result for line in lines]
    told, fired = notices_and_alerts(outcomes)
    least = min((c for one in outcomes if (c := smallest(folder, one))), key=lambda c: c.margin_vs or 0.0, default=None)
    counts = promises(outcomes)
    hops, receivers = by_hop(folder, outcomes), by_receiver(folder, outcomes)
    return {
        "released": gate.ending == ExitCode.PASS,
        "answer": gate.answer,
        "exit_code": int(gate.ending),
        "name": folder.name,
        "passed": sum(one.exit_code == ExitCode.PASS for one in outcomes),
        "outcomes": lines,
        "results": [(name, results.count(name)) for name in _WORST_FIRST if name in results],
        "unhealed": [one.candidate.name for one in listed if one.exit_code == ExitCode.NOT_HEALED],
        "again": [line for line in lines if line.first],
        "left_out": [one for one in gate.left_out if not one.wrong],
        "hours": sorted(gate.hours, key=lambda row: ORDER.index(row.result)),
        "percent": f"{coverage.percent:.0f}",
        "coverage": [
            (kind, len(coverage.all[kind] & coverage.proven[kind]), len(coverage.all[kind]), coverage.missing(kind))
            for kind in KINDS
        ],
        "matrices": [
            ("Alerts and hops", "hop", hops, "how much later each hop could have come"),
            (
                "Alerts and receivers",
                "receiver",
                receivers,
                "how much later any notice or all-clear there could have come",
            ),
        ],
        "totals": [
            ("took", f"{real(gate.took_s)} min (real)" if gate.took_s else "not known"),
            ("scenarios one after the other", f"{real(sum(one.took_s for one in outcomes))} min (real)"),
            ("promises", f"{counts[Result.PASS]} kept, {counts[Result.FAIL]} broken, {counts[Result.UNKNOWN]} unknown"),
            ("notices", f"{told}, the all-clears included, for {fired} alerts that fired"),
            ("smallest margin", f"{least.text} ({least.where})" if least else "none"),
            ("second attempts", str(sum(one.attempt > 1 for one in outcomes))),
        ],
        "least": least,
        "facts": _facts(outcomes),
        "before": gate.old.folder.name if gate.old else "",
        "changes": differences(gate.old, outcomes, coverage, gate.hours)[:_MOST_CHANGES] if gate.old else None,
    }


def _summary(gate: Ended) -> bytes:
    found = {
        "exit_code": int(gate.ending),
        "took_s": round(gate.took_s, 1),
        "scenarios": [
            *(
                Scenario(
                    name=one.candidate.name,
                    result=one.result,
                    exit_code=ExitCode(one.exit_code),
                    took_s=one.took_s,
                    attempt=one.attempt,
                    run=one.folder.name,
                    reasons=one.reasons,
                    smallest_margin=_as_json(smallest(gate.folder, one)),
                )
                for one in gate.outcomes
            ),
            *(
                Scenario(name=one.name, result="UNKNOWN", exit_code=one.exit_code, run="", reasons=[one.why])
                for one in gate.left_out
                if one.wrong
            ),
        ],
        "left_out": [one for one in gate.left_out if not one.wrong],
        "intervals": gate.hours,
        "unproven": {kind: gate.coverage.missing(kind) for kind in KINDS},
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def _as_json(cell: Cell | None) -> Mapping[str, object] | None:
    return {"margin_vs": cell.margin_vs, "where": cell.where} if cell else None


def _facts(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """The gate's users, hosts, time, commit and versions, from the readable histories; empty without any."""
    headers = sorted((found for one in outcomes if (found := header_of(one.folder))), key=lambda each: each.t)
    if not headers:
        return []
    header = headers[0]
    facts = [("began", began_at(header.t, header.origin))]
    if origin := header.origin:
        places = {f"{each.origin.by} on {each.origin.host}" for each in headers if each.origin}
        facts += [("by", ", ".join(sorted(places))), ("commit", origin.commit or "in no git repository")]
    facts.append(("time scale", f"{header.time_scale:g} virtual seconds per real second"))
    return [*facts, *((f"{name} version", version) for name, version in sorted(header.versions.items()))]


def header_of(folder: Path) -> Header | None:
    """The header of a run's history; None where there is none to read."""
    try:
        with (folder / "events.jsonl").open("rb") as file:
            return header_in(file.readline())
    except OSError:
        return None


def header_in(line: bytes) -> Header | None:
    """The header in the first line of a history; None where it is none."""
    try:
        event = decode(line)
    except msgspec.DecodeError:
        return None
    return event if isinstance(event, Header) else None


def _not_played(one: LeftOut) -> _Line:
    return _Line("UNKNOWN", one.name, one.word, one.proves, [shortened(one.why, 600)])


def _line(folder: Path, outcome: Outcome) -> _Line:
    verdict = outcome.verdict
    reasons = [_because(one) for one in causes(verdict.rows)] if verdict else outcome.reasons
    told, fired = notices_and_alerts([outcome])
    before = outcome.folder.with_name(outcome.candidate.name) / PAGE
    there = before.is_file() and before.parent != outcome.folder
    first = read_verdict(before.parent) if there and outcome.attempt > 1 else None
    return _Line(
        result=outcome.result,
        name=outcome.candidate.name,
        title=outcome.candidate.title,
        alerts=", ".join(sorted(outcome.candidate.expects)) or "nothing may fire",
        took=f"{outcome.took_s:.0f} s",
        before=[_because(one) for one in causes(first.rows)[:2]] if first else [],
        first=(quote(f"{before.parent.name}/{PAGE}") if there else "#scenarios") if outcome.attempt > 1 else "",
        href=href_of(folder, outcome),
        margin=smallest(folder, outcome),
        volume=f"{told} for {fired}" if fired else "",
        reasons=[shortened(reason, 600) for reason in reasons[:_MOST_REASONS]],
        more=max(0, len(reasons) - _MOST_REASONS),
    )


def _because(one: Cause) -> str:
    """A cause in a sentence: the first of its rows, and how many there are."""
    if len(one.rows) == 1:
        said = f"{one.rows[0].who}: {one.head}"
    else:
        said = f"{one.head}: {one.rows[0].who}: {one.rows[0].what}, and {len(one.rows) - 1 + one.more} more"
    return said + (f"; governed by {one.governed}" if one.governed else "")


def _markdown(shown: Mapping[str, Any]) -> str:
    """For a comment or a job's summary: the answer, what did not pass and why; the rest folded."""
    lines = shown["outcomes"]
    head = [
        f"## chaoskit gate: {shown['answer']}",
        "",
        f"{shown['passed']} of {len(lines)} scenarios passed, {shown['percent']} % proven (exit {shown['exit_code']}).",
        "",
    ]
    if shown["unhealed"]:
        head += [f"**NOT HEALED**: {', '.join(map(plain, shown['unhealed']))}. Run `chaoskit heal --all` there.", ""]
    bad = [line for line in lines if line.result != "PASS"]
    parts = [[f"- **{line.result}** {plain(line.name)}", *_reasons(line)] for line in bad]
    hours = [(row.result, plain(row.about), plain(row.said)) for row in shown["hours"]]
    parts += [[f"- **{result}** {about}", f"  - {said}"] for result, about, said in hours if result != Result.PASS]
    parts.append([""])
    if shown["changes"] is not None:
        rows = [
            (plain(scenario), plain(one.what), plain(one.old), plain(one.new), one.direction)
            for scenario, one in shown["changes"]
        ]
        changed = table(("scenario", "what", "before", "now", ""), rows)
        parts.append(
            folded(f"{amount(len(rows), 'differences')} from {plain(shown['before'])}", changed or ["none", ""])
        )
    all_ = [
        (line.result, plain(line.name), line.margin.text if line.margin else "", line.volume, line.took)
        for line in lines
    ]
    head_ = ("", "scenario", "smallest margin", "notices for alerts", "took")
    parts.append(folded(f"all {len(lines)} scenarios", table(head_, all_)))
    parts.append(folded("time intervals, inside and outside", table(("", "interval", ""), hours)))
    parts += [folded(title.lower(), _grid(what, matrix)) for title, what, matrix, _ in shown["matrices"]]
    gaps = [
        f"- {kind}: {proven} of {every}; without proof: {', '.join(map(plain, missing))}"
        for kind, proven, every, missing in shown["coverage"]
        if missing
    ]
    parts.append(folded("what was not proven", gaps))
    facts = [(name, plain(value)) for name, value in (*shown["totals"], *shown["facts"])]
    parts.append(folded("figures", table(("", ""), facts)))
    return document(head, parts)


def _reasons(line: _Line) -> list[str]:
    more = [f"  - and {line.more} more"] if line.more else []
    return [*(f"  - {plain(reason)}" for reason in line.reasons), *more]


def _grid(what: str, matrix: Any) -> list[str]:
    rows = [
        (plain(alert), *(_worded(cells.get(column)) for column in matrix.columns))
        for alert, cells in matrix.rows.items()
    ]
    return table(("alert", *map(plain, matrix.columns)), rows)


def _worded(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    return cell.text if cell.result is Result.PASS else f"**{cell.result}** {cell.text}"
