"""Looking again and again where notices come to lie, and saying what was found and how long it was looked.

A look that fails is an outage of that witness. Where nothing is lost meanwhile, because all that came can be read
later, the watch goes on over it; else it begins anew, and silence is not judged over the gap.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator

from chaoskit.errors import EquipmentError
from chaoskit.events import Equipment, Event, Watch
from chaoskit.observe.poller import Looking

_SAID_S = 0.5


class Unseen(Exception):
    """The witness cannot be read now.

    `lost` where what comes meanwhile will never be, `soon` where the next look will see it.
    """

    def __init__(self, why: str, *, lost: bool = False, soon: bool = False) -> None:
        super().__init__(why)
        self.lost = lost
        self.soon = soon


class Follower(Looking):
    """Tells, from `begin` on, what comes to lie where `by` looks."""

    def __init__(self, by: str, every_s: float, on_event: Callable[[Event], None]) -> None:
        super().__init__(by, every_s)
        self.by = by
        self._on_event = on_event
        self._since: float | None = None
        """Up to where everything is known; None where nothing is."""
        self._said_to: float | None = None
        self._down = False

    @abstractmethod
    def look(self, asked: float) -> Iterator[Event]:
        """The events until now, maybe none; raises Unseen."""

    def begin(self, hint: str = "") -> None:
        """Looks once, and from then on; raises EquipmentError where nothing can be seen now."""
        asked = time.time()
        try:
            for event in self.look(asked):
                self._on_event(event)
        except Unseen as error:
            raise EquipmentError(self.by, str(error), hint) from None
        self._since = self._said_to = asked
        self._on_event(Equipment(name=self.by, state="up"))
        self.start()

    def look_once(self) -> None:
        """Looks once at the mailbox, chat or witness; tells a failure as an event."""
        asked, found = time.time(), False
        try:
            for event in self.look(asked):
                self._on_event(event)
                found = True
        except Unseen as error:
            self._say_watch(at_once=True)
            if error.soon:
                return
            if not self._down:
                self._on_event(Equipment(name=self.by, state="down", detail=str(error)))
            self._down = True
            if error.lost:
                self._since = self._said_to = None
            return
        if self._down:
            self._on_event(Equipment(name=self.by, state="up", detail="seen again"))
        self._down = False
        self._since, self._said_to = asked, self._said_to if self._said_to is not None else asked
        self._say_watch(at_once=found)

    def try_once(self) -> str:
        """Looks once: the reason why the witness can see nothing now; empty where it can."""
        try:
            for _ in self.look(time.time()):
                pass
        except Unseen as error:
            return str(error)
        finally:
            self.close()
        return ""

    def close(self) -> None:
        """Lets go of the mailbox, chat or witness; may be called twice."""

    def end(self) -> None:
        """Looks a last time, and no more, unless a look is still under way; idempotent."""
        if not self._over.is_set():
            self.stop()
            if not self._thread.is_alive():  # else two would tell the same notices
                self.look_once()
                self._say_watch(at_once=True)
            self.close()

    def _say_watch(self, *, at_once: bool) -> None:
        if self._since is None or self._said_to is None or self._since <= self._said_to:
            return
        if at_once or self._since - self._said_to >= _SAID_S:
            self._on_event(Watch(sink=self.by, seen=(self._said_to, self._since), lag_s=0.0))
            self._said_to = self._since
