"""The task queue: messages with leases, retries and dead letters, in a file of its own (`queue.db`).

      put -> queued --take--> leased --finish--> gone
               ^                | retry: queued again, later
               |                | bury: dead
               `---- replay ---dead

Delivery is at least once. A lease that runs out (its worker died or stands still) makes the message available
again, and `finish`, `retry` and `bury` only count for the holder of the latest lease. A message keeps its batch for
life, also as a dead letter and in a replay, so that what put it there can take it away again by a name of its own
choice, without having heard the ids. A replay is a single attempt.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from chaoskit.crm import physics
from chaoskit.crm.config import Config
from chaoskit.crm.engine import await_lock, open_engine

_FILE = "queue.db"

schema = sa.MetaData()
messages = sa.Table(
    "messages",
    schema,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("available_at", sa.Float, nullable=False),
    sa.Column("lease_s", sa.Float, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("max_attempts", sa.Integer, nullable=False, server_default=str(physics.TASK_ATTEMPTS)),
    sa.Column("replay", sa.Boolean, nullable=False, server_default="0"),
    sa.Column("batch", sa.String, nullable=False),
    sa.Index("messages_by_state", "state", "available_at", "id"),
    sa.Index("messages_by_batch", "batch", "id"),
    sqlite_autoincrement=True,  # an id is never used again: a late worker must not hit another message
)

# Statements that are asked again and again are made once: to make one takes SQLAlchemy longer than to run it.
_NOW: sa.BindParameter[float] = sa.bindparam("now", type_=sa.Float)
_OLDEST = (
    sa.select(messages.c.id)
    .where(messages.c.state == "queued", messages.c.available_at <= _NOW)
    .order_by(messages.c.available_at, messages.c.id)
    .limit(1)
)
_LEASE = (
    sa.update(messages)
    .where(messages.c.id == _OLDEST.scalar_subquery())
    .values(attempts=messages.c.attempts + 1, available_at=_NOW + messages.c.lease_s)
    .returning(*messages.c["id", "kind", "payload", "attempts", "max_attempts", "replay"])
)
_ADD = sa.insert(messages).returning(messages.c.id, sort_by_parameter_order=True)
_HELD = (
    messages.c.id == sa.bindparam("of", type_=sa.Integer),
    messages.c.attempts == sa.bindparam("lease", type_=sa.Integer),
    messages.c.state == "queued",
)
_FINISH = sa.delete(messages).where(*_HELD)
_RETRY = sa.update(messages).where(*_HELD).values(available_at=_NOW)
_BURY = sa.update(messages).where(*_HELD).values(state="dead", replay=False)
_QUEUED, _DEAD = messages.c.state == "queued", messages.c.state == "dead"
_CENSUS = sa.select(
    sa.func.count(sa.case((_QUEUED, 1))).label("depth"),
    sa.func.count(sa.case((_DEAD, 1))).label("dead_letters"),
    sa.func.count(sa.case((_QUEUED & messages.c.replay, 1))).label("replaying"),
)
_CENSUS_OF = _CENSUS.where(messages.c.batch == sa.bindparam("of"))


@cache
def _compiled(query: sa.SelectBase) -> sa.Compiled:
    return query.compile(dialect=sqlite.dialect(paramstyle="named"))


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be put: the lease must outlast its work; a dead one is parked among the dead letters."""

    kind: str
    payload: dict[str, Any]
    lease_vs: float = physics.LEASE_VS
    dead: bool = False
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
    """How many messages there are: `depth` queued or leased, dead letters, and `replaying` of the queued ones."""

    depth: int
    dead_letters: int
    replaying: int


def prepare(config: Config) -> None:
    """Create the queue's table in the database."""
    engine = open_engine(config, _FILE, 1)
    schema.create_all(engine)
    engine.dispose()


class Queue:
    """One process's access to the queue. `bell` is the write end of a pipe that wakes idle workers, or None."""

    def __init__(self, config: Config, bell: int | None, connections: int = 1) -> None:
        self._config, self._clock = config, config.clock
        self._bell = bell
        self._workers = config.workers
        self.engine = open_engine(config, _FILE, connections)
        self.put([])  # opens a connection, so that the first message does not pay for it

    def put(self, drafts: Sequence[Draft]) -> list[int]:
        """Store messages in one transaction; their ids."""
        now = time.time()
        rows = [
            {
                "kind": draft.kind,
                "payload": draft.payload,
                "state": "dead" if draft.dead else "queued",
                "available_at": now,
                "lease_s": self._clock.real_s(draft.lease_vs),
                "batch": draft.batch,
            }
            for draft in drafts
        ]
        with self.engine.begin() as connection:
            # All rows in one statement: others wait some milliseconds for the lock, not ten times that.
            ids = list(connection.execute(_ADD, rows).scalars()) if rows else []
        self._ring(len(ids))
        return ids

    def take(self) -> Message | None:
        """Lease the oldest message that is available, or None."""
        now = time.time()
        if self._look(_OLDEST, now=now) is None:  # most looks find nothing, and an update costs ten times as much
            return None
        with self.engine.begin() as connection:
            row = connection.execute(_LEASE, {"now": now}).first()
        return None if row is None else Message(*row)

    def finish(self, message: Message) -> bool:
        """Takes a message whose work is done off the queue; False when the lease had been lost."""
        return self._settle(message, _FINISH)

    def retry(self, message: Message, after_vs: float) -> bool:
        """Put a message back for a later attempt; False when the lease had been lost."""
        return self._settle(message, _RETRY, now=time.time() + self._clock.real_s(after_vs))

    def bury(self, message: Message) -> bool:
        """Make a message a dead letter; False when the lease had been lost."""
        return self._settle(message, _BURY)

    def _settle(self, message: Message, change: sa.Update | sa.Delete, **values: float) -> bool:
        with self.engine.begin() as connection:
            return connection.execute(change, {"of": message.id, "lease": message.attempts, **values}).rowcount == 1

    def replay(self, count: int) -> list[int]:
        """Queue so many dead letters again, oldest first, for one attempt each; the ids of those that were there."""
        oldest = sa.select(messages.c.id).where(messages.c.state == "dead").order_by(messages.c.id).limit(count)
        change = (
            sa.update(messages)
            .where(messages.c.id.in_(oldest))
            .values(state="queued", replay=True, attempts=0, max_attempts=1, available_at=time.time())
            .returning(messages.c.id)
        )
        with self.engine.begin() as connection:
            replayed = sorted(connection.execute(change).scalars())
        self._ring(len(replayed))
        return replayed

    def remove(self, batch: str, count: int | None = None) -> int:
        """Delete a batch's messages wherever they stand, all or the newest; how many were still there."""
        newest = sa.select(messages.c.id).where(messages.c.batch == batch).order_by(messages.c.id.desc()).limit(count)
        with self.engine.begin() as connection:
            return connection.execute(sa.delete(messages).where(messages.c.id.in_(newest))).rowcount

    def census(self, batch: str | None = None) -> Census:
        """The number of messages in the queue, or of those of one batch."""
        return Census(*(self._look(_CENSUS) if batch is None else self._look(_CENSUS_OF, of=batch)))

    def _look(self, query: sa.SelectBase, **values: object) -> Any:
        """The first row, or None, from SQLite's own driver: through SQLAlchemy it takes six times as long, and there
        are twenty looks a second. Raises SQLAlchemyError."""
        asked = _compiled(query)
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            await_lock(self._config, cursor.execute, str(asked), {**asked.params, **values})
            return cursor.fetchone()
        except sqlite3.Error as error:
            raise sa.exc.DBAPIError(str(asked), values, error) from error
        finally:
            connection.close()

    def _ring(self, times: int) -> None:
        """Wake workers. Only a hint: a worker that misses it finds the message at the next poll."""
        if self._bell is not None and times:
            with suppress(BlockingIOError):
                os.write(self._bell, b"!" * min(times, self._workers))


def why_poison(kind: str, payload: dict[str, Any]) -> str:
    """Why no attempt at a task can ever succeed; empty when one can.

    follow-up     {lead_id}            scores a lead                                    milliseconds
    agent-task    {agent, lead_id}     calls the upstream at /v1/background/AGENT       one call, retries included
    campaign      {recipients}         sends mails at the provider's rate               1 virtual second a mail
    import-record {record: {...}}      stores a lead; a record without an e-mail never can
    """
    match kind, payload:
        case "follow-up", {"lead_id": int()}:
            return ""
        case "agent-task", {"agent": str(agent), "lead_id": int()}:
            return "" if agent in physics.AGENTS else f"there is no agent '{agent}'"
        case "campaign", {"recipients": int(count)}:
            return "" if 0 < count <= 1000 else f"a campaign has 1 to 1000 recipients, not {count}"
        case "import-record", {"record": {"name": str(), "email": str()}}:
            return ""
        case "import-record", _:
            return "the record lacks a name or an e-mail address"
    return f"'{kind}' with keys {sorted(payload)} is not a task"


def draft(kind: str, payload: dict[str, Any], batch: str = "") -> Draft:
    """A message for this task, with a lease that outlasts its work."""
    work_vs = 0.0
    if not why_poison(kind, payload):
        if kind == "campaign":
            work_vs = payload["recipients"] * physics.MAIL_PACE_VS
        elif kind == "agent-task":
            work_vs = physics.AGENTS[payload["agent"]]
    return Draft(kind, payload, physics.LEASE_VS + work_vs, batch=batch)


def parked_letter(replayable: bool, batch: str = "") -> Draft:
    """A dead letter as it comes from an export: its replay succeeds, or fails, by the same rules as any other's."""
    if replayable:
        return Draft("follow-up", {"lead_id": 1}, dead=True, batch=batch)
    return Draft("import-record", {"record": {"name": "nobody"}}, dead=True, batch=batch)
