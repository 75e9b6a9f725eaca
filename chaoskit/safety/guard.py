"""What stands around a run from before its first fault until after its last undo, in this order:

note the run -> is the stop lever down? -> the target's lock -> what dead runs left -> watchdog and lease
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from chaoskit.safety.lease import LEASE_S, Lease
from chaoskit.safety.lever import refuse_if_blocked, sweep
from chaoskit.safety.lock import TargetLock
from chaoskit.safety.state import register

LOCAL = "local"
"""A target that lives and dies with its run: nobody else can reach it, so it needs no lock."""


class Guard:
    """Raises Refused (nothing was begun then) or EquipmentError when the watchdog does not come up."""

    def __init__(
        self,
        target: str,
        folders: Sequence[Path],
        scratch: Sequence[Path],
        on_trouble: Callable[[str], None],
        *,
        lease_s: float = LEASE_S,
    ) -> None:
        self._entry = register(target, list(folders), list(scratch), lease_s)
        self._lock: TargetLock | None = None
        self._lease: Lease | None = None
        try:
            refuse_if_blocked()
            if target != LOCAL:
                self._lock = TargetLock.take(target, folders)
            self.left = [one for one in sweep("the command that came next") if not one.ok]
            """Earlier runs that could not be healed."""
            log = folders[0] / "watchdog.log"
            self._lease = Lease(folders, log, on_trouble, entry=self._entry, lease_s=lease_s)
        except BaseException:
            self.close(healed=True)
            raise

    @property
    def lease(self) -> Lease:
        """The lease, from the beginning on."""
        assert self._lease is not None
        return self._lease

    def begin(self) -> None:
        """Returns once the watchdog watches; raises EquipmentError."""
        self.lease.begin()

    def close(self, *, healed: bool) -> None:
        """Takes everything down; what is not healed stays noted, and the watchdog goes on trying. Idempotent."""
        if self._lease is not None:
            self._lease.end(healed=healed)
        if self._lock is not None:
            self._lock.release(healed=healed)
        if healed:
            self._entry.unlink(missing_ok=True)
