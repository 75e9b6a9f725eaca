"""The parent's side of the load: start it, hear it, change it, stop it, and notice when it dies by itself.

Locust never runs in this process. One child per `processes` of the spec, each with its own share, and for a
locustfile in several of them one more, Locust's master, which shares out the users. Their reports are joined second
by second, so the listener hears one load. No port is opened: commands and counts go through pipes, messages between
master and workers through a socket in a folder of this load's own. Of workers on other machines the master is the one
child, which tells them what it hears, and us what they report.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from chaoskit import identity
from chaoskit.errors import BadInput, EquipmentError
from chaoskit.host.process import Child
from chaoskit.load.messages import (
    Beat,
    Change,
    Command,
    LoadState,
    LoadTotals,
    LoadWindow,
    Relayed,
    Start,
    Stop,
    Together,
    Told,
    decode_report,
    encode,
)
from chaoskit.load.model import LoadSpec
from chaoskit.load.processes import Processes
from chaoskit.load.tally import Tally

_NAME = "load"
SILENT_S = 5.0
"""Real seconds without a word after which a process that runs is told to be silent."""
LOST_S = 15.0
"""Seconds without a report after which a worker on another machine counts as dead."""
ELSEWHERE_LEASE_S = 10.0
"""The least lease of such workers: a network may be held up for longer than a process."""
_LAST_LINES_S = 5.0
_READY_S = 30.0
_LOOK_S = 0.1
_BEATS = 8
"""Of them to a lease."""


class LoadChild:
    """Load that flows; made by `start`. Its methods may be called from any thread."""

    def __init__(self, spec: LoadSpec, processes: Processes, meeting: str, on_event: Callable[[Told], None]) -> None:
        self.spec = spec
        self.first_window = threading.Event()
        """Set once a window counts a finished request, failed ones too: load flows."""
        self._processes = processes
        self._children = children = processes.children
        self._meeting = meeting
        """The folder in which Locust's master and workers meet, where there are any."""
        self._on_event = on_event
        self._lock = threading.RLock()
        self._names = processes.names
        self._tally = Tally(self._names, spec.processes)
        self._ready = [False] * len(self._names)
        self._unheard_s = [0.0] * len(self._names)
        self._changed = 0
        self._news = threading.Condition(self._lock)
        self._stopping = self._over = False
        self._down = self.deserted = self.ended = ""
        """`deserted`: why none of the users that were asked for is left; `ended`: why it ended unasked; empty where
        that was never so."""
        self._refused = False
        self._deserted: dict[int, str] = {}
        self._readers = [
            threading.Thread(target=self._hear, args=(shard, child), name=f"load-{shard}", daemon=True)
            for shard, child in enumerate(children, len(self._names) - 1 if processes.elsewhere else 0)
        ]

    @classmethod
    def start(
        cls,
        spec: LoadSpec,
        *,
        log: Path,
        on_event: Callable[[Told], None],
        lease_s: float | None = None,
        processes: Processes | None = None,
    ) -> LoadChild:
        """Starts the load in `processes` (new ones of its own unless given, which it ends) and returns once each can
        send; what they print goes to `log`, which keeps its beginning and its end.

        `on_event` is called from reading threads, one call at a time, and must not wait for a thread that uses this
        object. With `lease_s` the load ends when this process stands still for so long. Raises EquipmentError when
        they are not ready in time, and BadInput where that is the locustfile's own doing.
        """
        processes = processes or Processes(spec.processes, own=spec.locustfile is not None)
        try:
            load = cls(spec, processes, processes.log_to(log), on_event)
        except BaseException:
            processes.stop()
            raise
        try:
            load._begin(lease_s)
        except BaseException:
            load._end(0)
            raise
        return load

    @property
    def pids(self) -> list[int]:
        """The process ids of all load processes on this machine."""
        return [child.pid for child in self._children]

    @property
    def alive(self) -> bool:
        """Whether every process of the load runs."""
        return all(child.alive for child in self._children)

    def flows(self, timeout_s: float) -> bool:
        """Whether load flows: waits for `first_window`, at most that long.

        False at once when the load is down or over.
        """
        with self._news:
            self._news.wait_for(
                lambda: self.first_window.is_set() or self._down or self._tally.totals or self.deserted, timeout_s
            )
            return self.first_window.is_set()

    def change(self, spec: LoadSpec, timeout_s: float = 5.0) -> None:
        """Go on with another rate, number of users, mix or shape, without a gap; returns when it is in force. Raises
        BadInput for what cannot change while the load flows, EquipmentError when it is not confirmed in time."""
        self.spec.check_change(spec)
        with self._news:
            wanted = self._changed + len(self._names)
            self._tell([Change(spec=spec)] * len(self._children))
            done = self._news.wait_for(lambda: self._changed >= wanted or self._down or self._tally.totals, timeout_s)
            if not done or self._changed < wanted:
                raise EquipmentError(_NAME, f"it confirmed no change within {timeout_s:g} s", self._down)
            self.spec = spec

    def stop(self, timeout_s: float | None = None, *, hurry: Callable[[], bool] = lambda: False) -> LoadTotals:
        """End the load: nothing new, await open answers, count. Idempotent. `timeout_s` (default: what the spec lets
        the end take, and a margin) bounds the wait; then it is killed. As soon as `hurry` says so, the end takes no
        longer than without a `drain_s`. A load that died or was killed has totals too: what its windows told until
        then, not reconciled."""
        bound_s = self.spec.drain_for_s + _LAST_LINES_S if timeout_s is None else timeout_s
        until_s = time.monotonic() + bound_s
        hurried = False
        with self._news:
            self._stopping = True
            self._tell([Stop()] * len(self._children))
            while self._tally.totals is None and not self._down and (left_s := until_s - time.monotonic()) > 0:
                if not hurried and hurry():
                    hurried = True
                    self._tell([Stop(hurried=True)] * len(self._children))
                self._news.wait(min(left_s, _LOOK_S))
        self._end(bound_s / 10)
        with self._lock:
            totals = self._tally.totals
            if totals is None:
                for window in self._tally.rest():
                    self._on_event(window)
                silent = self._tally.silent()
                why = f"no totals within {bound_s:g} s" + (f": {silent}" if silent else "")
                return self._tally.without_totals(self._down or why)
            if self._down:  # counted to the end, but not all of it was heard
                return msgspec.structs.replace(totals, reconciled=False, detail=self._down)
            return totals

    def _begin(self, lease_s: float | None) -> None:
        if self._processes.elsewhere:  # no link may leave them without an end
            lease_s = max(lease_s or 0.0, ELSEWHERE_LEASE_S)
        for reader in self._readers:
            reader.start()
        with self._news:
            self._tell(self._starts(lease_s))
            self._news.wait_for(lambda: all(self._ready) or self._down, _READY_S)
            if not all(self._ready):
                why = self._down or f"not ready within {_READY_S:g} s"
                self._stopping = True
                self._processes.output.close()
                if self._refused:
                    raise BadInput(why)
                raise EquipmentError(_NAME, why, f"the end of {self._children[0].log}:\n{self._children[0].tail()}")
        every_s = SILENT_S / _BEATS if lease_s is None else min(lease_s, SILENT_S) / _BEATS
        threading.Thread(target=self._keep, args=(every_s, lease_s), name="load-lease", daemon=True).start()

    def _starts(self, lease_s: float | None) -> list[Command]:
        shards = self.spec.processes
        elsewhere = self._processes.elsewhere
        together = Together(folder=self._meeting, workers=shards) if self._meeting or elsewhere else None
        starts: list[Command] = [
            Start(spec=self.spec, shard=shard, shards=shards, together=together, lease_s=lease_s)
            for shard in range(0 if elsewhere else shards)
        ]
        if together is not None:
            master = msgspec.structs.replace(together, is_master=True)
            starts.append(Start(spec=self.spec, together=master, lease_s=lease_s))
        return starts

    def _keep(self, every_s: float, lease_s: float | None) -> None:
        """Tells the children that this process runs, until they have ended, and notices which of them says nothing."""
        before_s = time.monotonic()
        with self._news:
            while not self._news.wait_for(lambda: self._over, every_s):
                now_s = time.monotonic()
                # While this process itself stood still, it could hear no child.
                self._listen(min(now_s - before_s, 2 * every_s))
                before_s = now_s
                for child in self._children:
                    if lease_s is not None:
                        child.lines.send(encode(Beat()), 0)  # one that stands still reads nothing

    def _listen(self, passed_s: float) -> None:
        for shard in range(len(self._names)):
            child = self._child(shard)
            was_s = self._unheard_s[shard]
            self._unheard_s[shard] = now_s = was_s + passed_s
            if self._down or not child.alive or self._tally.has_total(shard):
                continue
            who = self._who(shard)
            if was_s < SILENT_S <= now_s:
                why = "a signal stopped it" if identity.stopped(child.pid) else "it hangs, or has no time to speak"
                if self._is_elsewhere(shard):
                    why = "it hangs, or the network holds its reports back"
                detail = f"{who} has sent no report for {SILENT_S:g} s: {why}; see {child.log.name}"
                self._on_event(LoadState(state="silent", t=time.time(), detail=detail))
            if was_s < LOST_S <= now_s and self._processes.elsewhere:
                self._fail(f"{who} has sent no report for {LOST_S:g} s, and counts as dead")

    def _who(self, shard: int) -> str:
        """A process with its share; of one that is elsewhere its number there would say nothing."""
        pid = "" if self._is_elsewhere(shard) else f" (pid {self._child(shard).pid})"
        return f"{self._names[shard]}{pid}{self._tally.bore(shard)}"

    def _is_elsewhere(self, shard: int) -> bool:
        return self._processes.elsewhere and shard < self.spec.processes

    def _child(self, shard: int) -> Child:
        """The process here that speaks for one of those who report."""
        return self._children[min(shard, len(self._children) - 1)]

    def _end(self, grace_s: float) -> None:
        with self._news:
            self._stopping = self._over = True
            self._news.notify_all()
        self._processes.stop(grace_s)
        for reader in self._readers:
            if reader.is_alive() and reader is not threading.current_thread():
                reader.join(_LAST_LINES_S)

    def _tell(self, commands: list[Command]) -> None:
        for child, command in zip(self._children, commands, strict=True):
            child.lines.send(encode(command))

    def _hear(self, shard: int, child: Child) -> None:
        for line in child.lines:
            try:
                report = decode_report(line)
                if isinstance(report, Relayed):
                    self._take_relayed(report)
                else:
                    self._take(shard, report)
            except msgspec.DecodeError as error:
                self._fail(f"{child.name} sent an unreadable report: {error}")
            except Exception as error:  # the listener's own; unheard load must not pass for quiet load
                self._fail(f"the run failed to take a report of the load (a bug of ours): {error!r}")
        child.wait(_LAST_LINES_S)
        self._gone(shard, child)

    def _take_relayed(self, told: Relayed) -> None:
        """A worker's word; what ends it ends the load, with its share."""
        report = told.report
        with self._news:
            self._tally.skewed(told.shard, told.skew_s)
            if isinstance(report, LoadState) and report.state in ("down", "ended"):
                report = msgspec.structs.replace(report, detail=f"{self._who(told.shard)} ended: {report.detail}")
            elif isinstance(report, LoadTotals) and not self._stopping:
                self._fail(f"{self._who(told.shard)} was ended on its machine before the load's end")
            self._take(told.shard, report)

    def _take(self, shard: int, report: Told) -> None:
        with self._news:
            if self._unheard_s[shard] >= SILENT_S:
                self._on_event(LoadState(state="heard", t=time.time(), detail="it is heard again"))
            self._unheard_s[shard] = 0.0
            match report:
                case LoadWindow():
                    for window in self._tally.window(shard, report):
                        if window.finished:
                            self.first_window.set()
                        self._on_event(window)
                case LoadTotals():
                    rest, totals = self._tally.total(shard, report)
                    for window in rest:
                        self._on_event(window)
                    if totals is not None:
                        self._on_event(totals)
                case LoadState(state="down"):
                    self._refused = report.refused
                    self._fail(report.detail)
                case LoadState():
                    self._state(shard, report)
            self._news.notify_all()

    def _state(self, shard: int, report: LoadState) -> None:
        """Told once for all children: when the last one is ready or has changed, when the first one ends."""
        shards = len(self._names)
        if report.state == "ready":
            self._ready[shard] = True
            told = all(self._ready)
        elif report.state == "changed":
            self._changed += 1
            told = self._changed % shards == 0
        elif report.state == "deserted":
            self._deserted[shard] = report.detail
            told = len(self._deserted) == self.spec.processes
            if told:
                joined = "; ".join(dict.fromkeys(self._deserted.values()))
                self.deserted = f"{joined}; see {self._children[0].log.name}"
                report = msgspec.structs.replace(report, detail=self.deserted)
        else:
            told = not self._stopping
            self.ended = report.detail if told else self.ended
            self._stopping = True
            self._tell([Stop()] * len(self._children))
        if told:
            self._on_event(report)

    def _gone(self, shard: int, child: Child) -> None:
        self._processes.output.close()
        with self._news:
            if not self._stopping and not self._tally.has_total(shard):
                ended = f"{child.name} (pid {child.pid}){self._tally.bore(shard)} ended with {child.returncode}"
                self._fail(f"{ended}; the end of {child.log.name}:\n{child.tail()}")

    def _fail(self, why: str) -> None:
        """Reports the load down and stops all children; only the first call counts, later deaths follow from it."""
        with self._news:
            if not self._down:
                self._down = why
                self.ended = self.ended or why
                with contextlib.suppress(Exception):  # it may be the listener that failed
                    self._on_event(LoadState(state="down", t=time.time(), detail=why))
                self._tell([Stop()] * len(self._children))
                self._news.notify_all()
