"""The metrics page: the API's counters, and what can be asked of the queue, the workers, the API and the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from wsgiref.simple_server import WSGIRequestHandler, make_server

import redis
import requests
import rq
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from shop import settings

_log = logging.getLogger(__name__)
_SILENT_S = 4.0
"""A worker that was silent for so long counts as down."""


class Asked(Collector):
    """What is asked anew at each scrape; a part that gives no answer has no series."""

    def __init__(self) -> None:
        self._redis = redis.Redis.from_url(settings.REDIS, socket_timeout=2)
        self._queue = rq.Queue(settings.QUEUE, connection=self._redis)

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("shop_info", "What this is.", labels=["environment"])
        info.add_metric(["staging"], 1)
        yield info
        yield GaugeMetricFamily("shop_api_up", "Whether the API answers.", value=float(self._answers()))
        used = sum(file.stat().st_blocks * 512 for file in settings.UPLOADS.glob("*") if file.exists())
        yield GaugeMetricFamily("shop_uploads_bytes", "What lies in the folder of uploads.", value=used)
        yield GaugeMetricFamily("shop_uploads_quota_bytes", "What may lie there.", value=settings.UPLOADS_QUOTA)
        try:
            yield from self._of_redis()
        except redis.RedisError as error:
            _log.warning("Redis gives no answer: %s", error)

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://{settings.HOST}:{settings.API_PORT}/health", timeout=3).ok
        except requests.RequestException:
            return False

    def _of_redis(self) -> Iterator[Metric]:
        now = time.time()
        up = GaugeMetricFamily("shop_worker_up", "Whether a worker lives.", labels=["worker"])
        for name, last in self._redis.hgetall(settings.WORKERS_KEY).items():
            up.add_metric([name.decode()], float(now - float(last) < _SILENT_S))
        yield up
        yield GaugeMetricFamily("shop_queue_jobs", "Jobs that wait.", value=self._queue.count)
        dead = self._redis.zcard(self._queue.failed_job_registry.key)
        yield GaugeMetricFamily("shop_dead_letters", "Jobs that failed for good.", value=dead)


class Quiet(WSGIRequestHandler):
    """Writes no line for each scrape."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def main() -> None:
    """Serves the page until a signal ends it."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(settings.DATA / "metrics"))
    registry.register(Asked())
    app = make_wsgi_app(registry)
    make_server(settings.HOST, settings.METRICS_PORT, app, handler_class=Quiet).serve_forever()


if __name__ == "__main__":
    main()
