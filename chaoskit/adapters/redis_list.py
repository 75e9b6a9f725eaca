"""via redis-list: a queue that is a list of Redis, with another list for its dead letters.

A message is the text that `message` says, with the fault's id in it; a consumer must bear such ones. Nothing in a list
can expire, so a run wants a confirmation of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.adapters.queues import QueueAdapter, RedisBroker, message_ids, place, places
from chaoskit.faults.queue_batch import Broker, What

_MESSAGE = '{"chaoskit": "{id}"}'


@dataclass(frozen=True, kw_only=True)
class RedisList(QueueAdapter):
    """A list of Redis that is a queue."""

    kind: ClassVar[str] = "queue"
    via: ClassVar[str] = "redis-list"
    needs_extra: ClassVar[tuple[str, ...]] = ("redis",)
    seen_by: ClassVar[str] = "the length of the list"
    endless_kinds: ClassVar[tuple[str, ...]] = ("queue.flood", "queue.dead-letters")
    example: ClassVar[str] = (
        "queue: {mails: {via: redis-list, url: 'redis://127.0.0.1:6379/0', queue: mails, dead: mails:dead}}"
    )

    dead: str = ""
    """The name of the Redis list that holds the dead letters."""
    push: str = ""
    """At which end messages come in: `right` (if nothing is said), or `left`."""
    message: str = _MESSAGE
    """The text of one, with `{id}` in it."""

    @classmethod
    def broker(cls, at: Mapping[str, str], lives_s: float) -> Broker:
        return _Lists(at)

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """A problem for a message without an id, and for an end of the list that does not exist."""
        yield from super().wrong()
        if "{id}" not in self.message:
            yield "message", "has no {id}, so the fault's messages could not be told from others", f"write {_MESSAGE}"
        if self.push not in ("", "right", "left"):
            yield "push", f"cannot be '{self.push}'", "write right or left"


class _Lists(RedisBroker):
    def __init__(self, at: Mapping[str, str]) -> None:
        super().__init__(at, "redis-list")
        self._lists, self._left = places(at), at.get("push") == "left"

    def _mine(self, what: What, batch: str) -> list[bytes]:
        if not self._lists[what]:
            return []
        return [one for one in self._redis.lrange(self._lists[what], 0, -1) if f"{batch}-".encode() in one]

    def census(self, batch: str | None = None) -> Mapping[str, int]:
        with self._asking():
            if batch is not None:
                return {"replaying": 0} | {what: len(self._mine(what, batch)) for what in self._lists}
            return {"replaying": 0} | {what: self._redis.llen(key) if key else 0 for what, key in self._lists.items()}

    def put(self, batch: str, what: What, count: int, *, replayable: bool = True) -> None:
        key = place(self._at, what)
        texts = [self._at["message"].replace("{id}", one) for one in message_ids(batch, count)]
        with self._asking():
            (self._redis.lpush if self._left else self._redis.rpush)(key, *texts)

    def remove(self, batch: str, count: int | None = None) -> int:
        removed = 0
        with self._asking():
            for what, key in self._lists.items():
                for one in self._mine(what, batch)[: None if count is None else count - removed]:
                    removed += self._redis.lrem(key, 0, one)
        return removed

    def replay(self, count: int) -> int:
        dead, queue = self._lists["dead_letters"], self._lists["depth"]
        ends = ("RIGHT", "LEFT") if self._left else ("LEFT", "RIGHT")
        with self._asking():
            return sum(self._redis.lmove(dead, queue, *ends) is not None for _ in range(count))
