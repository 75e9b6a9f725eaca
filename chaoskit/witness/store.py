"""The notices that the witness heard and how long it listened, in bounded memory; readers are told what was dropped.

    notices      1 2 3 4 5 6 ...          numbered from 1 without holes; the oldest are dropped first
    watch        [from ........ to]       everything sent within it is among the notices, or was dropped

The numbers and the watch belong to one `boot`: a witness that was started again begins anew, and says so by another.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from chaoskit.events import Interval, Notice, Watch
from chaoskit.observe.payload import read_payload, unread
from chaoskit.plan.witnesses import WITNESS

KEEP = 10_000
"""Notices that are kept unless told otherwise."""
KEEP_BYTES = 64 * 2**20
ANSWER_BYTES = 4 * 2**20
"""Payloads of about so many bytes go into one answer; the rest into the next."""
_SPANS = 3600


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One notice; it was sent inside `arrived` (seconds since the epoch on the witness's clock)."""

    n: int
    arrived: Interval
    receiver: str
    payload: msgspec.Raw
    recorded: str = ""
    """The integration that delivered the notice, where Alertmanager's recorder told it; else empty."""

    def notice(self) -> Notice:
        """The notice of a webhook message, by the witness's clock; of what was `recorded` there is no such message."""
        return read_payload("webhook", "", bytes(self.payload), unread((self.receiver, WITNESS, 0), self.arrived))


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `GET /notices`; clocks and instants are the witness's."""

    boot: str
    now: float
    """The instant at which the witness gave the answer."""
    held_s: float = 0.0
    """Seconds for which the witness held the answer back, waiting for a notice."""
    last: int = 0
    """The number of the last notice so far, 0 when there was none."""
    notices: list[Heard]
    more: bool = False
    """Whether the witness has further notices already: ask again after the last of these."""
    dropped: int = 0
    """How many were asked for and are no longer kept."""
    watch: tuple[float, float, float] | None = None
    """From, to, and by how much the witness was late at most in between; None where nothing can be said."""
    refused: Mapping[str, int] = {}
    """How many requests were refused since the start, by reason."""


class Store:
    """Notices and watch spans of one boot."""

    def __init__(self, keep: int = KEEP, keep_bytes: int = KEEP_BYTES) -> None:
        self.boot = uuid.uuid4().hex
        self.refused: dict[str, int] = {}
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._heard: deque[Heard] = deque()
        self._bytes = 0
        self.last = 0
        """The number of the last notice, 0 when there was none."""
        self._dropped_at = 0.0
        self._spans: deque[tuple[float, float, float]] = deque()

    def add(self, arrived: Interval, receiver: str, payload: Any, recorded: str = "") -> Heard:
        """Keeps a notice whose payload was read; lets go of the oldest where there is no room."""
        self.last += 1
        raw = msgspec.Raw(msgspec.json.encode(payload))
        heard = Heard(n=self.last, arrived=arrived, receiver=receiver, payload=raw, recorded=recorded)
        self._heard.append(heard)
        self._bytes += _size(heard)
        while len(self._heard) > self._keep or (self._bytes > self._keep_bytes and len(self._heard) > 1):
            oldest = self._heard.popleft()
            self._bytes -= _size(oldest)
            self._dropped_at = oldest.arrived[1]
        return heard

    def refuse(self, reason: str) -> None:
        """Counts a request that the witness turned away."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def watched(self, watch: Watch) -> None:
        """Keeps a span of listening; the oldest ones become one, with the largest lateness of them."""
        self._spans.append((*watch.seen, watch.lag_s))
        if len(self._spans) > _SPANS:
            first, second = self._spans.popleft(), self._spans.popleft()
            whole = (first[0], second[1], max(first[2], second[2]))
            self._spans.appendleft(whole if second[0] <= first[1] else second)

    def tell(self, boot: str, after: int, seen: float, now: float, held_s: float = 0.0) -> Told:
        """The notices after number `after`, and the watch since `seen`; from the start for a reader of another boot."""
        if boot != self.boot:
            after, seen = 0, 0.0
        first = self._heard[0].n if self._heard else self.last + 1
        notices: list[Heard] = []
        size, more = 0, False
        # Numbers have no holes, so the place is known without a search.
        for index in range(max(0, after + 1 - first), len(self._heard)):
            if size >= ANSWER_BYTES:
                more = True
                break
            notices.append(self._heard[index])
            size += _size(self._heard[index])
        dropped = max(0, first - 1 - max(0, after))
        return Told(
            boot=self.boot,
            now=now,
            held_s=held_s,
            last=self.last,
            notices=notices,
            more=more,
            dropped=dropped,
            # What is not told yet must not seem to have stayed away.
            watch=None if more else self._watch(max(seen, self._dropped_at) if dropped else seen),
            refused=dict(self.refused),
        )

    def _watch(self, since: float) -> tuple[float, float, float] | None:
        """The watch after `since` up to the first gap, None where there is none; a later call tells the rest."""
        found: tuple[float, float, float] | None = None
        for begin, to, lag_s in self._spans:
            if to <= since:
                continue
            if found is None:
                found = (max(since, begin), to, lag_s)
            elif begin <= found[1]:
                found = (found[0], to, max(found[2], lag_s))
            else:
                break
        return found


def _size(heard: Heard) -> int:
    return len(bytes(heard.payload)) + len(heard.receiver) + 100
