"""The metrics process: sole reader of the metrics pipe, sole owner of the page.

One process holds every value, so a scrape reads no files and asks no process: prometheus-client's multi-process
mode leaves files behind for each dead process and gets slow after many deaths. Durations are virtual seconds.
If this process dies, its successor starts all counters at 0, as any restarted exporter does.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgspec
import uvloop
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chaoskit import json_text
from chaoskit.crm.contract import Metric
from chaoskit.crm.emit import Entry
from chaoskit.crm.serve import server, tell_ready
from chaoskit.crm.wiring import Wiring

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The text format that Prometheus 2 and 3 both take."""
_CLASSES: dict[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}
_ENTRIES = msgspec.json.Decoder(list[Entry])


class Page:
    """Every metric of the contract, all label sets at 0, and how batches change them."""

    def __init__(self, contract: tuple[Metric, ...]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        self._rest = b""
        for metric in contract:
            buckets = {"buckets": metric.buckets} if metric.buckets else {}
            made = _CLASSES[metric.kind](metric.name, metric.help, metric.labels, registry=self._registry, **buckets)
            self._metrics[metric.name] = made
            for labels in metric.label_sets:
                child = self._child(metric.name, labels)
                if isinstance(child, Gauge):
                    child.set(metric.initial)

    def _child(self, name: str, labels: tuple[str, ...]) -> Counter | Gauge | Histogram:
        metric = self._metrics[name]
        return metric.labels(*labels) if labels else metric

    def take_in(self, data: bytes) -> None:
        """Apply the batches in what was read from the pipe; an incomplete last line waits for its rest."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                entries = json_text.decode_with(_ENTRIES, line)
            except msgspec.DecodeError:
                continue  # the tail of a line whose head a predecessor of this process read
            for name, labels, value in entries:
                child = self._child(name, labels)
                if isinstance(child, Counter):
                    child.inc(value)
                elif isinstance(child, Gauge):
                    child.set(value)
                else:
                    child.observe(value)

    def render(self) -> bytes:
        """The page in the text format."""
        return generate_latest(self._registry)


def run(wiring: Wiring, ready: int) -> None:
    """Serves the metrics page until killed."""
    page = Page(wiring.contract)
    pipe = wiring.metrics_pipe.read

    def read() -> None:
        page.take_in(os.read(pipe, 1 << 16))

    async def show(_request: Request) -> Response:
        return Response(page.render(), headers={"content-type": _CONTENT_TYPE})

    async def main() -> None:
        asyncio.get_running_loop().add_reader(pipe, read)
        tell_ready(ready)
        await serve()

    serve = server({wiring.sockets["metrics"]: Starlette(routes=[Route("/metrics", show)])})
    uvloop.run(main())
