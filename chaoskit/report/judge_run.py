"""A run's verdict, its checklist, its page and its summary, beside its history."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from chaoskit import json_text
from chaoskit.errors import BadInput
from chaoskit.files import HISTORY, read_regular
from chaoskit.history import read_history, readable_part
from chaoskit.report.html import page
from chaoskit.report.notes import read_notes
from chaoskit.report.requests import csv_files
from chaoskit.report.summary import to_markdown
from chaoskit.surroundings import leave
from chaoskit.verify.case import Case
from chaoskit.verify.checklist import Checklist
from chaoskit.verify.verdict import Verdict, to_json
from chaoskit.verify.verify import judge_case, plan_of

VERDICT = "verdict.json"
CHECKLIST = "checklist.json"
PAGE = "report.html"
MARKDOWN = "summary.md"


def judge_folder(folder: Path, before: Verdict | None = None, gate: str = "") -> tuple[Verdict, list[Checklist]]:
    """Judges the history in a run's folder and leaves verdict, checklist, page and summary beside it.

    `before` is a verdict to compare it with, `gate` a link from the page to that of the gate it is a part of.
    """
    history = read_history(folder)
    case = Case(history, plan_of(history.header))
    verdict, checklists = judge_case(case)
    leave(folder / VERDICT, to_json(verdict))
    leave(folder / CHECKLIST, msgspec.json.format(msgspec.json.encode(checklists), indent=1) + b"\n")
    leave(folder / PAGE, page(history, verdict, (), checklists, read_notes(folder), before, gate, case))
    leave(folder / MARKDOWN, to_markdown(verdict, before).encode())
    for name, content in csv_files(history).items():
        leave(folder / name, content)
    return verdict, checklists


def judge(path: Path, html: Path | None = None, before: Verdict | None = None) -> tuple[Verdict, list[Checklist]]:
    """The verdict on a stored history, which may be a run's folder; `html` is where its page goes.

    Raises BadInput for a history that cannot be trusted; its page is written all the same, says why, and shows what
    can be read.
    """
    try:
        history = read_history(path)
        case = Case(history, plan_of(history.header))
        verdict, checklists = judge_case(case)
    except BadInput as error:
        if html is not None:
            leave(html, page(readable_part(path), None, [str(problem) for problem in error.problems]))
        raise
    if html is not None:
        leave(html, page(history, verdict, (), checklists, read_notes(path), before, case=case))
    return verdict, checklists


def read_verdict(folder: Path) -> Verdict | None:
    """The verdict that `judge_folder` wrote; None where it is missing or unreadable."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return json_text.decode(read_regular(folder / VERDICT, HISTORY), type=Verdict)
    return None


def read_checklists(folder: Path) -> list[Checklist]:
    """The checklists that `judge_folder` wrote; empty where the file is missing."""
    file = folder / CHECKLIST
    return json_text.decode(read_regular(file, HISTORY), type=list[Checklist]) if file.exists() else []
