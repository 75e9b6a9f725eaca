"""The base of adapters of queues: the faults are those of `faults.queue_batch`, the broker is the adapter's.

Every message carries the fault's id, so the batch of a fault is told from what others put. `depth` is what waits; what
a worker has taken does not count, so that a limit on either is passed.
"""

from __future__ import annotations

import contextlib
import secrets
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from chaoskit.adapters.base import Adapter, carries_password, client, left_s, secret, token, vouched
from chaoskit.faults.base import FaultError, Kind, Made, Target, Undo
from chaoskit.faults.control_api import NO_OWNER, ControlApi
from chaoskit.faults.queue_batch import (
    Broker,
    QueueDeadLetters,
    QueueDeadLettersSettings,
    QueueFlood,
    QueueReplay,
    What,
)

ANSWER_S = 5.0
"""Longest wait for one answer of a broker, in real seconds."""


@dataclass(frozen=True, kw_only=True)
class QueueAdapter(Adapter):
    """Keys of every queue: where its server answers."""

    either: ClassVar[tuple[str, ...]] = ("url", "url_file")
    files: ClassVar[tuple[str, ...]] = ("url_file",)
    undone_by: ClassVar[str] = "the id's messages are deleted, wherever they stand"
    fails_on_demand: ClassVar[bool] = False
    """Whether a message can be such that its replay fails."""

    queue: str
    """The queue's name at its server."""
    url: str = ""
    """Where the queue's server answers; without a password."""
    url_file: str = ""
    """The file that holds that address where it is a secret."""

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """A problem where the address carries a password, or is given in both ways."""
        yield from super().wrong()
        if self.url and (self.url_file or carries_password(self.url)):
            yield "url", "carries a password, or stands beside url_file", "write url_file: FILE, with the URL in it"

    @classmethod
    @abstractmethod
    def broker(cls, at: Mapping[str, str], lives_s: float) -> Broker:
        """The queue of these keys, whose messages live for so long; raises FaultError where its client is missing."""

    @classmethod
    def faults(cls) -> tuple[Kind[Any], ...]:
        return ThroughFlood(cls), ThroughDeadLetters(cls), ThroughReplay(cls)

    def look(self) -> tuple[str, ...]:
        """The queue's name; raises FaultError where the server does not tell of that queue."""
        self.broker(self.keys(), 1.0).census()
        return (self.queue,)


def url_of(at: Mapping[str, str]) -> str:
    """The address that a handle's keys say; raises FaultError where its file cannot be used."""
    return at["url"] if "url" in at else secret(at["url_file"])


def places(at: Mapping[str, str]) -> dict[What, str]:
    """The broker's names of the queue and of its dead letters; empty where the handle names none."""
    return {"depth": at["queue"], "dead_letters": at.get("dead", "")}


def place(at: Mapping[str, str], what: What) -> str:
    """The name of the queue's part that a fault needs; raises FaultError where the handle names none."""
    if not (found := places(at)[what]):
        raise FaultError(f"the queue {at['queue']} names no dead: for its dead letters; add dead: to the handle")
    return found


def message_ids(batch: str, count: int) -> list[str]:
    """Ids for this many messages of a batch; each begins with the batch's own id."""
    return [f"{batch}-{secrets.token_hex(6)}" for _ in range(count)]


class RedisBroker(Broker):
    """A broker that is asked through the client of Redis."""

    def __init__(self, at: Mapping[str, str], via: str) -> None:
        redis = client("redis", via)
        self._at, self._error = at, redis.exceptions.RedisError
        with self._asking():
            self._redis = redis.Redis.from_url(url_of(at), socket_timeout=ANSWER_S)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (self._error, ValueError) as error:
            raise FaultError(f"see url: Redis of the queue {self._at['queue']} says: {error}") from None


class _Through:
    """Token and broker of a batch; the rest is that of any queue."""

    def __init__(self, way: type[QueueAdapter]) -> None:
        self._way = way

    def found(self, target: Target) -> Undo:
        made = token(target)
        return {**made, "queue": ", ".join(target.names) or target.handle, "batch": made["id"]}

    def broker(self, undo: Undo) -> Broker:
        return self._way.broker(undo["at"], left_s(undo))

    def place(self, undo: Undo) -> ControlApi:
        return NO_OWNER

    def vouch(self, undo: Undo, made: Made) -> str:
        if undo["batch"] != vouched(undo, made):
            raise FaultError(f"{undo['batch']!r} is no batch of this fault; undo it by hand")
        return f"deletes the messages of {undo['queue']} that carry {undo['batch']}"


class ThroughFlood(_Through, QueueFlood):
    """queue.flood through an adapter."""

    kind = "queue.flood"


class ThroughDeadLetters(_Through, QueueDeadLetters):
    """queue.dead-letters through an adapter."""

    kind = "queue.dead-letters"

    def beyond(self, settings: QueueDeadLettersSettings, limits: Mapping[str, Any]) -> str:
        able = settings.replayable or self._way.fails_on_demand
        return "" if able else "this queue's dead letters cannot be made so that a replay fails: write replayable: true"


class ThroughReplay(QueueReplay):
    """queue.replay through an adapter."""

    kind = "queue.replay"

    def __init__(self, way: type[QueueAdapter]) -> None:
        self._way = way

    def broker(self, target: Target) -> Broker:
        return self._way.broker(target.address.keys, 1.0)
