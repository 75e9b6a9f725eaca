"""Faults and an action on a queue: queue.flood, queue.dead-letters, queue.replay.

Messages are put in a batch of a name made up in prepare, and found again by that name: an undo needs no ids, which
would be lost if this process died between its request and the answer. Levels are the queue's own count of all its
messages, those of other senders too.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from chaoskit import waiting
from chaoskit.faults.base import Action, Changeable, FaultError, Made, S, Seen, Settings, Target, Undo
from chaoskit.faults.control_api import ControlApi, Strength, Watch, control_api, get, take_back, vouched

Level = Annotated[int, Field(ge=1, le=5000)]
"""A number of messages that a setting asks for."""
What = Literal["depth", "dead_letters"]
"""Which of a queue's counts a level is about."""

_LEVEL_S = 10.0
_LOOK_S = 0.1
_REPLAY_LOOK_S = 0.02
_WEAK_S = 1.0
"""For so long a queue may be far below its level while it is being filled up again."""
_CLEAN_LOOKS = 2
_PATHS: dict[What, str] = {"depth": "/queue/messages", "dead_letters": "/dead-letters"}


class Broker(ABC):
    """A holder of a queue and its dead letters, of which the messages of one batch can be told from the others."""

    @abstractmethod
    def census(self, batch: str | None = None) -> Mapping[str, int]:
        """How many messages there are: depth, dead_letters, replaying; of one batch, or of all. Raises FaultError."""

    @abstractmethod
    def put(self, batch: str, what: What, count: int, *, replayable: bool = True) -> None:
        """Puts this many messages of the batch into the queue, or among its dead letters."""

    @abstractmethod
    def remove(self, batch: str, count: int | None = None) -> int:
        """Removes this many messages of the batch, or all, wherever they stand; how many were removed."""

    @abstractmethod
    def replay(self, count: int) -> int:
        """Puts this many dead letters back into the queue, the oldest first; how many were put back."""


class _Practice(Broker):
    """The practice target's queue, by its control interface."""

    def __init__(self, at: ControlApi) -> None:
        self._at = at

    def census(self, batch: str | None = None) -> Mapping[str, int]:
        found: dict[str, int] = get(self._at, "GET", "/queue", query=None if batch is None else {"batch": batch})
        return found

    def put(self, batch: str, what: What, count: int, *, replayable: bool = True) -> None:
        more = {"replayable": replayable} if what == "dead_letters" else {}
        get(self._at, "POST", _PATHS[what], {"count": count, "batch": batch, **more})

    def remove(self, batch: str, count: int | None = None) -> int:
        given = {"batch": batch} | ({} if count is None else {"count": count})
        return int(get(self._at, "DELETE", "/queue/messages", given).get("removed", 0))

    def replay(self, count: int) -> int:
        return len(get(self._at, "POST", "/dead-letters/replay", {"count": count})["ids"])


class BatchFault(Changeable[S]):
    """A level of messages in a queue; a kind says of which, and how it is reached."""

    handles = ("queue",)
    what: ClassVar[What]

    def spare(self, level: int) -> int:
        """How many more than needed are put, so that a queue that is worked off stays above its level."""
        return 0

    def broker(self, undo: Undo) -> Broker:
        """The queue that a token leads to."""
        return _Practice(undo["at"])

    def found(self, target: Target) -> Undo:
        """The part of a token that says which queue, and in which batch."""
        queue = ", ".join(target.names) or target.handle
        return {"at": control_api(target), "queue": queue, "batch": f"{self.kind}-{secrets.token_hex(6)}"}

    def prepare(self, target: Target, settings: S) -> Undo:
        """Finds the queue's interface and makes up the batch's name; raises FaultError when it does not answer."""
        undo = self.found(target)
        self.broker(undo).census()
        return self.alter(undo, settings)

    def start(self, undo: Undo) -> Seen:
        """Puts messages until the queue's census shows the level.

        The level was reached while the last were put: before, the census showed less, and after, it shows enough.
        """
        queue, level = self.broker(undo), undo["level"]
        begun, end, put_until = time.time(), time.monotonic() + _LEVEL_S, None
        while (now := queue.census()[self.what]) < level:
            if time.monotonic() > end:
                raise FaultError(
                    f"{undo['queue']}: {self.what} is {now} after {_LEVEL_S:g} s of putting, "
                    f"{level} were wanted; see the service's log"
                )
            begun = time.time()
            more = level + self.spare(level) - now
            queue.put(undo["batch"], self.what, more, replayable=undo.get("replayable", True))
            put_until = time.time()
        return Seen((begun, put_until or time.time()), f"{undo['queue']}: {self.what} {now}")

    def change(self, undo: Undo) -> Seen:
        """Puts more, or takes messages of the batch away, until the new level is reached or none of ours is left."""
        begun, queue, most = time.time(), self.broker(undo), undo["level"] + self.spare(undo["level"])
        self.start(undo)
        # Also what `hold` has put beside it, which knows the new level since before.
        if (over := queue.census()[self.what] - most) > 0:
            queue.remove(undo["batch"], over)
        now = queue.census()[self.what]
        if why := self.missed(queue, undo, now):
            raise FaultError(f"{undo['queue']}: {why}")
        return Seen((begun, time.time()), f"{undo['queue']}: {self.what} {now}")

    @abstractmethod
    def missed(self, queue: Broker, undo: Undo, now: int) -> str:
        """Why a queue with so many did not come down to its new level; empty where it did."""

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """Puts new messages whenever a level that is kept is no longer reached; raises Lapsed when that is in vain."""
        watch, strength = Watch(), Strength(f"messages in {undo['queue']} ({self.what})", _WEAK_S)
        queue = self.broker(undo)
        while not ended.wait(_LOOK_S):
            found = watch.look(queue.census)
            if found is None or not undo["kept"]:
                continue
            missing = undo["level"] - found[self.what]
            if not ended.is_set():
                strength.look(found[self.what], undo["level"])
            if missing > 0:
                more = missing + self.spare(undo["level"])
                watch.look(lambda count=more: queue.put(undo["batch"], self.what, count))  # type: ignore[misc]

    def stop(self, undo: Undo) -> Seen:
        """Removes the batch wherever its messages stand, also what is being replayed, and sees that none is left."""
        return take_back(self.place(undo), lambda: _remove(self.broker(undo), undo))

    def place(self, undo: Undo) -> ControlApi:
        """The address that tells the queue's owner, where the queue ends with a process of this machine."""
        at: ControlApi = undo["at"]
        return at

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only a batch with a name that the kind makes up, at the target's queue."""
        if not re.fullmatch(rf"{re.escape(self.kind)}-[0-9a-f]{{12}}", undo["batch"]):
            raise FaultError(f"{undo['batch']!r} is no batch of {self.kind}; undo it by hand")
        return f"sends DELETE {vouched(undo['at'], made)}/queue/messages of batch {undo['batch']}"


def _remove(queue: Broker, undo: Undo) -> tuple[float, str]:
    gone = clean = 0
    gone_by = 0.0
    # A put that was on its way when its sender died may still come in.
    while clean < _CLEAN_LOOKS:
        removed = queue.remove(undo["batch"])
        if removed or not clean:
            gone_by = time.time()
        gone += removed
        left = queue.census(undo["batch"])
        clean = 0 if left["depth"] or left["dead_letters"] else clean + 1
    return gone_by, f"{undo['queue']}: {gone} messages removed"


class QueueFloodSettings(Settings):
    """Settings of queue.flood."""

    level: Level
    """How many messages, waiting or in work, the queue holds at least; those of others count as well."""
    kept: bool = True
    """Puts new messages as the workers take them; otherwise the workers work off one flood."""


class QueueFlood(BatchFault[QueueFloodSettings]):
    """Fills a queue up to a level and, unless told otherwise, keeps it there."""

    kind = "queue.flood"
    what = "depth"

    def spare(self, level: int) -> int:
        return max(2, level // 20)

    def alter(self, undo: Undo, settings: QueueFloodSettings) -> Undo:
        """The token of the other level: the same batch, so it undoes either."""
        return {**undo, "level": settings.level, "kept": settings.kept}

    def missed(self, queue: Broker, undo: Undo, now: int) -> str:
        if now <= undo["level"] + 2 * self.spare(undo["level"]) or not queue.census(undo["batch"])[self.what]:
            return ""
        return f"depth is {now}, and did not fall to {undo['level']}; do its workers run?"


class QueueDeadLettersSettings(Settings):
    """Settings of queue.dead-letters."""

    level: Level
    """How many dead letters the queue has then; those that it has already count."""
    replayable: bool = True
    """Whether a replay of the messages succeeds; otherwise each attempt fails, and they are dead letters again."""


class QueueDeadLetters(BatchFault[QueueDeadLettersSettings]):
    """Raises the number of dead letters to a level."""

    kind = "queue.dead-letters"
    what = "dead_letters"

    def prepare(self, target: Target, settings: QueueDeadLettersSettings) -> Undo:
        """Finds the queue; raises FaultError when there are more dead letters than wanted already."""
        undo = super().prepare(target, settings)
        there = self.broker(undo).census()[self.what]
        if there > settings.level:
            raise FaultError(
                f"{undo['queue']} has {there} dead letters already, so {settings.level} is no rise; raise level"
            )
        return undo

    def alter(self, undo: Undo, settings: QueueDeadLettersSettings) -> Undo:
        """The token of the other level. A fall is no lapse: being replayed is what dead letters are for."""
        return {**undo, "level": settings.level, "replayable": settings.replayable, "kept": False}

    def missed(self, queue: Broker, undo: Undo, now: int) -> str:
        level = undo["level"]
        return f"{now} dead letters are there, {level} were wanted; see the service's log" if now > level else ""


class QueueReplaySettings(Settings):
    """Settings of queue.replay."""

    count: Level | None = None
    """How many, oldest first; fewer being there is an error. Without it all, however many."""
    within_s: Annotated[float, Field(gt=0, le=120)] = 15.0
    """Longest wait for the workers to be done with them, in real seconds."""
    effect: Literal["outcome", "handed-over"] = "outcome"
    """The instant from which the times of an alert count: when the workers are done with them, or when they have left
    the dead letters, which is what a limit on how many there are measures and takes no longer than one request. Where
    one of them is dead again it is the outcome in either case."""


class QueueReplay(Action[QueueReplaySettings]):
    """Replays dead letters; done when every one has either been handled or is a dead letter again."""

    kind = "queue.replay"
    handles = ("queue",)

    def broker(self, target: Target) -> Broker:
        """The queue that a handle leads to."""
        return _Practice(control_api(target))

    def run(self, target: Target, settings: QueueReplaySettings) -> tuple[Seen, dict[str, Any]]:
        """Replays and waits for the outcome; raises FaultError when too few were there or it takes too long."""
        queue, begun = self.broker(target), time.time()
        before = queue.census()["dead_letters"]
        count = before if settings.count is None else settings.count
        if before < count:
            raise FaultError(
                f"{target.handle}: {count} dead letters were to be replayed, there are {before}; lower count"
            )
        chosen = queue.replay(count) if count else 0
        handed = time.time()
        now: dict[str, int] = {}

        def done() -> bool:
            now.update(queue.census())
            return not now["replaying"]

        if not waiting.await_true(done, settings.within_s, _REPLAY_LOOK_S):
            left = now["replaying"]
            over = f"{target.handle}: {left} replays were not done within {settings.within_s:g} s"
            raise FaultError(f"{over}; see that the workers of the queue run, or raise within_s")
        left = now["dead_letters"]
        gone = settings.effect == "handed-over" and left <= before - chosen
        seen = Seen((begun, handed if gone else time.time()), f"{chosen} replayed, {left} dead letters left")
        return seen, {"replayed": chosen, "left": left}
