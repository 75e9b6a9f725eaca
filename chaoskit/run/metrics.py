"""chaoskit's own metrics: load, faults in force and steps, on a page that the local Prometheus scrapes.

So that a dashboard can show faults and alerts on one time axis. Fed by the journal like everything else.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from chaoskit.events import Event, FaultOk, Invoke, LoadWindow, Notice, StepBegin, StepEnd, UndoOk


class RunMetrics:
    """A page of metrics on a loopback port; `close` ends it."""

    def __init__(self, port: int) -> None:
        registry = CollectorRegistry()
        self._fault = Gauge(
            "chaoskit_fault_in_force", "1 while a fault is in force", ["fault", "kind"], registry=registry
        )
        self._step = Gauge("chaoskit_step_running", "1 while a step runs", ["step"], registry=registry)
        self._notices = Counter(
            "chaoskit_notices", "Notices that arrived at the sinks", ["receiver", "integration"], registry=registry
        )
        self._requests = Counter(
            "chaoskit_load_requests", "Requests of the load by outcome", ["outcome"], registry=registry
        )
        self._in_flight = Gauge("chaoskit_load_in_flight", "Requests without an answer yet", registry=registry)
        self._p95 = Gauge("chaoskit_load_p95_seconds", "95th percentile of the last second, real", registry=registry)
        for outcome in ("ok", "failed", "dropped"):
            self._requests.labels(outcome)
        self._kinds: dict[str, str] = {}
        self._server, self._thread = start_http_server(port, addr="127.0.0.1", registry=registry)

    def feed(self, event: Event) -> None:
        """Takes one event."""
        self.feed_own(event)
        self._feed_shared(event)

    def feed_own(self, event: Event) -> None:
        """Takes one event of a further track on the same stack: its faults and steps, not what all tracks hear."""
        match event:
            case Invoke():
                self._kinds[event.fault] = event.kind
                self._fault.labels(event.fault, event.kind).set(0)
            case FaultOk():
                self._fault.labels(event.fault, self._kinds.get(event.fault, "")).set(1)
            case UndoOk():
                self._fault.labels(event.fault, self._kinds.get(event.fault, "")).set(0)
            case StepBegin():
                self._step.labels(event.step).set(1)
            case StepEnd():
                self._step.labels(event.step).set(0)
            case _:
                pass

    def _feed_shared(self, event: Event) -> None:
        match event:
            case Notice():
                self._notices.labels(event.receiver, event.integration).inc()
            case LoadWindow():
                self._requests.labels("ok").inc(event.finished - event.failed)
                self._requests.labels("failed").inc(event.failed)
                self._requests.labels("dropped").inc(event.dropped)
                self._in_flight.set(event.in_flight)
                self._p95.set((event.p95_ms or 0.0) / 1000)
            case _:
                pass

    def close(self) -> None:
        """Ends the page and its thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
