"""SQLite as both stores use it: write-ahead log, synchronous NORMAL, and a bounded wait for other writers.

With the default rollback journal every commit waits for the disk; compressed time makes that seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event

from chaoskit.crm import physics
from chaoskit.crm.config import Config


def open_engine(config: Config, file: str, connections: int) -> Engine:
    """An engine for one process on a file of the data folder; open it after the fork, or dispose of it before."""
    busy_s = max(config.clock.real_s(physics.DATABASE_BUSY_VS), physics.DATABASE_BUSY_FLOOR_S)
    engine = create_engine(
        f"sqlite:///{Path(config.data_dir) / file}",
        connect_args={"timeout": busy_s, "check_same_thread": False},
        pool_size=connections,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine
