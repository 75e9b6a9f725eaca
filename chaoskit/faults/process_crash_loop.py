"""process.crash-loop: a process dies again and again, and its replacement gets ready in between.

The supervisor brings each replacement up by itself; it is killed in its turn once it has lived for `every`. After
so many deaths as `times` says it is left alone. There is nothing to take back: nothing is ever held.
"""

from __future__ import annotations

import signal
import threading
import time

import psutil
from pydantic import Field

from chaoskit import identity, waiting
from chaoskit.faults import processes
from chaoskit.faults.base import Fault, Lapsed, Made, Seen, Settings, Target, Undo
from chaoskit.faults.quantities import Duration

_CONFIRM_S = 5.0
_REPLACED_S = 2.0
"""A replacement may take so long, or as long as it shall live where that is more: later deaths are no such loop."""


class CrashLoopSettings(Settings):
    """Settings of process.crash-loop."""

    times: int = Field(default=3, ge=1, le=1000)
    """How often each process dies."""
    every: Duration = Field(default=45.0, gt=0)
    """Virtual time that a replacement lives before it dies in its turn."""


class ProcessCrashLoop(Fault[CrashLoopSettings]):
    """Kills processes and, some time after each rebirth, their replacements."""

    kind = "process.crash-loop"
    handles = ("role",)

    def prepare(self, target: Target, settings: CrashLoopSettings) -> Undo:
        """Finds the processes; raises FaultError naming those that are not there."""
        return {
            **processes.prepare(target),
            "times": settings.times,
            "every_s": settings.every / target.address.time_scale,
        }

    def start(self, undo: Undo) -> Seen:
        """The first death of each, seen."""
        begun = time.time()
        processes.kill(undo, _CONFIRM_S)
        names = ", ".join(victim["name"] for victim in undo["victims"])
        return Seen((begun, time.time()), f"{names} killed, the first of {undo['times']} times")

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """The further deaths; raises Lapsed when a process was not replaced."""
        for _ in range(undo["times"] - 1):
            born = _await_births(undo, ended)
            if ended.wait(undo["every_s"]):
                return
            for process in born:
                processes.send(process, signal.SIGKILL)
            if not waiting.await_true(lambda born=born: not any(map(processes.lives, born)), _CONFIRM_S):  # type: ignore[misc]
                raise Lapsed("SIGKILL was sent, but a replacement is still there")
        ended.wait()

    def stop(self, undo: Undo) -> Seen:
        """Nothing is held, so nothing is taken back; waits until each process is there again, if it is replaced."""
        begun = time.time()
        if undo["boot"] != identity.boot_id():
            return Seen((begun, begun), processes.RESTARTED)
        names = {victim["name"] for victim in undo["victims"]}
        back = waiting.await_true(lambda: names <= processes.find(undo["pattern"]).keys(), _CONFIRM_S)
        return Seen((begun, time.time()), "all back" if back else "a crash loop has nothing to take back")

    def vouch(self, undo: Undo, made: Made) -> str:
        """Nothing is taken back, of processes that the pattern names."""
        return f"waits for what replaced {processes.vouched(undo, made)}"


def _await_births(undo: Undo, ended: threading.Event) -> list[psutil.Process]:
    """One running process for each victim's name; the dead ones are not found any more."""
    names = [victim["name"] for victim in undo["victims"]]
    found: dict[str, psutil.Process] = {}

    def born() -> bool:
        found.clear()
        found.update(processes.find(undo["pattern"]))
        return ended.is_set() or all(name in found and processes.lives(found[name]) for name in names)

    within_s = max(_REPLACED_S, undo["every_s"])
    if not waiting.await_true(born, within_s):
        missing = ", ".join(name for name in names if name not in found)
        raise Lapsed(f"{missing} was not replaced within {within_s:g} s, so it dies less often than asked for")
    return [found[name] for name in names if name in found]
