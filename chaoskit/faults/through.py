"""A kind of fault where a profile's handle says `via:`: what is done there is the adapter's, settings and name stay.

prepare   by the target's address      the token notes the adapter
the rest  by the token alone           in another process, after a crash
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from chaoskit.faults.base import Action, Changeable, Fault, FaultError, Kind, Made, S, Seen, Target, Undo


class OnlyThrough(Fault[S]):
    """A kind that needs an adapter: without `via:` it refuses, and has nothing to take back."""

    def prepare(self, target: Target, settings: S) -> Undo:
        """Raises FaultError: this kind needs a handle with `via:`."""
        raise FaultError(f"{self.kind} needs a handle with via:, and {target.handle} has none; see docs/handles.md")

    def start(self, undo: Undo) -> Seen:
        """Raises FaultError: this kind needs a handle with `via:`."""
        raise FaultError(f"{self.kind} was made without via:, so chaoskit does nothing; undo it by hand")

    def stop(self, undo: Undo) -> Seen:
        """Does nothing: no fault can have begun."""
        now = time.time()
        return Seen((now, now), "nothing was done")

    def vouch(self, undo: Undo, made: Made) -> str:
        """Raises FaultError: no token of this kind is made without `via:`."""
        raise FaultError(f"this is no undo token of {self.kind}, which is done via an adapter; undo it by hand")


K = TypeVar("K", bound=Kind[Any])


def through_adapters(kind: K, by_via: Mapping[str, K]) -> K:
    """The fault kind, which hands over to one of these adapters where a handle, or a token, says so."""
    if not by_via:
        return kind
    first = _ThroughAction if isinstance(kind, Action) else _ThroughFault
    own = type(kind)
    made = type(own.__name__, (first, own), {"__doc__": own.__doc__, "__module__": own.__module__, "by_via": by_via})
    return made()  # type: ignore[no-any-return]  # it is of the kind's own class as well


def adapter_of(kind: Kind[Any], via: str) -> Kind[Any] | None:
    """The part of a kind that acts through an adapter; None where it does not."""
    found: Kind[Any] | None = getattr(kind, "by_via", {}).get(via)
    return found


class _Through:
    by_via: ClassVar[Mapping[str, Any]]

    def _by(self, via: str) -> Any:
        if via not in self.by_via:
            known = ", ".join(self.by_via)
            raise FaultError(f"{type(self).kind} cannot be done via {via}: name one of {known}")  # type: ignore[attr-defined]
        return self.by_via[via]


class _ThroughAction(_Through, Action[Any]):
    def run(self, target: Target, settings: Any) -> tuple[Seen, dict[str, Any]]:
        if not target.address.via:
            return super().run(target, settings)  # type: ignore[safe-super]
        found: tuple[Seen, dict[str, Any]] = self._by(target.address.via).run(target, settings)
        return found


class _ThroughFault(_Through, Fault[Any]):
    def _of(self, undo: Undo) -> Any:
        return self._by(undo["via"]) if "via" in undo else super()

    def prepare(self, target: Target, settings: Any) -> Undo:
        if not (via := target.address.via):
            return super().prepare(target, settings)  # type: ignore[safe-super]
        return {"via": via, **self._by(via).prepare(target, settings)}

    def start(self, undo: Undo) -> Seen:
        return self._of(undo).start(undo)  # type: ignore[no-any-return]

    def stop(self, undo: Undo) -> Seen:
        return self._of(undo).stop(undo)  # type: ignore[no-any-return]

    def lapse(self, undo: Undo) -> str:
        return self._of(undo).lapse(undo)  # type: ignore[no-any-return]

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        self._of(undo).hold(undo, ended)

    def vouch(self, undo: Undo, made: Made) -> str:
        return self._of(undo).vouch(undo, made)  # type: ignore[no-any-return]

    def longest_s(self, undo: Undo) -> float:
        return self._of(undo).longest_s(undo)  # type: ignore[no-any-return]

    def longest_undo_s(self, undo: Undo) -> float:
        return self._of(undo).longest_undo_s(undo)  # type: ignore[no-any-return]

    def alter(self, undo: Undo, settings: Any) -> Undo:
        return self._changeable(undo).alter(undo, settings)

    def change(self, undo: Undo) -> Seen:
        return self._changeable(undo).change(undo)

    def _changeable(self, undo: Undo) -> Changeable[Any]:
        one = self._of(undo)
        if "via" in undo and not isinstance(one, Changeable):
            raise FaultError(f"{type(self).kind} via {undo['via']} has no levels: undo the fault, inject it anew")
        return one  # type: ignore[no-any-return]
