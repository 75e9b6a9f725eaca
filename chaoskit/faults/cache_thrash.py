"""cache.thrash: real requests for keys that are never asked for again push useful entries out of a cache.

The dose is a share of all look-ups, those of other clients too: as they look up, the fault adds requests for new keys,
so many that they make up `ratio` of the whole.

A cache with room left pushes nothing out, so it is filled first. That takes as long as others need to look up what
they use once more: where the least recently used entry goes first, new keys put at once would be younger than the
useful entries, each of which would then be pushed out just before it is needed. Each of these first keys is asked
for several times, so that the hits stay high meanwhile.
"""

from __future__ import annotations

import http.client
import math
import re
import secrets
import threading
import time
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from pydantic import Field

from chaoskit import waiting
from chaoskit.faults.base import Changeable, FaultError, Lapsed, Made, Seen, Settings, Target, Undo
from chaoskit.faults.control_api import ANSWER_S, SILENCE_S, Strength, Watch, control_api, get, take_back, vouched
from chaoskit.faults.quantities import Ratio

_EFFECT_S = 18.0
_FIRST_S = 1.0
_PATIENCE_S = 15.0
"""By then the cache is filled at once, however few look-ups others have made."""
_LOOK_S = 0.05
_BURST = 50
_SPAN_LOOKUPS = 500
_LATE = 5
"""So many new keys may still be on their way when the cache is asked."""
_ROUND = 1.1
_REPEATS = 9


class CacheThrashSettings(Settings):
    """Settings of cache.thrash."""

    path: Annotated[str, Field(pattern=r"^/[^\s]*\{key\}")]
    """Path at the service that looks a key up, with `{key}` in it: `/reports/{key}`."""
    ratio: Annotated[Ratio, Field(gt=0, lt=1)] = 0.2
    """Share of keys never asked for before in all look-ups: once the cache is full, so many evictions a look-up."""


class CacheThrash(Changeable[CacheThrashSettings]):
    """Requests keys never asked for before, in proportion to the look-ups of others."""

    kind = "cache.thrash"
    handles = ("cache",)

    def prepare(self, target: Target, settings: CacheThrashSettings) -> Undo:
        """Finds the cache and the service before it; raises FaultError when the cache's interface does not answer."""
        at = control_api(target)
        if not target.address.service:
            raise FaultError(f"{target.handle}: the target does not tell where it answers; name another handle")
        get(at, "GET", "/cache")
        return self.alter(
            {"at": at, "service": target.address.service, "prefix": f"thrash-{secrets.token_hex(4)}-"}, settings
        )

    def start(self, undo: Undo) -> Seen:
        """Fills the cache and returns once an entry was pushed out."""
        return _Thrasher(undo).fill()

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """Adds new keys to the look-ups of others; raises Lapsed when the service or the cache stops answering."""
        watch, thrasher = Watch(), _Thrasher(undo)
        pushed = _Pushed(undo)
        silent_since = 0.0
        while not ended.wait(_LOOK_S):
            found = watch.look(lambda: _statistics(undo))
            try:
                if found is not None:
                    thrasher.dose(found, ended)
                    pushed.look(found, ended)
                silent_since = 0.0
            except FaultError as error:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > SILENCE_S:
                    raise Lapsed(str(error)) from None

    def stop(self, undo: Undo) -> Seen:
        """Drops the entries of this fault, and sees that none is left."""

        def drop() -> tuple[float, str]:
            gone = get(undo["at"], "DELETE", "/cache", query={"prefix": undo["prefix"]})["dropped"]
            gone_by = time.time()
            left = _statistics(undo, undo["prefix"])["entries"]
            if left:
                raise FaultError(
                    f"{left} entries of cache.thrash are still in the cache; DELETE them at {undo['at']['url']}/cache"
                )
            return gone_by, f"{gone} entries dropped"

        return take_back(undo["at"], drop)

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only tokens with a key prefix that this kind makes up, at the target's interface."""
        if not re.fullmatch(r"thrash-[0-9a-f]{8}-", undo["prefix"]):
            raise FaultError(f"{undo['prefix']!r} is no prefix of cache.thrash; undo it by hand")
        return f"sends DELETE {vouched(undo['at'], made)}/cache?prefix={undo['prefix']}"

    def alter(self, undo: Undo, settings: CacheThrashSettings) -> Undo:
        """The token of the other ratio: the same keys, so it undoes either."""
        return {**undo, "path": settings.path, "ratio": settings.ratio}

    def change(self, undo: Undo) -> Seen:
        """Sees that entries are pushed out under the new ratio, which `hold` doses."""
        before, begun = _statistics(undo)["evictions"], time.time()
        if not waiting.await_true(lambda: _statistics(undo)["evictions"] > before, _EFFECT_S, _LOOK_S):
            raise FaultError(f"nothing was pushed out of the cache within {_EFFECT_S:g} s of the change: raise ratio")
        return Seen((begun, time.time()), f"{undo['ratio']:.0%} of all look-ups are for new keys")


class _Pushed:
    """How much of all look-ups pushes another entry out, counted by the cache, over spans of enough look-ups."""

    def __init__(self, undo: Undo) -> None:
        self._undo = undo
        self._since: dict[str, Any] = {}
        self._ratio = 0.0
        self._strength = Strength("of all look-ups push an entry out")

    def look(self, found: dict[str, Any], ended: threading.Event) -> None:
        """Takes the cache's counts; raises Lapsed when it is less than asked for in two spans running."""
        if self._undo["ratio"] != self._ratio or _lookups(found) < _lookups(self._since or found):
            self._ratio, self._since = self._undo["ratio"], found
        count = _lookups(found) - _lookups(self._since or found)
        if count < _SPAN_LOOKUPS:
            return
        pushed, self._since = found["evictions"] - self._since["evictions"], found
        if not ended.is_set():
            self._strength.look((pushed + _LATE) / count, self._ratio)


class _Thrasher:
    """Asks for new keys, on one connection, and keeps count of them."""

    def __init__(self, undo: Undo) -> None:
        self._undo = undo
        where = urlsplit(undo["service"])
        make = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        self._connection = make(where.hostname or "", where.port, timeout=ANSWER_S)
        self._base = where.path.rstrip("/")
        self._ratio = 0.0
        self._seen = 0
        self._ours = 0

    def fill(self) -> Seen:
        """Requests new keys as other clients look up, until one evicts another entry; at once if no client looks up."""
        before, began = time.time(), time.monotonic()
        first = _statistics(self._undo)
        room = max(0, first["capacity"] - first["entries"])
        pace = max(self._undo["ratio"], room / (_ROUND * max(1, first["entries"])))
        repeats = min(_REPEATS, math.ceil(1 / self._undo["ratio"]) - 1)
        new = asked = 0
        try:
            while True:
                looked = time.time()
                now, waited = _statistics(self._undo), time.monotonic() - began
                if now["evictions"] > first["evictions"]:
                    detail = f"{new} new keys, and the first entries were pushed out of {now['capacity']}"
                    return Seen((before, time.time()), detail)
                others = _lookups(now) - _lookups(first) - asked
                alone = waited > (_PATIENCE_S if others else _FIRST_S)
                before = looked
                due = _BURST if alone else min(_BURST, int(others * pace) - new)
                # The fuller the more often it looks: when the first entry goes is known no better than that.
                some = max(1, (now["capacity"] - now["entries"]) // 2)
                for _ in range(min(due, some)):
                    asked += self._ask(repeats)
                    new += 1
                if waited > _EFFECT_S:
                    raise FaultError(
                        f"{new} new keys in {_EFFECT_S:g} s pushed nothing out of the cache: name a path that is cached"
                    )
                if due <= some:
                    time.sleep(_LOOK_S)  # the cache announces no eviction: its counts are asked for
        finally:
            self._connection.close()

    def dose(self, found: dict[str, Any], ended: threading.Event) -> None:
        """Writes as many new keys as are due for the lookups since the last call."""
        lookups, ratio = _lookups(found), self._undo["ratio"]
        if ratio != self._ratio or lookups < self._seen:
            # Another level, or a service that counts from 0 again: a new count from here.
            self._ratio, self._seen, self._ours = ratio, lookups, 0
        due = int((ratio * (lookups - self._seen) - self._ours) / (1 - ratio) + 1e-9)
        for _ in range(min(due, _BURST)):
            if ended.is_set():
                return
            self._ask()
            self._ours += 1

    def _ask(self, repeats: int = 0) -> int:
        """Asks for a new key, and for the same one again; how often in all."""
        path = self._base + self._undo["path"].replace("{key}", quote(self._undo["prefix"] + secrets.token_hex(6)))
        for _ in range(1 + repeats):
            status = self._one(path)
            if status >= 400:
                raise FaultError(f"GET {path}: answered {status}, so the cache looked nothing up: see path")
        return 1 + repeats

    def _one(self, path: str) -> int:
        try:
            self._connection.request("GET", path)
            with self._connection.getresponse() as response:
                response.read()
                return response.status
        except (OSError, http.client.HTTPException) as error:
            with suppress(OSError):
                self._connection.close()
            raise FaultError(f"GET {path}: {error or type(error).__name__}") from None


def _lookups(found: dict[str, Any]) -> int:
    return int(found["hits"] + found["misses"])


def _statistics(undo: Undo, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = get(undo["at"], "GET", "/cache", query={"prefix": prefix})
    return found
