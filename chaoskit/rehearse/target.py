"""What a rehearsal plays on: a real Prometheus and Alertmanager, and a page of scripted series in place of a service.

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
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from chaoskit.errors import EquipmentError
from chaoskit.events import Interval, Notice, Pressure, Scrapes
from chaoskit.faults.base import FaultError, Seen
from chaoskit.faults.series import PAGES, Scripted
from chaoskit.observe.alertmanager import AlertmanagerObserver
from chaoskit.observe.logs import failed_lines
from chaoskit.observe.pressure import Readings
from chaoskit.observe.prometheus import PrometheusObserver
from chaoskit.rehearse.marker import read as read_mark
from chaoskit.rehearse.past import Remembered
from chaoskit.rehearse.stack import RehearsalStack
from chaoskit.run.target import Say, look_every_s
from chaoskit.run.track import Track

_DISCOVERY_S = 40.0
_SEEN_AT_REST = 2
"""Evaluations that show alerts at rest, before their series move."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a wave needs of the stack."""

    series: Sequence[tuple[tuple[Scripted, ...], float]]
    """All series that its steps will move, with the seconds between two values."""
    records: Mapping[str, str]
    """Rule files that are evaluated from the beginning; `rules`, once the series are at rest. They may be equal."""
    rules: Mapping[str, str]
    past: Sequence[Remembered] = ()
    """What Prometheus remembers of the fault when it begins."""
    stay: frozenset[str] = frozenset()
    """The series whose end is not played."""


class SeriesTarget:
    """Gives each wave the stack as if it were new; `scripts` are those of the tracks, in order."""

    alone: ClassVar[bool] = True

    def __init__(self, stack: RehearsalStack, interval_s: float) -> None:
        self.stack = stack
        self.interval_s = interval_s
        self.scripts: dict[Track, Script] = {}
        self._observers: list[PrometheusObserver | AlertmanagerObserver] = []
        self._waiting = Readings()
        self._now: Script | None = None
        """That of the wave that plays."""
        self._watch_prometheus: Callable[[], PrometheusObserver]
        self._renew: Callable[[str], None]
        self._say: Say
        self._begun = time.time()

    def start(self, tracks: Sequence[Track], say: Say) -> None:
        """Starts the stack, whose page is then where faults of the kind `series` act."""
        self.stack.start(_marked(say))
        PAGES[self.stack.page_url] = self

    def watch(self, tracks: Sequence[Track], leaders: Callable[[], Mapping[int, str]], say: Say) -> None:
        """Looks twice in the shortest evaluation, and at how long programs wait for a core."""
        plan = tracks[0].plan
        every_s = look_every_s(min(rule.interval_s for rule in plan.config.rules) / plan.time_scale)
        self._watch_prometheus = partial(PrometheusObserver, self.stack.prometheus_url, every_s=every_s, on_event=say)
        self._observers = [
            self._watch_prometheus(),
            AlertmanagerObserver(self.stack.alertmanager_url, every_s=every_s, on_event=say),
        ]
        for observer in self._observers:
            observer.start()
        self._waiting.start()
        self._say = say

    def unwatch(self) -> None:
        """Looks no more, and says which templates failed as the programs' logs tell."""
        for observer in self._observers:
            observer.stop()
        self._waiting.stop()
        for line in failed_lines(self.stack.folder / "logs") if self._observers else ():
            self._say(line)

    def begin(self, wave: Sequence[Track], renew: Callable[[str], None]) -> None:
        """Its recording rules, and its series at rest; nothing is left of the wave before."""
        before, now = self._now, self.scripts[wave[0]]
        for series, _ in before.series if before else ():
            self.stack.page.remove(series)
        self.stack.load_rules(now.records)
        if before is not None:
            renew("alertmanager")
        for series, interval_s in now.series if not now.past else ():
            self.stack.page.rest(series, interval_s)
        if before is None:  # the first scrape waits for the first discovery
            self.stack.await_discovery(_DISCOVERY_S)
        self._now, self._renew = now, renew

    def await_ready(
        self, wave: Sequence[Track], interrupted: threading.Event, hopeless: Callable[[], str]
    ) -> list[str]:
        """Its ranges are filled at rest, and its alerts loaded and seen at rest."""
        plan, script = wave[0].plan, self.scripts[wave[0]]
        interrupted.wait(plan.steady_vs / plan.time_scale)
        if script.rules != script.records and not script.past:
            self.stack.load_rules(script.rules)
            slowest_s = max(rule.interval_s for rule in plan.config.rules)
            interrupted.wait(_SEEN_AT_REST * slowest_s / plan.time_scale)
        # A reload makes Prometheus forget its Alertmanagers until its next discovery; what fires then is lost.
        self.stack.await_discovery(_DISCOVERY_S)
        self._begun = time.time()
        return []

    def over(self, track: Track) -> None:
        """What else its verdict rests on: scrapes that failed, and how long programs waited for a core."""
        during = (self._begun, time.time())
        track.say(Scrapes(during=during, failed=self.stack.missed_scrapes(during[1] - during[0])))
        track.say(Pressure(readings=self._waiting.readings(*during)))

    # -- what faults of the kind `series` do

    def follow(self, series: Sequence[Scripted], interval_s: float) -> Seen:
        """From this instant on every scrape shows the script; that of a past has begun before."""
        if self._now is not None and self._now.past:
            said = f"{len(series)} series have followed the script since before the start"
            return Seen(self._remember(self._now), said)
        at = self.stack.page.start(series, interval_s)
        return Seen((at, max(at, time.time())), f"{len(series)} series follow the script")

    def rest(self, series: Sequence[Scripted]) -> Seen:
        """From this instant on every scrape shows them at rest."""
        stay = self._now.stay if self._now else ()
        at = self.stack.page.stop([one for one in series if one.key not in stay])
        return Seen((at, max(at, time.time())), "the series are at rest")

    def _remember(self, script: Script) -> Interval:
        """Prometheus anew, on the past and with all rules; when its faults began."""
        self._observers[0].stop()
        faults = self.stack.remember(script.past, script.rules, self.interval_s)
        try:
            self._renew("prometheus")
            self._observers[0] = self._watch_prometheus()
            self._observers[0].start()
            self.stack.await_discovery(_DISCOVERY_S)
        except EquipmentError as error:
            raise FaultError(f"Prometheus did not start on its past: {error}") from None
        return faults


def _marked(say: Say) -> Say:
    """Notices with what their mark tells of their alerts."""
    return lambda event: say(read_mark(event) if isinstance(event, Notice) else event)
