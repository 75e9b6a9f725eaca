"""From what counters rose by to rows of events, and what becomes of time in which nothing was scraped; pure.

light   light   dark   dark   light              a slice is light where anything of the environment was scraped
  10      10      ?      ?      40                no counter began again: one row of 40 from the first dark slice on
  10      10      ?      ?       7                one did: what came before its first sample is unknown, 7 after it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chaoskit.sla.counters import Increase
from chaoskit.sla.model import SLICE_S, Slice


@dataclass(slots=True)
class Tally:
    """The joint increase of counters, by slice: within it, and from the last sample before it to its first one."""

    inside: list[float]
    across: list[float]
    fell: set[int] = field(default_factory=set)
    """The numbers, from 1, of slices before which one of them began again."""
    bridged: set[int] = field(default_factory=set)
    """The numbers of slices before which the last sample of one of them is known."""

    @classmethod
    def of(cls, count: int, steps: Iterable[Sequence[float]], raw: Iterable[Mapping[int, Increase]]) -> Tally:
        """The tally of counters: their steps, and what their slices that were read raw showed."""
        columns = list(steps)
        made = cls(list(map(sum, zip(*columns, strict=True))) if columns else [0.0] * count, [0.0] * count)
        for one in raw:
            for number, increase in one.items():
                made.inside[number - 1] += increase.inside
                made.across[number - 1] += increase.across or 0.0
                if increase.across is not None:
                    (made.fell if increase.fell else made.bridged).add(number)
        return made

    @classmethod
    def sum(cls, count: int, several: Iterable[Tally]) -> Tally:
        """The sum of several tallies of counters."""
        made = cls([0.0] * count, [0.0] * count)
        for one in several:
            made.inside = [a + b for a, b in zip(made.inside, one.inside, strict=True)]
            made.across = [a + b for a, b in zip(made.across, one.across, strict=True)]
            made.fell |= one.fell
            made.bridged |= one.bridged
        return made

    def rose(self, number: int, *, across: bool = True) -> float:
        """By how much the counter rose in this slice; without `across` since its first sample."""
        return self.inside[number - 1] + (self.across[number - 1] if across else 0.0)

    def rose_in(self, numbers: range) -> float:
        """By how much the counter rose in several slices that follow each other."""
        chosen = slice(numbers.start - 1, numbers.stop - 1)
        return sum(self.inside[chosen]) + sum(self.across[chosen])


def event_rows(
    environment: str,
    level: str,
    begin: int,
    good: Tally,
    total: Tally,
    *,
    light: Mapping[int, int],
    last_light: int | None,
    source: str = "",
) -> list[Slice]:
    """The rows of slices from `begin` on.

    `light` has the number of each slice that is not dark, from 1 (0: the one before), with the instant (in ms) of its
    first sample; `last_light` is the end of the last light slice before `begin`, None where none is known.
    """
    made: list[Slice] = []

    def row(starts_at: int, ends_at: int, across: bool | None, coverage: float, number: int = 0) -> None:
        one = Slice(environment, level, starts_at, ends_at, coverage=coverage)
        if across is not None:
            one = replace(
                one, source=source, good=good.rose(number, across=across), total=total.rose(number, across=across)
            )
        made.append(one)

    # A slice that was light once, and of which no sample is left, bridges nothing.
    lit = begin if 0 in light else last_light if last_light != begin else None
    for number in range(1, len(total.inside) + 1):
        end = begin + number * SLICE_S
        if number not in light:
            row(end - SLICE_S, end, None, 0.0)
            continue
        if lit == end - SLICE_S:
            row(lit, end, True, 1.0, number)
        elif lit is None or number in total.fell or number not in total.bridged:
            # What came before the first sample, which may be the slice's last instant, was not counted.
            coverage = (end * 1000 - light[number]) / (SLICE_S * 1000)
            row(end - SLICE_S, end, False if coverage else None, coverage, number)
        else:
            row(lit, end, True, SLICE_S / (end - lit), number)
        lit = end
    return made
