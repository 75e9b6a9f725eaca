"""What faults on a queue share: messages put in a batch of a name made up in prepare, found again by that name.

So an undo needs no ids, which would be lost if this process died between its request and the answer. Levels are
the queue's own census, whoever put the messages.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from chaoskit.faults.base import Changeable, FaultError, Made, Seen, Target, Undo
from chaoskit.faults.interface import Interface, Watch, get, interface, take_back, vouched
from chaoskit.faults.strength import Strength

Level = Annotated[int, Field(ge=1, le=5000)]
"""A number of messages."""
What = Literal["depth", "dead_letters"]
"""Which of a queue's counts a level is about."""

_LEVEL_S = 10.0
_LOOK_S = 0.1
_WEAK_S = 1.0
"""For so long a queue may be far below its level while it is being filled up again."""
_CLEAN_LOOKS = 2
_PATHS: dict[What, str] = {"depth": "/queue/messages", "dead_letters": "/dead-letters"}


def prepare(target: Target, kind: str) -> Undo:
    """Finds the queue's interface and makes up the batch's name; raises FaultError when it does not answer."""
    at = interface(target)
    census(at)
    return {"at": at, "queue": ", ".join(target.names) or target.handle, "batch": f"{kind}-{secrets.token_hex(6)}"}


def census(at: Interface, batch: str | None = None) -> dict[str, int]:
    """How many messages there are: depth, dead_letters, replaying; of one batch, or of all."""
    found: dict[str, int] = get(at, "GET", "/queue", query=None if batch is None else {"batch": batch})
    return found


def put(undo: Undo, what: What, count: int, **more: Any) -> None:
    """Puts so many messages into the batch."""
    get(undo["at"], "POST", _PATHS[what], {"count": count, "batch": undo["batch"], **more})


def take(undo: Undo, count: int) -> None:
    """Takes the newest so many of the batch away."""
    get(undo["at"], "DELETE", "/queue/messages", {"batch": undo["batch"], "count": count})


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
        take(undo, over)


def spare(level: int) -> int:
    """How many more than needed are put, so that a queue that is worked off stays above its level."""
    return max(2, level // 20)


class BatchFault(Changeable):
    """A level of messages in a queue; a kind says of which, and how it is reached."""

    handles: ClassVar[tuple[str, ...]] = ("queue",)
    what: ClassVar[What]

    @classmethod
    def hold(cls, undo: Undo, ended: threading.Event) -> None:
        """Puts new messages whenever a level that is kept is no longer reached; raises Lapsed when that is in vain."""
        watch, strength = Watch(), Strength(f"messages in {undo['queue']} ({cls.what})", _WEAK_S)
        while not ended.wait(_LOOK_S):
            found = watch.look(lambda: census(undo["at"]))
            if found is None or not undo["kept"]:
                continue
            missing = undo["level"] - found[cls.what]
            if not ended.is_set():
                strength.look(found[cls.what], undo["level"])
            if missing > 0:
                more = missing + spare(undo["level"])
                watch.look(lambda count=more: put(undo, cls.what, count))  # type: ignore[misc]

    @classmethod
    def stop(cls, undo: Undo) -> Seen:
        """Removes the batch wherever its messages stand, also what is being replayed, and sees that none is left."""
        return take_back(undo["at"], lambda: _remove(undo))

    @classmethod
    def vouch(cls, undo: Undo, made: Made) -> str:
        """Only a batch of a name that the kind makes up, at the target's queue."""
        if not re.fullmatch(rf"{re.escape(cls.kind)}-[0-9a-f]{{12}}", undo["batch"]):
            raise FaultError(f"{undo['batch']!r} is no batch of {cls.kind}")
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
