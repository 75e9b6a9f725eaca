"""queue.replay: dead letters are handed to the workers again, and their outcome is awaited."""

from __future__ import annotations

import time
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from chaoskit.faults.base import Action, FaultError, Seen, Settings, Target
from chaoskit.faults.batch import census
from chaoskit.faults.interface import get, interface

_LOOK_S = 0.02


class QueueReplaySettings(Settings):
    """Settings of queue.replay."""

    count: Annotated[int, Field(ge=1, le=5000)] | None = None
    """How many, oldest first; fewer being there is an error. Without it all, however many."""
    within_s: Annotated[float, Field(gt=0, le=120)] = 15.0
    """Longest wait for the workers to be done with them, in real seconds."""
    effect: Literal["outcome", "handed-over"] = "outcome"
    """What the times of an alert count from: that the workers are done with them, or that they have left the dead
    letters, which is what a limit on how many there are measures and takes no longer than one request. Where one of
    them is dead again it is the outcome in either case."""


class QueueReplay(Action):
    """Replays dead letters; done when every one has either been handled or is a dead letter again."""

    kind: ClassVar[str] = "queue.replay"
    handles: ClassVar[tuple[str, ...]] = ("queue",)
    settings: ClassVar[type[Settings]] = QueueReplaySettings

    @classmethod
    def run(cls, target: Target, settings: Settings) -> tuple[Seen, dict[str, Any]]:
        """Replays and waits for the outcome; raises FaultError when too few were there or it takes too long."""
        assert isinstance(settings, QueueReplaySettings)
        at, begun = interface(target), time.time()
        before = census(at)["dead_letters"]
        count = before if settings.count is None else settings.count
        if before < count:
            raise FaultError(f"{target.handle}: {count} dead letters were to be replayed, there are {before}")
        chosen = get(at, "POST", "/dead-letters/replay", {"count": count})["ids"] if count else []
        handed = time.time()
        end = time.monotonic() + settings.within_s
        while (now := census(at))["replaying"]:
            if time.monotonic() > end:
                left = now["replaying"]
                raise FaultError(f"{target.handle}: {left} replays were not done within {settings.within_s:g} s")
            time.sleep(_LOOK_S)  # the queue has a census, and no event for the end of a replay
        left = now["dead_letters"]
        gone = settings.effect == "handed-over" and left <= before - len(chosen)
        seen = Seen((begun, handed if gone else time.time()), f"{len(chosen)} replayed, {left} dead letters left")
        return seen, {"replayed": len(chosen), "left": left}
