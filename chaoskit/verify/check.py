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
from chaoskit.units import seconds
from chaoskit.verify.case import Case, Instance
from chaoskit.verify.verdict import Result, Row

Of = TypeVar("Of", Case, Instance)
Owed = tuple[str, Hop, str]
"""About, hop, receiver: what a row is told by."""


@dataclass(frozen=True, slots=True)
class Need:
    """The observers and equipment that a strict row rests on. All instants are real seconds on our clock."""

    span: Interval
    """When what is needed had to work."""
    says: Callable[[str], str]
    """The row's reason, given why the evidence does not tell."""
    zero: float = 0.0
    """From when on observers had to look; reasons count from it."""
    since: str = "the first step"
    """The event at `zero`, in words."""
    observers: tuple[str, ...] = ()
    """The observers that had to look all the time, since the row rests on something that was not seen."""
    equipment: tuple[str, ...] = ()
    """The programs that had to be up and running."""
    busy: tuple[str, ...] = ()
    """Whose want of a processor may have brought a failure about."""
    late_s: float | None = None
    """For what was seen: how much too late, negative too early or in time, which needs no excuse. A program that stood
    still for less is none."""
    seen_from: float = 0.0
    """The earliest instant at which that may have been."""
    instance: Instance | None = None
    """The expected instance that the row is about: others may have muted it, or we ended its fault."""
    known: str = ""
    """A trouble that the check found itself."""
    hop: Hop | None = None
    """The hop whose own this is, where the row is of a whole way; None for the row's."""


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
    """The rows that the verdict must have of this check; a missing one is UNKNOWN."""
    always: bool = False
    """Whether the check is judged although the steady state was not reached."""


def but(said: str, ending: str = "") -> Callable[[str], str]:
    """A `says` for needs: the reason, then `but` and why the evidence does not tell."""
    return lambda trouble: f"{said}, but {trouble}{ending}"


def kept(hop: Hop, about: str, rests_on: str, *needs: Need, to: str = "") -> Strict:
    """A strict PASS; `rests_on` says what was seen."""
    return Strict(Row(about=about, hop=hop, to=to, result=Result.PASS, rests_on=rests_on), needs)


def broken(hop: Hop, about: str, reason: str, *needs: Need, to: str = "") -> Strict:
    """A strict FAIL of this hop, with the reason."""
    return Strict(Row(about=about, hop=hop, to=to, result=Result.FAIL, reason=reason), needs)


def unknown(hop: Hop, about: str, reason: str, to: str = "") -> Strict:
    """A strict UNKNOWN: what would be judged was not seen, or not exactly enough."""
    return Strict(Row(about=about, hop=hop, to=to, result=Result.UNKNOWN, reason=reason))


DUST_VS = 1e-3
"""Virtual seconds by which rounding may move an instant; far below any resolution."""


def judge(observed: Interval, allowed: Interval, resolution_vs: float) -> Result:
    """The result for an observation [a, b] that certainly holds the truth, all in virtual seconds.

    window            lo |--------------| hi
    FAIL        [a b]                          the two do not meet: the truth is outside the window
    PASS                     [a b]             they meet, and [a, b] is narrow enough to tell this promise
    UNKNOWN       [a                    b]     from a wrong one; otherwise the truth may be on either side
    """
    (a, b), (lo, hi) = observed, allowed
    if b < lo - DUST_VS or a > hi + DUST_VS:
        return Result.FAIL
    return Result.PASS if b - a <= resolution_vs + DUST_VS else Result.UNKNOWN


def margin_vs(observed: Interval, allowed: Interval) -> float:
    """How much earlier or later the hop could have ended without a FAIL; negative: by how much it misses the window."""
    slack = min(observed[1] - allowed[0], allowed[1] - observed[0])
    return slack if abs(slack) > DUST_VS else 0.0


def between(later: Interval, earlier: Interval, scale: float) -> Interval:
    """The span from one uncertain instant to another, in virtual seconds, rounded to the millisecond."""
    return (round((later[0] - earlier[1]) * scale, 3), round((later[1] - earlier[0]) * scale, 3))


def outside(observed: Interval, allowed: Interval, since: str) -> str:
    """When the event came and by how much that is outside the window, from the observed end nearest to the
    window, so that the figures that are shown add up."""
    late = observed[0] > allowed[1]
    near, bound = (
        (round(observed[0], 1), round(allowed[1], 1)) if late else (round(observed[1], 1), round(allowed[0], 1))
    )
    sharp = seconds(observed[0]) == seconds(observed[1])
    words = "" if sharp else "at least " if late or near < 0 else "at most "
    when = f"{words}{seconds(abs(near))} {'before' if near < 0 else 'after'} {since}"
    promised = f"at {'most' if late else 'least'} {seconds(bound)} promised"
    return f"{when}, {seconds(abs(near - bound))} too {'late' if late else 'early'} ({promised})"


def outside_span(seen: Interval, since: float, until: float) -> bool:
    """Whether what was seen happened outside [since, until] for certain."""
    return seen[1] < since or seen[0] > until
