"""The protections around a run from before its first fault until after its last undo, in this order:

note the run -> are runs stopped on this machine? -> the target's lock -> what dead runs left -> watchdog and lease
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from chaoskit.safety.lease import LEASE_S, Lease
from chaoskit.safety.lock import TargetLock
from chaoskit.safety.run_registry import register
from chaoskit.safety.stop_all import refuse_if_blocked, sweep

LOCAL = "local"
"""The note of a target that lives and dies with its run: no other run can reach it, so it needs no lock."""


class Guard:
    """Raises Refused (nothing was begun then) or EquipmentError when the watchdog does not come up."""

    def __init__(
        self,
        targets: Sequence[str],
        folders: Sequence[Path],
        scratch: Sequence[Path],
        on_trouble: Callable[[str], None],
    ) -> None:
        """Acts on these targets, by their locks' names; on none that anything else can reach where there are none."""
        self._entry = register(", ".join(targets) or LOCAL, list(folders), list(scratch), LEASE_S)
        self._locks: list[TargetLock] = []
        self._lease: Lease | None = None
        try:
            refuse_if_blocked()
            for target in dict.fromkeys(targets):
                self._locks.append(TargetLock.take(target, folders))
            self.left = [one for one in sweep("the command that came next") if not one.ok]
            """Earlier runs that could not be healed."""
            log = folders[0] / "watchdog.log"
            self._lease = Lease(folders, log, on_trouble, entry=self._entry)
        except BaseException:
            self.close(healed=True)
            raise

    @property
    def lease(self) -> Lease:
        """The lease that the guard holds, from its beginning on."""
        assert self._lease is not None
        return self._lease

    def begin(self) -> None:
        """Returns once the watchdog watches; raises EquipmentError."""
        self.lease.begin()

    def close(self, *, healed: bool) -> None:
        """Takes guard and watchdog down.

        Faults that are not healed stay noted, and the watchdog goes on trying. Idempotent.
        """
        if self._lease is not None:
            self._lease.end(healed=healed)
        for lock in self._locks:
            lock.release(healed=healed)
        if healed:
            self._entry.unlink(missing_ok=True)
