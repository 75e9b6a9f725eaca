"""How the API process words its answers: JSON, and one HTTP status for every way a request can end."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable
from typing import Any

import msgspec
from cachetools import LRUCache
from starlette.requests import Request
from starlette.responses import Response

from chaoskit.crm.breaker import BreakerOpen
from chaoskit.crm.emit import Emitter
from chaoskit.crm.gateway import DeadlineExceeded, Rejected, UpstreamFailed

_ENDINGS: dict[type[Exception], tuple[str, int]] = {
    Rejected: ("error", 422),
    BreakerOpen: ("error", 503),
    UpstreamFailed: ("error", 502),
    DeadlineExceeded: ("timeout", 504),
}


async def outcome(call: Awaitable[dict[str, Any]]) -> tuple[str, Response]:
    """How a call through the gateway ended, as the metric's status and as an HTTP response."""
    try:
        return "success", answer(await call)
    except tuple(_ENDINGS) as error:
        status, code = _ENDINGS[type(error)]
        return status, answer({"error": str(error)}, code)


def answer(content: Any, status: int = 200) -> Response:
    """A JSON response with this status and body."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def refuse(_request: Request, error: Exception) -> Response:
    """The answer 400 to a request body that cannot be decoded."""
    return answer({"error": str(error)}, 400)


async def unavailable(_request: Request, error: Exception) -> Response:
    """The answer 503 when the database does not answer."""
    return answer({"error": f"the database failed: {error.__class__.__name__}"}, 503)


handlers: dict[Any, Any] = {msgspec.DecodeError: refuse, sqlite3.Error: unavailable}
"""The functions by which an application answers these exceptions."""


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
