"""The task queue: messages with leases, retries and dead letters, in a file of its own (`queue.db`).

      put -> queued --take--> leased --finish--> gone
               ^                | fail, attempts left: queued again, later
               |                | fail for good, or attempts used up: dead
               `---- replay ---dead

Delivery is at least once. A lease that runs out (its worker died or stands still) makes the message available
again, and `finish` and `fail` only count for the holder of the latest lease. A message keeps its id for life, also
as a dead letter and in a replay, so whoever put it there can take it away again; who may not live to hear the ids
puts it with a batch's name of its own choice. A replay is a single attempt.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    CursorResult,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from chaoskit.crm import physics
from chaoskit.crm.config import Config
from chaoskit.crm.sqlite import open_engine

schema = MetaData()
messages = Table(
    "messages",
    schema,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("payload", String, nullable=False),
    Column("state", String, nullable=False, server_default="queued"),
    Column("available_at", Float, nullable=False),
    Column("lease_s", Float, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False),
    Column("owner", String, nullable=False, server_default=""),
    Column("replay", Boolean, nullable=False, server_default="0"),
    Column("reason", String, nullable=False, server_default=""),
    Column("replayable", Boolean, nullable=False, server_default="1"),
    Column("batch", String, nullable=False, server_default=""),
    Index("messages_by_state", "state", "available_at", "id"),
    Index("messages_by_batch", "batch", "id"),
    sqlite_autoincrement=True,  # an id is never used again: an undo must not hit somebody else's message
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be put: the lease must outlast its work."""

    kind: str
    payload: dict[str, Any]
    lease_vs: float = physics.LEASE_VS
    dead_reason: str = ""
    """When set, it is parked among the dead letters instead of being queued."""
    replayable: bool = True
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A leased message; (id, attempts) identifies the lease."""

    id: int
    kind: str
    payload: dict[str, Any]
    attempts: int
    max_attempts: int
    replay: bool


@dataclass(frozen=True, slots=True)
class Census:
    """How many messages there are: `depth` queued or leased, `dead`, and `replaying` of the queued ones."""

    depth: int
    dead: int
    replaying: int


def prepare(config: Config) -> None:
    """Create the table."""
    engine = open_engine(config.queue, config.clock, 1)
    schema.create_all(engine)
    engine.dispose()


class Queue:
    """One process's access to the queue. `bell` is the write end of a pipe that wakes idle workers, or None."""

    def __init__(self, config: Config, bell: int | None, connections: int = 1) -> None:
        self._clock = config.clock
        self._bell = bell
        self._workers = config.workers
        self._engine = open_engine(config.queue, config.clock, connections)
        self.put([])  # opens a connection, so that the first message does not pay for it

    def put(self, drafts: Sequence[Draft]) -> list[int]:
        """Store messages in one transaction; their ids."""
        now = time.time()
        rows = [_row(draft, now, self._clock.real_s(draft.lease_vs)) for draft in drafts]
        with self._engine.begin() as connection:
            # All rows in one statement: others wait some milliseconds for the lock, not ten times that.
            added = insert(messages).returning(messages.c.id, sort_by_parameter_order=True)
            ids = list(connection.execute(added, rows).scalars()) if rows else []
        self._ring(len(ids))
        return ids

    def take(self, owner: str) -> Message | None:
        """Lease the oldest message that is available, or None."""
        now = time.time()
        oldest = (
            select(messages.c.id)
            .where(messages.c.state == "queued", messages.c.available_at <= now)
            .order_by(messages.c.available_at, messages.c.id)
            .limit(1)
            .scalar_subquery()
        )
        lease = (
            update(messages)
            .where(messages.c.id == oldest)
            .values(owner=owner, attempts=messages.c.attempts + 1, available_at=now + messages.c.lease_s)
            .returning(*messages.c["id", "kind", "payload", "attempts", "max_attempts", "replay"])
        )
        with self._engine.begin() as connection:
            row = connection.execute(lease).first()
        return None if row is None else _message(row)

    def finish(self, message: Message) -> bool:
        """The work is done; False when the lease had been lost."""
        return self._change(delete(messages).where(*_lease(message)))

    def retry(self, message: Message, reason: str, after_vs: float) -> bool:
        """Try again later; False when the lease had been lost."""
        when = time.time() + self._clock.real_s(after_vs)
        change = update(messages).where(*_lease(message)).values(available_at=when, owner="", reason=reason)
        return self._change(change)

    def bury(self, message: Message, reason: str, replayable: bool) -> bool:
        """Make it a dead letter; False when the lease had been lost."""
        change = update(messages).where(*_lease(message))
        return self._change(change.values(state="dead", owner="", reason=reason, replayable=replayable, replay=False))

    def replay(self, count: int | None = None, ids: Iterable[int] | None = None) -> list[int]:
        """Queue dead letters again, oldest first, for one attempt each; the ids of those that were dead."""
        chosen = select(messages.c.id).where(messages.c.state == "dead").order_by(messages.c.id)
        if ids is not None:
            chosen = chosen.where(messages.c.id.in_(list(ids)))
        if count is not None:
            chosen = chosen.limit(count)
        change = (
            update(messages)
            .where(messages.c.id.in_(chosen))
            .values(state="queued", replay=True, attempts=0, max_attempts=1, available_at=time.time(), owner="")
            .returning(messages.c.id)
        )
        with self._engine.begin() as connection:
            replayed = sorted(connection.execute(change).scalars())
        self._ring(len(replayed))
        return replayed

    def remove(self, ids: Iterable[int]) -> int:
        """Delete messages wherever they stand; how many were still there."""
        return self._delete(messages.c.id.in_(list(ids)))

    def remove_batch(self, batch: str, count: int | None = None) -> int:
        """Delete a batch's messages wherever they stand, all or the newest; how many were still there."""
        newest = select(messages.c.id).where(messages.c.batch == batch).order_by(messages.c.id.desc()).limit(count)
        return self._delete(messages.c.id.in_(newest.scalar_subquery()))

    def dead_letters(self, limit: int) -> list[dict[str, Any]]:
        """The oldest dead letters, with their reason and whether a replay can succeed."""
        columns = messages.c["id", "kind", "payload", "attempts", "reason", "replayable"]
        query = select(*columns).where(messages.c.state == "dead").order_by(messages.c.id).limit(limit)
        with self._engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return [{**row, "payload": json.loads(row["payload"])} for row in rows]

    def census(self, batch: str | None = None) -> Census:
        """Count the messages, or those of one batch."""
        query = select(
            func.count(case((messages.c.state == "queued", 1))),
            func.count(case((messages.c.state == "dead", 1))),
            func.count(case(((messages.c.state == "queued") & messages.c.replay, 1))),
        )
        if batch is not None:
            query = query.where(messages.c.batch == batch)
        with self._engine.connect() as connection:
            return Census(*connection.execute(query).one())

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _change(self, statement: Any) -> bool:
        with self._engine.begin() as connection:
            result: CursorResult[Any] = connection.execute(statement)
            return result.rowcount == 1

    def _delete(self, which: ColumnElement[bool]) -> int:
        with self._engine.begin() as connection:
            return connection.execute(delete(messages).where(which)).rowcount

    def _ring(self, times: int) -> None:
        """Wake workers. Only a hint: who misses it finds the message at the next poll."""
        if self._bell is not None and times:
            with suppress(BlockingIOError):
                os.write(self._bell, b"!" * min(times, self._workers))


def _row(draft: Draft, now: float, lease_s: float) -> dict[str, Any]:
    return {
        "kind": draft.kind,
        "payload": json.dumps(draft.payload),
        "state": "dead" if draft.dead_reason else "queued",
        "available_at": now,
        "lease_s": lease_s,
        "max_attempts": physics.TASK_ATTEMPTS,
        "reason": draft.dead_reason,
        "replayable": draft.replayable,
        "batch": draft.batch,
    }


def _lease(message: Message) -> tuple[Any, ...]:
    return (
        messages.c.id == message.id,
        messages.c.attempts == message.attempts,
        messages.c.state == "queued",
    )


def _message(row: Row[Any]) -> Message:
    return Message(row.id, row.kind, json.loads(row.payload), row.attempts, row.max_attempts, row.replay)
