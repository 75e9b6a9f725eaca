"""db.slow: every writer waits: somebody holds the write lock in pulses, so many seconds in each period.

The lock belongs to the holder's connection, so it goes with the holder however that ends.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from pydantic import Field, model_validator

from chaoskit.faults.base import Fault, FaultError, Lapsed, Made, Seen, Settings, Target, Undo, is_gone
from chaoskit.faults.db_error import connected
from chaoskit.faults.quantities import Duration
from chaoskit.faults.strength import Strength

_FREE_S = 6.0
_SPAN_PULSES = 10


class DbSlowSettings(Settings):
    """Settings of db.slow: a writer waits for up to `locked`."""

    locked: Duration = Field(default=8.0, gt=0)
    """Virtual time for which the lock is held in each period; less than what makes the target give up."""
    every: Duration = Field(default=10.0, gt=0)
    """Virtual length of a period."""

    @model_validator(mode="after")
    def _has_a_gap(self) -> DbSlowSettings:
        if self.locked >= self.every:
            raise ValueError(f"locked for {self.locked:g} s of every {self.every:g} s leaves writers no gap")
        return self


class DbSlow(Fault):
    """Holds the write lock in pulses."""

    kind: ClassVar[str] = "db.slow"
    handles: ClassVar[tuple[str, ...]] = ("database",)
    settings: ClassVar[type[Settings]] = DbSlowSettings

    @classmethod
    def prepare(cls, target: Target, settings: Settings) -> Undo:
        """Finds the database; raises FaultError where it is not."""
        assert isinstance(settings, DbSlowSettings)
        file = target.address.file
        if not Path(file).exists():
            raise FaultError(f"there is no database {file}")
        scale = target.address.time_scale
        return {"file": file, "locked_s": settings.locked / scale, "gap_s": (settings.every - settings.locked) / scale}

    @classmethod
    def start(cls, undo: Undo) -> Seen:
        """The first pulse, and the sight of another writer being kept out by it."""
        begun = time.time()
        with connected(undo["file"]) as database:
            database.execute("BEGIN IMMEDIATE")
            if _writable(undo["file"]):
                raise FaultError("the lock is held, and another writer gets it all the same")
            time.sleep(undo["locked_s"])  # the fault itself: the lock is held that long
            database.execute("ROLLBACK")
        return Seen((begun, time.time()), f"writers wait up to {undo['locked_s'] * 1000:.0f} real ms")

    @classmethod
    def hold(cls, undo: Undo, ended: threading.Event) -> None:
        """Pulse after pulse; raises Lapsed when the lock cannot be had any more, or for too little of the time."""
        strength = Strength("of the time locked")
        asked = undo["locked_s"] / (undo["locked_s"] + undo["gap_s"])
        try:
            with connected(undo["file"]) as database:
                since, locked_s, pulses = time.monotonic(), 0.0, 0
                while not ended.wait(undo["gap_s"]):
                    database.execute("BEGIN IMMEDIATE")
                    begun = time.monotonic()
                    ended.wait(undo["locked_s"])
                    locked_s += time.monotonic() - begun
                    database.execute("ROLLBACK")
                    pulses += 1
                    if pulses >= _SPAN_PULSES and not ended.is_set():
                        strength.look(locked_s / (time.monotonic() - since), asked)
                        since, locked_s, pulses = time.monotonic(), 0.0, 0
        except FaultError as error:
            if not ended.is_set():
                raise Lapsed(str(error)) from None

    @classmethod
    def stop(cls, undo: Undo) -> Seen:
        """Sees that the lock can be had; who held it has ended, or ends its pulse."""
        begun = time.time()
        if is_gone(Path(undo["file"])):
            return Seen((begun, begun), "the database is gone")
        with connected(undo["file"]) as database:
            database.execute(f"PRAGMA busy_timeout = {int(_FREE_S * 1000)}")
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
        return Seen((begun, time.time()), "writers need not wait")

    @classmethod
    def vouch(cls, undo: Undo, made: Made) -> str:
        """It only looks whether the target's database can be written."""
        made.allow("file", undo["file"])
        return f"takes the write lock of {undo['file']} for a moment"


def _writable(file: str) -> bool:
    database = sqlite3.connect(f"file:{quote(file)}?mode=rw", uri=True, timeout=0, isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
        database.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        database.close()
    return True
