"""command: any program with its undo.

`start` and `stop` do the work; `seen` is a question, answered by its exit code: 0 while the effect is there. The
stop must bear being called at any time and any number of times, also when the start never was: it is the undo.
"""

from __future__ import annotations

import threading
import time
from typing import Any, ClassVar

from chaoskit import waiting
from chaoskit.faults import programs
from chaoskit.faults.base import FaultError, Lapsed, Seen, Settings, Target, Undo

_SEEN_S = 15.0
_AGAIN_S = 0.2
_LOOK_S = 1.0
_MISSES = 2


class CommandSettings(programs.ProgramSettings):
    """Settings of command."""

    start: programs.Program
    """Brings the effect about and ends with 0."""
    stop: programs.Program
    """Takes it back and ends with 0, whether or not there is anything to take back."""
    seen: programs.Program | None = None
    """Ends with 0 while the effect is there, else with something else; without it, exit codes are believed."""


class Command:
    """Runs a program that breaks something, and one that mends it."""

    kind: ClassVar[str] = "command"
    handles: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[type[Settings]] = CommandSettings

    @classmethod
    def prepare(cls, target: Target, settings: Settings) -> Undo:
        """Finds the programs; raises FaultError for one that is not there."""
        assert isinstance(settings, CommandSettings)
        given = {"start": settings.start, "stop": settings.stop, "seen": settings.seen}
        found = {name: programs.resolved(argv) if argv else None for name, argv in given.items()}
        return {**found, **programs.orders(target, settings)}

    @classmethod
    def start(cls, undo: Undo) -> Seen:
        """Runs `start` and waits until `seen` says yes."""
        begun = time.time()
        _work(undo, "start")
        if not _becomes(undo, there=True):
            raise FaultError(f"start ended well, but seen does not see an effect within {_SEEN_S:g} s")
        return Seen((begun, time.time()), _told(undo, "start"))

    @classmethod
    def hold(cls, undo: Undo, ended: threading.Event) -> None:
        """Asks `seen` every second; raises Lapsed when it says no twice running."""
        misses = 0
        while not ended.wait(_LOOK_S):
            misses = 0 if _there(undo) else misses + 1
            if misses >= _MISSES and not ended.is_set():
                raise Lapsed(f"seen ({undo['seen'][0]}) says that the effect is gone")

    @classmethod
    def stop(cls, undo: Undo) -> Seen:
        """Runs `stop` and waits until `seen` says no."""
        begun = time.time()
        _work(undo, "stop")
        if not _becomes(undo, there=False):
            raise FaultError(f"stop ended well, but seen still sees the effect after {_SEEN_S:g} s")
        return Seen((begun, time.time()), _told(undo, "stop"))


def _work(undo: Undo, which: str) -> None:
    code, said = programs.run(undo[which], undo)
    if code != 0:
        raise FaultError(f"{which} ({undo[which][0]}) ended with {code}{said}")


def _there(undo: Undo) -> bool:
    try:
        return undo["seen"] is None or programs.run(undo["seen"], undo)[0] == 0
    except FaultError:
        return False


def _becomes(undo: Undo, *, there: bool) -> bool:
    return undo["seen"] is None or waiting.await_true(lambda: _there(undo) == there, _SEEN_S, _AGAIN_S)


def _told(undo: dict[str, Any], which: str) -> str:
    return f"{which} ({undo[which][0]}) ended with 0" + ("" if undo["seen"] is None else ", and seen confirms it")
