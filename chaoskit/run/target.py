"""The target of a run, beyond its stack: how it is watched, and when a wave may begin.

local     a stack that was started for the run        Live
attached  one that runs already                       Live
series    scripted series in place of a service       chaoskit.rehearse.target
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from chaoskit.errors import EquipmentError
from chaoskit.events import Event
from chaoskit.observe.alertmanager import AlertmanagerObserver
from chaoskit.observe.poller import Looking, Poller
from chaoskit.observe.processor import ProcessorObserver
from chaoskit.observe.prometheus import PrometheusObserver
from chaoskit.observe.replicas import merge
from chaoskit.plan.model import Plan
from chaoskit.run.held_fault import warm_up
from chaoskit.run.progress import Progress
from chaoskit.run.track import Track
from chaoskit.stack.interface import Stack

_POLL_MOST_S = 1.0
_POLL_LEAST_S = 0.1

Say = Callable[[Event], None]


class Live:
    """A real system with a real Prometheus and Alertmanager, or one of which nothing but addresses is known.

    All is called from the main thread.
    """

    alone: ClassVar[bool] = False
    """Whether one wave has the target for itself, its tail included, and alone hears what is seen meanwhile."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        """The programs that the run starts and stops."""
        self._observers: list[Looking] = []

    def start(self, tracks: Sequence[Track], say: Say) -> None:
        """Starts the stack and, beside it, the process that forks holders, since the first faults would wait for it.

        Raises BadInput or EquipmentError, with nothing left running.
        """
        if any(step.faults for track in tracks for step in track.plan.steps):
            warm_up()
        self.stack.start(say)

    def watch(self, tracks: Sequence[Track], leaders: Callable[[], Mapping[int, str]], say: Say) -> None:
        """Looks twice in an evaluation, and at what waits for a processor; nowhere where nothing can be asked.

        `leaders` names the equipment of processes.
        """
        stack, plan = self.stack, tracks[0].plan
        if not stack.prometheus_url:
            return
        every_s = look_every_s(plan.config.evaluation_interval_s / plan.time_scale)
        replicas = {
            url: PrometheusObserver(
                url,
                every_s=every_s,
                on_event=say,
                session=stack.session("prometheus", url),
                alerts=plan.own_alerts,
            )
            for url in stack.replicas
        }
        if len(replicas) > 1:
            merge(replicas, say)
        peers = {url: stack.session("alertmanager", url) for url in stack.peers}
        first = stack.peers[0]
        self._observers = [
            *replicas.values(),
            AlertmanagerObserver(
                first,
                every_s=every_s,
                on_event=say,
                session=peers[first],
                peers=peers if len(peers) > 1 else None,
            ),
            ProcessorObserver(leaders, say),
        ]
        for observer in self._observers:
            observer.start()

    def unwatch(self) -> None:
        """Ends the observers of the target; may be called twice."""
        for observer in self._observers:
            observer.stop()

    def tell_anew(self) -> None:
        """Has each observer tell its next look: a wave's histories begin, and lack the one just before."""
        for observer in self._observers:
            if isinstance(observer, Poller):
                observer.tell_anew()

    def begin(self, wave: Sequence[Track], renew: Callable[[str], None]) -> None:
        """Makes the stack what a wave needs; `renew` starts equipment afresh. All waves find this one as it is."""

    def await_ready(
        self, wave: Sequence[Track], interrupted: threading.Event, hopeless: Callable[[], str]
    ) -> list[str]:
        """Returns once the steady state, the same for all tracks, is there; what is missing when it gives up."""
        if not self.stack.prometheus_url:
            return []
        plans = [track.plan for track in wave]
        return await_steady(plans, wave[0].progress, self.stack.await_discovery, interrupted, hopeless)

    def over(self, track: Track) -> None:
        """Writes what a track's history still lacks, when all of the track's time is over."""


def look_every_s(evaluation_s: float) -> float:
    """Real seconds between two looks at a Prometheus that evaluates so often."""
    return min(_POLL_MOST_S, max(_POLL_LEAST_S, evaluation_s / 2))


_DISCOVERY_S = 30.0
_PATIENCE_REAL_S = 20.0
_PATIENCE_VS = 300.0
_LOOK_S = 0.1


def await_steady(
    plans: Sequence[Plan],
    progress: Progress,
    discover: Callable[[float], None],
    interrupted: threading.Event,
    hopeless: Callable[[], str] = lambda: "",
) -> list[str]:
    """Waits, bounded, for the steady state; the conditions that were still missing, empty when it was reached.

    Targets up, Alertmanager discovered, load flowing, and nothing pending or firing, all of it for as long as the
    expected rules' ranges need. Alerts that the profile calls standing do not count.

    `discover` returns, within so many seconds, once Prometheus knows its targets and its Alertmanager. The steady
    state is the same for all plans that begin together; the longest range among them counts. `hopeless` says why it
    can never be reached; empty while it may.
    """
    try:
        discover(_DISCOVERY_S)
    except EquipmentError as error:
        return [str(error)]
    plan = plans[0]
    scrape_s = max((job.interval_s for job in plan.config.jobs), default=15.0)
    quiet_vs = max(*(each.steady_vs for each in plans), 2 * (scrape_s + plan.config.evaluation_interval_s))
    end = time.monotonic() + _PATIENCE_REAL_S + (_PATIENCE_VS + quiet_vs) / plan.time_scale
    quiet_since = time.monotonic()
    while not interrupted.is_set():
        if why := hopeless():
            return [why]
        missing = _missing(progress, plan.profile.load.given)
        now = time.monotonic()
        if missing:
            quiet_since = now
        elif now - quiet_since >= quiet_vs / plan.time_scale:
            return []
        if now > end:
            return [*missing, *_standing(missing)] or [f"no {quiet_vs:g} virtual s passed without alerts and troubles"]
        with progress.news:
            progress.news.wait(_LOOK_S)
    return ["the run was interrupted"]


def _missing(progress: Progress, loaded: bool) -> list[str]:
    windows = progress.fold.windows
    missing = progress.active() + progress.fold.trouble
    if loaded and not (windows and windows[-1].finished):
        missing.append("no request of the load has ended yet; see load.log")
    return missing


def _standing(missing: list[str]) -> list[str]:
    """The advice for alerts that fire in health, such as a watchdog; empty where none fires."""
    firing = ", ".join(sorted({one.partition(" ")[0] for one in missing if one.endswith(" is firing")}))
    if not firing:
        return []
    return [f"an alert that always fires is named in the profile, standing: [{firing}] (--set 'standing=[{firing}]')"]
