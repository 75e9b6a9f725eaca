"""Service levels as gauges, for a Prometheus that scrapes them or for a node exporter's textfile collector.

The month is a label of ours, so neither the retention nor the time zone of the reader matters. A window that is over is
computed once, and again when something planned in it changes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily

from chaoskit.errors import ChaoskitError, EquipmentError
from chaoskit.sla.compute import compliance, recorded_to
from chaoskit.sla.episodes import incidents
from chaoskit.sla.model import Result, Window
from chaoskit.sla.store import Store
from chaoskit.sla.targets import Targets
from chaoskit.sla.windows import month_of, quarter

HOST, PORT = "127.0.0.1", 9095
MONTHS, QUARTERS = 13, 5
EVERY_S = 60.0
_NAMES = {
    "actual_ratio": "The level reached: a share of time or of events, of bad ones where less is better.",
    "target_ratio": "The level promised, as the same share.",
    "compliant": "1 kept, 0 missed, -1 not known.",
    "budget_left_ratio": "The share of the error budget that is left; below 0 where it is overspent.",
    "downtime_seconds": "How long it was down.",
}


class Exporter:
    """Collects the gauges of one store; `refresh` computes them, a scrape shows what was computed last."""

    def __init__(self, store: Store, targets: Targets, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._targets = targets
        self._clock = clock
        self._over: dict[tuple[object, ...], list[Result]] = {}
        self._families: list[GaugeMetricFamily] = []
        self._ends: dict[str, int] = {}

    def refresh(self) -> None:
        """Computes all windows as of now; raises as the store does."""
        now = int(self._clock())
        labels = ["environment", "sla", "span", "window", "basis"]
        found = {name: GaugeMetricFamily(f"chaoskit_sla_{name}", said, labels=labels) for name, said in _NAMES.items()}
        running = GaugeMetricFamily(
            "chaoskit_sla_running", "1 for the windows that are not over.", labels=["environment", "span", "window"]
        )
        count = GaugeMetricFamily(
            "chaoskit_sla_incidents", "Incidents that began in the window.", labels=["environment", "window"]
        )
        ends = {one: recorded_to(self._store, [one]) or 0 for one in self._store.environments()}
        end = max(ends.values(), default=0)
        for window in windows(end, self._targets.zone) if end else ():
            for one in self._results(window, now):
                where = [one.environment, one.level, window.span, window.name, one.basis]
                for name, value in _values(one):
                    found[name].add_metric(where, value)
            for environment in ends:
                if window.ends_at > now:
                    running.add_metric([environment, window.span, window.name], 1)
                if window.span == "month":
                    episodes = self._store.episodes(environment, window.starts_at, window.ends_at)
                    began = [one for one in incidents(episodes, now) if window.starts_at <= one.begin < window.ends_at]
                    count.add_metric([environment, window.name], len(began))
        self._ends = ends
        self._families = [*found.values(), running, count]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, and how old the evidence is by now."""
        yield from self._families
        age = GaugeMetricFamily(
            "chaoskit_sla_evidence_age_seconds", "How old the newest slice is.", labels=["environment"]
        )
        for environment, end in self._ends.items():
            age.add_metric([environment], max(self._clock() - end, 0.0))
        yield age

    def text(self) -> bytes:
        """The bytes of the metrics page with the service levels."""
        return generate_latest(self._registry())

    def serve(
        self,
        host: str,
        port: int,
        ready: Callable[[int], None],
        ended: threading.Event,
        say: Callable[[str], None],
        every_s: float = EVERY_S,
    ) -> None:
        """Answers scrapes until `ended`; raises EquipmentError where the port is taken. `ready` is told the port.

        Where the store fails it is said, and what was computed last is shown, ever older.
        """
        try:
            server, thread = start_http_server(port, addr=host, registry=self._registry())
        except OSError as error:
            said = f"the metrics page cannot listen on {host}:{port}: {error.strerror or error}"
            raise EquipmentError("sla serve-metrics", said, "give another --host or --port") from None
        try:
            ready(server.server_port)
            while not ended.wait(every_s):
                try:
                    self.refresh()
                except ChaoskitError as error:
                    say(str(error))
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _registry(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(self)
        return registry

    def describe(self) -> Sequence[Any]:
        """No descriptions: the metrics are known only once they are collected."""
        return ()

    def _results(self, window: Window, now: int) -> list[Result]:
        planned = self._store.planned(None, window.starts_at, window.ends_at)
        key = (window, self._targets.spec_hash, tuple((one.id, one.revoked_at) for one in planned))
        if key not in self._over:
            results = compliance(self._store, self._targets, window, now=now)
            if not all(one.final and not one.unknown for one in results) or not results:
                return results
            self._over[key] = results
        return self._over[key]


def windows(end: int, zone: str) -> list[Window]:
    """The last 13 months and 5 quarters up to an instant, the newest first."""
    months = [month_of(end - 1, zone)]
    while len(months) < 3 * QUARTERS + 3:
        months.append(month_of(months[-1].starts_at - 1, zone))
    names = dict.fromkeys(f"{one.name[:4]}-Q{(int(one.name[5:]) + 2) // 3}" for one in months)
    return [*months[:MONTHS], *(quarter(name, zone) for name in list(names)[:QUARTERS])]


def _values(one: Result) -> Iterator[tuple[str, float]]:
    """The gauges of a result by name; none for a window before all evidence."""
    if not one.coverage and one.compliant is None and not one.counted:
        return
    yield "target_ratio", one.target
    yield "compliant", -1.0 if one.compliant is None else float(one.compliant)
    if one.actual is not None:
        yield "actual_ratio", one.actual
    if one.budget > 0:
        yield "budget_left_ratio", one.budget_left / one.budget
    if one.unit == "s":
        yield "downtime_seconds", one.bad
