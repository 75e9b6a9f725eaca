"""A small real server that counts for itself, load on it, and everything that the load told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaoskit.errors import Problem
from chaoskit.load.engine import LoadChild
from chaoskit.load.messages import LoadState, LoadTotals, LoadWindow, Report
from chaoskit.load.model import LoadSpec, RequestSpec
from chaoskit.load.processes import Processes

PLAIN = """
from locust import FastHttpUser, constant, task

class Plain(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def look(self):
        self.client.get("/plain")
"""
SERVER = """
import asyncio, collections, json, sys

counts = collections.Counter()

async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode().lower()
            path = head.split()[1]
            length = int(head.partition("content-length:")[2].split()[0]) if "content-length:" in head else 0
            sent = await reader.readexactly(length)
            if path == "/counts":
                body = json.dumps(counts).encode()
            else:
                counts[path + (" with a cookie" if "\\r\\ncookie:" in head else "")] += 1
                body = sent
            if path == "/close":
                return
            if path == "/drip":
                writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 100\\r\\n\\r\\n")
                for _ in range(100):
                    writer.write(b".")
                    await writer.drain()
                    await asyncio.sleep(0.1)
                continue
            status = b"503 No" if path == "/fail" else b"200 OK"
            if path == "/set":
                status += b"\\r\\nset-cookie: seen=1; path=/"
            writer.write(b"HTTP/1.1 %s\\r\\ncontent-length: %d\\r\\n\\r\\n%s" % (status, len(body), body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, sys.argv[1], 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


class Target:
    """A server in a process of its own, so that it can be frozen; it ends with its standard input."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.host = f"http://{address}:{int(self.process.stdout.readline())}"

    def counts(self) -> dict[str, int]:
        with urllib.request.urlopen(self.host + "/counts", timeout=5) as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.thaw()
        self.process.kill()
        self.process.wait(5)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Heard:
    """Everything a load told, and a bounded wait for something that it will tell."""

    def __init__(self) -> None:
        self.events: list[Report] = []
        self._news = threading.Condition()

    def __call__(self, event: Report) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def states(self) -> list[str]:
        return [event.state for event in self.of(LoadState)]

    def wait(self, condition: Callable[[list[Any]], Any], kind: type[Any] = LoadWindow, at_most_s: float = 20) -> None:
        with self._news:
            assert self._news.wait_for(lambda: condition(self.of(kind)), at_most_s), self.events[-3:]


@pytest.fixture
def target() -> Iterator[Target]:
    server = Target()
    yield server
    server.close()


Start = Callable[..., tuple[LoadChild, Heard]]


@pytest.fixture
def start(target: Target, tmp_path: Path) -> Iterator[Start]:
    """Start load on the target, of the locustfile `own` if one is given; whatever a test leaves running is stopped."""
    running: list[LoadChild] = []

    def begin(own: str = "", **different: Any) -> tuple[LoadChild, Heard]:
        heard = Heard()
        if own:
            different["locustfile"] = str(tmp_path / "own.py")
            (tmp_path / "own.py").write_text(own)
        load = LoadChild.start(a_spec(target, **different), log=tmp_path / "load.log", on_event=heard)
        running.append(load)
        assert load.flows(10)
        return load, heard

    yield begin
    for load in running:
        load.stop(0)


def a_spec(target: Target, **different: Any) -> LoadSpec:
    settings: dict[str, Any] = {
        "host": target.host,
        "mix": {"look": 3, "write": 1},
        "requests": {
            "look": RequestSpec(path="/look/{n%2}"),
            "write": RequestSpec(method="POST", path="/write", json={"id": "{n}"}),
        },
    }
    if "locustfile" in different:
        settings = {"host": target.host}
    return LoadSpec(**{**settings, **different})


def look_at(path: Path, timeout_s: float = 30.0) -> list[Problem]:
    """What one process says of a locustfile before there is a load."""
    processes = Processes(1, own=True)
    try:
        return processes.look_at(LoadSpec(host="http://127.0.0.1", users=1, locustfile=str(path)), timeout_s)
    finally:
        processes.stop()


def adds_up(heard: Heard, totals: LoadTotals) -> None:
    """In every window and in the totals: started = finished + in flight + dropped, second after second."""
    sums = dict.fromkeys(("started", "finished", "failed", "dropped"), 0)
    windows = heard.of(LoadWindow)
    for window in windows:
        for name in sums:
            sums[name] += getattr(window, name)
        assert sums["started"] == sums["finished"] + window.in_flight + sums["dropped"], window
        assert sum(window.latency.values()) == window.finished
    assert sums == {name: getattr(totals, name) for name in sums}
    assert totals.in_flight == windows[-1].in_flight
    assert [w.second[0] for w in windows[1:]] == [w.second[1] for w in windows[:-1]]
    assert totals.reconciled, totals.detail
