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

import json
import os
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from chaoskit.crm import physics
from chaoskit.crm.config import Config
from chaoskit.crm.sqlite_file import File

_FILE = "queue.db"
_SCHEMA = (
    f"""
    CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: a late worker must not hit another message
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        state TEXT NOT NULL,
        available_at REAL NOT NULL,
        lease_s REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        max_attempts INTEGER NOT NULL DEFAULT {physics.TASK_ATTEMPTS},
        replay INTEGER NOT NULL DEFAULT 0,
        batch TEXT NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS messages_by_state ON messages (state, available_at, id)",
    "CREATE INDEX IF NOT EXISTS messages_by_batch ON messages (batch, id)",
)
# All rows in one statement: others wait some milliseconds for the lock, not ten times that.
_ADD = """
    INSERT INTO messages (kind, payload, state, available_at, lease_s, batch)
    SELECT json_extract(value, '$.kind'), json_extract(value, '$.payload'), json_extract(value, '$.state'),
        :now, json_extract(value, '$.lease_s'), json_extract(value, '$.batch')
    FROM json_each(:drafts) RETURNING id"""
_OLDEST = """
    SELECT id FROM messages WHERE state = 'queued' AND available_at <= :now ORDER BY available_at, id LIMIT 1"""
_LEASE = f"""
    UPDATE messages SET attempts = attempts + 1, available_at = :now + lease_s WHERE id = ({_OLDEST})
    RETURNING id, kind, payload, attempts, max_attempts, replay"""
_HELD = "WHERE id = :of AND attempts = :lease AND state = 'queued' RETURNING id"
_FINISH = f"DELETE FROM messages {_HELD}"
_RETRY = f"UPDATE messages SET available_at = :now {_HELD}"
_BURY = f"UPDATE messages SET state = 'dead', replay = 0 {_HELD}"
_REPLAY = """
    UPDATE messages SET state = 'queued', replay = 1, attempts = 0, max_attempts = 1, available_at = :now
    WHERE id IN (SELECT id FROM messages WHERE state = 'dead' ORDER BY id LIMIT :count) RETURNING id"""
_REMOVE = """
    DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE batch = :of ORDER BY id DESC LIMIT :count)
    RETURNING id"""
_CENSUS = """
    SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'dead'),
        count(*) FILTER (WHERE state = 'queued' AND replay)
    FROM messages"""
_CENSUS_OF = f"{_CENSUS} WHERE batch = :of"


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
    with closing(File(config, _FILE)) as file, file.begin() as execute:
        for statement in _SCHEMA:
            execute(statement)


class Queue:
    """One process's access to the queue. `bell` is the write end of a pipe that wakes idle workers, or None."""

    def __init__(self, config: Config, bell: int | None) -> None:
        self._clock = config.clock
        self._bell = bell
        self._workers = config.workers
        self.file = File(config, _FILE)
        self.census()  # opens a connection, so that the first message does not pay for it

    def put(self, drafts: Sequence[Draft]) -> list[int]:
        """Store messages in one transaction; their ids."""
        rows = [
            {
                "kind": draft.kind,
                "payload": draft.payload,
                "state": "dead" if draft.dead else "queued",
                "lease_s": self._clock.real_s(draft.lease_vs),
                "batch": draft.batch,
            }
            for draft in drafts
        ]
        with self.file.begin() as execute:
            ids = sorted(number for (number,) in execute(_ADD, now=time.time(), drafts=json.dumps(rows)))
        self._ring(len(ids))
        return ids

    def take(self) -> Message | None:
        """Lease the oldest message that is available, or None."""
        now = time.time()
        with self.file.begin() as execute:
            if not execute(_OLDEST, now=now):  # most looks find nothing, and an update would need the lock
                return None
            for number, kind, payload, attempts, most, replay in execute(_LEASE, now=now):
                return Message(number, kind, json.loads(payload), attempts, most, bool(replay))
        return None

    def finish(self, message: Message) -> bool:
        """Takes a message whose work is done off the queue; False when the lease had been lost."""
        return self._settle(message, _FINISH)

    def retry(self, message: Message, after_vs: float) -> bool:
        """Put a message back for a later attempt; False when the lease had been lost."""
        return self._settle(message, _RETRY, now=time.time() + self._clock.real_s(after_vs))

    def bury(self, message: Message) -> bool:
        """Make a message a dead letter; False when the lease had been lost."""
        return self._settle(message, _BURY)

    def _settle(self, message: Message, change: str, **values: float) -> bool:
        with self.file.begin() as execute:
            return bool(execute(change, of=message.id, lease=message.attempts, **values))

    def replay(self, count: int) -> list[int]:
        """Queue so many dead letters again, oldest first, for one attempt each; the ids of those that were there."""
        with self.file.begin() as execute:
            replayed = sorted(number for (number,) in execute(_REPLAY, now=time.time(), count=count))
        self._ring(len(replayed))
        return replayed

    def remove(self, batch: str, count: int | None = None) -> int:
        """Delete a batch's messages wherever they stand, all or the newest; how many were still there."""
        with self.file.begin() as execute:
            return len(execute(_REMOVE, of=batch, count=-1 if count is None else count))

    def census(self, batch: str | None = None) -> Census:
        """The number of messages in the queue, or of those of one batch."""
        with self.file.begin() as execute:
            return Census(*execute(_CENSUS if batch is None else _CENSUS_OF, of=batch)[0])

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
