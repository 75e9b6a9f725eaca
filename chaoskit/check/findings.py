"""Findings of a check, and the registry of lints: small functions with an id, a severity and one sentence.

The one idea: a lint yields what it noticed (where, what, what to do); why it matters is the lint's own sentence,
said once in its registration and printed with every finding and in the documentation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from chaoskit.errors import Place

if TYPE_CHECKING:
    from chaoskit.check.lint_context import LintContext

AGREE = "change the configuration or the promise"
"""The next step where either of the two may be wrong."""


class Severity(IntEnum):
    """How bad: an error is a broken promise or a definite fault; a warning most engineers would mend."""

    INFO = 0
    WARNING = 1
    ERROR = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that a lint noticed: where, what was found, and what to do next."""

    place: Place
    message: str
    todo: str
    severity: Severity | None = None
    """The finding's severity; None for that of its lint."""


def unseen(place: Place, where: str, why: str) -> Violation:
    """A warning: this part of the promise can be neither kept nor broken, since the text does not say enough."""
    todo = "write it into the configuration, or take the promise back"
    return Violation(place, f"{where}: not compared with the promise, since {why}", todo, Severity.WARNING)


DISCOVERED = "its targets are discovered"
"""Why addresses are not compared."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding, complete, as it is printed: `why` is what it leads to when nothing is done."""

    id: str
    severity: Severity
    place: Place
    message: str
    why: str
    todo: str

    @property
    def broken(self) -> bool:
        """Whether it is a fault; of a departure from the promise, whether the promise cannot be kept like this."""
        return self.severity >= Severity.ERROR


@dataclass(frozen=True, slots=True)
class Lint:
    """One lint: `needs` are the parts without which it says nothing."""

    id: str
    severity: Severity
    topic: str
    what: str
    """The fault that it looks for, as a sentence."""
    why: str
    """Why that matters, as a sentence."""
    needs: tuple[str, ...]
    find: Callable[[LintContext], Iterator[Violation]]

    def findings(self, context: LintContext) -> Iterator[Finding]:
        """Everything that it noticed, complete."""
        for said in self.find(context):
            severity = self.severity if said.severity is None else said.severity
            yield Finding(self.id, severity, said.place, said.message, self.why, said.todo)


LINTS: dict[str, Lint] = {}
"""Every lint by id, in the order of the documentation; importing chaoskit.check.lints fills it."""

Find = Callable[["LintContext"], Iterator[Violation]]


def lint(id_: str, severity: Severity, topic: str, needs: tuple[str, ...], said: str = "") -> Callable[[Find], Find]:
    """Registers the function as the lint of this id.

    `said`, or else its docstring, says what it looks for, then why that matters. Raises ValueError for an id that is
    taken, and where one of the two paragraphs is missing.
    """

    def register(find: Find) -> Find:
        what, _, why = (said or inspect.getdoc(find) or "").partition("\n\n")
        if id_ in LINTS or not why:
            raise ValueError(f"the lint '{id_}' is registered twice, or does not say what it looks for and why")
        LINTS[id_] = Lint(id_, severity, topic, " ".join(what.split()), " ".join(why.split()), needs, find)
        return find

    return register
