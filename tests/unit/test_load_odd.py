"""Whatever a locustfile tells of its requests is counted: odd values end no books, and failures keep their own text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chaoskit.histogram import value_ms
from chaoskit.load.counters import OTHER, Counters
from chaoskit.printable import plain
from tests.load_examples import Start, Target, start, target

__all__ = ["start", "target"]

ODD = """
import decimal
from locust import FastHttpUser, constant, task

class Untold:
    def __str__(self):
        raise RuntimeError("no text")

class NoTruth(Exception):
    def __bool__(self):
        raise RuntimeError("neither")

GOOD = dict(request_type="MQTT", name="good", response_time=5, response_length=0, exception=None, context={})
ODD = [
    dict(response_time=None), dict(response_time=float("nan")), dict(response_time=float("inf")),
    dict(response_time="fast"), dict(response_time=[1]), dict(response_time="slow", exception="both"),
    dict(response_time=decimal.Decimal("5")),
    dict(name=None), dict(name=["a", "list"]), dict(name="x" * 5000), dict(name="half \\ud800 of a letter"),
    dict(name=Untold()), dict(request_type=None), dict(response_length=None), dict(context=None), dict(context=7),
    dict(exception=NoTruth()), dict(exception=Untold()), dict(exception=ValueError),
]

class Talker(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def tell(self):
        self.client.get("/look", name="look")
        for odd in ODD:
            self.environment.events.request.fire(**{**GOOD, **odd})
        self.environment.events.request.fire(request_type="MQTT")
        self.environment.events.request.fire(**GOOD)
"""


def test_odd_events_are_counted_told_once_and_end_no_books(start: Start, target: Target, tmp_path: Path) -> None:
    """A response time that is none is in no percentile, and Locust's own count is compared all the same."""
    load, heard = start(users=2, own=ODD)
    heard.wait(lambda windows: len(windows) >= 2)
    totals = load.stop()
    looked = totals.by_name["GET look"].finished
    assert totals.reconciled, totals.detail
    assert 0 < looked == target.counts()["/look"]
    assert totals.finished == totals.started == 22 * looked
    assert totals.failed == 4 * looked
    assert (totals.by_name["MQTT good"].finished, totals.by_name["MQTT None"].finished) == (14 * looked, looked)
    assert totals.p99_ms is not None
    assert totals.p99_ms < 1000
    assert set(totals.by_name["MQTT good"].latency) <= {81}
    assert value_ms(81) == pytest.approx(5, rel=0.02)
    assert totals.odd["MQTT good: a response_time of 'fast'"] == looked
    assert totals.odd["MQTT good: a response_time of nan"] == looked
    assert len(totals.odd) <= 9
    assert all(len(name) < 200 for name in totals.by_name)


KINDS = """
import socket, sys
import gevent, requests, urllib3
from chaoskit.load.tracking import failure_of, kind_of, latency_of
from locust.exception import CatchResponseError

class OutOfStock(Exception):
    code = 4711

def caught(call):
    try:
        call()
    except BaseException as error:
        return kind_of(error)

silent = socket.create_server(("127.0.0.1", 0))
port = silent.getsockname()[1]
closed = socket.socket()
closed.bind(("127.0.0.1", 0))
refused = f"http://127.0.0.1:{closed.getsockname()[1]}"
session = requests.Session()
session.trust_env = False
found = [
    kind_of(CatchResponseError("card refused by the bank")),
    kind_of(CatchResponseError("password reset mail missing")),
    kind_of(CatchResponseError("the till timed out")),
    kind_of(OutOfStock("none left")),
    kind_of((OutOfStock, OutOfStock("none left"))),
    kind_of(OutOfStock),
    kind_of("a text\\nof two lines"),
    kind_of(ConnectionError("reset of the counter failed")),
    kind_of(TimeoutError("the order never came")),
    kind_of(KeyError()),
    caught(lambda: session.get(refused, timeout=1)),
    caught(lambda: session.get(f"http://127.0.0.1:{port}", timeout=0.1)),
    caught(lambda: socket.create_connection(("127.0.0.1", closed.getsockname()[1]))),
    kind_of(ConnectionResetError(104, "Connection reset by peer")),
    kind_of(gevent.Timeout(2)),
    kind_of(requests.HTTPError(response=type("R", (), {"status_code": 503})())),
    failure_of(None), failure_of(""), latency_of(True), latency_of(3),
]
print(found)
"""


def test_a_failure_counts_by_its_own_text_and_a_clients_error_by_what_it_is() -> None:
    done = subprocess.run([sys.executable, "-c", "import locust\n" + KINDS], capture_output=True, text=True, timeout=60)
    assert eval(done.stdout or "None") == [
        "card refused by the bank", "password reset mail missing", "the till timed out", "OutOfStock: none left",
        "OutOfStock: none left", "OutOfStock", "a text of two lines", "ConnectionError: reset of the counter failed",
        "TimeoutError: the order never came", "KeyError", "refused", "timeout", "refused", "reset", "timeout",
        "HTTP 503", None, None, (1.0, ""), (3.0, ""),
    ], done.stderr  # fmt: skip


def test_texts_and_places_without_end_are_counted_together() -> None:
    counters = Counters(10.0)
    for n in range(200):
        counters.unannounced(10.5, "a", 1.0, f"order {n} was refused")
        counters.raise_one(10.5, f"own.py:{n} KeyError", f"KeyError: {n}")
        counters.note_odd(f"name {n}")
    (window,) = counters.roll(11.0, level=lambda _: 0.0, cpu_s=0)
    assert (len(window.failures), window.failures[OTHER]) == (51, 150)
    assert (len(window.raised), window.raised[OTHER]) == (51, 150)
    assert len(counters.totals(locust_requests=200, locust_failures=200).odd) == 9


def test_a_request_that_ends_under_another_name_counts_there() -> None:
    """`request_meta["name"]` may be set once the answer is known, and Locust counts by that."""
    counters = Counters(10.0)
    ticket = counters.begin(10.2, "asked", kind="GET")
    counters.finish(10.4, ticket, 200.0, None, counters.label("GET", "answered"))
    (window,) = counters.roll(11.0, level=lambda _: 0.0, cpu_s=0)
    assert {name: (one.started, one.finished) for name, one in window.by_name.items()} == {
        "GET asked": (0, 0),
        "GET answered": (1, 1),
    }


@pytest.mark.parametrize(
    ("value", "line"),
    [("a\n b\t c", "a b c"), ("\x1b[2J", "\\x1b[2J"), ("\ud800", "?"), (None, "None"), ("x" * 500, "x" * 159 + "…")],
)
def test_any_value_becomes_one_short_line(value: Any, line: str) -> None:
    assert plain(value) == line
