"""Where a run stands, computed from its own events as they are written: what steps wait for and screens show.

It triggers, it does not judge: a wait ends when what it waits for was seen, or when it is too late to be on time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from chaoskit.alerting.routing import told_by
from chaoskit.events import Event
from chaoskit.fold import Episode, Fold
from chaoskit.plan.model import Plan, PlannedAlert, PlannedNotice

_SLACK_REAL_S = 0.3
"""Real seconds that observers may need to see an event."""


class Progress:
    """Fed with every event by the journal; safe to read and wait on from other threads."""

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.time) -> None:
        self.plan = plan
        self.fold = Fold(plan.every_s, partial(told_by, plan.config))
        self.news = threading.Condition()
        self._clock = clock
        self._done_at: dict[str, float] = {}

    def feed(self, event: Event) -> None:
        """Takes one event of the run; cheap, called in the thread that wrote it."""
        with self.news:
            self.fold.take(event)
            self.news.notify_all()

    def episodes_of(self, alert: PlannedAlert) -> list[Episode]:
        """The episodes that an expectation speaks of and that showed since its `from` step, or since its effect where
        that lies before, as a past does."""
        step = alert.expectation.from_step
        ids = [fault.id for planned in self.plan.steps if planned.step.name == step for fault in planned.faults]
        effects = [self.fold.faults.effects[one][0] for one in ids if one in self.fold.faults.effects]
        since = min([self.fold.begun.get(step, float("inf")), *effects])
        named = self.fold.named(alert.expectation.alert)
        return [one for one in named if alert.matches(one.labels) and one.begun[1] >= since]

    def step_done(self, name: str) -> None:
        """Notes that a step (or the implicit `end`) took effect just now: the clocks that it starts begin."""
        with self.news:
            self._done_at[name] = self._clock()

    def settled_at(self) -> float:
        """0 once every expectation that has begun is settled; else the instant at which waiting ends for good."""
        with self.news:
            return max((self._alert_settled_at(alert) for alert in self.plan.alerts), default=0.0)

    def _alert_settled_at(self, alert: PlannedAlert) -> float:
        begun = self._done_at.get(alert.expectation.from_step)
        if begun is None:
            return 0.0
        undone = self._undone_at(alert)
        if undone is not None:
            return self._cleared_at(alert, begun, undone)
        return self._told_at(alert, begun)

    def _undone_at(self, alert: PlannedAlert) -> float | None:
        """When the clear clock of an expectation started: its `until`, or the end of the faults of its `from`."""
        done = self._done_at.get(alert.expectation.until_step)
        if done is not None or alert.expectation.until_step != "end":
            return done
        return self._gone_at(alert.expectation.from_step)

    def _gone_at(self, step: str) -> float | None:
        """When the faults of a step were told to be gone; None where one is not."""
        ids = [f.id for p in self.plan.steps if p.step.name == step for f in p.faults]
        gone = [self.fold.faults.gone_told[one] for one in ids if one in self.fold.faults.gone_told]
        return max(gone) if ids and len(gone) == len(ids) else None

    def _told_at(self, alert: PlannedAlert, begun: float) -> float:
        episodes = self.episodes_of(alert)
        wanted = [n.sink_key for n in alert.notices if n.ask.mode != "never"]
        told = [e for e in episodes if e.firing is not None and e.told.issuperset(wanted)]
        silent = alert.expectation.suppressed_by is not None or not wanted
        firing = [e.firing[1] for e in episodes if e.firing is not None]
        if (hushed := alert.expectation.silenced_by) is not None:
            if (gone := self._gone_at(hushed)) is None and len(firing) >= alert.count:
                if all(e.suppressed for e in episodes if e.firing):
                    return 0.0
            elif gone is not None:
                firing = [max(at, gone) for at in firing]
        if len(told) >= alert.count and (not silent or all(e.suppressed or not wanted for e in told)):
            return 0.0
        if len(firing) >= alert.count:
            bound = max(firing) + max((n.latest_vs for n in alert.notices), default=0.0) / self.plan.time_scale
        else:
            bound = begun + alert.latest_notice_vs / self.plan.time_scale
        return self._unless_over(bound)

    def _cleared_at(self, alert: PlannedAlert, begun: float, undone: float) -> float:
        episodes = self.episodes_of(alert)
        wanted = [n.sink_key for n in alert.notices if n.all_clear is not None]
        resolved = [e.resolved[1] for e in episodes if e.resolved is not None]
        if episodes and len(resolved) == len(episodes):
            if all(e.cleared.issuperset(wanted) for e in episodes):
                return 0.0
            longest = max((n.all_clear.hi_vs for n in alert.notices if n.all_clear), default=0.0)
            return self._unless_over(max(resolved) + longest / self.plan.time_scale)
        if not any(e.firing for e in episodes):
            return self._told_at(alert, begun)  # It may still fire, late, and then has to resolve.
        return self._unless_over(undone + alert.latest_all_clear_vs / self.plan.time_scale)

    def _unless_over(self, bound: float) -> float:
        return bound if self._clock() < bound + _SLACK_REAL_S else 0.0

    def reached(self, alert: str, state: str) -> bool:
        """Whether every expected instance of an alert (or any, if none is expected) has come to a state.

        Instances that ended before the first step were another scenario's, of an earlier wave of the stack.
        """
        with self.news:
            planned = [p for p in self.plan.alerts if p.expectation.alert == alert]
            begun = [p for p in planned if p.expectation.from_step in self._done_at]
            if begun:
                return all(sum(_is_in(e, state, p.notices) for e in self.episodes_of(p)) >= p.count for p in begun)
            effects = (effect[0] for effect in self.fold.faults.effects.values())
            since = min((*self.fold.begun.values(), *effects), default=0.0)
            named = (e for e in self.fold.named(alert) if e.resolved is None or e.resolved[1] >= since)
            return any(_is_in(e, state, ()) for e in named)

    def active(self) -> list[str]:
        """Names of alerts that are pending or firing now, standing and foreign ones left out."""
        with self.news:
            live = [e for e in self.fold.live if e.name not in self.plan.profile.standing]
            return sorted(f"{e.name} is {e.state}" for e in live if not self.plan.foreign(e.labels))


def _is_in(episode: Episode, state: str, notices: tuple[PlannedNotice, ...]) -> bool:
    match state:
        case "pending":
            return episode.resolved is None
        case "firing":
            return episode.firing is not None
        case "notified":
            wanted = {notice.sink_key for notice in notices if notice.ask.mode != "never"}
            return bool(episode.told) and episode.told.issuperset(wanted)
        case "suppressed":
            return episode.suppressed
        case _:
            return episode.resolved is not None
