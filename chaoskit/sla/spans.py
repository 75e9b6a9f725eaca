"""Stretches of time as pairs of instants: their union, what two lists share, and how long it is."""

from __future__ import annotations

from collections.abc import Iterable

Stretch = tuple[int, int]


def union(found: Iterable[Stretch]) -> list[Stretch]:
    """The time that these spans cover, in order and without overlaps; empty or reversed spans are left out."""
    joined: list[Stretch] = []
    for begin, end in sorted(one for one in found if one[0] < one[1]):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined


def shared(one: Iterable[Stretch], begin: int, end: int) -> list[Stretch]:
    """The parts of a list that lie between two instants."""
    return [(max(a, begin), min(b, end)) for a, b in one if max(a, begin) < min(b, end)]


def length(found: Iterable[Stretch]) -> int:
    """Seconds of a list without overlaps."""
    return sum(end - begin for begin, end in found)


def overlap(found: Iterable[Stretch], begin: int, end: int) -> int:
    """Seconds of a list without overlaps that lie between two instants."""
    return sum(max(0, min(b, end) - max(a, begin)) for a, b in found)


def first(found: Iterable[Stretch], most: int) -> list[Stretch]:
    """The first seconds of a list of time spans, up to this sum."""
    kept = []
    for begin, end in found:
        if most <= 0:
            break
        kept.append((begin, min(end, begin + most)))
        most -= end - begin
    return kept
