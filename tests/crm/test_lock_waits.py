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

from chaoskit.crm import database, queue, sqlite_file
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
    opened = database.Database(config, cast(Any, SimpleNamespace()))
    lock = Lock(folder / "crm.db")
    monkeypatch.setattr(sqlite_file, "time", lock)
    try:
        yield opened, lock
    finally:
        lock.close()
        opened.file.close()


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_a_writer_looks_again_after_twice_as_long_each_time_up_to_most_of_a_virtual_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: float
) -> None:
    with locked(tmp_path, monkeypatch, scale) as (opened, lock):
        lock.until_s = 100.0 + 3.0 / scale
        with opened.file.begin() as execute:
            database.add_audit("a", "b")(execute)
        assert [span_s * scale for span_s in lock.slept_s] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 0.8, 0.8])
        with opened.file.begin() as execute:
            assert [action for (action,) in execute("SELECT action FROM audit")] == ["a"]


def test_a_lock_that_stays_is_waited_for_so_long_and_then_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(tmp_path, monkeypatch, 60.0) as (opened, lock):
        with pytest.raises(sqlite3.OperationalError, match="database is locked"), opened.file.begin() as execute:
            database.add_audit("a", "b")(execute)
        assert lock.now_s == pytest.approx(100.5, abs=0.8 / 60)


def test_readers_pass_and_other_errors_are_not_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(tmp_path, monkeypatch, 60.0) as (opened, lock):
        with opened.file.begin() as execute:
            assert database.lead(1)(execute)
        with pytest.raises(sqlite3.OperationalError, match="no such table"), opened.file.begin() as execute:
            execute("SELECT 1 FROM elsewhere")
        assert lock.slept_s == []


def test_the_queue_waits_for_its_lock_in_virtual_time_and_stores_several_rows_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(data_dir=str(tmp_path), admin_token_file="")
    queue.prepare(config)
    opened, lock = queue.Queue(config, None), Lock(tmp_path / "queue.db")
    monkeypatch.setattr(sqlite_file, "time", lock)
    lock.until_s = 100.0 + 3.0 / 60
    try:
        assert opened.put([queue.Draft("follow-up", {"lead_id": lead}) for lead in (7, 8, 9)]) == [1, 2, 3]
        assert len(lock.slept_s) == 7
        assert opened.census().depth == 3
        taken = [opened.take() for _ in range(3)]
        assert [one.payload for one in taken if one] == [{"lead_id": 7}, {"lead_id": 8}, {"lead_id": 9}]
    finally:
        lock.close()
        opened.file.close()


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        (sqlite3.SQLITE_BUSY, True),
        (sqlite3.SQLITE_BUSY_RECOVERY, True),
        (sqlite3.SQLITE_BUSY_TIMEOUT, True),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, False),
        (None, False),
    ],
)
def test_all_locks_are_waited_for_but_a_snapshot_that_stays_too_old(
    monkeypatch: pytest.MonkeyPatch, code: int | None, waits: bool
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(sqlite_file, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=slept.append))
    error = sqlite3.OperationalError("refused once")
    if code is not None:
        error.sqlite_errorcode = code
    told = iter([error])

    def execute() -> None:
        if refused := next(told, None):
            raise refused

    with contextlib.nullcontext() if waits else pytest.raises(sqlite3.OperationalError, match="refused once"):
        sqlite_file.await_lock(Config(data_dir="", admin_token_file=""), execute)
    assert len(slept) == waits
