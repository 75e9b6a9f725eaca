"""Virtual time: one real second is `scale` virtual seconds.

Time-outs, back-off, heartbeats and recovery are decided in virtual seconds and waited for in real ones;
durations are measured in real seconds and reported in virtual ones. Every conversion is made here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Converts between real (`_s`) and virtual (`_vs`) seconds."""

    scale: float

    def now_vs(self) -> float:
        """Virtual seconds since the machine's monotonic clock began; all processes of a machine agree on it."""
        return time.monotonic() * self.scale

    def real_s(self, virtual_vs: float) -> float:
        """How long to wait, in real seconds, for so many virtual ones."""
        return virtual_vs / self.scale

    def virtual_vs(self, real_s: float) -> float:
        """How many virtual seconds a measured real duration amounts to."""
        return real_s * self.scale
