"""A check: what it owes, and how it judges, strictly. It never asks whether anything excuses a failure: it says what
would have had to work for its row to count, and `excuses.excuse` asks that of the evidence, once, for all of them.

A new check is a file with a `Check` in it, its line in `checks.CHECKS` and its test. One that has rows only where
something failed owes nothing and needs no golden; any other needs a recipe in tests/golden and `renew --judge`.
docs/extending.md shows one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from chaoskit.events import Interval
from chaoskit.hop import Hop
from chaoskit.verify.case import Case, Instance
from chaoskit.verify.verdict import Result, Row

Of = TypeVar("Of", Case, Instance)
Owed = tuple[str, Hop, str]
"""About, hop, receiver: what a row is told by."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a strict row rests on. All instants are real seconds on our clock."""

    span: Interval
    """When what is needed had to work."""
    says: Callable[[str], str]
    """The reason, with why it cannot be known."""
    zero: float = 0.0
    """From when on observers had to look; reasons count from it."""
    since: str = "the first step"
    """What was at `zero`."""
    observers: tuple[str, ...] = ()
    """Those who had to be looking all the time, as the row rests on what was not seen."""
    equipment: tuple[str, ...] = ()
    """What had to be up and running."""
    busy: tuple[str, ...] = ()
    """Whose want of a processor may have brought a failure about."""
    late_s: float | None = None
    """For what was seen: how much too late, negative too early. What stood still for less explains nothing."""
    seen_from: float = 0.0
    """The earliest instant at which that may have been."""
    instance: Instance | None = None
    """The expected instance that it is about: others may have muted it, or we ended its fault."""
    known: str = ""
    """A trouble that the check found itself."""


@dataclass(frozen=True, slots=True)
class Strict:
    """A row as if nothing excused anything, and each of the things that it rests on."""

    row: Row
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Check(Generic[Of]):
    """Judges a whole run (`of` is Case) or each instance that is expected (Instance)."""

    name: str
    of: type[Of]
    judge: Callable[[Of], Iterable[Strict]]
    owes: Callable[[Of], Iterable[Owed]] = lambda _: ()
    """The rows that there must be; one that is lacking is UNKNOWN."""
    always: bool = False
    """Whether it is judged although the steady state was not reached."""


def but(said: str, ending: str = "") -> Callable[[str], str]:
    """Says in between why it cannot be known."""
    return lambda trouble: f"{said}, but {trouble}{ending}"


def kept(hop: Hop, about: str, rests_on: str, *needs: Need, to: str = "") -> Strict:
    """PASS; `rests_on` says what was seen."""
    return Strict(Row(about=about, hop=hop, to=to, result=Result.PASS, rests_on=rests_on), needs)


def broken(hop: Hop, about: str, reason: str, *needs: Need, to: str = "") -> Strict:
    """FAIL."""
    return Strict(Row(about=about, hop=hop, to=to, result=Result.FAIL, reason=reason), needs)


def unknown(hop: Hop, about: str, reason: str, to: str = "") -> Strict:
    """UNKNOWN: what would be judged was not seen, or not exactly enough."""
    return Strict(Row(about=about, hop=hop, to=to, result=Result.UNKNOWN, reason=reason))
