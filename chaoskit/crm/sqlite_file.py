"""The CRM's SQLite files, whose statements wait for a lock in virtual time.

SQLite's own looks come 1, 3, 8, 18, 33 real ms after the first: at 60x they leave a writer no wait between half a
virtual second and more than one. So SQLite waits for nothing, and a statement is tried again in steps of virtual time.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import local
from typing import TypeVar

from chaoskit.crm import physics
from chaoskit.crm.config import Config

Result = TypeVar("Result")
Execute = Callable[..., list[sqlite3.Row]]
"""Executes a statement with its values by name, and gives its rows; raises sqlite3.Error."""


class File:
    """A file of the data folder, for one process: each thread has a connection of its own, from its first use on.

    With a write-ahead log: with the default rollback journal every commit waits for the disk; compressed time makes
    that seconds. And nothing is waited for until the disk has it: the practice CRM's data dies with its run, and one
    slow disk for two seconds is two virtual minutes of timeouts.
    """

    def __init__(self, config: Config, name: str) -> None:
        self._config = config
        self._path = Path(config.data_dir) / name
        self._own = local()

    @contextmanager
    def begin(self) -> Iterator[Execute]:
        """A transaction, by what executes its statements; it is taken back where the block raises."""
        with self._connection() as connection:
            yield partial(self._execute, connection)

    def close(self) -> None:
        """Closes this thread's connection; a fork must not inherit one."""
        self._connection().close()
        del self._own.connection

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._own, "connection"):
            opened = sqlite3.connect(self._path, timeout=self._config.busy_s)
            opened.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "synchronous=OFF", "busy_timeout=0"):
                opened.execute(f"PRAGMA {pragma}")
            self._own.connection = opened
        found: sqlite3.Connection = self._own.connection
        return found

    def _execute(self, connection: sqlite3.Connection, statement: str, **values: object) -> list[sqlite3.Row]:
        return await_lock(self._config, lambda: connection.execute(statement, values).fetchall())


def await_lock(config: Config, execute: Callable[[], Result]) -> Result:
    """The result of a statement that is tried again while a lock keeps it out; raises sqlite3.Error."""
    pause_s = config.clock.real_s(physics.DATABASE_LOOK_VS)
    end_s = time.monotonic() + config.busy_s
    while True:
        try:
            return execute()
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", 0)
            # A snapshot that is too old stays so.
            busy = code & 0xFF == sqlite3.SQLITE_BUSY and code != sqlite3.SQLITE_BUSY_SNAPSHOT
            if not busy or time.monotonic() >= end_s:
                raise
        time.sleep(pause_s)  # SQLite announces no lock that is free again; looking is its own way, too
        pause_s = min(2 * pause_s, config.clock.real_s(physics.DATABASE_LOOK_MAX_VS))
