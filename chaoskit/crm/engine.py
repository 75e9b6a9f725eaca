"""Engines on the CRM's SQLite files, whose statements wait for a lock in virtual time.

SQLite's own looks come 1, 3, 8, 18, 33 real ms after the first: at 60x they leave a writer no wait between half a
virtual second and more than one. So SQLite waits for nothing, and a statement is tried again in steps of virtual time.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event

from chaoskit.crm import physics
from chaoskit.crm.config import Config


def open_engine(config: Config, file: str, connections: int) -> Engine:
    """An engine for one process on a file of the data folder; open it after the fork, or dispose of it before.

    With a write-ahead log: with the default rollback journal every commit waits for the disk; compressed time makes
    that seconds. And nothing is waited for until the disk has it: the practice CRM's data dies with its run, and one
    slow disk for two seconds is two virtual minutes of timeouts.
    """
    engine = create_engine(
        f"sqlite:///{Path(config.data_dir) / file}",
        connect_args={"timeout": config.busy_s, "check_same_thread": False},
        pool_size=connections,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA busy_timeout=0")

    @event.listens_for(engine, "do_execute")
    def one(cursor: sqlite3.Cursor, statement: str, values: Any, _context: object) -> bool:
        return await_lock(config, cursor.execute, statement, values)

    @event.listens_for(engine, "do_executemany")
    def many(cursor: sqlite3.Cursor, statement: str, values: Any, _context: object) -> bool:
        # A lock keeps out the first of them or none, so nothing is done twice.
        return await_lock(config, cursor.executemany, statement, values)

    return engine


def await_lock(config: Config, execute: Callable[[str, Any], object], statement: str, values: Any) -> bool:
    """Executes a statement, again and again while a lock keeps it out: True once done. Raises sqlite3.Error."""
    pause_s = config.clock.real_s(physics.DATABASE_LOOK_VS)
    end_s = time.monotonic() + config.busy_s
    while True:
        try:
            execute(statement, values)
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", 0)
            # A snapshot that is too old stays so.
            busy = code & 0xFF == sqlite3.SQLITE_BUSY and code != sqlite3.SQLITE_BUSY_SNAPSHOT
            if not busy or time.monotonic() >= end_s:
                raise
        else:
            return True
        time.sleep(pause_s)  # SQLite announces no lock that is free again; looking is its own way, too
        pause_s = min(2 * pause_s, config.clock.real_s(physics.DATABASE_LOOK_MAX_VS))
