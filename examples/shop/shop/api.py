"""The API: takes orders, writes them to PostgreSQL, asks the payment service, and leaves the rest to the workers.

Its two processes share one set of metrics through prometheus_client's multiprocess files.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pybreaker
import redis
import requests
import rq
from fastapi import FastAPI, Request, Response
from prometheus_client import Counter, Gauge, Histogram, multiprocess

from shop import settings

REQUESTS = Counter("shop_requests", "Answers of the API.", ["path", "status"])
SECONDS = Histogram(
    "shop_request_duration_seconds",
    "How long an answer took.",
    ["path"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10),
)
DATABASE = Counter("shop_database_operations", "Statements by what became of them.", ["table", "result"])
PAYMENTS = Counter("shop_payments", "Payments: paid, or noted for later.", ["result"])
BREAKER = Gauge("shop_breaker_open", "1 while the breaker is not closed.", ["breaker"], multiprocess_mode="livemax")


class Told(pybreaker.CircuitBreakerListener):
    """Shows the breaker's state."""

    def state_change(self, _breaker: Any, _before: Any, now: Any) -> None:
        BREAKER.labels("payments").set(0 if now.name == "closed" else 1)


breaker = pybreaker.CircuitBreaker(fail_max=3, reset_timeout=4, listeners=[Told()])
queue = rq.Queue(settings.QUEUE, connection=redis.Redis.from_url(settings.REDIS))
_own = threading.local()


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Every series is there from the start; those of a process that is gone count no more."""
    BREAKER.labels("payments").set(0)
    for result in ("ok", "error"):
        for table in ("orders", "order_events"):
            DATABASE.labels(table, result)
    yield
    multiprocess.mark_process_dead(os.getpid())


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def measured(request: Request, call_next: Callable[[Request], Any]) -> Response:
    """Counts and times each answer."""
    begun = time.perf_counter()
    response: Response = await call_next(request)
    path = getattr(request.scope.get("route"), "path", "other")
    REQUESTS.labels(path, response.status_code).inc()
    SECONDS.labels(path).observe(time.perf_counter() - begun)
    return response


def execute(table: str, statement: str, given: tuple[Any, ...]) -> Any:
    """The first row of one statement, on this thread's own connection; raises psycopg.Error."""
    try:
        if getattr(_own, "database", None) is None or _own.database.closed:
            _own.database = psycopg.connect(settings.dsn(), autocommit=True, application_name="shop-api")
        row = _own.database.execute(statement, given).fetchone()
    except psycopg.Error:
        DATABASE.labels(table, "error").inc()
        raise
    DATABASE.labels(table, "ok").inc()
    return row


@breaker
def pay(number: int) -> None:
    """Asks the payment service; an answer that is none counts at the breaker."""
    url = f"http://{settings.HOST}:{settings.PAYMENTS_PORT}/pay/{number}"
    requests.post(url, timeout=1).raise_for_status()


@app.get("/health")
async def health() -> dict[str, str]:
    """Whether this process answers."""
    return {"status": "ok"}


@app.post("/orders")
def order(response: Response) -> dict[str, Any]:
    """Takes an order. One whose payment fails is noted for later, and so is one without its event: no order is lost."""
    try:
        number = execute("orders", "INSERT INTO orders (what) VALUES (%s) RETURNING id", ("tea",))[0]
    except psycopg.Error:
        response.status_code = 503
        return {"error": "the database refused the order"}
    with suppress(psycopg.Error):  # an order without its event is still an order
        event = "INSERT INTO order_events (order_id, what) VALUES (%s, 'new') RETURNING id"
        execute("order_events", event, (number,))
    try:
        pay(number)
        PAYMENTS.labels("paid").inc()
    except (pybreaker.CircuitBreakerError, requests.RequestException):
        PAYMENTS.labels("later").inc()
    queue.enqueue("shop.jobs.ship", number, result_ttl=0, failure_ttl=3600)
    return {"order": number}
