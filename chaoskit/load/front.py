"""The master of workers on other machines: awaits them, tells each its share, and passes on what each reports.

    parent ── Gather, Start, Change, Beat, Stop ──> master ──> each worker that takes part, in its own words
    parent <── Relayed(shard, report) ─────────── master <── its windows, in the master's seconds

The first `expect` workers that say hello take part, for good; further ones wait in vain. A worker whose connection ends
before its totals is lost. A clock that is off is measured by what comes soonest after it was sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import locust
import msgspec
import zmq
from gevent.event import Event
from locust.rpc import zmqrpc
from locust.rpc.protocol import Message

from chaoskit import __version__
from chaoskit.errors import BadInput
from chaoskit.host.lines import Lines
from chaoskit.load.messages import (
    Beat,
    Gather,
    Gathered,
    Hello,
    LoadState,
    LoadTotals,
    LoadWindow,
    Refused,
    Relayed,
    Start,
    Told,
    decode_worker,
    encode,
)
from chaoskit.load.tally import CLOCK_S, Skew
from chaoskit.load.tracking import clock
from chaoskit.load.wire import FILE, LINE, Server
from chaoskit.printable import plain

FRESH_S = 3.0
"""A worker that waits says hello every second; one that said none for so long is gone."""
_LAST_S = 5.0
_LONGEST_HOST = 60


@dataclass(slots=True)
class _Worker:
    """A peer that knows the token, since its first hello."""

    identity: str
    name: str
    heard_s: float
    skew: Skew = field(default_factory=Skew)
    shift_s: int | None = None
    """Whole seconds by which its windows are moved, where its clock is off; known with the first of them."""
    over: bool = False
    """Its totals have come, or it is lost."""


class Front:
    """The master's side of workers on other machines; `gather` first, then `start`."""

    def __init__(self, gather: Gather, say: Callable[[Relayed], None]) -> None:
        """`say` tells the parent what a worker reported."""
        self._asked, self._say = gather, say
        self._server: Server | None = None
        self._all: dict[str, _Worker] = {}
        self._part: dict[str, int] = {}
        """Of those that take part, by identity: which of them each is."""
        self._foreign: dict[str, str] = {}
        """Workers of other versions: what each is."""
        self._news = Event()
        """Set by each line of a worker, and by the loss of one."""

    def gather(self) -> Gathered:
        """Listens, and waits until enough workers are there; says who is missing where they are not in time."""
        asked = self._asked
        try:
            self._server = Server(asked.bind, asked.port, asked.token)
        except (zmq.ZMQError, BadInput) as error:
            return Gathered(names=[], wrong=f"the master cannot listen on {asked.bind}:{asked.port}: {error}")
        rpc: Any = zmqrpc
        rpc.Server = lambda *_: self._server
        gevent.spawn(self._server.listen, self._take)
        until_s = time.monotonic() + asked.within_s
        while len(here := self._here()) < asked.expect and (left_s := until_s - time.monotonic()) > 0:
            self._news.wait(left_s)
            self._news.clear()
        if len(here) < asked.expect:
            return Gathered(names=[], wrong=self._missing(here))
        for shard, one in enumerate(sorted(here, key=lambda one: (one.name, one.identity))[: asked.expect]):
            one.name = f"load-{shard} on {one.name}"
            self._part[one.identity] = shard
        return Gathered(names=[self._all[identity].name for identity in self._part])

    def start(self, start: Start) -> None:
        """Sends each worker the locustfile, as Locust's master does, and its share."""
        for identity, shard in self._part.items():
            together = start.together if start.spec.locustfile is not None else None
            if together is not None:
                together = msgspec.structs.replace(together, is_master=False)
                path = Path(str(start.spec.locustfile))
                one = {"filename": path.name, "contents": path.read_text(encoding="utf-8")}
                self._send(identity, Message(FILE, {"locustfiles": [one]}, identity))  # type: ignore[no-untyped-call]
            own = msgspec.structs.replace(start, shard=shard, shards=len(self._part), together=together)
            self._tell(identity, encode(own))

    def commands(self, parent: Lines) -> Iterator[bytes]:
        """The parent's lines, each passed on to the workers first."""
        for line in parent:
            for identity in self._part:
                self._tell(identity, line)
            yield line

    def settle(self) -> None:
        """Waits until each worker has told its totals or is lost, for a few seconds."""
        until_s = time.monotonic() + _LAST_S
        while (left_s := until_s - time.monotonic()) > 0 and not all(self._all[one].over for one in self._part):
            self._news.wait(left_s)
            self._news.clear()

    def _here(self) -> list[_Worker]:
        return [one for one in self._all.values() if time.monotonic() - one.heard_s < FRESH_S]

    def _missing(self, here: list[_Worker]) -> str:
        asked = self._asked
        there = ", ".join(sorted(one.name for one in here)) or "none"
        said = f"{asked.expect - len(here)} of {asked.expect} workers did not come to {asked.bind}:{asked.port}"
        said += f" within {asked.within_s:g} s; there are: {there}"
        said += "".join(f"; {one}" for one in self._foreign.values())
        if self._server is not None and self._server.refused:
            said += f"; {self._server.refused} connections had another token, or none, and were refused"
        return f"{said}; on each: chaoskit load-worker --master {asked.bind} --port {asked.port} --token-file FILE"

    def _take(self, identity: str, message: Message) -> None:
        if message.type != LINE:
            if identity in self._part and self._server is not None:
                self._server.locusts.put((identity, message))
            return
        line = decode_worker(message.data)
        if isinstance(line, Hello):
            self._greet(identity, line)
        elif identity in self._part:
            self._pass_on(self._all[identity], line)
        self._news.set()

    def _greet(self, identity: str, hello: Hello) -> None:
        host = plain(hello.host, _LONGEST_HOST)
        if (hello.chaoskit, hello.locust) != (__version__, locust.__version__):
            theirs, ours = f"chaoskit {hello.chaoskit}, Locust {hello.locust}", f"{__version__}, {locust.__version__}"
            self._foreign[identity] = plain(f"{host} runs {theirs}, and here are {ours}")
            why = f"the master takes no worker of another version: here is {theirs}, and there {ours}"
            self._tell(identity, encode(Refused(why=why)))
            return
        one = self._all.setdefault(identity, _Worker(identity, host, 0.0))
        one.heard_s = time.monotonic()
        one.skew.take(clock() - hello.t)
        self._tell(identity, encode(Beat()))

    def _pass_on(self, one: _Worker, report: Told) -> None:
        if isinstance(report, LoadWindow):
            one.skew.take(clock() - report.second[1])
            if one.shift_s is None:
                one.shift_s = round(one.skew.s) if abs(one.skew.s) > CLOCK_S else 0
        shift_s = one.shift_s or 0
        if isinstance(report, LoadWindow):
            begin_s, end_s = report.second
            report = msgspec.structs.replace(report, second=(begin_s + shift_s, end_s + shift_s))
        elif isinstance(report, LoadTotals):
            begin_s, end_s = report.span
            one.over = True
            report = msgspec.structs.replace(report, span=(begin_s + shift_s, end_s + shift_s))
        else:
            report = msgspec.structs.replace(report, t=report.t + shift_s)
        self._relay(one, report)

    def _relay(self, one: _Worker, report: Told) -> None:
        self._say(Relayed(shard=self._part[one.identity], report=report, skew_s=round(one.skew.s, 3)))

    def _tell(self, identity: str, line: bytes) -> None:
        self._send(identity, Message(LINE, line, identity))  # type: ignore[no-untyped-call]

    def _send(self, identity: str, message: Message) -> None:
        assert self._server is not None
        if self._server.send_to_client(message) or identity not in self._part:
            return
        one = self._all[identity]
        if not one.over:
            one.over = True
            lost = LoadState(state="down", t=clock(), detail="the worker's connection ended before its totals came")
            self._relay(one, lost)
            self._news.set()
