"""via rabbitmq: a queue of RabbitMQ, with another queue for its dead letters.

Messages carry the fault's id as their message_id and a header, and a TTL. To find ours among others, every message that
is ready is taken and at once given back to its place, so that those of others are marked as redelivered. One whose TTL
is over is never delivered, but counts until it comes to the head of its queue, or until the undo.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from chaoskit.adapters.base import client
from chaoskit.adapters.queues import ANSWER_S, QueueAdapter, message_ids, place, places, url_of
from chaoskit.faults.base import FaultError
from chaoskit.faults.queue_batch import Broker, What

_HEADER = "chaoskit"


@dataclass(frozen=True, kw_only=True)
class RabbitMq(QueueAdapter):
    """A queue of RabbitMQ."""

    kind: ClassVar[str] = "queue"
    via: ClassVar[str] = "rabbitmq"
    needs_extra: ClassVar[tuple[str, ...]] = ("pika",)
    seen_by: ClassVar[str] = "the number of ready messages"
    ends: ClassVar[str] = "the messages' TTL"
    example: ClassVar[str] = "queue: {tasks: {via: rabbitmq, url_file: secrets/amqp, queue: tasks, dead: tasks.dead}}"

    dead: str = ""
    """The name of RabbitMQ's queue of dead letters."""
    message: str = "{}"
    """The body of one; a consumer must bear it."""

    @classmethod
    def broker(cls, at: Mapping[str, str], lives_s: float) -> Broker:
        return _Rabbit(at, lives_s)


class _Rabbit(Broker):
    def __init__(self, at: Mapping[str, str], lives_s: float) -> None:
        self._pika, self._at, self._lives_ms = client("pika", "rabbitmq"), at, str(int(lives_s * 1000))
        self._queues = places(at)

    @contextlib.contextmanager
    def _channel(self) -> Iterator[Any]:
        try:
            given = self._pika.URLParameters(url_of(self._at))
            given.socket_timeout = given.blocked_connection_timeout = ANSWER_S
            with contextlib.closing(self._pika.BlockingConnection(given)) as connection:
                yield connection.channel()
        except (self._pika.exceptions.AMQPError, OSError, ValueError) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise FaultError(f"RabbitMQ of the queue {self._at['queue']}: {said}") from None

    def census(self, batch: str | None = None) -> Mapping[str, int]:
        found = {"depth": 0, "dead_letters": 0, "replaying": 0}
        with self._channel() as channel:
            for what, queue in self._queues.items():
                if queue and batch is None:
                    found[what] = channel.queue_declare(queue, passive=True).method.message_count
                elif queue:
                    found[what] = sum(mine for mine, _ in _all(channel, queue, str(batch)))
                    channel.basic_nack(0, multiple=True, requeue=True)
        return found

    def put(self, batch: str, what: What, count: int, *, replayable: bool = True) -> None:
        queue = place(self._at, what)
        with self._channel() as channel:
            channel.confirm_delivery()
            for one in message_ids(batch, count):
                properties = self._pika.BasicProperties(
                    message_id=one, headers={_HEADER: batch}, expiration=self._lives_ms
                )
                channel.basic_publish("", queue, self._at["message"].encode(), properties, mandatory=True)

    def remove(self, batch: str, count: int | None = None) -> int:
        removed = 0
        with self._channel() as channel:
            for queue in filter(None, self._queues.values()):
                for mine, tag in _all(channel, queue, batch):
                    if mine and (count is None or removed < count):
                        channel.basic_ack(tag)
                        removed += 1
                channel.basic_nack(0, multiple=True, requeue=True)
        return removed

    def replay(self, count: int) -> int:
        replayed = 0
        with self._channel() as channel:
            channel.confirm_delivery()
            while replayed < count:
                method, properties, body = channel.basic_get(self._queues["dead_letters"])
                if method is None:
                    break
                channel.basic_publish("", self._queues["depth"], body, properties, mandatory=True)
                channel.basic_ack(method.delivery_tag)
                replayed += 1
        return replayed


def _all(channel: Any, queue: str, batch: str) -> Iterator[tuple[bool, int]]:
    """Every message that is ready now: whether it is the batch's, and its tag; none is given back yet."""
    for _ in range(channel.queue_declare(queue, passive=True).method.message_count):
        method, properties, _ = channel.basic_get(queue)
        if method is None:
            return
        yield (properties.headers or {}).get(_HEADER) == batch, method.delivery_tag
