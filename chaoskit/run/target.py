"""What a run asks of the system that it plays on, beyond its stack: how it is watched, and when a wave may begin.

local     a stack that was started for the run        Live
attached  one that runs already                       Live
series    scripted series in place of a service       chaoskit.rehearse.target
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol

from chaoskit.events import Event
from chaoskit.observe.alertmanager import AlertmanagerObserver
from chaoskit.observe.processor import ProcessorObserver
from chaoskit.observe.prometheus import PrometheusObserver
from chaoskit.run.held import warm_up
from chaoskit.run.steady import await_steady
from chaoskit.run.track import Track
from chaoskit.stack.interface import Stack

_POLL_MOST_S = 1.0
_POLL_LEAST_S = 0.1

Say = Callable[[Event], None]


class Target(Protocol):
    """The system of a run. All is called from the main thread."""

    alone: ClassVar[bool]
    """Whether a wave has it for itself, its tail included, and alone hears what is seen meanwhile."""

    @property
    def stack(self) -> Stack:
        """What is started and stopped."""

    def start(self, tracks: Sequence[Track], say: Say) -> None:
        """Starts the stack; raises BadInput or EquipmentError, with nothing left running."""

    def watch(self, tracks: Sequence[Track], leaders: Callable[[], Mapping[int, str]], say: Say) -> None:
        """Begins to look at Prometheus and Alertmanager; `leaders` names the equipment of processes."""

    def unwatch(self) -> None:
        """Looks no more; idempotent."""

    def begin(self, wave: Sequence[Track], renew: Callable[[str], None]) -> None:
        """Makes the stack what a wave needs; `renew` starts equipment afresh."""

    def await_ready(
        self, wave: Sequence[Track], interrupted: threading.Event, hopeless: Callable[[], str]
    ) -> list[str]:
        """Returns once the steps may begin; what is missing when it gives up."""

    def over(self, track: Track) -> None:
        """Notes what its history still lacks, when all of a track's time is over."""


class Live:
    """A real system with a real Prometheus and Alertmanager, or one of which nothing but addresses is known."""

    alone: ClassVar[bool] = False

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._observers: list[PrometheusObserver | AlertmanagerObserver | ProcessorObserver] = []

    def start(self, tracks: Sequence[Track], say: Say) -> None:
        """Starts the stack and, beside it, what holders come from: the first faults would wait for that."""
        if any(step.faults for track in tracks for step in track.plan.steps):
            warm_up()
        self.stack.start(say)

    def watch(self, tracks: Sequence[Track], leaders: Callable[[], Mapping[int, str]], say: Say) -> None:
        """Looks twice in an evaluation, and at what waits for a processor; nowhere where nothing can be asked."""
        stack, plan = self.stack, tracks[0].plan
        if not stack.prometheus_url:
            return
        every_s = look_every_s(plan.config.evaluation_interval_s / plan.time_scale)
        self._observers = [
            PrometheusObserver(
                stack.prometheus_url,
                every_s=every_s,
                on_event=say,
                session=stack.session("prometheus"),
                alerts=plan.own_alerts,
            ),
            AlertmanagerObserver(
                stack.alertmanager_url, every_s=every_s, on_event=say, session=stack.session("alertmanager")
            ),
            ProcessorObserver(leaders, say),
        ]
        for observer in self._observers:
            observer.start()

    def unwatch(self) -> None:
        """Looks no more."""
        for observer in self._observers:
            observer.stop()

    def begin(self, wave: Sequence[Track], renew: Callable[[str], None]) -> None:
        """All waves find it as it is."""

    def await_ready(
        self, wave: Sequence[Track], interrupted: threading.Event, hopeless: Callable[[], str]
    ) -> list[str]:
        """Waits for the steady state, which is the same for all tracks of a wave."""
        if not self.stack.prometheus_url:
            return []
        plans = [track.plan for track in wave]
        return await_steady(plans, wave[0].progress, self.stack.await_discovery, interrupted, hopeless)

    def over(self, track: Track) -> None:
        """Its history lacks nothing."""


def look_every_s(evaluation_s: float) -> float:
    """Real seconds between two looks at a Prometheus that evaluates so often."""
    return min(_POLL_MOST_S, max(_POLL_LEAST_S, evaluation_s / 2))
