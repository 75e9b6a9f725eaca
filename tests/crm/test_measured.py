"""What a database transaction took: on its thread, locks included; not what came before it got there, nor after.

Literals in real seconds; one of them is a virtual minute.
"""

from __future__ import annotations

import sqlite3
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaoskit.crm import database
from chaoskit.crm.config import Clock


class Now:
    """A clock that goes when it is told to, and an emitter that keeps what it is told."""

    def __init__(self) -> None:
        self.at_s = 100.0
        self.counted: list[tuple[str, ...]] = []
        self.took_vs: list[float] = []

    def monotonic(self) -> float:
        return self.at_s

    def inc(self, *labels: str) -> None:
        self.counted.append(labels[1:])

    def observe(self, name: str, value: float) -> None:
        assert name == "insa_database_query_duration_seconds"
        self.took_vs.append(round(value, 6))

    def work(self, takes_s: float) -> str:
        self.at_s += takes_s
        return "done"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    made = Now()
    monkeypatch.setattr(database, "time", made)
    return made


def measured(now: Now) -> database.Measured:
    file = SimpleNamespace(begin=nullcontext)
    return database.Measured(cast(Any, SimpleNamespace(file=file, clock=Clock(60.0), emitter=now)), "insert")


def test_only_the_transaction_itself_counts(now: Now) -> None:
    with measured(now) as one:
        now.at_s += 0.5
        assert one.run(lambda _: now.work(0.01)) == "done"
        now.at_s += 0.5
    assert now.counted == [("insert", "success")]
    assert now.took_vs == [0.6]


def test_one_that_fails_counts_as_an_error_with_what_it_took(now: Now) -> None:
    def fails(_: object) -> None:
        now.work(0.02)
        raise sqlite3.OperationalError("locked")

    one = measured(now)
    now.at_s += 0.5
    with pytest.raises(sqlite3.OperationalError), one:
        one.run(fails)
    assert now.counted == [("insert", "error")]
    assert now.took_vs == [1.2]


def test_one_that_is_waited_for_no_longer_counts_with_what_it_took_so_far(now: Now) -> None:
    one = measured(now)
    now.at_s += 0.1
    with pytest.raises(TimeoutError), one:
        raise TimeoutError
    assert now.took_vs == [6.0]
