"""The calls that a run makes on the system that it plays on, whether it started that system or found it running."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from requests import Session

from chaoskit.access import near_session
from chaoskit.errors import EquipmentError
from chaoskit.events import Event
from chaoskit.handles.address import Address
from chaoskit.host.process import Child
from chaoskit.observe.sinks import SinkChild
from chaoskit.stack.monitoring import await_discovery


class Stack(ABC):
    """A system under test with its monitoring, of which nothing was started here; `start` and `stop` are called from
    the main thread."""

    def __init__(self, folder: Path, prometheus_url: str, alertmanager_url: str) -> None:
        self.folder = folder
        """Where its logs and files are, inside the run's own folder."""
        self.prometheus_url = prometheus_url
        self.alertmanager_url = alertmanager_url
        self.children: dict[str, Child] = {}
        """The processes that were started for this run and die with it, by equipment name."""
        self.sinks: dict[str, SinkChild] = {}

    @property
    @abstractmethod
    def target_url(self) -> str:
        """The URL to which load goes."""

    @property
    def requests(self) -> Mapping[str, list[dict[str, Any]]]:
        """The requests behind each name of a load's mix; empty where the target does not tell them."""
        return {}

    @property
    def metrics_port(self) -> int | None:
        """The port at which the stack's Prometheus scrapes a page of chaoskit's own metrics; None where it does not."""
        return None

    def session(self, endpoint: str, url: str = "") -> Session:
        """A session that may ask `prometheus` or `alertmanager`, another one of them at its URL.

        Raises BadInput where secrets cannot be read.
        """
        return near_session()

    @property
    def replicas(self) -> tuple[str, ...]:
        """Every Prometheus with the same rules, the first of them `prometheus_url`."""
        return (self.prometheus_url,)

    @property
    def peers(self) -> tuple[str, ...]:
        """Every member of Alertmanager's cluster, the first of them `alertmanager_url`."""
        return (self.alertmanager_url,)

    @abstractmethod
    def address(self, handle: str) -> Address:
        """How the things behind a handle are found by faults; secrets only as the files that hold them."""

    def hit(self) -> list[str]:
        """The parts that faults of other commands could hit as well, by the names of chaoskit.faults.hit."""
        return []

    def await_discovery(self, timeout_s: float) -> None:
        """Returns once Prometheus has scraped what it must and knows an Alertmanager; raises EquipmentError."""
        await_discovery(self.prometheus_url, timeout_s=timeout_s)

    def wanted_down(self, name: str) -> bool:
        """Whether a scenario has taken this equipment down and not yet given it back."""
        return False

    def leaders(self) -> dict[str, int]:
        """By equipment name, the process whose session is all of it; what is not ours has none."""
        sinks = {name: sink.child for name, sink in self.sinks.items()}
        return {name: child.pid for name, child in (self.children | sinks).items()}

    def restart(self, name: str) -> None:
        """Starts equipment again that has ended; raises EquipmentError."""
        raise EquipmentError(name, "this equipment was not started by chaoskit: restart it by hand")

    @abstractmethod
    def start(self, on_event: Callable[[Event], None]) -> None:
        """Starts the stack's programs; raises BadInput or EquipmentError, with nothing left running."""

    @abstractmethod
    def stop(self) -> list[str]:
        """Stops the programs that this stack started; returns the names of those that did not stop."""
