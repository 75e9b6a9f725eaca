"""The part that all sink processes share: one line of configuration in, JSON lines out (chaoskit.host.lines).

    parent -> stdin    {"doors": [...], ...}
                     then kept open: its end is the order to stop
    stdout -> parent   {"ready": true, "ports": [...]}
           or {"ready": false, "error": "..."}

                       {"type": "notice", ...}
 {"type": "watch", ...}
 ...

A sink that loses its parent loses its input and ends. Ctrl-C goes to the parent, which decides.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import msgspec

from chaoskit import json_text
from chaoskit.events import Event, encode
from chaoskit.files import read_regular
from chaoskit.host.lines import Lines
from chaoskit.observe.timed_loop import TimedLoop

Emit = Callable[[Event], None]
Listen = Callable[[bytes, TimedLoop, Emit], Awaitable[list[int]]]
"""Opens the doors of a configuration and gives the ports that listen; raises OSError or msgspec.ValidationError."""

_STDIN = 0


def run_sink(sink: Literal["mail-sink", "webhook-sink"], listen: Listen) -> int:
    """Serve until standard input ends, or SIGTERM; gives the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = Lines(1, _STDIN)
    config = parent.hear()
    over = asyncio.Event()

    def say(line: bytes) -> None:
        """One whole line, at once: it is on its way before the sender gets its answer."""
        if not parent.send(line, None):
            over.set()

    timed_loop = TimedLoop(sink, lambda event: say(encode(event)))

    async def serve() -> int:
        loop = asyncio.get_running_loop()
        try:
            ports = await listen(config, timed_loop, lambda event: say(encode(event)))
        except (OSError, msgspec.DecodeError) as error:
            say(msgspec.json.encode({"ready": False, "error": str(error)}))
            return 1
        loop.add_signal_handler(signal.SIGTERM, over.set)
        loop.add_reader(_STDIN, lambda: over.set() if not os.read(_STDIN, 4096) else None)
        timed_loop.start()
        say(msgspec.json.encode({"ready": True, "ports": ports}))
        await over.wait()
        loop.remove_reader(_STDIN)
        timed_loop.watch()
        return 0

    with asyncio.Runner(loop_factory=lambda: timed_loop.loop) as runner:
        return runner.run(serve())


class SinkResponse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sink's answer to a notification: `status` 0 is the usual one; both SMTP and HTTP refuse from 400 on."""

    status: int = 0
    delay_s: float = 0.0

    @property
    def refuses(self) -> bool:
        """Whether the sender is told that its notice was not taken."""
        return self.status >= 400


GOOD = SinkResponse()


def sink_response(file: str) -> SinkResponse:
    """The answer that the file orders now; the usual one if the file is missing or unreadable."""
    try:
        return json_text.decode(read_regular(Path(file)), type=SinkResponse) if file else GOOD
    except (OSError, msgspec.DecodeError):
        return GOOD
