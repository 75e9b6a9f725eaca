"""From counters to the events of each slice; pure.

Between two neighbouring samples a, b of a series the increase is b - a, or b where b < a, for then the counter began
again. It belongs to the slice of the later sample. Where a counter never fell this is the difference of two values at
the slice's borders, so only slices in which something happened to a series are read sample by sample.

No increase is extrapolated, so slices add up to what the counter counted.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chaoskit.sla.source import Series

Labels = frozenset[tuple[str, str]]


def labels_of(found: Mapping[str, str]) -> Labels:
    """A series' labels as a key for a dictionary."""
    return frozenset(found.items())


@dataclass(slots=True)
class Counter:
    """One counter: its value at each border (None: no sample in the slice before it), and the slices to be read raw."""

    labels: Mapping[str, str]
    values: list[float | None]
    raw: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Increase:
    """A counter's increase in one slice; the step across a pause before it is told apart.

    `across` is the step from the last sample before the slice to its first one, None where there was none before it,
    and `fell` says that the counter began again in between. `inside` is the rest.
    """

    inside: float = 0.0
    across: float | None = None
    fell: bool = False

    @property
    def whole(self) -> float:
        """The whole increase: within the slices and across their borders."""
        return self.inside + (self.across or 0.0)


def counters(
    found: Iterable[Series], resets: Iterable[Series], borders: Sequence[int], apart: str = ""
) -> dict[Labels, Counter]:
    """The counters of a metric from their values at borders, and where they may have begun again.

    Of series that differ in the label `apart` alone (a histogram's buckets) one that began again says it of all.
    """
    step = borders[1] - borders[0]
    made: dict[Labels, Counter] = {}
    groups: dict[Labels, set[int]] = {}
    for one in found:
        values: list[float | None] = [*one.values]
        if len(values) < len(borders):
            values = [None] * len(borders)
            for at, value in zip(one.times, one.values, strict=True):
                values[(at // 1000 - borders[0]) // step] = value
        counter = Counter(one.labels, values, groups.setdefault(_without(one.labels, apart), set()))
        made[labels_of(one.labels)] = counter
        if None in values:
            pairs = enumerate(itertools.pairwise(values), 1)
            counter.raw.update(number for number, (a, b) in pairs if a is None and b is not None)
    for one in resets:
        suspect = groups.get(_without(one.labels, apart))
        if suspect is not None:
            suspect.update((at // 1000 - borders[0]) // step for at in one.times)
    return made


def raw_slices(found: Iterable[Counter]) -> list[int]:
    """The numbers of the slices, from 1, that must be read sample by sample."""
    return sorted(set().union(*(one.raw for one in found)) - {0})


def steps(counter: Counter) -> list[float]:
    """A counter's increase in each slice, the first one first; 0 in those that are to be read raw."""
    values = counter.values
    if None not in values and not counter.raw:
        return list(map(operator.sub, values[1:], values))
    found, last = [], values[0]
    for number in range(1, len(values)):
        value = values[number]
        known = number not in counter.raw and value is not None and last is not None
        found.append(value - last if known else 0.0)  # type: ignore[operator]
        last = last if value is None else value
    return found


def prior(counter: Counter, number: int) -> float | None:
    """The last value before a slice, as far as these borders tell."""
    return next((value for value in reversed(counter.values[:number]) if value is not None), None)


def began_again(found: Iterable[Series], priors: Mapping[Labels, float | None]) -> set[int]:
    """The instants in a slice at which one of these series lay below its sample before."""
    instants: set[int] = set()
    for one in found:
        last = priors.get(labels_of(one.labels))
        for at, value in zip(one.times, one.values, strict=True):
            if last is not None and value < last:
                instants.add(at)
            last = value
    return instants


def read_raw(samples: Series, before: float | None, fell: set[int]) -> Increase:
    """A counter's increase over one slice's samples; `fell` are instants at which it is known to have begun again."""
    found = Increase()
    last = before
    for number, (at, value) in enumerate(zip(samples.times, samples.values, strict=True)):
        if math.isnan(value):
            continue
        if last is not None:
            again = value < last or at in fell
            step = value if again else value - last
            if number:
                found.inside += step
            else:
                found.across, found.fell = step, again
        last = value
    return found


def _without(labels: Mapping[str, str], name: str) -> Labels:
    return frozenset((key, value) for key, value in labels.items() if key != name)
