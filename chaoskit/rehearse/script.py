"""Leaves: the series that a derivation has decided on so far, each with a level at rest and one during the fault.

A leaf's `shape` says how the two levels become samples. One leaf stands for one series; a second demand on the same
series must agree with the first, or the derivation ends with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from chaoskit.faults.series import NEVER, Scripted, Segment, Values, constant, identity, slope

Pair = tuple[float, float]
"""Level at rest, level during the fault."""

Shape = Literal["value", "slope", "toggle", "present"]
_NORMAL = 1.0


class CannotDerive(Exception):
    """No series were found for an expression; the message is the reason, for people."""


@dataclass(slots=True)
class Leaf:
    """One series; `levels` are values, changes per second, whether it toggles, or whether it is there at all."""

    name: str
    labels: Mapping[str, str]
    shape: Shape
    levels: Pair
    summed: bool = False
    clock: bool = False
    drift: float = 0.0
    """Change per second during the fault, on top of the level."""

    def scripted(self, interval_s: float) -> Scripted:
        """The series, for samples an interval apart."""
        down, up = self.levels
        labels = tuple(sorted(self.labels.items()))
        if self.shape == "slope":
            return Scripted(self.name, labels, slope(0.0, down * interval_s), slope(0.0, up * interval_s), counter=True)
        if self.shape == "toggle":
            flips = Values((Segment(_NORMAL, 0.0, 1), Segment(0.0, 0.0, 1)), repeat=True)
            rest, during = (flips if level else constant(_NORMAL) for level in self.levels)
            return Scripted(self.name, labels, rest, during)
        if self.shape == "present":
            rest, during = (constant(_NORMAL) if level else NEVER for level in self.levels)
            return Scripted(self.name, labels, rest, during)
        values = slope(up, self.drift * interval_s) if self.drift else constant(up)
        return Scripted(self.name, labels, constant(down), values, clock=self.clock)


class Script:
    """The series that were decided so far, each as a leaf."""

    def __init__(self) -> None:
        self._leaves: dict[str, Leaf] = {}

    def __iter__(self) -> Iterator[Leaf]:
        return iter(self._leaves.values())

    def get(self, name: str, labels: Mapping[str, str]) -> Leaf | None:
        """The leaf of this series, if it has one."""
        return self._leaves.get(identity(name, labels))

    def put(self, leaf: Leaf) -> Leaf:
        """Adds a leaf; raises CannotDerive where it is there already and says something else."""
        key = identity(leaf.name, leaf.labels)
        there = self._leaves.get(key)
        if there is None:
            self._leaves[key] = leaf
            return leaf
        if leaf.shape == "present":
            if there.shape == "present" and there.levels != leaf.levels:
                raise CannotDerive(f"{leaf.name} would have to be there and missing at once")
            if not all(leaf.levels) and there.shape != "present":
                raise CannotDerive(f"{leaf.name} would have to be missing and have a value at once")
            return there
        if there.shape == "present" and all(there.levels):
            self._leaves[key] = leaf
            return leaf
        if (there.shape, there.levels, there.clock) != (leaf.shape, leaf.levels, leaf.clock):
            raise CannotDerive(f"{leaf.name} would need two courses at once")
        return there

    def of(self, name: str) -> list[Leaf]:
        """All decided series of a metric."""
        return [leaf for leaf in self if leaf.name == name]
