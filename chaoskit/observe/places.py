"""The connections that a sink keeps: strangers who say nothing, or never an end of it, cannot keep Alertmanager out.

There are so many places. Where all are taken, a newcomer gets that of the guest who has been there longest without
having said anything that was taken; those who have, keep theirs. A client that is sent away is counted, and the watch
ends there: its words will never be known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from chaoskit.observe.lookout import Lookout


class Guest(Protocol):
    """One client's connection."""

    def send_away(self) -> None:
        """Ends it at once."""


class Places:
    """The guests of one sink, at most `most` of them; `on_refusal` is told of each that was sent away."""

    def __init__(self, lookout: Lookout, most: int, on_refusal: Callable[[], None] = lambda: None) -> None:
        self._lookout = lookout
        self._most = most
        self._on_refusal = on_refusal
        self._unproven: dict[Guest, None] = {}
        self._proven: set[Guest] = set()

    def enter(self, guest: Guest) -> bool:
        """Gives it a place; False where those who have proven themselves take up all of them."""
        room = len(self._unproven) + len(self._proven) < self._most
        if not room:
            self._on_refusal()
            self._lookout.refused()
            if not self._unproven:
                return False
            oldest = next(iter(self._unproven))
            self.leave(oldest)
            oldest.send_away()
        self._unproven[guest] = None
        return True

    def prove(self, guest: Guest) -> None:
        """It said something that was taken, and keeps its place from now on."""
        if guest in self._unproven:
            del self._unproven[guest]
            self._proven.add(guest)

    def leave(self, guest: Guest) -> None:
        """It is gone."""
        self._unproven.pop(guest, None)
        self._proven.discard(guest)

    @property
    def guests(self) -> list[Guest]:
        """All of them."""
        return [*self._unproven, *self._proven]
