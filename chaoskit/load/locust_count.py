"""Locust's own count of requests, whole however often its statistics are emptied meanwhile.

A locustfile may call `stats.reset_all()` after its warm-up, Locust does it itself where it is told to, and forgets in
`test_start` what was asked for earlier. What such a call throws away is added up here.

Runs in the child only: it imports Locust.
"""

from __future__ import annotations

import functools
from typing import Any

from locust.env import Environment
from locust.stats import RequestStats, StatsEntry


class LocustCount:
    """Requests and failures that Locust counted since this was made."""

    def __init__(self, environment: Environment) -> None:
        self._stats = environment.stats
        self._emptied = (-self._stats.total.num_requests, -self._stats.total.num_failures)
        entry: Any = StatsEntry
        stats: Any = RequestStats
        reset, clear = entry.reset, stats.clear_all

        @functools.wraps(reset)
        def resetting(self_: Any) -> None:
            self._keep(self_)
            reset(self_)

        @functools.wraps(clear)
        def clearing(self_: Any) -> None:
            self._keep(self_.total)
            clear(self_)

        entry.reset, stats.clear_all = resetting, clearing

    @property
    def both(self) -> tuple[int, int]:
        """Requests, and those of them that failed."""
        total = self._stats.total
        return self._emptied[0] + total.num_requests, self._emptied[1] + total.num_failures

    def _keep(self, entry: StatsEntry) -> None:
        if entry is self._stats.total:
            self._emptied = self.both
