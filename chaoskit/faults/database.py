"""Faults on a database of SQLite: db.error, statements of one kind fail; db.slow, every writer waits.

db.error is a trigger that refuses them: it lives in the database, so it works on every connection at once, and goes
with one statement. db.slow holds the write lock in pulses, so many seconds in each period; the lock belongs to the
holder's connection, so it goes with the holder however that ends.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import Field, model_validator

from chaoskit.faults.base import Fault, FaultError, Lapsed, Made, S, Seen, Settings, Target, Undo, is_gone
from chaoskit.faults.control_api import Strength
from chaoskit.faults.quantities import Duration, Ratio

_BUSY_S = 5.0
_FREE_S = 6.0
_SPAN_PULSES = 10


class DatabaseFault(Fault[S]):
    """A fault in an SQLite database. With the database gone there is nothing to take back."""

    handles = ("database",)

    @abstractmethod
    def mend(self, undo: Undo) -> str:
        """Takes the effect back in the database that is there, and sees that it is gone; in words."""

    def stop(self, undo: Undo) -> Seen:
        """Takes the fault off the database file, if the file still exists; raises FaultError."""
        begun = time.time()
        if is_gone(Path(undo["file"])):
            return Seen((begun, begun), "the database is gone")
        said = self.mend(undo)
        return Seen((begun, time.time()), said)


@contextlib.contextmanager
def connected(file: str, wait_s: float = _BUSY_S) -> Iterator[sqlite3.Connection]:
    """A connection to an existing database, closed afterwards; raises FaultError for any error of SQLite."""
    try:
        uri = f"file:{quote(file)}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None)) as database:
            yield database
    except sqlite3.Error as error:
        raise FaultError(f"{file}: {error}") from None


class DbErrorSettings(Settings):
    """Settings of db.error."""

    table: Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")] = ""
    """Which table; choose one whose failures the target survives, or more than this will fail. A handle with
    `via:` has its own."""
    operation: Literal["insert", "update", "delete"] = "insert"
    """The kind of statement that the database refuses."""
    ratio: Annotated[Ratio, Field(gt=0)] = 1.0
    """Share of the statements, dosed exactly: `10%` refuses every tenth. Only via `postgres`."""

    @model_validator(mode="after")
    def _can_count(self) -> DbErrorSettings:
        if self.table and self.ratio != 1:
            raise ValueError("ratio is for a handle with via: postgres, which has its own table: leave one of them out")
        return self


class DbError(DatabaseFault[DbErrorSettings]):
    """Makes statements on a table fail."""

    kind = "db.error"

    def prepare(self, target: Target, settings: DbErrorSettings) -> Undo:
        """Finds the table; raises FaultError where it is not."""
        undo = {
            "file": target.address.file,
            "trigger": f"chaoskit_{secrets.token_hex(6)}",
            "table": settings.table,
            "operation": settings.operation,
        }
        with connected(undo["file"]) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        tables = sorted(name for (name,) in found)
        if settings.table not in tables:
            raise FaultError(f"there is no table {settings.table}; name one of {', '.join(tables) or 'none'}")
        return undo

    def start(self, undo: Undo) -> Seen:
        """Makes the trigger and sees it there, and a statement of that kind refused where one can be tried."""
        begun = time.time()
        with connected(undo["file"]) as database:
            database.execute(
                f"CREATE TRIGGER {_name(undo)} BEFORE {undo['operation'].upper()} ON {undo['table']} "
                "BEGIN SELECT RAISE(ABORT, 'refused for a drill'); END"
            )
            if not _refused(database, undo):
                made = f"SQLite has the trigger, and an {undo['operation']} on {undo['table']} is not refused"
                raise FaultError(f"{made}; see the triggers of {undo['file']}")
        if not _there(undo):
            raise FaultError(
                f"the trigger {_name(undo)} was made in {undo['file']}, and is not there: see which program drops it"
            )
        return Seen((begun, time.time()), f"every {undo['operation']} on {undo['table']} is refused")

    def lapse(self, undo: Undo) -> str:
        """Why the fault lapsed: the trigger is gone."""
        return "" if _there(undo) else f"another program dropped the trigger on {undo['table']}"

    def mend(self, undo: Undo) -> str:
        """Drops the trigger and sees it gone."""
        with connected(undo["file"]) as database:
            database.execute(f"DROP TRIGGER IF EXISTS {_name(undo)}")
        if _there(undo):
            raise FaultError(
                f"the trigger {_name(undo)} of {undo['file']} was dropped, and is still there: DROP TRIGGER it"
            )
        return f"{undo['table']} takes every {undo['operation']} again"

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only a trigger with a name that this kind makes up, in the target's database."""
        made.allow("file", undo["file"])
        return f"drops the trigger {_name(undo)} in {undo['file']}"


def _refused(database: sqlite3.Connection, undo: Undo) -> bool:
    """Tries one such statement, and takes it back at once; an empty table has no row to try it on."""
    table, one = undo["table"], f"rowid = (SELECT min(rowid) FROM {undo['table']})"
    column = database.execute(f"SELECT name FROM pragma_table_info('{table}')").fetchone()[0]
    statement = {
        "insert": f"INSERT INTO {table} DEFAULT VALUES",
        "update": f'UPDATE {table} SET "{column}" = "{column}" WHERE {one}',
        "delete": f"DELETE FROM {table} WHERE {one}",
    }[undo["operation"]]
    database.execute("BEGIN IMMEDIATE")
    try:
        return database.execute(statement).rowcount == 0
    except sqlite3.Error:  # by our trigger; or it cannot be tried, and the trigger that is there must do
        return True
    finally:
        database.execute("ROLLBACK")


def _name(undo: Undo) -> str:
    """The trigger's name, which goes into a statement as it is."""
    name = str(undo["trigger"])
    if not re.fullmatch(r"chaoskit_[0-9a-f]+", name):
        raise FaultError(f"{name!r} is no trigger that chaoskit makes up; undo it by hand")
    return name


def _there(undo: Undo) -> bool:
    with connected(undo["file"]) as database:
        rows = database.execute("SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = ?", (_name(undo),))
        return rows.fetchone() is not None


class DbSlowSettings(Settings):
    """Settings of db.slow: a writer waits for up to `locked`."""

    locked: Duration = Field(default=8.0, gt=0)
    """Virtual time for which the lock is held in each period; less than what makes the target give up."""
    every: Duration = Field(default=10.0, gt=0)
    """Virtual time from one lock of the database to the next."""

    @model_validator(mode="after")
    def _has_a_gap(self) -> DbSlowSettings:
        if self.locked >= self.every:
            raise ValueError(f"locked for {self.locked:g} s of every {self.every:g} s leaves writers no gap")
        return self


class Lock(ABC):
    """A lock on a database or a table of it; raises FaultError where it cannot be had."""

    @abstractmethod
    def take(self) -> None:
        """Takes the database's lock."""

    @abstractmethod
    def let_go(self) -> None:
        """Gives the database's lock back."""

    @abstractmethod
    def kept_out(self) -> bool:
        """Whether another connection is seen to wait for the database's lock."""


class _WriteLock(Lock):
    def __init__(self, file: str, database: sqlite3.Connection) -> None:
        self._file, self._database = file, database

    def take(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        self._database.execute("ROLLBACK")

    def kept_out(self) -> bool:
        return not _writable(self._file)


class DbSlow(DatabaseFault[DbSlowSettings]):
    """Holds the write lock in pulses."""

    kind = "db.slow"

    def prepare(self, target: Target, settings: DbSlowSettings) -> Undo:
        """Finds the database; raises FaultError where it is not."""
        file = target.address.file
        if not Path(file).exists():
            raise FaultError(f"there is no database {file}; name the file in which the service keeps it")
        return {"file": file, **self.pulses(target, settings)}

    def longest_s(self, undo: Undo) -> float:
        """The first pulse, after which the fault is in force."""
        return float(undo["locked_s"])

    def longest_undo_s(self, undo: Undo) -> float:
        """None: a pulse ends with the holder."""
        return 0.0

    def pulses(self, target: Target, settings: DbSlowSettings) -> Undo:
        """The part of a token that says how long the lock is held, and how long it is not."""
        scale = target.address.time_scale
        return {"locked_s": settings.locked / scale, "gap_s": (settings.every - settings.locked) / scale}

    @contextlib.contextmanager
    def locking(self, undo: Undo) -> Iterator[Lock]:
        """The client that takes the lock again and again."""
        with connected(undo["file"]) as database:
            yield _WriteLock(undo["file"], database)

    def start(self, undo: Undo) -> Seen:
        """Holds the lock for a first pulse, and sees another writer kept out by it."""
        begun = time.time()
        with self.locking(undo) as lock:
            lock.take()
            if not lock.kept_out():
                raise FaultError("the lock is held, and another writer gets the lock too: name the service's database")
            time.sleep(undo["locked_s"])  # the fault itself: the lock is held that long
            lock.let_go()
        return Seen((begun, time.time()), f"writers wait up to {undo['locked_s'] * 1000:.0f} real ms")

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """Holds the lock for one pulse after the other.

        Raises Lapsed when the lock cannot be had any more, or for too little of the time.
        """
        strength = Strength("of the time locked")
        asked = undo["locked_s"] / (undo["locked_s"] + undo["gap_s"])
        try:
            with self.locking(undo) as lock:
                since, locked_s, pulses = time.monotonic(), 0.0, 0
                while not ended.wait(undo["gap_s"]):
                    lock.take()
                    begun = time.monotonic()
                    ended.wait(undo["locked_s"])
                    locked_s += time.monotonic() - begun
                    lock.let_go()
                    pulses += 1
                    if pulses >= _SPAN_PULSES and not ended.is_set():
                        strength.look(locked_s / (time.monotonic() - since), asked)
                        since, locked_s, pulses = time.monotonic(), 0.0, 0
        except FaultError as error:
            if not ended.is_set():
                raise Lapsed(str(error)) from None

    def mend(self, undo: Undo) -> str:
        """Sees that the lock can be had; who held it has ended, or ends its pulse."""
        with connected(undo["file"]) as database:
            database.execute(f"PRAGMA busy_timeout = {int(_FREE_S * 1000)}")
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
        return "writers need not wait"

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only the target's database: undoing looks whether it can be written."""
        made.allow("file", undo["file"])
        return f"takes the write lock of {undo['file']} for a moment"


def _writable(file: str) -> bool:
    try:
        with connected(file, 0) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except FaultError:
        return False
    return True
