"""queue.flood: more messages than the workers can take, so that the queue stands above a level."""

from __future__ import annotations

import time
from typing import ClassVar

from chaoskit.faults import batch
from chaoskit.faults.base import FaultError, Seen, Settings, Target, Undo


class QueueFloodSettings(Settings):
    """Settings of queue.flood."""

    level: batch.Level
    """How many messages, waiting or in work, the queue holds at least; those of others count as well."""
    kept: bool = True
    """Puts new ones as the workers take them; otherwise it is one flood, which they work off."""


class QueueFlood(batch.BatchFault):
    """Fills a queue up to a level and, unless told otherwise, keeps it there."""

    kind: ClassVar[str] = "queue.flood"
    what: ClassVar[batch.What] = "depth"
    settings: ClassVar[type[Settings]] = QueueFloodSettings

    @classmethod
    def prepare(cls, target: Target, settings: Settings) -> Undo:
        """Finds the queue; raises FaultError when its interface does not answer."""
        return cls.alter(batch.prepare(target, cls.kind), settings)

    @classmethod
    def start(cls, undo: Undo) -> Seen:
        """Puts messages until the queue's census shows the level."""
        return batch.rise(undo, cls.what, undo["level"], batch.spare(undo["level"]))

    @classmethod
    def alter(cls, undo: Undo, settings: Settings) -> Undo:
        """The token of the other level: the same batch, so it undoes either."""
        assert isinstance(settings, QueueFloodSettings)
        return {**undo, "level": settings.level, "kept": settings.kept}

    @classmethod
    def change(cls, undo: Undo) -> Seen:
        """Raises or lowers the queue to the new level."""
        begun, level = time.time(), undo["level"]
        most = level + batch.spare(level)
        batch.sink(undo, cls.what, most)
        seen = batch.rise(undo, cls.what, level, batch.spare(level))
        now = batch.census(undo["at"])[cls.what]
        if now > most + batch.spare(level) and batch.census(undo["at"], undo["batch"])[cls.what]:
            raise FaultError(f"{undo['queue']}: depth is {now}, and did not fall to {level}")
        return Seen((begun, time.time()), seen.detail)
