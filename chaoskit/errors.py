"""The errors, worded for the person who reads them, and the exit code each ending maps to.

ChaoskitError
├── BadInput         the user's files or arguments: every problem at once, exit 2
├── Refused          understood, but not done here: locked, unsafe, impossible at this scale, exit 2
├── EquipmentError   Prometheus, Alertmanager, a sink, the load or the target failed us, exit 3
└── Interrupted      a signal or an abort condition stopped the run; everything was healed, exit 4
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; `worst` ranks them."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    UNKNOWN = 3
    ABORTED = 4
    NOT_HEALED = 5
    BUG = 70


_WORST_FIRST = (
    ExitCode.NOT_HEALED,
    ExitCode.BUG,
    ExitCode.FAIL,
    ExitCode.ABORTED,
    ExitCode.USAGE,
    ExitCode.UNKNOWN,
    ExitCode.PASS,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Of several endings the one to report: not healed, bug, FAIL, aborted, bad input, UNKNOWN, PASS in this order.

    An empty collection is bad input: nothing was selected.
    """
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), ExitCode.USAGE)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where in the user's input something stands; lines count from 1, 0 means the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what was found, and what to do next."""

    place: Place | None
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return f"{where}{self.message}" + (f" ({self.hint})" if self.hint else "")


class ChaoskitError(Exception):
    """The root of every error raised on purpose."""

    exit_code = ExitCode.BUG


class BadInput(ChaoskitError):
    """The user's files or arguments cannot be used; carries all problems, in reading order."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: Iterable[Problem] | Problem | str) -> None:
        if isinstance(problems, str):
            problems = Problem(None, problems)
        if isinstance(problems, Problem):
            problems = (problems,)
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Refused(BadInput):
    """Understood, but not done: locked, unsafe, or impossible at this time scale."""


class EquipmentError(ChaoskitError):
    """Something that the run relies on (not what it tests) did not start, answer, or stay alive."""

    exit_code = ExitCode.UNKNOWN

    def __init__(self, equipment: str, message: str, hint: str = "") -> None:
        self.equipment = equipment
        self.hint = hint
        self._said = (equipment, message, hint)
        super().__init__(f"{equipment}: {message}" + (f" ({hint})" if hint else ""))

    def __reduce__(self) -> tuple[type[EquipmentError], tuple[str, str, str]]:
        """Pickle it by its arguments, so that a child process can pass it on."""
        return type(self), self._said


class Interrupted(ChaoskitError):
    """A signal or an abort condition ended the run; every fault in force was undone."""

    exit_code = ExitCode.ABORTED
