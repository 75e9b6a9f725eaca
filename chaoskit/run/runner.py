"""One run from the first child to the last event: the only part that touches the world, and it never judges.

    start the stack -> load -> steady state -> steps -> undo -> look on -> stop everything

Whatever happens on the way (an error, a signal, a disk that is full), what is in force is undone and what was
started is stopped, in this order, and then the run ends with its last event.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import requests

from chaoskit.alerting.promql import scale as scale_expression
from chaoskit.errors import ChaoskitError, EquipmentError
from chaoskit.events import End, Equipment, Event, Header, Interruption, Notice, Phase, Steady, StepEnd
from chaoskit.faults.base import Fault
from chaoskit.faults.registry import known_actions
from chaoskit.load.engine import LoadChild
from chaoskit.load.messages import LoadState, LoadTotals, LoadWindow
from chaoskit.load.model import LoadSpec
from chaoskit.observe.alertmanager import AlertmanagerObserver
from chaoskit.observe.prometheus import PrometheusObserver
from chaoskit.plan.model import Plan
from chaoskit.run.equipment import EquipmentWatch
from chaoskit.run.journal import Journal
from chaoskit.run.metrics import RunMetrics
from chaoskit.run.progress import Progress
from chaoskit.run.steady import await_steady
from chaoskit.run.steps import StepFailed, StepRunner
from chaoskit.run.traffic import changed_spec, load_spec
from chaoskit.stack.local import LocalStack

_POLL_MOST_S = 1.0
_POLL_LEAST_S = 0.1
_FIRST_REQUEST_S = 20.0


class Runner:
    """Runs a plan on a stack, into a journal. Made and used in the main thread."""

    def __init__(
        self,
        plan: Plan,
        header: Header,
        kinds: Mapping[str, type[Fault]],
        stack: LocalStack,
        folder: Path,
        listen: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.plan = plan
        self.progress = Progress(plan)
        self.stack = stack
        self.journal = Journal(folder / "events.jsonl", self._feed)
        self._header = header
        self._kinds = kinds
        self._folder = folder
        self._listen = listen
        self._metrics: RunMetrics | None = None
        self._load: LoadChild | None = None
        self._load_at_first: LoadSpec | None = None
        self._interrupted = threading.Event()
        self._ending = threading.Event()
        self._idling = False
        """Everything is judged already; ending early takes nothing away."""
        self._observers: list[PrometheusObserver | AlertmanagerObserver] = []
        self._equipment = EquipmentWatch(stack, self._say)

    def run(self, keep: Callable[[], None] | None = None) -> bool:
        """The whole run; whether everything was undone. `keep` is called before the stack is stopped.

        Raises EquipmentError (and others of ours) when the run could not be carried out; by then it is healed.
        """
        self.journal.write(self._header, sync=True)
        steps = StepRunner(
            plan=self.plan,
            kinds=self._kinds,
            actions=known_actions(),
            journal=self.journal,
            progress=self.progress,
            address=self.stack.address,
            change_load=self._change_load,
            query=self._query,
            log=self._folder / "holder.log",
            interrupted=self._interrupted,
        )
        left: list[str] = []
        try:
            with self._signals():
                try:
                    self._start()
                    self._play(steps)
                except (EquipmentError, OSError) as error:
                    self._say(Interruption(reason=str(error)))
                finally:
                    steps.undo_all()
                if keep is not None:
                    keep()
        finally:
            left = self._stop(steps)
            self._say(End(healed=steps.healed, left=left), sync=True)
            self.journal.close()
        return steps.healed

    def interrupt(self, reason: str) -> None:
        """Ends the run early and in order; returns at once."""
        if not self._interrupted.is_set():
            self._interrupted.set()
            if not self._idling:
                self._say(Interruption(reason=reason))

    def idle(self, at_most_s: float) -> None:
        """Leaves everything as it is until the run is interrupted or the time is over."""
        self._idling = True
        self._interrupted.wait(at_most_s)

    def _start(self) -> None:
        self.journal.write(Phase(name="starting"))
        self._metrics = RunMetrics(self.stack.ports.own)
        self.stack.start(self._witnessed)
        for name in (*self.stack.children, *self.stack.sinks):
            self.journal.write(Equipment(name=name, state="up"))
        every_s = min(
            _POLL_MOST_S, max(_POLL_LEAST_S, self.plan.config.evaluation_interval_s / self.plan.time_scale / 2)
        )
        self._observers = [
            PrometheusObserver(self.stack.prometheus_url, every_s=every_s, on_event=self._witnessed),
            AlertmanagerObserver(self.stack.alertmanager_url, every_s=every_s, on_event=self._witnessed),
        ]
        for observer in self._observers:
            observer.start()
        self._equipment.start()
        spec = load_spec(self.plan, self.stack.target_url, self.stack.requests)
        self._load = LoadChild.start(spec, log=self.stack.folder / "logs" / "load.log", on_event=self._loaded)
        self.journal.write(Equipment(name="load", state="up"))
        if not self._load.flows(_FIRST_REQUEST_S):
            raise EquipmentError("load", f"no request was answered within {_FIRST_REQUEST_S:g} s")

    def _play(self, steps: StepRunner) -> None:
        self.journal.write(Phase(name="steady"))
        missing = await_steady(self.plan, self.progress, self.stack.prometheus_url, self._interrupted)
        self.journal.write(Steady(reached=not missing, missing=missing))
        if missing or self._interrupted.is_set():
            return
        self.journal.write(Phase(name="steps"))
        done = 0
        with contextlib.suppress(StepFailed):
            for planned in self.plan.steps:
                if self._interrupted.is_set():
                    break
                steps.run(planned)
                done += 1
        for planned in self.plan.steps[done + 1 :]:
            self.journal.write(StepEnd(step=planned.step.name, outcome="skipped"))
        self.journal.write(Phase(name="undo"))
        steps.undo_all()
        self.progress.step_done("end")
        if not self._interrupted.is_set():
            steps.settle()
            self.journal.write(Phase(name="tail"))
            self._interrupted.wait(self.plan.tail_vs / self.plan.time_scale)

    def _stop(self, steps: StepRunner) -> list[str]:
        self._say(Phase(name="stopping"))
        self._ending.set()
        for observer in self._observers:
            observer.stop()
        if self._load is not None:
            with contextlib.suppress(ChaoskitError):
                totals = self._load.stop()
                if not totals.reconciled:
                    self._say(totals.event())
        self._equipment.quiet()
        for name in (*self.stack.children, *self.stack.sinks):
            self._say(Equipment(name=name, state="stopped"))
        left = self.stack.stop()
        self._equipment.close()
        if self._metrics is not None:
            self._metrics.close()
        return left + ([] if steps.healed else ["a fault that could not be undone"])

    def _feed(self, event: Event) -> None:
        self.progress.feed(event)
        if self._metrics is not None:
            self._metrics.feed(event)
        self._listen(event)

    def _witnessed(self, event: Event) -> None:
        # What arrives while the sinks are being stopped is still evidence; a lost journal is said elsewhere.
        self._say(self._equipment.witnessed(event), sync=isinstance(event, Notice))

    def _loaded(self, report: LoadState | LoadWindow | LoadTotals) -> None:
        if isinstance(report, LoadState):
            if report.state in ("down", "ended") and not self._ending.is_set():
                self._say(Equipment(name="load", state="down", detail=report.detail or report.state))
        else:
            self._say(report.event())

    def _say(self, event: Event, *, sync: bool = False) -> None:
        with contextlib.suppress(EquipmentError):
            self.journal.write(event, sync=sync)
        if self.journal.lost:
            self._interrupted.set()

    def _change_load(self, settings: Mapping[str, Any] | None) -> None:
        assert self._load is not None
        if self._load_at_first is None:
            self._load_at_first = self._load.spec
        before = self._load_at_first if settings is None else self._load.spec
        self._load.change(changed_spec(before, settings or {}))

    def _query(self, query: str) -> bool:
        scaled = scale_expression(query, Fraction(self.plan.time_scale).limit_denominator(1000))
        try:
            answer = requests.get(f"{self.stack.prometheus_url}/api/v1/query", params={"query": scaled}, timeout=5)
            return bool(answer.json().get("data", {}).get("result"))
        except (requests.RequestException, ValueError):
            return False

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C, SIGTERM and SIGHUP end the run in order.

        A handler may run while this thread holds the journal's lock, so it does nothing: the signal's number goes
        through a socket to a thread that may wait for locks.
        """
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        before = {n: signal.signal(n, lambda *_: None) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        fd_before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)

        def listen() -> None:
            while number := ours.recv(1):
                if number[0] in before:
                    self.interrupt(f"{signal.Signals(number[0]).name} was received")

        listener = threading.Thread(target=listen, name="signals", daemon=True)
        listener.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(fd_before)
            for number, old in before.items():
                signal.signal(number, old)
            theirs.close()
            listener.join(timeout=5)
            ours.close()
