"""A sink's event loop that knows how late it may be, so that no instant is claimed more exactly than it is known.

The kernel tells what has arrived when the loop asks (`select`). Data that one asking reports and the one before did
not arrived after that earlier asking began. So the wall clock is read before every asking, and there is one at least
every few milliseconds:

    select n-1   ...work...   select n   -> reports a connection
    ^ stamp: it was not there yet

If the process is stopped or starved anywhere in between, the stamp stays old and the interval becomes wide.
Absence is told in the same way: each second a `Watch` says up to which instant everything sent has been reported.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from chaoskit.events import Watch

TICK_S = 0.005
WATCH_EVERY_S = 1.0

# How many askings ago something was certainly not there, by where in asyncio's course we are. Data is handed over
# in the same turn of the loop that found it; a connection is accepted in that turn and gets its protocol in the
# next one (one more is allowed for, should asyncio take another turn some day). After eight turns whatever had
# arrived has been accepted and read.
_DATA, _CONNECTION, _EVERYTHING = 2, 4, 8


class _StampedSelector(selectors.DefaultSelector):
    """The usual selector, which asks again every few milliseconds by itself and remembers when it did.

    A timer of the loop's would do the same, and cost twenty times as much.
    """

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0
        self.stamps = deque([time.time()] * _EVERYTHING, maxlen=_EVERYTHING)
        self.lag_s = 0.0
        """How much longer than it should a pause between two askings was, at most; set to 0 by its reader."""
        self._asked = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        end = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            now = time.monotonic()
            self.lag_s = max(self.lag_s, now - self._asked - TICK_S)
            self._asked = now
            self.turns += 1
            self.stamps.append(time.time())
            found = super().select(min(TICK_S, end - now))
            if found or time.monotonic() >= end:
                return found


class TimedLoop:
    """The loop of one sink, its stamps, and the watch it keeps; `emit` gets the Watch events."""

    def __init__(self, sink: Literal["mail-sink", "webhook-sink"], emit: Callable[[Watch], None]) -> None:
        self._selector = _StampedSelector()
        self.loop = asyncio.SelectorEventLoop(self._selector)
        self._sink = sink
        self._emit = emit
        self._begun: dict[int, float] = {}
        self._seen_to = time.time()
        self._blind_to = 0.0
        self._refused = 0
        self._lag_before_s = 0.0
        self.before_watch: Callable[[], None] = lambda: None
        """Called each second and at the end, before the watch is told."""

    @property
    def turns(self) -> int:
        """How often the loop has asked so far."""
        return self._selector.turns

    def before_data(self) -> float:
        """An instant at which the data now being handed over had not arrived."""
        return self._selector.stamps[-_DATA]

    def before_connection(self) -> float:
        """An instant at which the connection now getting its protocol had not been opened."""
        return self._selector.stamps[-_CONNECTION]

    def begin(self, sender: object, since: float) -> None:
        """`sender` may be sending a notification since that instant: the watch does not pass it until `end`."""
        self._begun[id(sender)] = since

    def end(self, sender: object) -> None:
        """The notification that `sender` had begun is reported, or will never come."""
        self._begun.pop(id(sender), None)

    def refused(self) -> None:
        """A client was sent away for want of a place: the watch ends before it connected, and begins anew now."""
        if not self._refused:
            self.watch(self.before_connection())
        self._refused += 1
        self._blind_to = time.time()

    async def listen(
        self, client: Callable[[], asyncio.BaseProtocol], host: str, port: int, **tls: Any
    ) -> tuple[asyncio.Server, int]:
        """Opens a port (0: a free one) to clients; gives its server and its number, or raises OSError."""
        # A connection that finds the queue full is tried again a second later, and would seem sent then.
        server = await self.loop.create_server(client, host, port, backlog=1024, **tls)
        return server, int(server.sockets[0].getsockname()[1])

    def start(self) -> None:
        """Keep watch from now on; to be called once everything listens."""
        self._seen_to, self._selector.lag_s = time.time(), 0.0
        self.loop.call_later(WATCH_EVERY_S, self._tick)

    def watch(self, until: float = float("inf")) -> None:
        """Report what has been seen up to now; nothing where a sender in the middle of it allows no word."""
        self.before_watch()
        seen_to = min([self._selector.stamps[0], until, *self._begun.values()])
        seen_from = max(self._seen_to, self._blind_to)
        if seen_to <= seen_from:
            return
        # A lateness after `seen_to` lies in the next span, so it is told there as well.
        lag_s = max(self._selector.lag_s, self._lag_before_s)
        self._lag_before_s, self._selector.lag_s = self._selector.lag_s, 0.0
        refused, self._refused = self._refused, 0
        self._emit(Watch(sink=self._sink, seen=(seen_from, seen_to), lag_s=round(lag_s, 6), refused=refused))
        self._seen_to = seen_to

    def _tick(self) -> None:
        self.watch()
        self.loop.call_later(WATCH_EVERY_S, self._tick)
