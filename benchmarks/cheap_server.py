"""An HTTP server that costs next to nothing: 200 and `{}` to every request, so that a load generator sets the limit.

python -m benchmarks.cheap_server      prints its port, and ends with its standard input
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.shared import environment
from chaoskit.host.ports import LOOPBACK
from chaoskit.host.process import spawn

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_LOG = os.devnull


class Answers(asyncio.Protocol):
    """One connection; requests may come in pieces, or several at once."""

    def __init__(self) -> None:
        self._rest = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's own is one by behaviour only

    def data_received(self, data: bytes) -> None:
        whole, self._rest = requests_in(self._rest + data)
        if whole and self._transport is not None:
            self._transport.write(_ANSWER * whole)


def requests_in(data: bytes) -> tuple[int, bytes]:
    """How many whole requests there are, and what follows them. Bodies need a Content-Length."""
    whole = 0
    while (end := data.find(b"\r\n\r\n")) >= 0:
        length = _LENGTH.search(data, 0, end)
        end += 4 + (int(length[1]) if length else 0)
        if len(data) < end:
            break
        whole, data = whole + 1, data[end:]
    return whole, data


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """A cheap server in a process of its own; gives its address."""
    child = spawn(
        [sys.executable, "-m", "benchmarks.cheap_server"],
        name="cheap-server",
        log=Path(_LOG),
        talks=True,
        env=environment(),
    )
    try:
        yield f"http://{LOOPBACK}:{int(child.lines.hear(30.0))}"
    finally:
        child.stop()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answers, LOOPBACK, 0, backlog=2048)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    over = asyncio.Event()
    loop.add_reader(0, lambda: over.set() if not os.read(0, 4096) else None)
    await over.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
