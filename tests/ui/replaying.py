"""A console over a recorded run, for tests: its history up to an instant, its clock standing there, a real server."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles
from chaoskit.console.commands import Drill
from chaoskit.console.gatekeeper import new_token
from chaoskit.console.server import Console, Settings, listen, server_of
from chaoskit.events import AnyEvent, decode
from chaoskit.report.judge_run import judge_folder
from chaoskit.safety.run_registry import Owner, me

GOLDEN = Path(__file__).parents[1] / "golden"


class Replay:
    """A run's folder that grows as the test says; `clock` stands at the last event that was written."""

    def __init__(self, name: str, folder: Path) -> None:
        self.lines = (GOLDEN / f"{name}.jsonl").read_bytes().splitlines(keepends=True)
        self.events = [decode(line) for line in self.lines]
        self.folder = folder
        self.folder.mkdir(parents=True)
        self.now = self.events[0].t
        self.written = 0

    def clock(self) -> float:
        return self.now

    def until(self, wanted: Callable[[AnyEvent], bool]) -> AnyEvent:
        """Writes up to the first event of the kind that was not written yet, which comes back."""
        for event in self.events[self.written :]:
            self._write(event)
            if wanted(event):
                return event
        raise AssertionError("the recording has no such event left")

    def all(self, *, judged: bool = True) -> None:
        """Writes the rest, and the verdict as `chaoskit run` leaves it."""
        for event in self.events[self.written :]:
            self._write(event)
        if judged:
            judge_folder(self.folder)

    def _write(self, event: AnyEvent) -> None:
        with (self.folder / "events.jsonl").open("ab") as file:
            file.write(self.lines[event.n])
        self.written = event.n + 1
        self.now = max(self.now, event.t)


class Served:
    """A console that listens, with a client that is allowed everything unless it is told otherwise."""

    def __init__(self, console: Console, port: int) -> None:
        self.console = console
        self.port = port
        self.host = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}"
        key = console.key
        self.link = f"{self.url}/enter?token={key.token}"
        self.cookie = {"Host": self.host, "Cookie": f"{key.cookie}={key.token}"}
        self.command = {**self.cookie, "Origin": self.url, "X-Chaoskit-Token": key.command}

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; the headers are sent as they are given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            given = dict(self.cookie if headers is None else headers)
            if body is not None and "Content-Length" not in given:
                given["Content-Length"] = str(len(body))
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def do(self, name: str, **asked: str) -> tuple[int, dict[str, str]]:
        """A command of the page: its status, and what it told."""
        status, _, body = self.ask("POST", f"/{name}", self.command, json.dumps(asked).encode())
        return status, json.loads(body)


@contextmanager
def serving(
    scratch: Path, replay: Replay | None = None, *, begins: bool = False, alive: bool = True
) -> Iterator[Served]:
    """A console in a thread: over a recording, whose run is `alive` as this process is, or idle."""
    sockets, port = listen(0)
    scratch.mkdir(mode=0o700, exist_ok=True)
    out = replay.folder.parent if replay is not None else scratch / "out"
    settings = Settings(new_token(), port, out, scratch, ConfigFiles(bundle.folder()))
    console = Console(settings, replay.clock if replay is not None else time.time)
    if not begins:
        console.place = console.place.__class__(console.key.command, may_start=False)
    if replay is not None:
        owner = me() if alive else Owner(pid=me().pid, boot="of another boot", ticks=1)
        console.desk.drill = Drill("recorded", replay.now, out, owner=owner, folder=replay.folder)
    server = server_of(console)

    async def run() -> None:
        drawing = asyncio.create_task(console.pictures.run())
        try:
            await server.serve(sockets)
        finally:
            drawing.cancel()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    try:
        yield Served(console, port)
    finally:
        console.mirror.end()
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
        for one in sockets:
            one.close()


def children() -> set[int]:
    """Processes that this one has started and that are not gone."""
    return {child.pid for child in psutil.Process().children(recursive=True)}
