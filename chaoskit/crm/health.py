"""When a worker counts as healthy: alive, and three heartbeats since it started or was last silent.

One heartbeat proves that a process came up; three prove that it goes on. A worker that fell silent starts
counting again, so that a process which stutters does not flap between 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chaoskit.crm import physics
from chaoskit.crm.config import Clock


def heartbeat_s(clock: Clock) -> float:
    """Real seconds between two heartbeats; the first comes one full interval after the start."""
    return max(clock.real_s(physics.HEARTBEAT_VS), physics.HEARTBEAT_FLOOR_S)


def silence_s(clock: Clock) -> float:
    """Real seconds without a heartbeat after which a worker is taken for stuck."""
    return max(clock.real_s(physics.SILENCE_VS), physics.SILENCE_FLOOR_S, 3 * heartbeat_s(clock))


@dataclass(slots=True)
class Pulse:
    """The heartbeats of one process, stamped by the process itself on the machine's monotonic clock (seconds).

    The sender's stamps matter: a supervisor that was itself starved finds them in the pipe and blames no worker.
    """

    born_s: float
    allowed_silence_s: float
    _beats: int = field(default=0, init=False)
    _last_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._last_s = self.born_s

    def beat(self, at_s: float) -> None:
        """Records one heartbeat of the worker."""
        if at_s - self._last_s > self.allowed_silence_s:
            self._beats = 0
        self._beats += 1
        self._last_s = at_s

    def healthy(self, now_s: float) -> bool:
        """Whether the worker's heart has beaten three times without a silence and is not silent now."""
        return self._beats >= physics.HEALTHY_AFTER_BEATS and now_s <= self.silent_from_s

    @property
    def silent_from_s(self) -> float:
        """The instant from which the worker counts as silent, unless a heartbeat comes before."""
        return self._last_s + self.allowed_silence_s
