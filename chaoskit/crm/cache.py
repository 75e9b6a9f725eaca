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
        self._counts = {"hits": 0, "misses": 0, "evictions": 0}

    def lookup(self, key: str) -> dict[str, Any] | None:
        """The report, counted as a hit, or None, counted as a miss."""
        found = self.get(key)
        self._count("hits" if found is not None else "misses")
        return found

    def popitem(self) -> tuple[str, dict[str, Any]]:
        """Remove the least recently used entry and count the eviction."""
        self._count("evictions")
        return super().popitem()

    def flush(self, prefix: str = "") -> int:
        """Drop everything, or what begins so; how many entries that were. A flush is no eviction."""
        dropped = [key for key in self if key.startswith(prefix)]
        for key in dropped:
            del self[key]
        return len(dropped)

    def statistics(self, prefix: str = "") -> dict[str, int]:
        """Entries (that begin so), room for how many, and the counts since this cache began."""
        entries = sum(key.startswith(prefix) for key in self)
        return {"entries": entries, "capacity": int(self.maxsize), **self._counts}

    def _count(self, what: str) -> None:
        self._counts[what] += 1
        self._emitter.inc(f"insa_cache_{what}_total")
