"""One process of load: `python -m chaoskit.load.child`, commands as JSON lines in, counts as JSON lines out.

Locust is the first import: it patches ssl, and a module that took hold of ssl before would recurse for ever.
Its exit code and its percentiles are not used; what it counted is reported beside our own counts.

The process lives no longer than its standard input: when the parent is gone, so is the load. A parent that is there
and stands still says no beats, and its load ends with its lease.
"""

from __future__ import annotations

import locust  # isort: skip  # first, see above

import gc
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import gevent
import msgspec
from gevent.event import Event
from gevent.queue import Queue

from chaoskit.errors import BadInput
from chaoskit.host.lines import Lines
from chaoskit.load.counters import Counters
from chaoskit.load.farewell import Farewell
from chaoskit.load.front import Front
from chaoskit.load.locust_count import LocustCount
from chaoskit.load.messages import (
    Change,
    Gather,
    Line,
    LoadState,
    LoadTotals,
    LoadWindow,
    Look,
    Looked,
    Start,
    Stop,
    Together,
    decode_command,
    encode,
)
from chaoskit.load.mix import Mix
from chaoskit.load.mixed import ClosedUsers, OpenArrivals
from chaoskit.load.own_users import Master, OwnUsers, Worker, problems_of
from chaoskit.load.raised import exit_code_of, reason_of, watch_exits, watch_users
from chaoskit.load.tracking import Gate, clock, track
from chaoskit.load.traffic import Situation, Traffic

_FIRST_COMMAND_S = 30.0
_FLUSH_S = 5.0
_BEAT_S = 0.1
_QUIT_S = 1.0
"""Seconds that listeners to Locust's last events get after the drain."""
_CUT_SHORT = 3
"""Exit code without totals."""


class Mouth:
    """Sends the load's reports to the parent from one greenlet, which does not block others when the parent is slow."""

    def __init__(self, send: Callable[[bytes, None], bool]) -> None:
        """`send` sends a line to the parent, and waits for that without end."""
        self._send = send
        self._lines: Queue = Queue()
        self._writer = gevent.spawn(self._write)

    def say(self, line: Line | LoadWindow | LoadTotals) -> None:
        self._lines.put(encode(line))

    def close(self) -> None:
        """Writes the lines that are still queued, for at most `_FLUSH_S` seconds."""
        self._lines.put(b"")
        self._writer.join(timeout=_FLUSH_S)

    def _write(self) -> None:
        while line := self._lines.get():
            self._send(line, None)


def _parent() -> Lines:
    """The lines to the parent, on descriptors of their own: the prints of a locustfile go to the log instead, and an
    `input()` in it reads from /dev/null."""
    lines = Lines(os.dup(1), os.dup(0))
    os.dup2(2, 1)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    return lines


class Load:
    """The load of this process, from its start to its totals."""

    def __init__(self, start: Start, mouth: Mouth) -> None:
        spec = start.spec.share(start.shard, start.shards)
        self._mouth = mouth
        self._enough = Event()
        self._why = ""
        self._deserted = False
        self._cpu_before_s = time.process_time()
        self._lease_s = start.lease_s
        self.unheard_s = 0.0
        self._exit_code: int | None = None
        now_s, together = clock(), start.together
        self.at = Situation(
            spec=spec,
            counters=Counters(now_s, is_open=spec.users is None, is_asked=together is None or together.is_master),
            gate=Gate(spec.limit_requests),
            mix=Mix(spec.mix, first=start.shard, stride=start.shards),
            since_s=now_s,
            shard=start.shard,
            shards=start.shards,
            whole_users=start.spec.users,
        )
        self._traffic = _traffic(self.at, together)
        environment = self._traffic.environment
        self._locust = LocustCount(environment, self.at.counters.note_odd)
        self.at.count = self._locust.count
        timeout = (spec.connect_timeout_s, spec.network_timeout_s)
        track(environment, self.at.counters, self.at.gate, timeout, self.at.count)
        self._farewell = Farewell(environment.runner, self.at)
        watch_users(environment, self._user_ended)
        watch_exits(self._exit)
        test_stop: Any = locust.events.test_stop
        test_stop.add_listener(lambda **_: self.end("the locustfile ended the load"))

    def run(self) -> None:
        """Lets the load flow until a command, the locustfile or a limit ends it; then awaits answers, sends totals."""
        self._mouth.say(LoadState(state="ready", t=clock(), detail=f"pid {os.getpid()}, locust {locust.__version__}"))
        gc.freeze()  # what is there stays: looking through it again and again costs a tenth of the processor's time
        ticking, beating = gevent.spawn(self._tick), gevent.spawn(self._beat)
        self._traffic.begin()
        self._enough.wait(timeout=self.at.spec.limit_s)
        if not self._enough.is_set():
            self.end(f"the load's limit of {self.at.spec.limit_s:g} s is reached")
        self.at.begin_drain()
        if self._why:
            self._mouth.say(LoadState(state="ended", t=clock(), detail=self._why))
        self._traffic.drain()
        cut_short = self._farewell.end()
        self._traffic.settle()
        exit_code = self._quit()
        gevent.killall([ticking, beating])
        self.at.counters.settle(clock())
        self._roll(end=True)
        requests, failures = self._locust.own
        totals = self.at.counters.totals(
            locust_requests=requests, locust_failures=failures, cut_short=cut_short, exit_code=exit_code
        )
        requests, failures = self._locust.told
        self._mouth.say(msgspec.structs.replace(totals, locust_requests=requests, locust_failures=failures))

    def _quit(self) -> int | None:
        """Locust's last two events, as its own command fires them; gives the exit code that the locustfile wants."""
        if self.at.spec.locustfile is None:
            return None
        environment, runner = self._traffic.environment, self._traffic.environment.runner
        events: Any = environment.events
        asked: Any = None
        with gevent.Timeout(max(_QUIT_S, self.at.left_s), False):
            try:
                events.quitting.fire(environment=environment, reverse=True)
                asked = environment.process_exit_code
                if asked is None:
                    asked = self._exit_code
                failed = bool(runner and (runner.errors or runner.exceptions))
                events.quit.fire(exit_code=int(failed) if asked is None else asked)
            except SystemExit as error:  # as good as the attribute
                asked = error.code
            except (Exception, gevent.GreenletExit) as error:
                self.at.note_raised(error)
        return asked if asked is None else exit_code_of(asked)

    def _exit(self, error: BaseException) -> None:
        """Its own code called sys.exit, in a task or a listener, which ends a Locust."""
        if self._exit_code is None:
            self._exit_code = exit_code_of(error.code if isinstance(error, SystemExit) else 1)
        self.end(f"the locustfile ended the load: {reason_of(error)}")

    def _user_ended(self, user: Any, reason: str) -> None:
        if self.at.gate.open and not self._farewell.leaves(user):
            self.at.counters.end_user(clock(), reason)

    def end(self, why: str = "", *, hurried: bool = False) -> None:
        """Ends the load soon; `why` unless the parent asked for it; `hurried` with no more than the usual drain."""
        if not self._enough.is_set():
            self._why = why
            self._enough.set()
        if hurried:
            self.at.begin_drain(hurried=True)

    def change(self, change: Change) -> None:
        """Takes another level, mix or shape of the load from now on."""
        self.at.change(change.spec.share(self.at.shard, self.at.shards))
        self._mouth.say(LoadState(state="changed", t=clock()))

    def _tick(self) -> None:
        """A window at the end of every second; what happens meanwhile goes to its own second anyway."""
        while True:
            gevent.sleep(1.0 - clock() % 1.0 + 0.002)
            self._roll()
            if self.at.gate.left <= 0:
                self.end(f"the load's limit of {self.at.spec.limit_requests} requests is reached")

    def _beat(self) -> None:
        """Ten times a second, on a schedule of its own: shows how late everything here is, in any model."""
        before_s = clock()
        due_s = before_s - before_s % _BEAT_S  # together with all that pauses
        while True:
            due_s += _BEAT_S
            gevent.sleep(max(0.0, due_s - clock()))
            now_s = clock()
            users, asked = self._traffic.users, self.at.asked(now_s)
            self.at.counters.beat(now_s, due_s, users=users, level=asked)
            if asked and not users and not self._deserted and self.at.counters.ended and self.at.spec.users is not None:
                self._look_for_users(asked)
            # Time in which this process itself did not run does not count as silence of the run.
            self.unheard_s += min(now_s - before_s, 2 * _BEAT_S)
            before_s = now_s
            if self._lease_s is not None and self.unheard_s > self._lease_s:
                self.end(f"the load generator heard nothing from the run for {self._lease_s:g} s", hurried=True)

    def _look_for_users(self, asked: float) -> None:
        """Says once that none is left, though some were asked for."""
        ended = self.at.counters.ended
        spawning = self._traffic.environment.runner.spawning_greenlet  # type: ignore[union-attr]
        if self.at.gate.open and (spawning is None or spawning.ready()):
            self._deserted = True
            reason, count = next(iter(ended.items()))
            others = f", and {sum(ended.values()) - count} with others" if len(ended) > 1 else ""
            detail = f"the load has no users: of the {asked:g} asked for, {count} ended with {reason}{others}"
            self._mouth.say(LoadState(state="deserted", t=clock(), detail=detail))

    def _roll(self, end: bool = False) -> None:
        cpu_s = time.process_time() - self._cpu_before_s
        for window in self.at.counters.roll(clock(), level=self.at.asked, cpu_s=cpu_s, end=end):
            self._mouth.say(window)


def main() -> int:
    """Obey the parent; the exit code says only whether totals were told."""
    log_to_stderr()
    parent = _parent()
    mouth = Mouth(parent.send)
    fronts: list[Front] = []
    return carry(mouth, lambda: _first(parent, mouth, fronts), lambda: _commands(parent, fronts), fronts)


def log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def carry(
    mouth: Mouth,
    first: Callable[[], Start | None],
    commands: Callable[[], Iterable[bytes]],
    fronts: Sequence[Front] = (),
) -> int:
    """Bears a share of load from its start, which `first` waits for, to its totals; the exit code is as main's.

    With a front the load is borne by its workers, and a locustfile has its master here."""
    try:
        start = first()
        if start is None:
            return _CUT_SHORT
        for front in fronts:
            front.start(start)
            if start.spec.locustfile is None:
                for _ in commands():
                    pass
                return _CUT_SHORT
        load = Load(start, mouth)
    except (Exception, gevent.Timeout, SystemExit) as error:
        expected = isinstance(error, BadInput)
        if not expected:
            traceback.print_exc()
        detail = str(error) if expected else f"{type(error).__name__}: {error}"
        mouth.say(LoadState(state="down", t=clock(), detail=detail, refused=expected))
        mouth.close()
        return _CUT_SHORT
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, load.end)
    gevent.spawn(_obey, commands(), load)
    load.run()
    for front in fronts:
        front.settle()
    mouth.close()
    return 0


def _first(parent: Lines, mouth: Mouth, fronts: list[Front]) -> Start | None:
    """The command to start, and before it, where the parent asks, a look at the locustfile and the workers' coming;
    None when it is gone."""
    line = parent.hear(_FIRST_COMMAND_S)
    while line and isinstance(command := decode_command(line), Look | Gather):
        if isinstance(command, Look):
            mouth.say(Looked(problems=problems_of(command.spec)))
        else:
            fronts.append(Front(command, mouth.say))
            mouth.say(fronts[-1].gather())
        line = parent.hear()  # the target comes up meanwhile, or the parent goes
    if not line:
        return None
    if not isinstance(command := decode_command(line), Start):
        raise BadInput("load: the first command must be start")
    return command


def _commands(parent: Lines, fronts: Sequence[Front]) -> Iterable[bytes]:
    return fronts[0].commands(parent) if fronts else parent


def _traffic(at: Situation, together: Together | None) -> Traffic:
    """The traffic for this spec and this process's part in it; raises BadInput when a locustfile cannot be used."""
    if together is not None:
        return Master(at, together) if together.is_master else Worker(at, together)
    if at.spec.locustfile is not None:
        return OwnUsers(at)
    return OpenArrivals(at) if at.spec.rate is not None else ClosedUsers(at)


def _obey(commands: Iterable[bytes], load: Load) -> None:
    for line in commands:
        try:
            command = decode_command(line)
        except (BadInput, msgspec.DecodeError):
            logging.exception("not obeyed")
            continue
        load.unheard_s = 0.0  # the parent lives, and so does its lease
        if isinstance(command, Change):
            load.change(command)
        elif isinstance(command, Stop):
            load.end(hurried=command.hurried)
    os._exit(_CUT_SHORT)  # the parent is gone: no process would read the totals or stop us


if __name__ == "__main__":
    sys.exit(main())
