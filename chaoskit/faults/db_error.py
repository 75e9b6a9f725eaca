"""db.error: statements of one kind on one table fail, by a trigger that refuses them.

A trigger lives in the database, so it works on every connection at once, and goes with one statement.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import quote

from pydantic import Field

from chaoskit.faults.base import Fault, FaultError, Lapsed, Made, Seen, Settings, Target, Undo, is_gone

_BUSY_S = 5.0
_LOOK_S = 0.5


class DbErrorSettings(Settings):
    """Settings of db.error."""

    table: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Which table; choose one whose failures the target survives, or more than this will fail."""
    operation: Literal["insert", "update", "delete"] = "insert"
    """Which statements are refused."""


class DbError(Fault):
    """Makes statements on a table fail."""

    kind: ClassVar[str] = "db.error"
    handles: ClassVar[tuple[str, ...]] = ("database",)
    settings: ClassVar[type[Settings]] = DbErrorSettings

    @classmethod
    def prepare(cls, target: Target, settings: Settings) -> Undo:
        """Finds the table; raises FaultError where it is not."""
        assert isinstance(settings, DbErrorSettings)
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
            raise FaultError(f"there is no table {settings.table}; there are {', '.join(tables) or 'none'}")
        return undo

    @classmethod
    def start(cls, undo: Undo) -> Seen:
        """Makes the trigger and sees it there, and a statement of that kind refused where one can be tried."""
        begun = time.time()
        with connected(undo["file"]) as database:
            database.execute(
                f"CREATE TRIGGER {_name(undo)} BEFORE {undo['operation'].upper()} ON {undo['table']} "
                "BEGIN SELECT RAISE(ABORT, 'refused for a drill'); END"
            )
            if not _refused(database, undo):
                raise FaultError(f"the trigger was made, and an {undo['operation']} on {undo['table']} is not refused")
        if not _there(undo):
            raise FaultError("the trigger was made, and is not there")
        return Seen((begun, time.time()), f"every {undo['operation']} on {undo['table']} is refused")

    @classmethod
    def hold(cls, undo: Undo, ended: threading.Event) -> None:
        """Watches that the trigger stays."""
        while not ended.wait(_LOOK_S):
            if not _there(undo) and not ended.is_set():
                raise Lapsed(f"somebody else dropped the trigger on {undo['table']}")

    @classmethod
    def stop(cls, undo: Undo) -> Seen:
        """Drops the trigger and sees it gone; with the database gone there is nothing to drop."""
        begun = time.time()
        if is_gone(Path(undo["file"])):
            return Seen((begun, begun), "the database is gone")
        with connected(undo["file"]) as database:
            database.execute(f"DROP TRIGGER IF EXISTS {_name(undo)}")
        if _there(undo):
            raise FaultError("the trigger was dropped, and is still there")
        return Seen((begun, time.time()), f"{undo['table']} takes every {undo['operation']} again")

    @classmethod
    def vouch(cls, undo: Undo, made: Made) -> str:
        """Only a trigger of a name that this kind makes up, in the target's database."""
        made.allow("file", undo["file"])
        return f"drops the trigger {_name(undo)} in {undo['file']}"


@contextlib.contextmanager
def connected(file: str) -> Iterator[sqlite3.Connection]:
    """A connection to an existing database, closed afterwards; raises FaultError for whatever SQLite says."""
    try:
        database = sqlite3.connect(f"file:{quote(file)}?mode=rw", uri=True, timeout=_BUSY_S, isolation_level=None)
    except sqlite3.Error as error:
        raise FaultError(f"{file}: {error}") from None
    try:
        yield database
    except sqlite3.Error as error:
        raise FaultError(f"{file}: {error}") from None
    finally:
        database.close()


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
        raise FaultError(f"{name!r} is no trigger of ours")
    return name


def _there(undo: Undo) -> bool:
    with connected(undo["file"]) as database:
        rows = database.execute("SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = ?", (_name(undo),))
        return rows.fetchone() is not None
