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
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from chaoskit.faults.base import Action, Changeable, FaultError, Made, S, Seen, Settings, Target, Undo
from chaoskit.faults.control_api import ControlApi, Strength, Watch, control_api, get, take_back, vouched

Level = Annotated[int, Field(ge=1, le=5000)]
"""A number of messages."""
What = Literal["depth", "dead_letters"]
"""Which of a queue's counts a level is about."""

_LEVEL_S = 10.0
_LOOK_S = 0.1
_REPLAY_LOOK_S = 0.02
_WEAK_S = 1.0
"""For so long a queue may be far below its level while it is being filled up again."""
_CLEAN_LOOKS = 2
_PATHS: dict[What, str] = {"depth": "/queue/messages", "dead_letters": "/dead-letters"}


def census(at: ControlApi, batch: str | None = None) -> dict[str, int]:
    """How many messages there are: depth, dead_letters, replaying; of one batch, or of all."""
    found: dict[str, int] = get(at, "GET", "/queue", query=None if batch is None else {"batch": batch})
    return found


def put(undo: Undo, what: What, count: int, **more: Any) -> None:
    """Puts so many messages into the batch."""
    get(undo["at"], "POST", _PATHS[what], {"count": count, "batch": undo["batch"], **more})


def rise(undo: Undo, what: What, level: int, spare: int = 0, **more: Any) -> Seen:
    """Puts messages until the census shows the level; `spare` more at a time, for what is taken meanwhile.

    The level was reached while the last were put: before, the census showed less, and after, it shows enough.
    """
    begun, end = time.time(), time.monotonic() + _LEVEL_S
    put_until = None
    while (now := census(undo["at"])[what]) < level:
        if time.monotonic() > end:
            raise FaultError(f"{undo['queue']}: {what} is {now} after {_LEVEL_S:g} s of putting, {level} were wanted")
        begun = time.time()
        put(undo, what, level + spare - now, **more)
        put_until = time.time()
    return Seen((begun, put_until or time.time()), f"{undo['queue']}: {what} {now}")


def sink(undo: Undo, what: What, level: int) -> None:
    """Takes messages of the batch away until the level is reached, or none of ours is left."""
    over = census(undo["at"])[what] - level
    if over > 0:
        get(undo["at"], "DELETE", "/queue/messages", {"batch": undo["batch"], "count": over})


def spare(level: int) -> int:
    """How many more than needed are put, so that a queue that is worked off stays above its level."""
    return max(2, level // 20)


class BatchFault(Changeable[S]):
    """A level of messages in a queue; a kind says of which, and how it is reached."""

    handles = ("queue",)
    what: ClassVar[What]

    def prepare(self, target: Target, settings: S) -> Undo:
        """Finds the queue's interface and makes up the batch's name; raises FaultError when it does not answer."""
        at, batch = control_api(target), f"{self.kind}-{secrets.token_hex(6)}"
        census(at)
        return self.alter({"at": at, "queue": ", ".join(target.names) or target.handle, "batch": batch}, settings)

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """Puts new messages whenever a level that is kept is no longer reached; raises Lapsed when that is in vain."""
        watch, strength = Watch(), Strength(f"messages in {undo['queue']} ({self.what})", _WEAK_S)
        while not ended.wait(_LOOK_S):
            found = watch.look(lambda: census(undo["at"]))
            if found is None or not undo["kept"]:
                continue
            missing = undo["level"] - found[self.what]
            if not ended.is_set():
                strength.look(found[self.what], undo["level"])
            if missing > 0:
                more = missing + spare(undo["level"])
                watch.look(lambda count=more: put(undo, self.what, count))  # type: ignore[misc]

    def stop(self, undo: Undo) -> Seen:
        """Removes the batch wherever its messages stand, also what is being replayed, and sees that none is left."""
        return take_back(undo["at"], lambda: _remove(undo))

    def vouch(self, undo: Undo, made: Made) -> str:
        """Only a batch of a name that the kind makes up, at the target's queue."""
        if not re.fullmatch(rf"{re.escape(self.kind)}-[0-9a-f]{{12}}", undo["batch"]):
            raise FaultError(f"{undo['batch']!r} is no batch of {self.kind}")
        return f"sends DELETE {vouched(undo['at'], made)}/queue/messages of batch {undo['batch']}"


def _remove(undo: Undo) -> tuple[float, str]:
    gone = clean = 0
    gone_by = 0.0
    # A put that was on its way when its sender died may still come in.
    while clean < _CLEAN_LOOKS:
        removed = get(undo["at"], "DELETE", "/queue/messages", {"batch": undo["batch"]})["removed"]
        if removed or not clean:
            gone_by = time.time()
        gone += removed
        left = census(undo["at"], undo["batch"])
        clean = 0 if left["depth"] or left["dead_letters"] else clean + 1
    return gone_by, f"{undo['queue']}: {gone} messages removed"


class QueueFloodSettings(Settings):
    """Settings of queue.flood."""

    level: Level
    """How many messages, waiting or in work, the queue holds at least; those of others count as well."""
    kept: bool = True
    """Puts new ones as the workers take them; otherwise it is one flood, which they work off."""


class QueueFlood(BatchFault[QueueFloodSettings]):
    """Fills a queue up to a level and, unless told otherwise, keeps it there."""

    kind = "queue.flood"
    what = "depth"

    def start(self, undo: Undo) -> Seen:
        """Puts messages until the queue's census shows the level."""
        return rise(undo, self.what, undo["level"], spare(undo["level"]))

    def alter(self, undo: Undo, settings: QueueFloodSettings) -> Undo:
        """The token of the other level: the same batch, so it undoes either."""
        return {**undo, "level": settings.level, "kept": settings.kept}

    def change(self, undo: Undo) -> Seen:
        """Raises or lowers the queue to the new level."""
        begun, level = time.time(), undo["level"]
        most = level + spare(level)
        sink(undo, self.what, most)
        seen = self.start(undo)
        now = census(undo["at"])[self.what]
        if now > most + spare(level) and census(undo["at"], undo["batch"])[self.what]:
            raise FaultError(f"{undo['queue']}: depth is {now}, and did not fall to {level}")
        return Seen((begun, time.time()), seen.detail)


class QueueDeadLettersSettings(Settings):
    """Settings of queue.dead-letters."""

    level: Level
    """How many dead letters there are then; those that are there already count."""
    replayable: bool = True
    """Whether a replay of them succeeds; otherwise each attempt fails, and they are dead letters again."""


class QueueDeadLetters(BatchFault[QueueDeadLettersSettings]):
    """Raises the number of dead letters to a level."""

    kind = "queue.dead-letters"
    what = "dead_letters"

    def prepare(self, target: Target, settings: QueueDeadLettersSettings) -> Undo:
        """Finds the queue; raises FaultError when there are more dead letters than wanted already."""
        undo = super().prepare(target, settings)
        there = census(undo["at"])[self.what]
        if there > settings.level:
            raise FaultError(f"{undo['queue']} has {there} dead letters already, so {settings.level} is no rise")
        return undo

    def start(self, undo: Undo) -> Seen:
        """Parks letters, as a restore would, until the queue's census shows the level."""
        return rise(undo, self.what, undo["level"], replayable=undo["replayable"])

    def alter(self, undo: Undo, settings: QueueDeadLettersSettings) -> Undo:
        """The token of the other level. A fall is no lapse: being replayed is what dead letters are for."""
        return {**undo, "level": settings.level, "replayable": settings.replayable, "kept": False}

    def change(self, undo: Undo) -> Seen:
        """Parks more, or removes the newest, until the level is reached."""
        sink(undo, self.what, undo["level"])
        seen = self.start(undo)
        now = census(undo["at"])[self.what]
        if now > undo["level"]:
            raise FaultError(f"{undo['queue']}: {now} dead letters are there, {undo['level']} were wanted")
        return seen


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

    def run(self, target: Target, settings: QueueReplaySettings) -> tuple[Seen, dict[str, Any]]:
        """Replays and waits for the outcome; raises FaultError when too few were there or it takes too long."""
        at, begun = control_api(target), time.time()
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
            time.sleep(_REPLAY_LOOK_S)  # the queue has a census, and no event for the end of a replay
        left = now["dead_letters"]
        gone = settings.effect == "handed-over" and left <= before - len(chosen)
        seen = Seen((begun, handed if gone else time.time()), f"{len(chosen)} replayed, {left} dead letters left")
        return seen, {"replayed": len(chosen), "left": left}
