"""Playing waves of scripted series on a stack: the runner's frame, with series in place of load and faults.

start the stack -> for each wave: series at rest, recording rules -> alerts -> its steps -> tail -> stop

A wave with a past begins in another way: its fault's step starts Prometheus anew, with all its rules, on what it
would remember (`chaoskit.rehearse.past`).

Where one of them is true without series, alerts are loaded only once all are at rest and their ranges are filled: it
would fire before, and its group would linger. For the same reason each wave has an Alertmanager without a memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from chaoskit.errors import EquipmentError
from chaoskit.events import (
    AlertState,
    Equipment,
    Event,
    Header,
    Interval,
    Notice,
    Phase,
    Poll,
    Pressure,
    Scrapes,
    Stranger,
    Suppression,
    Watch,
)
from chaoskit.faults.base import FaultError
from chaoskit.faults.registry import known_actions
from chaoskit.observe.alertmanager import AlertmanagerObserver
from chaoskit.observe.logs import failed_lines
from chaoskit.observe.pressure import Readings
from chaoskit.observe.prometheus import PrometheusObserver
from chaoskit.plan.model import Plan
from chaoskit.rehearse.fault import SeriesSteps
from chaoskit.rehearse.marker import read as read_mark
from chaoskit.rehearse.past import Remembered
from chaoskit.rehearse.series import Scripted
from chaoskit.rehearse.stack import RehearsalStack
from chaoskit.run.runner import Runner
from chaoskit.run.steps import World
from chaoskit.run.track import Track
from chaoskit.safety.heal import HOLDER_LOG
from chaoskit.stack.monitoring import await_discovery

_DISCOVERY_S = 40.0
_POLL_MOST_S, _POLL_LEAST_S = 1.0, 0.1
_SEEN_AT_REST = 2
"""Evaluations that show alerts at rest, before their series move."""


class SeriesTrack(Track):
    """One wave: its plan, its journal, and all series that its steps will move."""

    def __init__(
        self,
        plan: Plan,
        header: Header,
        folder: Path,
        series: Sequence[tuple[tuple[Scripted, ...], float]],
        records: Mapping[str, str],
        rules: Mapping[str, str],
        interval_s: float,
        past: Sequence[Remembered] = (),
        stay: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(plan, header, {}, folder)
        self.past, self.stay = past, stay
        """What Prometheus remembers of the fault when it begins; the series whose end is not played."""
        self.series = series
        self.records, self.rules = records, rules
        """Rule files: what is evaluated from the beginning, and what once the series are at rest; they may be equal."""
        self.interval_s = interval_s
        self.stack: RehearsalStack | None = None

    def open(self, world: World, interrupted: threading.Event) -> None:
        """As any track, with steps that move series."""
        super().open(world, interrupted)
        self._steps = SeriesSteps(
            plan=self.plan,
            kinds={},
            actions=known_actions(),
            journal=self.journal,
            progress=self.progress,
            world=world,
            log=self.folder / HOLDER_LOG,
            interrupted=interrupted,
            interval_s=self.interval_s,
            stay=self.stay,
        )

    def on(self, stack: RehearsalStack, begin: Callable[[], Interval]) -> None:
        """From now on its steps act on this stack's page; a fault with a past begins by `begin`."""
        assert isinstance(self._steps, SeriesSteps)
        self._steps.page = stack.page
        self._steps.begin = begin if self.past else None


class Stage(Runner):
    """Plays one track after another. Made and used in the main thread."""

    def __init__(self, stack: RehearsalStack, tracks: Sequence[SeriesTrack]) -> None:
        super().__init__(stack, [[track] for track in tracks])
        self._stage = stack
        self._current: SeriesTrack | None = tracks[0]
        self.pressure = Readings()

    def _start(self) -> None:
        self._say(Phase(name="starting"))
        self.stack.start(self._witnessed)
        for name in (*self.stack.children, *self.stack.sinks):
            self._say(Equipment(name=name, state="up"))
        evaluation_s = min(rule.interval_s for rule in self._plan.config.rules) / self._plan.time_scale
        self._every_s = min(_POLL_MOST_S, max(_POLL_LEAST_S, evaluation_s / 2))
        self._observers = [
            self._watch_prometheus(),
            AlertmanagerObserver(self.stack.alertmanager_url, every_s=self._every_s, on_event=self._witnessed),
        ]
        for observer in self._observers:
            observer.start()
        self._equipment.start()
        self.pressure.start()

    def _watch_prometheus(self) -> PrometheusObserver:
        return PrometheusObserver(self.stack.prometheus_url, every_s=self._every_s, on_event=self._witnessed)

    def _stop(self) -> list[str]:
        self.pressure.stop()
        for line in failed_lines(self.stack.folder / "logs"):
            self._say(line)
        return super()._stop()

    def _witnessed(self, event: Event) -> None:
        # Not synced one by one: hundreds of notices come at once, and nothing here has to outlive a crash.
        self._say(self._equipment.witnessed(read_mark(event) if isinstance(event, Notice) else event))

    def _say(self, event: Event, *, sync: bool = False) -> None:
        """What is seen goes to the wave that plays: a dozen journals of everything would keep the observers waiting."""
        if isinstance(event, AlertState | Notice | Stranger | Suppression | Poll | Watch):
            if self._current is not None:
                self._current.say(event, sync=sync)
        else:
            super()._say(event, sync=sync)

    def _play(self, wave: list[Track]) -> None:
        for track in wave:
            if self._interrupted.is_set():
                return
            assert isinstance(track, SeriesTrack)
            self._begin(track)
            track.say(Phase(name="steady"))
            scale = track.plan.time_scale
            self._interrupted.wait(track.plan.steady_vs / scale)
            if track.rules != track.records and not track.past:
                self._stage.load_rules(track.rules)
                self._interrupted.wait(_SEEN_AT_REST * max(rule.interval_s for rule in track.plan.config.rules) / scale)
            # A reload makes Prometheus forget its Alertmanagers until its next discovery; what fires then is lost.
            await_discovery(self.stack.prometheus_url, timeout_s=_DISCOVERY_S)
            if track.steady([]):
                begun = time.time()
                track.play()
                during = (begun, time.time())
                track.say(Scrapes(during=during, failed=self._stage.missed_scrapes(during[1] - begun)))
                track.say(Pressure(readings=self.pressure.readings(*during)))

    def _begin(self, track: SeriesTrack) -> None:
        """Its recording rules, and its series at rest; nothing is left of the wave before."""
        track.on(self._stage, partial(self._remember, track))
        before, self._current = self._current, None
        if before is not None and before is not track:
            for series, _ in before.series:
                self._stage.page.remove(series)
        self._stage.load_rules(track.records)
        if before is not track:
            self._equipment.renew("alertmanager")
        for series, interval_s in track.series if not track.past else ():
            self._stage.page.rest(series, interval_s)
        if before is track:  # the first scrape waits for the first discovery
            await_discovery(self.stack.prometheus_url, timeout_s=_DISCOVERY_S)
        self._current = track

    def _remember(self, track: SeriesTrack) -> Interval:
        """Prometheus anew, on the track's past and with its rules; when its faults began."""
        self._observers[0].stop()
        faults = self._stage.remember(track.past, track.rules, track.interval_s)
        try:
            self._equipment.renew("prometheus")
            self._observers[0] = self._watch_prometheus()
            self._observers[0].start()
            await_discovery(self.stack.prometheus_url, timeout_s=_DISCOVERY_S)
        except EquipmentError as error:
            raise FaultError(f"Prometheus did not start on its past: {error}") from None
        return faults
