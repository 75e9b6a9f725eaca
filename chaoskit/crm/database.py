"""The CRM's own data: leads, opportunities and an audit trail, each transaction counted and timed.

A duration is that of the transaction, on its thread: waiting for a connection and for a lock is part of it. Waiting for
a thread and for being heard of it is not, for at 60x they alone may take half a virtual second. The tables stand in
`crm.db` in the data folder, where a fault can reach them like any other process: a trigger on `audit` makes its
writes fail, and a held write lock makes every write slow.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from random import Random
from typing import Any, TypeVar

from chaoskit.crm.config import Config
from chaoskit.crm.emit import Emitter
from chaoskit.crm.sqlite_file import Execute, File

SEGMENTS = 50
_SEED_LEADS = 200
_FILE = "crm.db"
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS leads (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, "
    "score REAL NOT NULL DEFAULT 0)",
    "CREATE TABLE IF NOT EXISTS opportunities (id INTEGER PRIMARY KEY, lead_id INTEGER NOT NULL, title TEXT NOT NULL, "
    "amount REAL NOT NULL, segment INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS opportunities_by_segment ON opportunities (segment, amount)",
    "CREATE TABLE IF NOT EXISTS audit (id INTEGER PRIMARY KEY, action TEXT NOT NULL, subject TEXT NOT NULL)",
)

Result = TypeVar("Result")
Work = Callable[[Execute], Result]
"""The statements of one transaction, as a function of what executes them."""


def prepare(config: Config) -> None:
    """Create the tables and, in a new file, a first stock of leads and opportunities."""
    with closing(File(config, _FILE)) as file, file.begin() as execute:
        for statement in _SCHEMA:
            execute(statement)
        if not execute("SELECT 1 FROM leads LIMIT 1"):
            chance = Random(0)
            for n in range(1, _SEED_LEADS + 1):
                add_lead(f"Lead {n}", f"lead{n}@example.com")(execute)
                add_opportunity(n, f"Deal {n}", chance.randint(1, 900) * 100.0)(execute)


class Database:
    """One process's access, for several threads; what transactions took goes to the emitter."""

    def __init__(self, config: Config, emitter: Emitter) -> None:
        self.file, self.clock, self.emitter = File(config, _FILE), config.clock, emitter


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
        """Runs `work` in the transaction; raises sqlite3.Error."""
        self._start_s = time.monotonic()
        try:
            with self._database.file.begin() as execute:
                return work(execute)
        finally:
            self._end_s = time.monotonic()

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        status = "error" if isinstance(error, sqlite3.Error) else "success"
        took_s = (time.monotonic() if self._end_s is None else self._end_s) - self._start_s
        emitter = self._database.emitter
        emitter.inc("insa_database_operations_total", self._operation, status)
        emitter.observe("insa_database_query_duration_seconds", self._database.clock.virtual_vs(took_s))


def add_lead(name: str, email: str) -> Work[int]:
    """A transaction that stores a lead and gives its id."""
    statement = "INSERT INTO leads (name, email) VALUES (:name, :email) RETURNING id"
    return lambda execute: int(execute(statement, name=name, email=email)[0]["id"])


def add_opportunity(lead_id: int, title: str, amount: float) -> Work[int]:
    """A transaction that stores an opportunity and gives its id."""
    statement = (
        "INSERT INTO opportunities (lead_id, title, amount, segment) "
        "VALUES (:lead_id, :title, :amount, :segment) RETURNING id"
    )
    row = {"lead_id": lead_id, "title": title, "amount": amount, "segment": lead_id % SEGMENTS}
    return lambda execute: int(execute(statement, **row)[0]["id"])


def add_audit(action: str, subject: str) -> Work[object]:
    """A transaction that notes who did what."""
    statement = "INSERT INTO audit (action, subject) VALUES (:action, :subject)"
    return lambda execute: execute(statement, action=action, subject=subject)


def score_lead(lead_id: int, score: float) -> Work[object]:
    """A transaction that sets a lead's score."""
    return lambda execute: execute("UPDATE leads SET score = :to WHERE id = :of", of=lead_id, to=score)


def lead(lead_id: int) -> Work[dict[str, Any] | None]:
    """A transaction that reads one lead."""
    return lambda execute: next(map(dict, execute("SELECT * FROM leads WHERE id = :of", of=lead_id)), None)


def newest(table: str, limit: int) -> Work[list[dict[str, Any]]]:
    """A transaction that reads the newest rows of leads or opportunities."""
    return lambda execute: [dict(row) for row in execute(f"SELECT * FROM {table} ORDER BY id DESC LIMIT :n", n=limit)]


def pipeline(segment: int) -> Work[dict[str, Any]]:
    """A transaction that sums up one segment's opportunities."""
    statement = """
        SELECT :part AS segment, count(*) AS deals, coalesce(sum(amount), 0.0) AS amount
        FROM opportunities WHERE segment = :part"""
    return lambda execute: dict(execute(statement, part=segment)[0])
