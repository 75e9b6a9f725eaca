"""A gate's folder as one page: what may not be released and why, every scenario's report, and what was proven."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from chaoskit.errors import ExitCode
from chaoskit.gate.candidate import LeftOut
from chaoskit.gate.coverage import KINDS, Coverage
from chaoskit.gate.gate import Outcome
from chaoskit.gate.view import reasons_of
from chaoskit.report.html import render
from chaoskit.report.text import shortened
from chaoskit.report.written import PAGE
from chaoskit.surroundings import leave

INDEX = "index.html"
SUMMARY = "gate.json"
_MOST_REASONS = 5
_WORST_FIRST = ("FAIL", "ERROR", "UNKNOWN", "PASS")


def write_index(
    folder: Path, outcomes: Sequence[Outcome], coverage: Coverage, left_out: Sequence[LeftOut], ending: ExitCode
) -> Path:
    """Writes the page, what did not pass first, and the same for machines, beside the scenarios' folders; its path."""
    leave(folder / SUMMARY, _summary(outcomes, coverage, left_out, ending))
    listed = sorted(outcomes, key=lambda one: (_WORST_FIRST.index(_result(one)), one.candidate.name))
    wrong = [one for one in left_out if one.wrong]
    file = folder / INDEX
    leave(
        file,
        render(
            "gate.html",
            released=ending == ExitCode.PASS,
            exit_code=int(ending),
            name=folder.name,
            passed=sum(one.exit_code == ExitCode.PASS for one in outcomes),
            outcomes=[*map(_not_played, wrong), *(_line(folder, one) for one in listed)],
            left_out=[one for one in left_out if not one.wrong],
            percent=f"{coverage.percent:.0f}",
            coverage=[
                (kind, len(coverage.all[kind] & coverage.proven[kind]), len(coverage.all[kind]), coverage.missing(kind))
                for kind in KINDS
            ],
        ),
    )
    return file


def _summary(outcomes: Sequence[Outcome], coverage: Coverage, left_out: Sequence[LeftOut], ending: ExitCode) -> bytes:
    found = {
        "exit_code": int(ending),
        "scenarios": [
            {
                "name": one.candidate.name,
                "result": _result(one),
                "exit_code": one.exit_code,
                "took_s": one.took_s,
                "attempt": one.attempt,
                "run": one.folder.name,
                "reasons": reasons_of(one),
            }
            for one in outcomes
        ]
        + [
            {
                "name": one.name,
                "result": "UNKNOWN",
                "exit_code": int(ExitCode.USAGE),
                "took_s": 0.0,
                "attempt": 0,
                "run": "",
                "reasons": [one.why],
            }
            for one in left_out
            if one.wrong
        ],
        "left_out": [one for one in left_out if not one.wrong],
        "unproven": {kind: coverage.missing(kind) for kind in KINDS},
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def _result(outcome: Outcome) -> str:
    return str(outcome.verdict.result) if outcome.verdict else "ERROR"


def _not_played(one: LeftOut) -> dict[str, object]:
    return {
        "result": "UNKNOWN",
        "name": one.name,
        "title": "not played",
        "alerts": one.proves,
        "took": "",
        "again": False,
        "href": "",
        "reasons": [shortened(one.why, 600)],
        "more": 0,
    }


def _line(folder: Path, outcome: Outcome) -> dict[str, object]:
    page = outcome.folder / PAGE
    reasons = reasons_of(outcome)
    return {
        "result": _result(outcome),
        "name": outcome.candidate.name,
        "title": outcome.candidate.plan.scenario.title,
        "alerts": ", ".join(sorted(outcome.candidate.expects)) or "nothing may fire",
        "took": f"{outcome.took_s:.0f} s",
        "again": outcome.attempt > 1,
        "href": quote(page.relative_to(folder).as_posix()) if page.is_file() else "",
        "reasons": [shortened(reason, 600) for reason in reasons[:_MOST_REASONS]],
        "more": max(0, len(reasons) - _MOST_REASONS),
    }
