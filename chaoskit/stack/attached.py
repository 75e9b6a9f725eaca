"""A system that runs already: nothing of it is started or stopped here, it is only asked, and its processes found.

Faults reach only what this host shows: processes by the titles that a role's `match` describes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from requests import Session

from chaoskit.access import access_data, at_member, session_for
from chaoskit.events import Event
from chaoskit.faults.hit import hit
from chaoskit.faults.processes import find
from chaoskit.handles.address import Address
from chaoskit.handles.equipment import ALERTMANAGER, HANDLE, EquipmentAddress
from chaoskit.scenario.model import Attached, Handles
from chaoskit.stack.interface import Stack
from chaoskit.stack.monitoring import await_discovery
from chaoskit.witness.witnesses import Witnesses


def inventory(handles: Handles) -> dict[str, tuple[str, ...]]:
    """The things behind the handles that can be reached on this host now: handle to names."""
    found = ((handle, one.things(find)) for handle, one in handles.each())
    return {handle: things for handle, things in found if things is not None}


class AttachedStack(Stack):
    """A running system with its monitoring; `jobs` are those whose targets must be up before anything is broken.

    `given` by hand are its address and the names by which it is locked, where there is no profile to tell them.
    """

    def __init__(
        self,
        folder: Path,
        target: Attached,
        handles: Handles,
        jobs: Collection[str],
        given: tuple[Address, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(folder, target.prometheus, target.alertmanager)
        self._target = target
        self._handles = handles
        self._jobs = jobs
        self._given = given
        self._witnesses: Witnesses | None = None

    @property
    def target_url(self) -> str:
        return self._target.service

    def session(self, endpoint: str, url: str = "") -> Session:
        return session_for(at_member(self._target, endpoint, url) if url else self._target, endpoint)

    @property
    def requests(self) -> Mapping[str, list[dict[str, Any]]]:
        return {name: [dict(one)] for name, one in self._target.requests.items()}

    @property
    def replicas(self) -> tuple[str, ...]:
        return self._target.replicas or super().replicas

    @property
    def peers(self) -> tuple[str, ...]:
        return self._target.peers or super().peers

    def address(self, handle: str) -> Address:
        """How faults find the things behind a handle; for none, where the service answers."""
        if self._given is not None:
            return self._given[0]
        prometheus = {"url": self.prometheus_url, "access": access_data(self._target, "prometheus")}
        if handle == HANDLE:
            at = {"url": self.alertmanager_url, "access": access_data(self._target, ALERTMANAGER)}
            return EquipmentAddress(prometheus=prometheus, alertmanager=at)
        one = dict(self._handles.each()).get(handle)
        address = one.at_attached(self._target.service) if one else Address(url=self._target.service)
        return replace(address, prometheus=prometheus)

    def hit(self) -> list[str]:
        """The parts that a fault may hit: metrics page, service, and what is behind every reachable handle."""
        if self._given is not None:
            return list(self._given[1])
        own = Address(metrics=self._target.metrics, service=self._target.service)
        reached = [one.at_attached("") for _, one in self._handles.each() if one.attached]
        return sorted({name for address in (own, *reached) for name in hit(address)})

    def await_discovery(self, timeout_s: float) -> None:
        with self.session("prometheus") as session:
            await_discovery(self.prometheus_url, timeout_s=timeout_s, session=session, jobs=self._jobs)

    def start(self, on_event: Callable[[Event], None]) -> None:
        """Begins to follow the witnesses, where there are any; raises EquipmentError when one does not answer."""
        if self._given is not None:
            return
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        self._witnesses = Witnesses(self._target, self.session, on_event)
        self._witnesses.begin()

    def stop(self) -> list[str]:
        """Stops following the witnesses, and takes in their last word. Nothing can be left behind."""
        if self._witnesses is not None:
            self._witnesses.end()
        return []
