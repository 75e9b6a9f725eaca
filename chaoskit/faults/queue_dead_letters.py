"""queue.dead-letters: messages that nobody could handle have piled up to a level.

They are parked as a restore would park them. A fall is no lapse: being replayed is what dead letters are for.
"""

from __future__ import annotations

from typing import ClassVar

from chaoskit.faults import batch
from chaoskit.faults.base import FaultError, Seen, Settings, Target, Undo


class QueueDeadLettersSettings(Settings):
    """Settings of queue.dead-letters."""

    level: batch.Level
    """How many dead letters there are then; those that are there already count."""
    replayable: bool = True
    """Whether a replay of them succeeds; otherwise each attempt fails, and they are dead letters again."""


class QueueDeadLetters(batch.BatchFault):
    """Raises the number of dead letters to a level."""

    kind: ClassVar[str] = "queue.dead-letters"
    what: ClassVar[batch.What] = "dead_letters"
    settings: ClassVar[type[Settings]] = QueueDeadLettersSettings

    @classmethod
    def prepare(cls, target: Target, settings: Settings) -> Undo:
        """Finds the queue; raises FaultError when there are more dead letters than wanted already."""
        assert isinstance(settings, QueueDeadLettersSettings)
        undo = batch.prepare(target, cls.kind)
        there = batch.census(undo["at"])[cls.what]
        if there > settings.level:
            raise FaultError(f"{undo['queue']} has {there} dead letters already, so {settings.level} is no rise")
        return cls.alter(undo, settings)

    @classmethod
    def start(cls, undo: Undo) -> Seen:
        """Parks letters until the queue's census shows the level."""
        return batch.rise(undo, cls.what, undo["level"], replayable=undo["replayable"])

    @classmethod
    def alter(cls, undo: Undo, settings: Settings) -> Undo:
        """The token of the other level: the same batch, so it undoes either."""
        assert isinstance(settings, QueueDeadLettersSettings)
        return {**undo, "level": settings.level, "replayable": settings.replayable, "kept": False}

    @classmethod
    def change(cls, undo: Undo) -> Seen:
        """Parks more, or removes the newest, until the level is reached."""
        batch.sink(undo, cls.what, undo["level"])
        seen = cls.start(undo)
        now = batch.census(undo["at"])[cls.what]
        if now > undo["level"]:
            raise FaultError(f"{undo['queue']}: {now} dead letters are there, {undo['level']} were wanted")
        return seen
