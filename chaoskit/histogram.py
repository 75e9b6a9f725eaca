"""Latencies in logarithmic buckets: small, exactly mergeable, and within 1 % at every percentile.

Merging windows or processes adds counts, so the percentiles of a whole run are those of all its requests, never
an average of percentiles.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

_GROWTH = 1.02
_LOG_GROWTH = math.log(_GROWTH)
SMALLEST_MS = 0.001


def bucket(latency_ms: float) -> int:
    """The index of the bucket that holds a latency; anything below a microsecond counts as one."""
    return math.floor(math.log(max(latency_ms, SMALLEST_MS)) / _LOG_GROWTH)


def value_ms(index: int) -> float:
    """The latency that stands for a bucket: its geometric middle, at most 1 % from anything inside."""
    return math.exp((index + 0.5) * _LOG_GROWTH)


def merge(counts: Iterable[Mapping[Key, int]]) -> dict[Key, int]:
    """All counts together, by key: buckets, or kinds of failure."""
    total: Counter[Key] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def percentile_ms(counts: Mapping[int, int], share: float) -> float | None:
    """The smallest latency that at least `share` (0 to 1) of the requests did not exceed; None without requests."""
    total = sum(counts.values())
    rank = max(1, math.ceil(share * total - 1e-9))
    seen = 0
    for index in sorted(counts):
        seen += counts[index]
        if seen >= rank:
            return round(value_ms(index), 3)
    return None
