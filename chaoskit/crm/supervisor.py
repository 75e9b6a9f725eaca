"""The supervisor: one thread that forks every process, listens to heartbeats, reaps and replaces.

            exits (SIGCHLD)            replaced at once, counted for workers
    child ---------------------------> supervisor --> insa_worker_health_status, insa_worker_restarts_total
            heartbeats (a pipe each)   of one that is well they are read when its silence would be due

A worker that dies is reported at 0 as soon as it is reaped, which is a matter of milliseconds; one that only stands
still is reported at 0 after 30 virtual seconds of silence (0.5 s real at least) and is left alone: a stopped process
is alive, and starting another beside it would be a lie. Either is healthy again after three heartbeats: 18 virtual
seconds after a restart, 12 to 18 after SIGCONT (a beat that is overdue comes at once).
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaoskit.crm import api, page, physics, proxy, sampler, worker
from chaoskit.crm.health import Pulse, silence_s
from chaoskit.crm.wiring import Pipe, Wiring
from chaoskit.errors import EquipmentError
from chaoskit.host import warm

_START_LIMIT_S = 30.0
_STOP_GRACE_S = 1.2
_LONGEST_SLEEP_S = 1.0
_RETRY_S = 0.05
"""While the metrics pipe is full."""
_SERVICES: dict[str, Callable[[Wiring, int], None]] = {
    "metrics": page.run,
    "proxy": proxy.run,
    "api": api.run,
    "sampler": sampler.run,
}


@dataclass(slots=True)
class Child:
    """A process that is to run: its current incarnation, or when the next one may start."""

    role: str
    pid: int = 0
    """The worker's process id; 0 while it does not run."""
    inbox: int = -1
    """Our end of the pipe into which it writes: one byte when it serves, or heartbeats."""
    started_s: float = -1e9
    ready: bool = False
    pulse: Pulse | None = None
    """The heartbeats of this child where it is a worker; else None."""
    reported: bool | None = None
    """The health that the supervisor last reported for this child."""


class Supervisor:
    """Runs the CRM's processes until told to stop."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._folder = Path(wiring.config.data_dir)
        self._silence_s = silence_s(wiring.config.clock)
        self._emitter = wiring.emitter()
        self._services = {role: Child(role) for role in _SERVICES}
        self._workers = {name: Child(f"worker {name}") for name in wiring.config.worker_names}
        self._selector = selectors.DefaultSelector()
        self._wakeup = Pipe.open()
        self._stopping = False
        self._flushed = True
        self._selector.register(self._wakeup.read, selectors.EVENT_READ)

    def start(self) -> None:
        """Fork everything and wait until every service serves; raises EquipmentError when one does not."""
        signal.set_wakeup_fd(self._wakeup.write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the wakeup fd does the work
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_asked)
        gc.freeze()  # keeps the collector from touching, and so copying, shared pages
        gc.enable()
        limit_s = time.monotonic() + _START_LIMIT_S
        for child in self._children():
            self._start(child)
        while not self._stopping and not all(child.ready for child in self._services.values()):
            self._turn()
            failed = [child.role for child in self._services.values() if not child.pid and not child.ready]
            if failed or time.monotonic() > limit_s:
                self.stop()
                late = failed or [child.role for child in self._services.values() if not child.ready]
                raise EquipmentError(
                    "reference CRM", f"{', '.join(late)} did not come up", f"see {self._folder / _LOG}"
                )

    def run(self) -> None:
        """Watch and replace until SIGTERM or SIGINT, then stop everything."""
        while not self._stopping:
            self._turn()
        self.stop()

    def pids(self) -> dict[str, object]:
        """Process ids by role, the workers' by name."""
        workers = {name: child.pid for name, child in self._workers.items()}
        services = {role: child.pid for role, child in self._services.items()}
        return {"supervisor": os.getpid(), **services, "workers": workers}

    def stop(self) -> None:
        """End all children: politely, then for certain (a stopped process only hears SIGKILL)."""
        self._signal_all(signal.SIGTERM)
        limit_s = time.monotonic() + _STOP_GRACE_S
        while any(child.pid for child in self._children()) and time.monotonic() < limit_s:
            self._selector.select(0.05)
            self._drain_wakeup()
            self._reap()
        self._signal_all(signal.SIGKILL)
        for child in self._children():
            if child.pid:
                os.waitpid(child.pid, 0)
                child.pid = 0

    def _children(self) -> list[Child]:
        return [*self._services.values(), *self._workers.values()]

    def _stop_asked(self, *_: object) -> None:
        self._stopping = True

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._children():
            if child.pid:  # not yet reaped, so the pid is still this child's
                os.kill(child.pid, number)

    def _turn(self) -> None:
        """Wait for something to happen, or to become due, and deal with it."""
        for key, _ in self._selector.select(self._sleep_s()):
            if key.fd == self._wakeup.read:
                self._drain_wakeup()
            else:
                self._hear(key.data)
        for child in self._workers.values():
            if child.reported and child.inbox >= 0:
                self._hear(child)
        self._reap()
        for child in self._children():
            if not child.pid and not self._stopping and self._startable_s(child) <= time.monotonic():
                self._start(child)
        # A fork takes milliseconds: who died meanwhile died with the first, and no scrape may fall between the two.
        self._reap()
        self._report()

    def _sleep_s(self) -> float:
        """Until the next worker would be silent, or the next child may start."""
        now = time.monotonic()
        due = [self._startable_s(child) for child in self._children() if not child.pid]
        due += [w.pulse.silent_from_s for w in self._workers.values() if w.reported and w.pulse]
        due += [] if self._flushed else [now + _RETRY_S]
        return max(0.001, min([now + _LONGEST_SLEEP_S, *due]) - now)

    @staticmethod
    def _startable_s(child: Child) -> float:
        return child.started_s + physics.RESTART_SPACING_S

    def _drain_wakeup(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wakeup.read, 4096)

    def _hear(self, child: Child) -> None:
        """Take in what a child wrote; an end of file comes with its death and is left to the reaper."""
        try:
            data = os.read(child.inbox, 4096)
        except BlockingIOError:
            return
        if child.pulse and data:
            for (at_s,) in worker.BEAT.iter_unpack(data):
                child.pulse.beat(at_s)
        else:
            child.ready = child.ready or bool(data)
            self._close_inbox(child)

    def _wake_for(self, child: Child, yes: bool) -> None:
        """Whether to hear a child at once; a worker that is well is heard when its silence would be due."""
        if child.inbox >= 0 and yes != (child.inbox in self._selector.get_map()):
            if yes:
                self._selector.register(child.inbox, selectors.EVENT_READ, child)
            else:
                self._selector.unregister(child.inbox)

    def _close_inbox(self, child: Child) -> None:
        if child.inbox >= 0:
            self._wake_for(child, False)
            os.close(child.inbox)
            child.inbox = -1

    def _reap(self) -> None:
        for child in self._children():
            if child.pid and os.waitpid(child.pid, os.WNOHANG)[0]:
                child.pid, child.pulse = 0, None
                self._close_inbox(child)

    def _start(self, child: Child) -> None:
        replaced = child.started_s > 0
        child.started_s = time.monotonic()
        inbox = Pipe.open()
        is_worker = child in self._workers.values()
        name = child.role.removeprefix("worker ")

        def main() -> None:
            if is_worker:
                worker.run(self._wiring, inbox.write)
            else:
                _SERVICES[child.role](self._wiring, inbox.write)

        child.pid = fork(self._wiring.slice, child.role, self._folder, main)
        os.close(inbox.write)
        child.inbox = inbox.read
        self._wake_for(child, True)
        if is_worker:
            child.pulse = Pulse(child.started_s, self._silence_s)
            if replaced:
                self._emitter.inc("insa_worker_restarts_total", name)
        elif replaced and child.role == "metrics":
            for one in self._workers.values():
                one.reported = None  # the new page knows nothing yet

    def _report(self) -> None:
        now = time.monotonic()
        for name, child in self._workers.items():
            healthy = bool(child.pid and child.pulse and child.pulse.healthy(now))
            if healthy != child.reported:
                child.reported = healthy
                self._wake_for(child, not healthy)
                self._emitter.level("insa_worker_health_status", float(healthy), name)
        self._flushed = self._emitter.flush()


_LOG = "crm.log"


def title(mark: str, role: str) -> str:
    """The process title under which outsiders find a role: `crm[SLICE] ROLE`."""
    return f"crm[{mark}] {role}"


def fork(mark: str, role: str, data_dir: Path, main: Callable[[], None]) -> int:
    """Start `main` in a warm child, which never returns, and return its pid. Only the supervisor's only thread does.

    Its output goes to crm.log, so that it holds no pipe of the starter open.
    """
    log = os.open(data_dir / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(log, "wb", 0), Path(os.devnull).open("r+b", 0) as null:
        return warm.fork(main, title(mark, role), (null.fileno(), log, log))
