"""From raw samples of `up` to seconds up, down and unknown of each slice; pure.

A sample stands for the time since the one before. After a pause of more than two scrape intervals it stands for one
interval, and the pause is unknown: the observer was away. Instances are combined at every instant over those that are
known there, so an instance that lived for five minutes weighs five minutes.

    samples   1   1   1           1   1        scraped every 15 s, and nothing for a minute
    state     up--up--up|unknown|-up--up
"""

from __future__ import annotations

import operator
import statistics
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from chaoskit.sla.source import Series

_RECENT = 5
"""The interval is the median of so many pauses before: a job whose interval is changed is known by its third one."""
_PAUSE = 2.1
"""Two intervals, and what scrapes jitter."""


class Known(NamedTuple):
    """A stretch, in milliseconds, (begin, end], in which an instance's state is known."""

    begin_ms: int
    end_ms: int
    up: bool


def instances(found: Iterable[Series]) -> list[Series]:
    """The `up` series, one an instance: series of one job and instance that follow each other count as one."""
    by_name: dict[tuple[str, ...], list[Series]] = {}
    for one in found:
        if one.times:
            names = tuple(one.labels.get(name, "") for name in ("job", "instance"))
            by_name.setdefault(names if any(names) else tuple(map(str, one.labels.items())), []).append(one)
    joined: list[Series] = []
    for several in by_name.values():
        several.sort(key=lambda one: one.times[0])
        chain: list[Series] = []
        for one in several:
            if chain and chain[-1].times[-1] < one.times[0]:
                last = chain[-1]
                chain[-1] = Series(one.labels, [*last.times, *one.times], last.values + one.values)
            else:
                chain.append(one)
        joined += chain
    return joined


def states(times: Sequence[int], values: Sequence[float]) -> list[Known]:
    """The stretches in which one instance is known, those of one state that touch as one."""
    if len(times) < 2:
        return []
    found: list[Known] = []
    pauses = deque(map(operator.sub, times[1 : _RECENT + 1], times), _RECENT)
    usual = statistics.median(pauses)
    before = times[0] - int(usual)
    for number, (at, value) in enumerate(zip(times, values, strict=True)):
        pause, begin = at - before, before
        if number:
            begin = before if pause <= _PAUSE * usual else at - int(usual)
            pauses.append(pause)
            usual = statistics.median(pauses)
        up = value > 0
        if found and found[-1].end_ms == begin and found[-1].up == up:
            found[-1] = Known(found[-1].begin_ms, at, up)
        else:
            found.append(Known(begin, at, up))
        before = at
    return found


def combined(each: Iterable[Sequence[Known]], borders: Sequence[int], mode: str) -> list[tuple[float, float, float]]:
    """Seconds up, down and unknown between each two borders (seconds).

    `mode` says what is up: `all` known instances, `any` of them, or their share (`mean`).
    """
    changes: dict[int, list[int]] = {border * 1000: [0, 0] for border in borders}
    first_ms, last_ms = borders[0] * 1000, borders[-1] * 1000
    for known in each:
        for begin, end, up in known:
            begin, end = max(begin, first_ms), min(end, last_ms)
            if begin < end:
                for at, step in ((begin, 1), (end, -1)):
                    change = changes.setdefault(at, [0, 0])
                    change[0] += step
                    change[1] += step * up
    found: list[tuple[float, float, float]] = []
    inside = {border * 1000 for border in borders}
    count = ups = 0
    up_ms = down_ms = unknown_ms = 0.0
    before = first_ms
    for at in sorted(changes):
        length = at - before
        if length:
            share = _share(ups, count, mode)
            if share is None:
                unknown_ms += length
            else:
                up_ms += length * share
                down_ms += length - length * share
        if at in inside and at > first_ms:
            found.append((up_ms / 1000, down_ms / 1000, unknown_ms / 1000))
            up_ms = down_ms = unknown_ms = 0.0
        count, ups, before = count + changes[at][0], ups + changes[at][1], at
    return found


def _share(ups: int, count: int, mode: str) -> float | None:
    if not count:
        return None
    if mode == "mean":
        return ups / count
    return float(ups == count if mode == "all" else ups > 0)


def seen(found: Iterable[Series], borders: Sequence[int]) -> Mapping[int, int]:
    """By the number of each slice, from 1, in which anything was scraped, the first instant (milliseconds) of it."""
    first: dict[int, int] = {}
    length = (borders[1] - borders[0]) * 1000
    for one in found:
        for at in one.times:
            number = -(-(at - borders[0] * 1000) // length)
            if 1 <= number < len(borders) and at < first.get(number, at + 1):
                first[number] = at
    return first
