"""One-shot queries over a day beside the sums of its slices: what `record --check` compares.

`increase()` extrapolates, so the two never agree to the last event; over a whole day they do within a thousandth,
unless a server counts in another way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from chaoskit.sla.fetch import HOUR_S, Asked, Stretch
from chaoskit.sla.model import DAY_S, Slice
from chaoskit.sla.source import Series, Source
from chaoskit.sla.targets import Targets

TOLERANCE = 0.001


def disagreement(
    source: Source, targets: Targets, asked: Sequence[Asked], settled: int, pool: ThreadPoolExecutor
) -> list[str]:
    """A sentence for each figure that Prometheus and our slices give differently (by more than a thousandth) over the
    day before `settled`; empty where none differs."""
    begin = settled - DAY_S
    begin -= begin % HOUR_S
    length_s = settled - begin
    slices = Stretch(source, targets, begin, settled, lambda *_: None).ask(asked, pool).fetch().slices
    found = []
    for one in asked:
        mine = [each for each in slices if each.level == one.key]
        for what, ours, theirs in _figures(source, one, mine, settled, length_s):
            if not math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE * 1e-3):
                found.append(
                    f"{source.url}: {one.level.name}: {what} of the last {length_s // HOUR_S} h: slices say "
                    f"{ours:.6g}, a query over all of it {theirs:.6g}"
                )
    return found


def _figures(
    source: Source, one: Asked, slices: Sequence[Slice], settled: int, length_s: int
) -> Iterator[tuple[str, float, float]]:
    """Names of figures, each as slices have it and as one query over all the time does."""
    level = one.level
    if level.is_time:
        up = sum(each.up_s or 0.0 for each in slices)
        down = sum(each.down_s or 0.0 for each in slices)
        query = f"sum(sum_over_time({one.up()}[{length_s}s])) / sum(count_over_time({one.up()}[{length_s}s]))"
        theirs = _total(source.instant(query, settled))
        if level.instances == "mean" and up + down:
            yield "the share that was up", up / (up + down), theirs
        return
    total = sum(each.total or 0.0 for each in slices)
    good = sum(each.good or 0.0 for each in slices)
    their_total = their_good = 0.0
    for metric, is_good in one.metrics():
        for series in source.instant(f"increase({metric}[{length_s}s])", settled):
            value, good_one = series.values[-1], is_good(series.labels)
            if good_one is not None:
                their_good += value if good_one else 0.0
                # A histogram's bucket without an upper bound counts the good ones as well.
                their_total += 0.0 if level.kind == "latency" and good_one else value
    yield "events", total, their_total
    if total and their_total:
        yield "the share of good ones", good / total, their_good / their_total


def _total(found: Sequence[Series]) -> float:
    return sum(one.values[-1] for one in found)
