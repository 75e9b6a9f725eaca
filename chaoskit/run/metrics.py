"""chaoskit's own metrics: load, faults in force and steps, on a page that the local Prometheus scrapes.

So that a dashboard can show faults and alerts on one time axis. Read from the runs' folds whenever it is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from chaoskit.fold import Fold


class RunMetrics(Collector):
    """A page of metrics on a loopback port; `close` ends it. Events that all runs on a stack get are the first's."""

    def __init__(self, port: int, folds: Sequence[Fold] = ()) -> None:
        self._folds = folds
        registry = CollectorRegistry()
        registry.register(self)
        self._server, self._thread = start_http_server(port, addr="127.0.0.1", registry=registry)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """The run's metrics as they stand now, for a scrape."""
        first = self._folds[0] if self._folds else Fold()
        fault = GaugeMetricFamily("chaoskit_fault_in_force", "1 while a fault is in force", labels=["fault", "kind"])
        step = GaugeMetricFamily("chaoskit_step_running", "1 while a step runs", labels=["step"])
        in_force: Counter[tuple[str, str]] = Counter()
        running: Counter[str] = Counter()
        for fold in self._folds:  # Two runs may call a step alike.
            running.update(dict(fold.steps))
            effects, gone = fold.faults.effects, fold.faults.gone
            for name, invoke in list(fold.faults.invokes.items()):
                in_force[name, invoke.kind] += name in effects and name not in gone
        for labels, count in in_force.items():
            fault.add_metric(labels, count > 0)
        for name, count in running.items():
            step.add_metric([name], count > 0)
        notices = CounterMetricFamily(
            "chaoskit_notices", "Notices that arrived at the sinks", labels=["receiver", "integration"]
        )
        for where, count in Counter((one.receiver, one.integration) for one in first.notices).items():
            notices.add_metric(where, count)
        requests = CounterMetricFamily("chaoskit_load_requests", "Requests of the load by outcome", labels=["outcome"])
        for outcome, count in first.requests.items():
            requests.add_metric([outcome], count)
        last = first.windows[-1] if first.windows else None
        yield from (fault, step, notices, requests)
        in_flight = last.in_flight if last else 0
        yield GaugeMetricFamily("chaoskit_load_in_flight", "Requests without an answer yet", in_flight)
        p95_s = ((last.p95_ms if last else None) or 0.0) / 1000
        yield GaugeMetricFamily("chaoskit_load_p95_seconds", "95th percentile of the last second, real", p95_s)

    def close(self) -> None:
        """Ends the run's metrics page and its thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
