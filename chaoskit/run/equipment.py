"""Watching the equipment: what ends uninvited is said, what a scenario took down is started again when it may.

One thread does both. Children die with the thread that started them, so it lives until the whole stack was stopped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from chaoskit.errors import EquipmentError
from chaoskit.events import Equipment, Event
from chaoskit.host.process import declare_long_lived_thread
from chaoskit.stack.interface import Stack

_LOOK_S = 0.05
_END_S = 10.0


class EquipmentWatch:
    """Watches a stack's children and sinks until `close`; call `quiet` before stopping them on purpose."""

    def __init__(self, stack: Stack, say: Callable[[Event], None]) -> None:
        self._stack = stack
        self._say = say
        self._quiet = threading.Event()
        self._closed = threading.Event()
        self._may_end = threading.Event()
        self._changing = threading.Lock()
        self._down: dict[str, bool] = {}
        """The programs that are down, and whether the run itself stopped them."""
        self._thread = threading.Thread(target=self._run, name="equipment", daemon=True)

    def start(self) -> None:
        """Begins to watch whether the equipment lives and answers."""
        self._thread.start()

    def witnessed(self, event: Event) -> Event:
        """A sink's own word that it ended, with what is known of why; other events as they are."""
        if isinstance(event, Equipment) and event.state == "down" and self._stack.wanted_down(event.name):
            self._down[event.name] = True
            return Equipment(name=event.name, state="down", detail="taken down by the scenario", invited=True)
        return event

    def renew(self, name: str) -> None:
        """Starts equipment afresh on our own wish, of which nothing is said; raises EquipmentError."""
        with self._changing:
            self._stack.restart(name)

    def quiet(self) -> None:
        """Reports and restarts nothing from now on; returns once no start is under way."""
        self._quiet.set()
        if self._thread.is_alive():
            self._closed.wait(_END_S)

    def close(self) -> None:
        """Ends the watching thread; the equipment must be stopped by then."""
        self._may_end.set()
        if self._thread.is_alive():
            self._thread.join(_END_S)

    def _run(self) -> None:
        declare_long_lived_thread()
        try:
            while not self._quiet.wait(_LOOK_S):
                with self._changing:
                    self._look()
        finally:
            self._closed.set()
            self._may_end.wait()

    def _look(self) -> None:
        for name, child in self._stack.children.items():
            if not child.alive and name not in self._down and not self._quiet.is_set():
                wanted = self._down[name] = self._stack.wanted_down(name)
                detail = f"it ended with {child.returncode} at {time.strftime('%H:%M:%S')}"
                self._say(
                    Equipment(
                        name=name,
                        state="down",
                        detail="taken down by the scenario" if wanted else detail,
                        invited=wanted,
                    )
                )
        for name in [one for one, wanted in self._down.items() if wanted and not self._stack.wanted_down(one)]:
            try:
                self._stack.restart(name)
            except EquipmentError as error:
                self._down[name] = False
                self._say(Equipment(name=name, state="down", detail=f"a restart failed: {error}"))
                continue
            del self._down[name]
            self._say(Equipment(name=name, state="up", detail="started again"))
