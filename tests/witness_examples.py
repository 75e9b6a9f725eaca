"""A witness that serves in a thread of the test, and the messages that an Alertmanager would send it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import requests

from chaoskit.access import plain_session
from chaoskit.waiting import await_true
from chaoskit.witness.server import Settings, WitnessServer

TOKEN = "0123456789abcdef-secret"


@contextmanager
def witness(settings: Settings | None = None) -> Iterator[WitnessServer]:
    """A witness on a free port of loopback, or as told, that is ended afterwards."""
    server = WitnessServer(settings or Settings(port=0, token=TOKEN))
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=[ready.set])
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        stop(server)
        thread.join(10)


def stop(server: WitnessServer) -> None:
    """Ends a witness, and waits until nothing listens there any more."""
    server.end()
    assert await_true(server._timed_loop.loop.is_closed, 10)


@contextmanager
def witness_again(before: WitnessServer) -> Iterator[WitnessServer]:
    """Another one where that one was."""
    with witness(replace(before.settings, port=before.port)) as server:
        yield server


def bearing(token: str = TOKEN) -> requests.Session:
    """A session that bears this token."""
    session = plain_session()
    session.headers["Authorization"] = f"Bearer {token}"
    return session


def message(alert: str = "WorkerUnhealthy", status: str = "firing", **labels: str) -> dict[str, Any]:
    """Alertmanager's webhook message about one alert."""
    told = {"status": status, "labels": {"alertname": alert, **labels}, "annotations": {}}
    return {"version": "4", "status": status, "groupKey": f"{{}}:{{{alert}}}", "receiver": "x", "alerts": [told]}


def post(server: WitnessServer, receiver: str = "ops", body: Any = None, token: str = TOKEN) -> int:
    """Sends a message as Alertmanager does; the status of the answer."""
    with bearing(token) as session:
        url = f"{server.url}/receiver/{receiver}"
        return session.post(url, json=message() if body is None else body, timeout=20).status_code
