"""The CRM's own data: leads, opportunities and an audit trail, each transaction counted and timed.

A duration is that of the transaction, on its thread: waiting for a connection and for a lock is part of it. Waiting for
a thread and for being heard of it is not, for at 60x they alone may take half a virtual second. The tables stand in
`crm.db` in the data folder, where a fault can reach them like any other process: a trigger on `audit` makes its
writes fail, and a held write lock makes every write slow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    func,
    insert,
    select,
)
from sqlalchemy import update as sql_update
from sqlalchemy.exc import SQLAlchemyError

from chaoskit.crm.config import Config
from chaoskit.crm.emit import Emitter
from chaoskit.crm.sqlite import open_engine

SEGMENTS = 50
_SEED_LEADS = 200

schema = MetaData()
leads = Table(
    "leads",
    schema,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("email", String, nullable=False),
    Column("score", Float, nullable=False, server_default="0"),
)
opportunities = Table(
    "opportunities",
    schema,
    Column("id", Integer, primary_key=True),
    Column("lead_id", Integer, nullable=False),
    Column("title", String, nullable=False),
    Column("amount", Float, nullable=False),
    Column("segment", Integer, nullable=False),
    Index("opportunities_by_segment", "segment", "amount"),
)
audit = Table(
    "audit",
    schema,
    Column("id", Integer, primary_key=True),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
)

Result = TypeVar("Result")


def prepare(config: Config) -> None:
    """Create the tables and, in a new file, a first stock of leads and opportunities drawn from the seed."""
    engine = open_engine(config.database, config.clock, 1)
    schema.create_all(engine)
    with engine.begin() as connection:
        if not connection.scalar(select(func.count()).select_from(leads)):
            chance = Random(config.seed)
            numbers = range(1, _SEED_LEADS + 1)
            people = [{"name": f"Lead {n}", "email": f"lead{n}@example.com"} for n in numbers]
            connection.execute(insert(leads), people)
            deals = [
                {
                    "lead_id": n,
                    "title": f"Deal {n}",
                    "amount": chance.randint(1, 900) * 100.0,
                    "segment": n % SEGMENTS,
                }
                for n in numbers
            ]
            connection.execute(insert(opportunities), deals)
    engine.dispose()


class Database:
    """One process's access; methods block and may be called from several threads."""

    def __init__(self, config: Config, connections: int) -> None:
        self._engine = open_engine(config.database, config.clock, connections)

    def transact(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in one transaction; raises SQLAlchemyError."""
        with self._engine.begin() as connection:
            return work(connection)


class Measured:
    """Counts and times one transaction: `with Measured(config, emitter, "insert") as measured: measured.run(...)`.

    It may run on another thread; what it took is told by the one that entered, so far where that waits no longer.
    """

    def __init__(self, config: Config, emitter: Emitter, operation: str) -> None:
        self._clock, self._emitter, self._operation = config.clock, emitter, operation
        self._start_s = time.monotonic()
        self._end_s: float | None = None

    def __enter__(self) -> Measured:
        return self

    def run(self, transaction: Callable[[], Result]) -> Result:
        """Does it, and takes the time."""
        self._start_s = time.monotonic()
        try:
            return transaction()
        finally:
            self._end_s = time.monotonic()

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        status = "error" if isinstance(error, SQLAlchemyError) else "success"
        took_s = (time.monotonic() if self._end_s is None else self._end_s) - self._start_s
        self._emitter.inc("insa_database_operations_total", self._operation, status)
        self._emitter.observe("insa_database_query_duration_seconds", self._clock.virtual_vs(took_s))


def add_lead(name: str, email: str) -> Callable[[Connection], int]:
    """A transaction that stores a lead and gives its id."""
    row = insert(leads).values(name=name, email=email).returning(leads.c.id)
    return lambda connection: connection.execute(row).scalar_one()


def add_opportunity(lead_id: int, title: str, amount: float) -> Callable[[Connection], int]:
    """A transaction that stores an opportunity and gives its id."""
    values = {"lead_id": lead_id, "title": title, "amount": amount, "segment": lead_id % SEGMENTS}
    row = insert(opportunities).values(values).returning(opportunities.c.id)
    return lambda connection: connection.execute(row).scalar_one()


def add_audit(action: str, subject: str) -> Callable[[Connection], None]:
    """A transaction that notes who did what."""

    def work(connection: Connection) -> None:
        connection.execute(insert(audit).values(action=action, subject=subject))

    return work


def score_lead(lead_id: int, score: float) -> Callable[[Connection], bool]:
    """A transaction that sets a lead's score; False when there is no such lead."""
    change = sql_update(leads).where(leads.c.id == lead_id).values(score=score)
    return lambda connection: connection.execute(change).rowcount == 1


def one(table: Table, row_id: int) -> Callable[[Connection], dict[str, Any] | None]:
    """A transaction that reads one row."""

    def work(connection: Connection) -> dict[str, Any] | None:
        row = connection.execute(select(table).where(table.c.id == row_id)).mappings().first()
        return dict(row) if row else None

    return work


def newest(table: Table, limit: int) -> Callable[[Connection], list[dict[str, Any]]]:
    """A transaction that reads the newest rows."""
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    return lambda connection: [dict(row) for row in connection.execute(query).mappings()]


def pipeline(segment: int) -> Callable[[Connection], dict[str, Any]]:
    """A transaction that sums up one segment's opportunities."""
    query = select(func.count(), func.coalesce(func.sum(opportunities.c.amount), 0.0)).where(
        opportunities.c.segment == segment
    )

    def work(connection: Connection) -> dict[str, Any]:
        deals, amount = connection.execute(query).one()
        return {"segment": segment, "deals": deals, "amount": amount}

    return work
