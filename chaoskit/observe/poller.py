"""Looking again and again, in a thread of its own, and saying so without filling the journal.

A look that failed is a fact about the observer, not an error of the run: it becomes a Poll that is not `ok`.
Looks with the same outcome are merged: a Poll is emitted at the first look, when the outcome or its detail changes,
with every look that found something, half a second (real time) after the last one, and at the end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

import msgspec
import requests

from chaoskit.access import trouble
from chaoskit.events import Event, Poll

MERGED_S = 0.5


class LookFailed(Exception):
    """The answer was no answer, or not whole; the message says what it was."""


class Poller:
    """Calls `look` every `every_s`; it gets the asking instant, emits what it found, and gives (Poll, found)."""

    def __init__(
        self,
        source: Literal["prometheus", "alertmanager"],
        every_s: float,
        on_event: Callable[[Event], None],
        look: Callable[[float], tuple[Poll, bool]],
        session: requests.Session,
    ) -> None:
        """`session` is what `look` asks through; its connections end with the looking."""
        self._source = source
        self._every_s = every_s
        self._on_event = on_event
        self._look = look
        self._session = session
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{source}-observer", daemon=True)
        self._said: Poll | None = None
        self._unsaid: Poll | None = None
        self._said_at = 0.0

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Look no more; what was merged and not said yet is said. Idempotent."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        self._session.close()

    def look_once(self) -> Poll:
        """One look, whose failure is in its Poll."""
        asked = time.time()
        found = False
        try:
            poll, found = self._look(asked)
        except (LookFailed, requests.RequestException, msgspec.MsgspecError, ValueError) as error:
            poll = Poll(source=self._source, asked=asked, ok=False, detail=trouble(error))
        self._say(poll, found)
        return poll

    def said_lately(self) -> bool:
        """Whether a Poll was emitted within the last half second."""
        return self._said is not None and time.monotonic() - self._said_at < MERGED_S

    def _say(self, poll: Poll, found: bool) -> None:
        said = self._said
        news = said is None or (said.ok, said.detail) != (poll.ok, poll.detail)
        if news and self._unsaid is not None and self._unsaid.ok:
            self._emit(self._unsaid)  # how far the good looks reached
        if news or found or not self.said_lately():
            self._emit(poll)
        else:
            self._unsaid = poll

    def _emit(self, poll: Poll) -> None:
        self._said, self._unsaid, self._said_at = poll, None, time.monotonic()
        self._on_event(poll)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self.look_once()
            # After a slow answer the next question does not follow at once, nor are missed ones made up for.
            due = max(due + self._every_s, time.monotonic() + self._every_s / 10)
            self._stop.wait(due - time.monotonic())
        if self._unsaid is not None:
            self._emit(self._unsaid)
