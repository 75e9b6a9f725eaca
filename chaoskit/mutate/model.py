"""A mutant as data: one harmful change of a configuration, as edits of one file's text.

The one idea: an edit says line, column, what stood there and what stands there now, and nothing around it moves; the
id is made of what is changed, not of where the line happens to be, so that a mutant keeps its id while files grow.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from chaoskit.mutate.source import Bundle, Spot

Role = Literal["rules", "alertmanager", "template", "prometheus"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement; line and column count from 1."""

    line: int
    column: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change; `site` is the part of the configuration that it is in, `about` the alert or record if any."""

    id: str
    operator: str
    role: Role
    file: str
    """The changed file's path, as it can be opened from here."""
    edits: tuple[Edit, ...]
    site: str
    about: str = ""

    @property
    def change(self) -> str:
        """Old and new in one line, for lists: `[5m] → [10m]`."""
        return "; ".join(f"{_short(each.old) or 'nothing'} → {_short(each.new) or 'nothing'}" for each in self.edits)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."


def id_of(role: str, site: str, operator: str, edits: Iterable[Edit], again: int = 0) -> str:
    """Ten letters that tell a mutant from every other; `again` counts equal changes of one site."""
    parts = [role, site, operator, *(part for each in edits for part in (each.old, each.new)), str(again)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits in it; raises ValueError where it does not read as an edit says."""
    starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    for edit in sorted(edits, key=lambda each: (each.line, each.column), reverse=True):
        at = starts[edit.line - 1] + edit.column - 1 if edit.line <= len(starts) else len(text)
        if not text.startswith(edit.old, at):
            raise ValueError(f"line {edit.line}, column {edit.column} does not read {edit.old!r}: list mutants anew")
        text = text[:at] + edit.new + text[at + len(edit.old) :]
    return text


def unified(text: str, mutant: Mutant) -> str:
    """The change as a unified diff of the file."""
    new = applied(text, mutant.edits)
    lines = difflib.unified_diff(
        text.splitlines(keepends=True), new.splitlines(keepends=True), mutant.file, f"{mutant.file} ({mutant.id})"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


Find = Callable[["Bundle"], "Iterator[Spot]"]


@dataclass(frozen=True, slots=True)
class Operator:
    """One way of spoiling a configuration; `hop` is where a run should notice."""

    id: str
    role: Role
    hop: str
    what: str
    """The change that the operator makes, as a sentence."""
    why: str
    """Why that change does harm, as a sentence."""
    find: Find


OPERATORS: dict[str, Operator] = {}
"""Every operator by id; importing chaoskit.mutate.operators fills it."""


def operator(id_: str, role: Role, hop: str, what: str, why: str) -> Callable[[Find], Find]:
    """Registers the function as the operator of this id; raises ValueError for an id that is taken."""

    def register(find: Find) -> Find:
        if id_ in OPERATORS:
            raise ValueError(f"the operator '{id_}' is registered twice")
        OPERATORS[id_] = Operator(id_, role, hop, what, why, find)
        return find

    return register
