"""The documented checklist on a terminal and in one line: eight answers for each alert that was expected."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from chaoskit.report.table import table
from chaoskit.report.terminal import STYLES
from chaoskit.report.text import clean
from chaoskit.verify.checklist import ITEMS, Checklist
from chaoskit.verify.verdict import Result

_WORDS = {Result.PASS: "pass", Result.FAIL: "FAIL", Result.UNKNOWN: "unknown", None: "-"}
_MARKS = {Result.PASS: "+", Result.FAIL: "F", Result.UNKNOWN: "?", None: "-"}


def checklist_view(checklists: Sequence[Checklist]) -> RenderableType:
    """A table, a row for each expected instance; empty where nothing was expected."""
    if not checklists:
        return Group()
    shown = table("alert", *ITEMS)
    for one in checklists:
        answers = [one.answers.get(item) for item in ITEMS]
        words = [Text(_WORDS[each], style=STYLES[each] if each else "dim") for each in answers]
        shown.add_row(clean(one.about), *words)
    return Group(Text("Checklist", style="bold"), shown, Text(""))


def marks(checklists: Sequence[Checklist]) -> str:
    """Each instance's answers as eight characters: + pass, F fail, ? unknown, - not promised; equal ones once."""
    found = ["".join(_MARKS[one.answers.get(item)] for item in ITEMS) for one in checklists]
    return " ".join(dict.fromkeys(found))


def lines(checklists: Sequence[Checklist]) -> list[str]:
    """A line for each instance, in words."""
    return [
        f"{one.about}: {', '.join(f'{item} {_WORDS[one.answers.get(item)]}' for item in ITEMS)}" for one in checklists
    ]
