"""Looking again and again, in a thread of its own, and saying so without filling the journal.

A look that failed is a fact about the observer, not an error of the run: it becomes a Poll that is not `ok`.
Looks with the same outcome are merged: a Poll is emitted at the first look, when the outcome or its detail changes,
with every look that found something, half a second (real time) after the last one, and at the end.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import msgspec
import requests

from chaoskit.access import near_session, trouble
from chaoskit.events import Event, Poll

MERGED_S = 0.5
ANSWER_LIMIT_S = 2.0
"""How long one answer may take, connecting included."""


class LookFailed(Exception):
    """The answer was no answer, or not whole; the message says what it was."""


class Looking(ABC):
    """Looks again and again, in a thread of its own, from `start` to `stop`."""

    def __init__(self, name: str, every_s: float) -> None:
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def look_once(self) -> object:
        """Looks once at the thing that is watched; never raises."""

    def start(self) -> None:
        """Begins to look at intervals, in a thread of its own."""
        self._thread.start()

    @property
    def started(self) -> bool:
        """Whether the observer has begun to look."""
        return self._thread.ident is not None

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ends the looking and waits for the thread; idempotent."""
        self._over.set()
        if self.started:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            self.look_once()
            # After a slow answer the next question does not follow at once, nor are missed ones made up for.
            due = max(due + self._every_s, time.monotonic() + self._every_s / 10)
            self._over.wait(due - time.monotonic())


class Poller(Looking):
    """Asks a server at `url` and emits what it finds; each look is said in a Poll, unless one was just before."""

    source: ClassVar[Literal["prometheus", "alertmanager"]]

    def __init__(
        self, url: str, every_s: float, on_event: Callable[[Event], None], session: requests.Session | None = None
    ) -> None:
        """`session` is what is asked through; its connections end with the looking."""
        super().__init__(f"{self.source}-observer", every_s)
        self._url = url.rstrip("/")
        self._on_event = on_event
        self._session = session or near_session()
        self._said: Poll | None = None
        self._unsaid: Poll | None = None
        self._said_at = 0.0

    @abstractmethod
    def look(self, asked: float) -> tuple[Poll, bool]:
        """Asks now, emits what was found, and says whether there was anything; raises LookFailed and the like."""

    def tell(self, on_event: Callable[[Event], None]) -> None:
        """Gives the observer's events to another taker; to be called before it begins."""
        self._on_event = on_event

    def tell_anew(self) -> None:
        """Has the next look told though one was just before: another taker listens from now on, and heard none."""
        self._said = None

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ends the polling; what was merged and not reported yet is reported. Idempotent."""
        super().stop(timeout_s)
        self._session.close()

    def look_once(self) -> Poll:
        """Looks at the server once; a failure is told in the look's Poll."""
        asked = time.time()
        found = False
        try:
            poll, found = self.look(asked)
        except (LookFailed, requests.RequestException, msgspec.MsgspecError, ValueError) as error:
            poll = Poll(source=self.source, asked=asked, ok=False, detail=trouble(error))
        self._say(poll, found)
        return poll

    def _say(self, poll: Poll, found: bool) -> None:
        said = self._said
        news = said is None or (said.ok, said.detail) != (poll.ok, poll.detail)
        if news and self._unsaid is not None and self._unsaid.ok:
            self._emit(self._unsaid)  # how far the good looks reached
        if news or found or time.monotonic() - self._said_at >= MERGED_S:
            self._emit(poll)
        else:
            self._unsaid = poll

    def _emit(self, poll: Poll) -> None:
        # Before the event: `tell_anew` in between has the next look told, and after it this one was.
        self._said, self._unsaid, self._said_at = poll, None, time.monotonic()
        self._on_event(poll)

    def _run(self) -> None:
        super()._run()
        if self._unsaid is not None:
            self._emit(self._unsaid)
