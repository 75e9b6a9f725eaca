"""What a run asks of the system that it plays on, whether it started that system itself or found it running."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from requests import Session

from chaoskit.events import Event
from chaoskit.handles.address import Address
from chaoskit.host.process import Child
from chaoskit.observe.sinks import SinkChild


class Stack(Protocol):
    """A system under test with its monitoring; `start` and `stop` are called from the main thread."""

    folder: Path
    """Where its logs and files are, inside the run's own folder."""
    children: dict[str, Child]
    """What was started for this run and dies with it, by equipment name; nothing on an attached target."""
    sinks: dict[str, SinkChild]

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus answers."""

    @property
    def alertmanager_url(self) -> str:
        """Where Alertmanager answers."""

    @property
    def target_url(self) -> str:
        """Where load goes."""

    @property
    def requests(self) -> Mapping[str, list[dict[str, Any]]]:
        """What each name of a load's mix does on the target."""

    @property
    def metrics_port(self) -> int | None:
        """Where its Prometheus scrapes a page of chaoskit's own metrics; None where it does not."""

    def session(self, endpoint: str) -> Session:
        """A session that may ask `prometheus` or `alertmanager`."""

    def address(self, handle: str) -> Address:
        """How the things behind a handle are found by faults; secrets only as the files that hold them."""

    def hit(self) -> list[str]:
        """By the names of chaoskit.faults.hit, what of it faults of other commands could hit as well."""

    def await_discovery(self, timeout_s: float) -> None:
        """Returns once Prometheus has scraped what it must and knows an Alertmanager; raises EquipmentError."""

    def wanted_down(self, name: str) -> bool:
        """Whether a scenario has taken this equipment down and not yet given it back."""

    def leaders(self) -> Mapping[str, int]:
        """By equipment name, the process whose session is all of it; what is not ours has none."""

    def restart(self, name: str) -> None:
        """Starts equipment again that has ended; raises EquipmentError."""

    def start(self, on_event: Callable[[Event], None]) -> None:
        """Starts what it needs; raises BadInput or EquipmentError, with nothing left running."""

    def stop(self) -> list[str]:
        """Stops what it started; what did not stop is named."""
