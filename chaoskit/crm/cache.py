"""The report cache: bounded, least recently used goes first, and every look-up and eviction is counted."""

from __future__ import annotations

from typing import Any

from cachetools import LRUCache

from chaoskit.crm.emit import Emitter


class ReportCache(LRUCache[str, dict[str, Any]]):
    """`popitem` is what cachetools calls to make room, so evictions are counted there and nowhere else."""

    def __init__(self, entries: int, emitter: Emitter) -> None:
        super().__init__(maxsize=entries)
        self._emitter = emitter

    def lookup(self, key: str) -> dict[str, Any] | None:
        """The report, counted as a hit, or None, counted as a miss."""
        found = self.get(key)
        self._emitter.inc("insa_cache_misses_total" if found is None else "insa_cache_hits_total")
        return found

    def popitem(self) -> tuple[str, dict[str, Any]]:
        """Remove the least recently used entry and count the eviction."""
        self._emitter.inc("insa_cache_evictions_total")
        return super().popitem()

    def flush(self) -> int:
        """Drop everything; how many entries that were. A flush is no eviction."""
        dropped = len(self)
        for key in list(self):
            del self[key]
        return dropped
