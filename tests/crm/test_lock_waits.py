"""A statement waits for another's lock in virtual time, so that its wait is the same at every time scale.

A real lock on a real file; the clock is told.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.exc import OperationalError

from chaoskit.crm import database
from chaoskit.crm.config import Config


class Lock:
    """Another's write lock, and a clock that goes while it is slept; it is given back once that shows `until_s`."""

    def __init__(self, file: Path) -> None:
        self._other = sqlite3.connect(file, isolation_level=None)
        self._other.execute("BEGIN IMMEDIATE")
        self.now_s, self.until_s, self.slept_s = 100.0, float("inf"), list[float]()

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, span_s: float) -> None:
        self.slept_s.append(span_s)
        self.now_s += span_s
        if self.now_s >= self.until_s and self._other.in_transaction:
            self._other.execute("ROLLBACK")

    def close(self) -> None:
        self._other.close()


@contextlib.contextmanager
def locked(folder: Path, monkeypatch: pytest.MonkeyPatch, scale: float) -> Iterator[tuple[database.Database, Lock]]:
    config = Config(data_dir=str(folder), admin_token_file="", time_scale=scale)
    database.prepare(config)
    opened = database.Database(config, 1, cast(Any, SimpleNamespace()))
    lock = Lock(folder / "crm.db")
    monkeypatch.setattr(database, "time", lock)
    try:
        yield opened, lock
    finally:
        lock.close()
        opened.engine.dispose()


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_a_writer_looks_again_after_twice_as_long_each_time_up_to_most_of_a_virtual_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: float
) -> None:
    with locked(tmp_path, monkeypatch, scale) as (opened, lock):
        lock.until_s = 100.0 + 3.0 / scale
        with opened.engine.begin() as connection:
            database.add_audit("a", "b")(connection)
        assert [span_s * scale for span_s in lock.slept_s] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 0.8, 0.8])
        with opened.engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT action FROM audit").scalar_one() == "a"


def test_a_lock_that_stays_is_waited_for_so_long_and_then_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(tmp_path, monkeypatch, 60.0) as (opened, lock):
        with pytest.raises(OperationalError, match="database is locked"), opened.engine.begin() as connection:
            database.add_audit("a", "b")(connection)
        assert lock.now_s == pytest.approx(100.5, abs=0.8 / 60)


def test_readers_pass_and_other_errors_are_not_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(tmp_path, monkeypatch, 60.0) as (opened, lock):
        with opened.engine.begin() as connection:
            assert database.lead(1)(connection)
        with pytest.raises(OperationalError, match="no such table"), opened.engine.begin() as connection:
            connection.exec_driver_sql("SELECT 1 FROM elsewhere")
        assert lock.slept_s == []
