"""A circuit breaker: after too many failures it refuses calls, then lets one probe at a time find out.

              20 of the last 40 failed
      closed ---------------------------> open <--------------.
         ^                                 | 60 s             | probe fails, or takes over 10 s
         |          probe succeeds         v                  |
         `----------------------------- half-open ------------'

Only the dependency's own faults count: the caller reports 5xx, resets and time-outs as failures and takes its
permit back for a 4xx, which is the request's fault. In half-open a 4xx closes: the dependency answers.
Results of calls admitted before the last change of state are ignored. Not thread-safe: its owner is one event loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from chaoskit.crm import physics


class BreakerOpen(Exception):
    """The call was refused: the dependency is being left alone."""


class Permit:
    """Leave for one call; exactly one of its methods is called afterwards, further calls change nothing."""

    def __init__(self, breaker: Breaker, epoch: int, limit_vs: float | None) -> None:
        self._breaker = breaker
        self._epoch = epoch
        self._used = False
        self.limit_vs = limit_vs
        """A probe's time-out in virtual seconds; None for an ordinary call."""

    def settle(self, *, failed: bool) -> None:
        """The dependency answered well, or failed: 5xx, reset or time-out."""
        if not self._used:
            self._used = True
            self._breaker._settle(self._epoch, failed)

    def answered(self) -> None:
        """A 4xx: proof of life for a probe, otherwise not counted."""
        if self.limit_vs is not None:
            self.settle(failed=False)
        self._used = True

    def withdrawn(self) -> None:
        """The call was given up for reasons of the caller's own; says nothing about the dependency."""
        if not self._used:
            self._used = True
            self._breaker._withdraw(self._epoch)


class Breaker:
    """`now_vs` gives virtual seconds; `on_change(before, after)` hears every change of state."""

    def __init__(self, now_vs: Callable[[], float], on_change: Callable[[str, str], None]) -> None:
        self._now_vs = now_vs
        self._on_change = on_change
        self._results: deque[bool] = deque(maxlen=physics.BREAKER_WINDOW)
        self._opened_vs = 0.0
        self._probe_since_vs: float | None = None
        self._epoch = 0
        self.state = "closed"

    def admit(self) -> Permit:
        """Leave to call the dependency now; raises BreakerOpen when it must be left alone."""
        now_vs = self._now_vs()
        if self.state == "closed":
            return Permit(self, self._epoch, None)
        if self._probe_since_vs is not None and now_vs - self._probe_since_vs > physics.BREAKER_PROBE_VS:
            self._enter("open")  # its caller never reported back
        if self.state == "open" and now_vs - self._opened_vs >= physics.BREAKER_RECOVERY_VS:
            self._enter("half_open")
        if self.state == "open" or self._probe_since_vs is not None:
            raise BreakerOpen(f"the circuit breaker is {self.state}")
        self._probe_since_vs = now_vs
        return Permit(self, self._epoch, physics.BREAKER_PROBE_VS)

    def _settle(self, epoch: int, failed: bool) -> None:
        if epoch != self._epoch:
            return
        if self.state == "half_open":
            self._enter("open" if failed else "closed")
            return
        self._results.append(failed)
        if sum(self._results) >= physics.BREAKER_FAILURES:
            self._enter("open")

    def _withdraw(self, epoch: int) -> None:
        if epoch == self._epoch and self.state == "half_open":
            self._probe_since_vs = None

    def _enter(self, state: str) -> None:
        before, self.state = self.state, state
        self._epoch += 1
        self._probe_since_vs = None
        self._results.clear()
        if state == "open":
            self._opened_vs = self._now_vs()
        self._on_change(before, state)
