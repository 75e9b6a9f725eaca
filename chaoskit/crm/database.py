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

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chaoskit.crm.config import Config
from chaoskit.crm.emit import Emitter
from chaoskit.crm.engine import open_engine

SEGMENTS = 50
_SEED_LEADS = 200
_FILE = "crm.db"

schema = sa.MetaData()
leads = sa.Table(
    "leads",
    schema,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("email", sa.String, nullable=False),
    sa.Column("score", sa.Float, nullable=False, server_default="0"),
)
opportunities = sa.Table(
    "opportunities",
    schema,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("lead_id", sa.Integer, nullable=False),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("amount", sa.Float, nullable=False),
    sa.Column("segment", sa.Integer, nullable=False),
    sa.Index("opportunities_by_segment", "segment", "amount"),
)
audit = sa.Table(
    "audit",
    schema,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
)

Result = TypeVar("Result")
Work = Callable[[sa.Connection], Result]
"""The statements of one transaction, as a function of its connection."""


def prepare(config: Config) -> None:
    """Create the tables and, in a new file, a first stock of leads and opportunities."""
    engine = open_engine(config, _FILE, 1)
    schema.create_all(engine)
    with engine.begin() as connection:
        if not connection.scalar(sa.select(sa.func.count()).select_from(leads)):
            chance, numbers = Random(0), range(1, _SEED_LEADS + 1)
            rows = [{"name": f"Lead {n}", "email": f"lead{n}@example.com"} for n in numbers]
            deals = [_deal(n, f"Deal {n}", chance.randint(1, 900) * 100.0) for n in numbers]
            connection.execute(sa.insert(leads), rows)
            connection.execute(sa.insert(opportunities), deals)
    engine.dispose()


def _deal(lead_id: int, title: str, amount: float) -> dict[str, Any]:
    return {"lead_id": lead_id, "title": title, "amount": amount, "segment": lead_id % SEGMENTS}


class Database:
    """One process's access, for several threads; what transactions took goes to the emitter."""

    def __init__(self, config: Config, connections: int, emitter: Emitter) -> None:
        self.engine, self.clock, self.emitter = open_engine(config, _FILE, connections), config.clock, emitter


class Measured:
    """Counts and times one transaction: `with Measured(database, "insert") as measured: measured.run(work)`.

    It may run on another thread; what it took is told by the one that entered, so far where that waits no longer.
    """

    def __init__(self, database: Database, operation: str) -> None:
        self._database, self._operation = database, operation
        self._start_s = time.monotonic()
        self._end_s: float | None = None

    def __enter__(self) -> Measured:
        return self

    def run(self, work: Work[Result]) -> Result:
        """Runs `work` in the transaction; raises SQLAlchemyError."""
        self._start_s = time.monotonic()
        try:
            with self._database.engine.begin() as connection:
                return work(connection)
        finally:
            self._end_s = time.monotonic()

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        status = "error" if isinstance(error, SQLAlchemyError) else "success"
        took_s = (time.monotonic() if self._end_s is None else self._end_s) - self._start_s
        emitter = self._database.emitter
        emitter.inc("insa_database_operations_total", self._operation, status)
        emitter.observe("insa_database_query_duration_seconds", self._database.clock.virtual_vs(took_s))


# Statements that every request or task asks are made once: to make one takes SQLAlchemy longer than to run it.
_ID: sa.BindParameter[int] = sa.bindparam("of", type_=sa.Integer)
_ADD_LEAD = sa.insert(leads).returning(leads.c.id)
_ADD_OPPORTUNITY = sa.insert(opportunities).returning(opportunities.c.id)
_ADD_AUDIT = sa.insert(audit)
_SCORE = sa.update(leads).where(leads.c.id == _ID).values(score=sa.bindparam("to"))
_LEAD = sa.select(leads).where(leads.c.id == _ID)
_NEWEST = {
    table: sa.select(table).order_by(table.c.id.desc()).limit(sa.bindparam("most", type_=sa.Integer))
    for table in (leads, opportunities)
}
_PIPELINE = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(opportunities.c.amount), 0.0)).where(
    opportunities.c.segment == sa.bindparam("part", type_=sa.Integer)
)


def add_lead(name: str, email: str) -> Work[int]:
    """A transaction that stores a lead and gives its id."""
    return lambda connection: connection.execute(_ADD_LEAD, {"name": name, "email": email}).scalar_one()


def add_opportunity(lead_id: int, title: str, amount: float) -> Work[int]:
    """A transaction that stores an opportunity and gives its id."""
    row = _deal(lead_id, title, amount)
    return lambda connection: connection.execute(_ADD_OPPORTUNITY, row).scalar_one()


def add_audit(action: str, subject: str) -> Work[object]:
    """A transaction that notes who did what."""
    return lambda connection: connection.execute(_ADD_AUDIT, {"action": action, "subject": subject})


def score_lead(lead_id: int, score: float) -> Work[object]:
    """A transaction that sets a lead's score."""
    return lambda connection: connection.execute(_SCORE, {"of": lead_id, "to": score})


def lead(lead_id: int) -> Work[dict[str, Any] | None]:
    """A transaction that reads one lead."""

    def work(connection: sa.Connection) -> dict[str, Any] | None:
        row = connection.execute(_LEAD, {"of": lead_id}).mappings().first()
        return dict(row) if row else None

    return work


def newest(table: sa.Table, limit: int) -> Work[list[dict[str, Any]]]:
    """A transaction that reads the newest rows of leads or opportunities."""
    return lambda connection: [dict(row) for row in connection.execute(_NEWEST[table], {"most": limit}).mappings()]


def pipeline(segment: int) -> Work[dict[str, Any]]:
    """A transaction that sums up one segment's opportunities."""

    def work(connection: sa.Connection) -> dict[str, Any]:
        deals, amount = connection.execute(_PIPELINE, {"part": segment}).one()
        return {"segment": segment, "deals": deals, "amount": amount}

    return work
