"""A worker of load on any machine: `python -m chaoskit.load.worker HOST PORT TOKEN_FILE WAIT_S [again]`.

It says hello to the master each second until it is given a share, bears that as a child of the parent would, tells its
totals, and ends, or begins anew. The locustfile comes from the master, as Locust's workers have it, and lies in a
folder of its own until then. A master that says nothing for the lease ends its load.
"""

from __future__ import annotations

import locust  # isort: skip  # first, as in `child`

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import gevent
import msgspec
from gevent.event import Event
from gevent.queue import Empty, Queue
from locust.rpc import zmqrpc
from locust.rpc.protocol import Message

from chaoskit import __version__, json_text
from chaoskit.access import read_token
from chaoskit.errors import BadInput, ExitCode
from chaoskit.load.child import Mouth, carry, log_to_stderr
from chaoskit.load.messages import Beat, Hello, Refused, Start, decode_command, encode
from chaoskit.load.model import LONG_TOKEN
from chaoskit.load.tracking import clock
from chaoskit.load.wire import FILE, LINE, Client

_HELLO_S = 1.0


class Far:
    """The master as a parent whose lines come over the network; `send` and `hear` as those of a child's parent."""

    def __init__(self, wire: Client) -> None:
        self._wire = wire
        self._lines: Queue = Queue()
        self.ended = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._file = ""
        """Where the locustfile lies here."""
        wire.listen(self._take)

    def send(self, line: bytes, within_s: float | None) -> bool:
        """Sends a line; waits for a connection, without end where there is no bound."""
        message = Message(LINE, line, self._wire.identity)  # type: ignore[no-untyped-call]
        return self._wire.send(message, float("inf") if within_s is None else within_s)

    def end(self) -> None:
        """A signal ends this worker: it waits for no share any more."""
        self.ended = True
        self._lines.put(b"")

    def share(self, wait_s: float) -> Start | None:
        """The share that this worker is given; None where none comes in that time. Raises BadInput where the master
        refuses it."""
        known, given, until_s = False, Event(), clock() + wait_s
        gevent.spawn(self._greet, given)
        with contextlib.suppress(Empty):
            while True:
                line = self._lines.get(timeout=max(0.0, until_s - clock()))
                if not line:
                    break
                command = decode_command(line)
                if isinstance(command, Refused):
                    raise BadInput(command.why)
                if isinstance(command, Start):
                    given.set()
                    logging.info("bears share %d of %d", command.shard + 1, command.shards)
                    return command
                if isinstance(command, Beat) and not known:
                    known = True
                    logging.info("the master knows this worker, which now waits for its share of the load")
        given.set()
        return None

    def commands(self) -> Iterator[bytes]:
        """The master's further orders to this worker, one by one; waits for each."""
        while True:
            if line := self._lines.get():
                yield line

    def forget(self) -> None:
        """Removes this machine's copy of the locustfile."""
        if self._folder is not None:
            self._folder.cleanup()

    def _greet(self, given: Event) -> None:
        while not given.is_set():
            hello = Hello(t=clock(), host=socket.gethostname(), chaoskit=__version__, locust=locust.__version__)
            self.send(encode(hello), 0.0)
            given.wait(_HELLO_S)

    def _take(self, message: Message) -> None:
        if message.type == LINE:
            self._lines.put(self._as_here(message.data))
        elif message.type == FILE:
            (one,) = message.data["locustfiles"]
            self._folder = tempfile.TemporaryDirectory(prefix="chaoskit-load-")
            path = Path(self._folder.name) / Path(one["filename"]).name
            path.write_text(one["contents"], encoding="utf-8")
            self._file = str(path)
        else:
            self._wire.locusts.put(message)

    def _as_here(self, line: bytes) -> bytes:
        """The line with the place of the locustfile on this machine."""
        said: Any = json_text.decode(line)
        if not said.get("spec", {}).get("locustfile"):
            return line
        said["spec"]["locustfile"] = self._file
        return msgspec.json.encode(said)


def main() -> int:
    """Bears one share; the exit code is 0 after its totals, 2 where it is refused, 3 where no share came or it broke
    off."""
    host, port, token_file, wait_s, *again = sys.argv[1:]
    log_to_stderr()
    try:
        token = read_token(Path(token_file), LONG_TOKEN, private=True)
        wire = Client(host, int(port), token, f"{socket.gethostname()}_{uuid4().hex}")
        rpc: Any = zmqrpc
        rpc.Client = lambda *_: wire
        far = Far(wire)
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, far.end)
        start = far.share(float(wait_s))
    except BadInput as error:
        logging.error("%s", error)
        return error.exit_code
    if start is None:
        logging.error("no share of a load came from %s:%s%s", host, port, "" if far.ended else f" within {wait_s} s")
        code = 1
    else:
        code = carry(Mouth(far.send), lambda: start, far.commands)
        wire.end()
    if again and not far.ended:  # Locust cannot begin a second time in one process
        far.forget()
        os.execv(sys.executable, [sys.executable, "-m", "chaoskit.load.worker", *sys.argv[1:]])
    return ExitCode.PASS if code == 0 else ExitCode.UNKNOWN


if __name__ == "__main__":
    sys.exit(main())
