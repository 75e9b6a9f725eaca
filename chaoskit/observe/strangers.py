"""Strangers: what came to a door of ours from something else than it is for, how that is told, and how it is counted.

Every process of the machine reaches a port on loopback, and so does every web page in a browser on it. Alertmanager
carries a word (`localize.sink_addresses`), a page betrays itself by its headers (`web_pages`), a socket belongs to a
process.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, Protocol

import psutil

from chaoskit.events import SinkKey, Stranger
from chaoskit.observe.sink_process import Emit
from chaoskit.observe.timed_loop import TimedLoop

_LISTENING = "0A"


def sent_by(server_port: int, ports: tuple[int, int]) -> bool:
    """Whether the process that listens on a port holds the client's end of a connection, and is our parent's child.

    `ports` are the client's and ours. False also where /proc does not tell.
    """
    client, listener = f":{ports[0]:04X}", f":{server_port:04X}"
    here = f":{ports[1]:04X}"
    wanted: dict[str, set[str]] = {"client": set(), "listener": set()}
    for local, remote, state, inode in _sockets():
        if local.endswith(client) and remote.endswith(here):
            wanted["client"].add(f"socket:[{inode}]")
        elif local.endswith(listener) and state == _LISTENING:
            wanted["listener"].add(f"socket:[{inode}]")
    if not all(wanted.values()):
        return False
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(os.getppid()).children(recursive=True):
            held = _held(process.pid)
            if all(held & one for one in wanted.values()):
                return True
    return False


def _sockets() -> Iterator[tuple[str, str, str, str]]:
    """Local and remote address (hexadecimal, with the port), state and inode of every TCP socket of this namespace."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                words = line.split()
                yield words[1], words[2], words[3], words[9]


def _held(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(descriptor.readlink()))
    return found


class Strangers:
    """Counts what was turned away at a sink's doors, to be told each second: a flood makes no flood of events."""

    def __init__(self, sink: Literal["mail-sink", "webhook-sink"], emit: Emit) -> None:
        self._sink = sink
        self._emit = emit
        self._counts: Counter[tuple[SinkKey, str]] = Counter()

    def turned_away(self, door: SinkKey, reason: str) -> None:
        """Counts one more refused stranger at this sink address (receiver, integration, index)."""
        known = (door, reason) in self._counts or len(self._counts) < _REASONS_AT_ONCE
        self._counts[door, reason if known else _REST] += 1

    def tell(self) -> None:
        """Emits what was counted since the last call."""
        counts, self._counts = self._counts, Counter()
        for ((receiver, integration, index), reason), count in counts.items():
            self._emit(
                Stranger(
                    sink=self._sink,
                    receiver=receiver,
                    integration=integration,
                    index=index,
                    reason=reason,
                    count=count,
                )
            )


_REASONS_AT_ONCE = 20
_REST = "for other reasons"


class Guest(Protocol):
    """One client's connection to a sink."""

    def send_away(self) -> None:
        """Ends the guest's connection at once."""


class Places:
    """The guests of one sink, at most `most` of them; `on_refusal` is told of each that was sent away.

    Where all places are taken, a newcomer gets that of the guest who has been there longest without having said
    anything that was taken. A client that is sent away is counted, and the watch ends there.
    """

    def __init__(self, timed_loop: TimedLoop, most: int, on_refusal: Callable[[], None] = lambda: None) -> None:
        self._timed_loop = timed_loop
        self._most = most
        self._on_refusal = on_refusal
        self._unproven: dict[Guest, None] = {}
        self._proven: set[Guest] = set()

    def enter(self, guest: Guest) -> bool:
        """Gives a connection one of the sink's places.

        False where those who have proven themselves take up all of them.
        """
        room = len(self._unproven) + len(self._proven) < self._most
        if not room:
            self._on_refusal()
            self._timed_loop.refused()
            if not self._unproven:
                return False
            oldest = next(iter(self._unproven))
            self.leave(oldest)
            oldest.send_away()
        self._unproven[guest] = None
        return True

    def prove(self, guest: Guest) -> None:
        """A guest sent what the sink accepted: it keeps its place from now on."""
        if guest in self._unproven:
            del self._unproven[guest]
            self._proven.add(guest)

    def leave(self, guest: Guest) -> None:
        """Frees the place of a connection that has ended."""
        self._unproven.pop(guest, None)
        self._proven.discard(guest)

    @property
    def guests(self) -> list[Guest]:
        """All connections that have a place now."""
        return [*self._unproven, *self._proven]
