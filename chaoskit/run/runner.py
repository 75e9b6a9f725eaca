"""A stack's whole life: the only part that touches the world, and it never judges.

    start the stack -> load -> for each wave: steady state -> its tracks, side by side -> stop everything

Even after an error, a signal or a full disk, first the faults in force are undone, then the programs that were
started are stopped, and then every journal ends with its last event.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import requests

from chaoskit.alerting.promql import at_scale, says_yes
from chaoskit.errors import BadInput, ChaoskitError, EquipmentError, ExitCode
from chaoskit.events import (
    AlertState,
    Equipment,
    Event,
    Interruption,
    Notice,
    Phase,
    Poll,
    Processor,
    Stranger,
    Suppression,
    Watch,
)
from chaoskit.load.engine import LoadChild
from chaoskit.load.messages import LoadState, LoadTotals, LoadWindow
from chaoskit.load.model import LoadSpec
from chaoskit.load.processes import Processes
from chaoskit.plan.model import Plan
from chaoskit.run.abort import AbortWatch
from chaoskit.run.background import BackgroundWatch
from chaoskit.run.equipment import EquipmentWatch
from chaoskit.run.metrics import RunMetrics
from chaoskit.run.signals import signals_end
from chaoskit.run.steps import Measured, World
from chaoskit.run.target import Live
from chaoskit.run.track import Track
from chaoskit.run.traffic import changed_spec, load_spec
from chaoskit.safety.guard import Guard
from chaoskit.safety.lease import LEASE_S, SPARE_S
from chaoskit.scenario.model import Attached
from chaoskit.surroundings import lacking

_FIRST_REQUEST_S = 20.0
_AT_ONCE_S = 20.0
"""Real seconds that the end at once waits for the faults in force to be undone."""
_LOAD_STATES: dict[str, Literal["up", "down", "silent"]] = {
    "down": "down", "ended": "down", "silent": "silent", "heard": "up", "deserted": "silent"
}  # fmt: skip
"""The equipment's state by the load's state; the run ignores other states."""


_NO_ANSWER = (requests.RequestException, BadInput, ValueError, KeyError, TypeError)
_SEEN = (AlertState, Notice, Stranger, Suppression, Poll, Watch)
"""The events of observers and sinks."""


class Runner:
    """Plays tracks on a target, wave by wave. Made and used in the main thread."""

    def __init__(
        self,
        target: Live,
        waves: Sequence[Sequence[Track]],
        leave: Callable[[int], None] = os._exit,
        load: Processes | None = None,
    ) -> None:
        """`leave` ends the process, with an exit code, when a run that was told to stop is told so again. `load`, which
        it ends, are processes that wait to load the stack."""
        self.stack, self._target = target.stack, target
        self._waiting = load
        self._leave = leave
        self._guard: Guard | None = None
        self._waves = [list(wave) for wave in waves]
        self._tracks = [track for wave in self._waves for track in wave]
        self._plan = self._tracks[0].plan
        """The first track's plan, for all that tracks have in common: time scale, profile, alert configuration."""
        self._metrics: RunMetrics | None = None
        self._load: LoadChild | None = None
        self._load_at_first: LoadSpec | None = None
        self._background: BackgroundWatch | None = None
        self.interrupted = False
        """Whether a signal, an abort condition or the guard ended it early."""
        self._interrupted = threading.Event()
        self._ending = threading.Event()
        self._idling = False
        """Everything is judged already; ending early takes nothing away."""
        self._playing: list[threading.Thread] = []
        self._hearing = self._waves[0] if target.alone else self._tracks
        """Those whose journals get what is seen: what watches would wait for a dozen of them."""
        self._equipment = EquipmentWatch(self.stack, self._say)
        self._abort = AbortWatch(
            self._plan.profile.abort,
            self._ask,
            lambda: self.stack.wanted_down("prometheus"),
            self.interrupt,
            self._tracks[0].progress.fold.firing,
            lambda alert: any(track.plan.speaks_of(alert) for track in self._tracks),
        )

    def run(self, keep: Callable[[], None] | None = None) -> bool:
        """Plays the run from start to end.

        Whether every fault was undone. `keep` is called before the stack is stopped.

        Raises EquipmentError (and others of ours) when a journal could not be begun, and Refused while runs are
        stopped on this machine or another run is at work on the target.
        """
        world = World(
            self.stack.address, self._change_load, lambda query: bool(self._ask(query)), self._lost, self._level
        )
        signals = contextlib.ExitStack()
        try:
            for track in self._tracks:
                track.open(world, self._interrupted)
            folders = [track.folder for track in self._tracks]
            self._guard = Guard(self.stack.hit(), folders, [self.stack.folder / "data"], self.interrupt)
            signals.enter_context(signals_end(self.interrupt, self._end_at_once))
            try:
                self._start()
                self._guard.begin()
                for wave in self._waves:
                    self._play(wave)
                self._await_tails()
            except Exception as error:
                known = lacking(error)
                if known is None:
                    raise
                self._say(Interruption(reason=str(known), trouble=True))
                if isinstance(error, BadInput):
                    raise
            finally:
                # A track that still plays is told so by the interruption, and takes back its own faults.
                self._await_tails()
                for track in self._tracks:
                    track.heal()
            if keep is not None:
                keep()
        finally:
            self._abort.stop()
            with signals:  # the end of the load may take its time, and Ctrl-C then shortens it
                left = self._stop()
            if self._guard is not None and (why := self._lost()):
                # A run that wakes up may come to its end before the lease's next beat has said so.
                self.interrupt(why)
                healed = self._guard.lease.healed
                for track in self._tracks:
                    track.taken_over(healed)
            for track in self._tracks:
                track.close(left)
            if self._guard is not None:
                self._guard.close(healed=all(track.healed for track in self._tracks))
        return all(track.healed for track in self._tracks)

    def interrupt(self, reason: str) -> None:
        """Ends the run early and in order; returns at once. The history gets the first reason, where there is one."""
        self._interrupted.set()
        if reason and not self._idling and not self.interrupted:
            self.interrupted = True
            self._say(Interruption(reason=reason))

    def _end_at_once(self, reason: str) -> None:
        """Everything in force is undone by the watchdog, everything started dies with us, and nothing is awaited."""
        self._say(Interruption(reason=f"{reason} again: ended at once"), sync=True)
        healed = self._guard is not None and self._guard.lease.hand_over(_AT_ONCE_S)
        self._leave(int(ExitCode.ABORTED if healed else ExitCode.NOT_HEALED))

    def _lost(self) -> str:
        return "" if self._guard is None else self._guard.lease.lost

    def idle(self, at_most_s: float) -> None:
        """Leaves everything as it is until the run is interrupted or the time is over."""
        self._idling = True
        self._interrupted.wait(at_most_s)

    def _start(self) -> None:
        self._say(Phase(name="starting"))
        if self.stack.metrics_port is not None:
            self._metrics = RunMetrics(self.stack.metrics_port, [track.progress.fold for track in self._tracks])
        self._target.start(self._tracks, self._witnessed)
        pids = self.stack.leaders()
        for name in (*self.stack.children, *self.stack.sinks):
            self._say(Equipment(name=name, state="up", detail=f"pid {pids[name]}" if name in pids else ""))
        self._target.watch(self._tracks, self._leaders, self._witnessed)
        self._equipment.start()
        target = self._plan.profile.target
        if isinstance(target, Attached) and target.background:
            self._background = BackgroundWatch(target.background, self._ask, self._say)
            self._background.start()
        if self._plan.profile.load.given and not self._plan.scripted:
            self._start_load()

    def _start_load(self) -> None:
        spec = load_spec(self._plan, self.stack.target_url, self.stack.requests)
        log = self.stack.folder / "logs" / "load.log"
        lease_s, waiting = LEASE_S + SPARE_S, self._waiting
        self._load = LoadChild.start(spec, log=log, on_event=self._loaded, lease_s=lease_s, processes=waiting)
        self._say(Equipment(name="load", state="up"))
        if not self._load.flows(_FIRST_REQUEST_S) and not self._load.deserted:
            why = self._load.ended or f"the service answered no request of the load within {_FIRST_REQUEST_S:g} s"
            raise EquipmentError("load", why, f"see {log}")

    def _leaders(self) -> dict[int, str]:
        load = () if self._load is None else self._load.pids
        return {pid: name for name, pid in self.stack.leaders().items()} | dict.fromkeys(load, "load")

    def _play(self, wave: list[Track]) -> None:
        """One wave: all its tracks begin from the same steady state. It is over once each only looks on."""
        if self._interrupted.is_set():
            return
        if self._target.alone:
            self._hearing = []
        self._target.begin(wave, self._equipment.renew)
        if self._target.alone:
            self._hearing = wave
            self._target.tell_anew()
        for track in wave:
            track.say(Phase(name="steady"))
        missing = self._target.await_ready(wave, self._interrupted, self._hopeless)
        ready = [track for track in wave if track.steady(missing)]
        if ready:
            self._abort.start()
        if self._target.alone:
            # In this thread: processes that its faults start anew end with it.
            for track in ready:
                track.play()
                self._target.over(track)
            return
        for track in ready:
            thread = threading.Thread(target=track.play, name=track.plan.scenario.name)
            thread.start()
            self._playing.append(thread)
        for track in ready:
            track.played.wait()

    def _await_tails(self) -> None:
        for thread in self._playing:
            thread.join()

    def _stop(self) -> list[str]:
        self._ending.set()
        for track in self._tracks:
            if track.progress.fold.phase != "stopping":
                track.say(Phase(name="stopping"))
        self._target.unwatch()
        if self._background is not None:
            self._background.stop()
        if self._load is not None:
            with contextlib.suppress(ChaoskitError):
                totals = self._load.stop(hurry=lambda: self._interrupted.is_set() or bool(self._lost()))
                for track in self._tracks:
                    track.names.close()
                if not totals.reconciled:
                    self._say(totals.event())
        elif self._waiting is not None:
            self._waiting.stop()
        self._equipment.quiet()
        for name in (*self.stack.children, *self.stack.sinks):
            self._say(Equipment(name=name, state="stopped"))
        left = self.stack.stop()
        self._equipment.close()
        if self._metrics is not None:
            self._metrics.close()
        return left

    def _witnessed(self, event: Event) -> None:
        # What arrives while the sinks are being stopped is still evidence; a lost journal is said elsewhere. Where
        # hundreds of notices come at once, nothing has to outlive a crash.
        self._say(self._equipment.witnessed(event), sync=isinstance(event, Notice) and not self._target.alone)
        self._abort.feed(event)

    def _hopeless(self) -> str:
        return "" if self._load is None else self._load.deserted or self._load.ended

    def _loaded(self, report: LoadState | LoadWindow | LoadTotals) -> None:
        if isinstance(report, LoadState):
            state = _LOAD_STATES.get(report.state)
            if state is not None and not self._ending.is_set():
                self._say(Equipment(name="load", state=state, detail=report.detail or report.state))
            return
        for track in self._tracks:
            if isinstance(report, LoadWindow):
                track.names.take(report)
            else:
                track.names.close()
        event = report.event()
        self._say(event)
        self._abort.feed(event)

    def _say(self, event: Event, *, sync: bool = False) -> None:
        for track in self._hearing if isinstance(event, _SEEN) else self._tracks:
            others = [other.plan for other in self._tracks if other is not track]
            track.say(without_victims(event, others) if isinstance(event, Processor) else event, sync=sync)

    def _change_load(self, settings: Mapping[str, Any] | None) -> None:
        assert self._load is not None
        if self._load_at_first is None:
            self._load_at_first = self._load.spec
        before = self._load_at_first if settings is None else self._load.spec
        self._load.change(changed_spec(before, settings or {}))

    def _ask(self, query: str) -> bool | None:
        """Whether Prometheus says yes to a query; None where it does not tell."""
        scaled = at_scale(query, self._plan.time_scale)
        for url in self.stack.replicas:
            with contextlib.suppress(*_NO_ANSWER):
                return says_yes(self._queried(url, "query", query=scaled))
        return None

    def _queried(self, url: str, path: str, **params: float | str) -> Any:
        """The data of Prometheus's answer; raises one of _NO_ANSWER."""
        with self.stack.session("prometheus", url) as session:
            return session.get(f"{url}/api/v1/{path}", params=params, timeout=5).json()["data"]

    def _level(self, query: str, begin: float, end: float, every_s: float) -> Measured:
        """The values of a query, as Prometheus tells them."""
        try:
            url, scaled = self.stack.prometheus_url, at_scale(query, self._plan.time_scale)
            found = self._queried(url, "query_range", query=scaled, start=begin, end=end, step=every_s)["result"]
            series = [[(float(at), float(value)) for at, value in one["values"]] for one in found]
        except _NO_ANSWER as error:
            return Measured(detail=f"Prometheus did not tell: {error}"[:200])
        return Measured(series, detail="" if series else "it had no value")


def without_victims(event: Processor, plans: Iterable[Plan]) -> Processor:
    """The look without the stopped processes that faults of these plans, played beside, may have stopped."""
    if not event.stopped:
        return event
    targets = {name for plan in plans for step in plan.steps for fault in step.faults for name in fault.targets}
    left = {
        name: kept
        for name, all_ in event.stopped.items()
        if (kept := [t for t in all_ if not targets & set(t.split())])
    }
    return msgspec.structs.replace(event, stopped=left)
