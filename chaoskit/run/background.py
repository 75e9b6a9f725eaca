"""Traffic that a running system has of its own: asked of its Prometheus again and again, and said as equipment.

up       the query's result is at least what the profile wants
down     it is less, or there is none
silent   Prometheus does not tell
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from chaoskit.events import Equipment, Event
from chaoskit.observe.poller import Looking
from chaoskit.scenario.model import BACKGROUND, Background

_EVERY_S = 1.0
_State = Literal["up", "down", "silent"]


class BackgroundWatch(Looking):
    """Tells changes of the target's own traffic from a thread. `ask`: whether a query has a result, None if unknown."""

    def __init__(self, wanted: Background, ask: Callable[[str], bool | None], say: Callable[[Event], None]) -> None:
        super().__init__("background", _EVERY_S)
        self._wanted = wanted
        self._ask = ask
        self._say = say
        self._state: _State | None = None

    def look_once(self) -> None:
        """Asks once whether the target has as much traffic of its own as is wanted."""
        answer = self._ask(f"({self._wanted.query}) >= {self._wanted.at_least!r}")
        state: _State = "silent" if answer is None else "up" if answer else "down"
        if state != self._state:
            self._state = state
            less = f"'{self._wanted.query}' is less than {self._wanted.at_least:g}"
            detail = {"up": "", "down": less, "silent": "Prometheus does not tell how much there is"}[state]
            self._say(Equipment(name=BACKGROUND, state=state, detail=detail))
