"""The state of a run, built from its events one at a time: alerts' episodes, faults in force, equipment, load.

This one account is read by the verifier after the run's end; by waits, screens, metrics and abort conditions
meanwhile; by healing, which needs `Faults` alone, also from a damaged history. Nothing is judged or waited
for here, and nothing is dropped. No clock: instants are intervals in real seconds since the epoch, on our clock.

    fold = Fold()
    for event in history.events:
        fold.take(event)
    fold.firing("WorkerUnhealthy"), fold.faults.standing, fold.trouble
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from chaoskit.events import (
    ActionOk,
    AlertState,
    Alter,
    Equipment,
    Event,
    FaultFail,
    FaultOk,
    Interruption,
    Interval,
    Invoke,
    LoadTotals,
    LoadWindow,
    Notice,
    Phase,
    Poll,
    Processor,
    SinkKey,
    StepBegin,
    StepEnd,
    Stranger,
    Suppression,
    UndoBegin,
    UndoFail,
    UndoOk,
    Watch,
)
from chaoskit.plan.words import read_words

PROMETHEUS_TICK_S = 0.001
"""Prometheus keeps its instants in whole milliseconds."""

_CHAIN_S = 0.25
"""Real seconds that equipment may need to look on again once it is said to be up."""

Labels = tuple[tuple[str, str], ...]
Sent = Callable[[Mapping[str, str]], Mapping[str, str]]
"""From an alert's labels in Prometheus to those under which it is sent."""
State = Literal["pending", "firing", "resolved"]


@dataclass(slots=True)
class Episode:
    """One life of one alert instance: pending, firing, resolved, each inside an interval of our clock or not seen."""

    labels: Mapping[str, str]
    sent: Mapping[str, str] = field(default_factory=dict)
    """The labels under which Alertmanager knows it, as far as they are known; empty where it is not sent."""
    pending: Interval | None = None
    firing: Interval | None = None
    resolved: Interval | None = None
    own: dict[State, Interval] = field(default_factory=dict)
    """The episode's instants on Prometheus's own clock, exact, for spans between two of its instants (`for`)."""
    told: set[SinkKey] = field(default_factory=set)
    """Where a notice said that it fires."""
    cleared: set[SinkKey] = field(default_factory=set)
    """Where a notice said that it is resolved."""
    suppressed: bool = False
    """Whether Alertmanager muted it at any time."""

    @property
    def begun(self) -> Interval:
        """When the alert first showed, pending or firing."""
        found = self.pending or self.firing
        assert found is not None
        return found

    @property
    def name(self) -> str:
        """The name of the episode's alert."""
        return self.labels.get("alertname", "?")

    @property
    def state(self) -> Literal["pending", "firing", "resolved", "inactive"]:
        """The alert's latest state; inactive where it ended without having fired."""
        if self.resolved is not None:
            return "inactive" if self.firing is None else "resolved"
        return "pending" if self.firing is None else "firing"

    def is_in(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels, as Alertmanager tells them, hold all under which the alert was sent."""
        return bool(self.sent) and all(labels.get(key) == value for key, value in self.sent.items())

    def is_told(self, notice: Notice, status: str = "") -> bool:
        """Whether a notice lists this alert, with this status where one is given."""
        return any(status in ("", item.status) and self.is_in(item.labels) for item in notice.alerts)


@dataclass(frozen=True, slots=True)
class Outage:
    """Equipment was down uninvited, or answered nothing, from `begin` until `end`, or for good."""

    equipment: str
    begin: float
    end: float | None
    detail: str

    def lasted_s(self, until: float) -> float:
        """Real seconds that the outage lasted; one that did not end counts until this instant."""
        return (until if self.end is None else self.end) - self.begin


class Faults:
    """Faults by their identity in the run, from `invoke` to `undo-ok`."""

    def __init__(self) -> None:
        self.invokes: dict[str, Invoke] = {}
        self.standing: dict[str, Invoke] = {}
        """Those that were not seen undone, oldest first, each with the token that undoes it now."""
        self.effects: dict[str, Interval] = {}
        self.told: dict[str, str] = {}
        """The words in which an effect was told when it was seen."""
        self.undo_begun: dict[str, float] = {}
        self.gone: dict[str, Interval] = {}
        self.gone_told: dict[str, float] = {}
        """When it was told that it is gone."""
        self.problems: list[FaultFail | UndoFail] = []

    def take(self, event: Event) -> None:
        """Takes the history's next event; one that concerns no fault changes nothing."""
        match event:
            case Invoke():
                self.invokes[event.fault] = self.standing[event.fault] = event
            case Alter() if event.fault in self.standing:
                now = msgspec.structs.replace(self.standing[event.fault], undo=event.undo)
                self.standing[event.fault] = now
            case FaultOk():
                self.effects.setdefault(event.fault, event.effect)
                self.told.setdefault(event.fault, event.detail)
            case UndoBegin():
                self.undo_begun.setdefault(event.fault, event.t)
            case UndoOk():
                self.standing.pop(event.fault, None)
                self.gone.setdefault(event.fault, event.gone)
                self.gone_told[event.fault] = event.t
            case FaultFail() | UndoFail():
                self.problems.append(event)


class Fold:
    """The account of one run. `every_s`: by alert, the real seconds between two evaluations.

    `ours` brings an interval of Prometheus's clock to ours; without it the last comparison of the two counts.
    """

    def __init__(
        self,
        every_s: Mapping[str, float] | None = None,
        sent: Sent = lambda labels: labels,
        ours: Callable[[Interval], Interval] | None = None,
    ) -> None:
        self.episodes: list[Episode] = []
        self.faults = Faults()
        self.notices: list[Notice] = []
        self.suppressions: list[Suppression] = []
        self.phase = "starting"
        self.phases: dict[str, float] = {}
        """When each was entered."""
        self.steps: dict[str, bool] = {}
        """Whether a step that has begun, or was skipped, still runs."""
        self.begun: dict[str, float] = {}
        """When a step began."""
        self.actions: dict[str, Interval] = {}
        self.interruptions: list[Interruption] = []
        self.windows: list[LoadWindow] = []
        self.totals: list[LoadTotals] = []
        self.requests: Counter[str] = Counter(ok=0, failed=0, dropped=0)
        self.watches: list[Watch] = []
        self.processor: list[Processor] = []
        self.seen: dict[str, list[Interval]] = {}
        """Spans of real time, by observer, in which it would have seen every change; spans that touch are one."""
        self.pids: dict[str, str] = {}
        """The process of each equipment as it reported it, such as `pid 12`."""
        self._every_s = every_s or {}
        self._sent = sent
        self._ours = ours or self._ours_by_now
        self._skew: Interval = (0.0, 0.0)
        """Prometheus's clock minus ours, as the last look measured it."""
        self._live: dict[Labels, Episode] = {}
        self._named: dict[str, list[Episode]] = {}
        self._known: dict[tuple[str, ...], dict[tuple[str | None, ...], list[Episode]]] = {}
        """Episodes by the alert's name in Prometheus, and by the names and the values of the labels under which they
        were sent: with thousands, each event looks at few."""
        self._said: set[tuple[Labels, str, float]] = set()
        self._outages: list[Outage] = []
        self._down: dict[str, Equipment] = {}
        self._away: dict[str, float] = {}
        """Taken down by the scenario, and since when."""
        self._seen_to: dict[str, float] = {}
        """The end of an observer's last span."""
        self._ahead: dict[str, float] = {}
        """The newest evaluation that was looked at, while it is not brought to our clock: looks are many."""
        self._answered: dict[str, float] = {}
        self._unanswered: list[Outage] = []
        self._silent: dict[str, Poll] = {}
        self._excused: dict[str, bool] = {}
        """Taken down by the scenario, so that no answer is no silence; True once it is up again, until it answers."""
        self._ailing: dict[str, str] = {}
        self._takers: dict[type[Event], Callable[[Any], None]] = {
            **dict.fromkeys((Invoke, Alter, FaultOk, UndoBegin, UndoOk, FaultFail, UndoFail), self.faults.take),
            AlertState: self._alert,
            Notice: self._notice,
            Suppression: self._suppression,
            Poll: self._poll,
            Watch: self._watch,
            Equipment: self._equipment,
            Stranger: lambda event: self._ailing.update({f"strangers at {event.sink}": f"{event}"}),
            Phase: self._enter,
            StepBegin: self._begin,
            StepEnd: lambda event: self.steps.update({event.step: False}),
            ActionOk: self._done,
            LoadWindow: self._window,
            LoadTotals: self.totals.append,
            Processor: self.processor.append,
            Interruption: self.interruptions.append,
        }

    def take(self, event: Event) -> None:
        """Takes the history's next event into the account."""
        taker = self._takers.get(type(event))
        if taker is not None:
            taker(event)

    # -- how it stands

    @property
    def step(self) -> str:
        """The step that runs; empty between steps."""
        return next((name for name, runs in reversed(list(self.steps.items())) if runs), "")

    @property
    def outages(self) -> list[Outage]:
        """The spans in which equipment was down without a fault of the run."""
        return [*self._outages, *(Outage(e.name, e.t, None, e.detail) for e in self._down.values())]

    @property
    def unanswered(self) -> list[Outage]:
        """Spans between good answers in which none was good, though the equipment was not known to be down."""
        return [*self._unanswered, *(self._unanswered_since(first, None) for first in self._silent.values())]

    @property
    def trouble(self) -> list[str]:
        """Sentences on faults that failed, equipment that is down or silent, and foreign senders at the sinks."""
        failed = [f"{event.fault}: {event.reason}" for event in self.faults.problems]
        return [*failed, *list(self._ailing.values())]

    @property
    def live(self) -> list[Episode]:
        """The episodes that have not ended."""
        return list(self._live.values())

    def named(self, alert: str) -> list[Episode]:
        """The episodes of the alerts of this name."""
        return self._named.get(alert, [])

    def within(self, labels: Mapping[str, str]) -> Iterator[Episode]:
        """The episodes that are in these labels (`Episode.is_in`)."""
        for names, by_values in self._known.items():
            if names:
                yield from by_values.get(tuple(map(labels.get, names)), ())

    def firing(self, alert: str) -> bool:
        """Whether an alert of this name fires now."""
        return any(episode.state == "firing" for episode in self.named(alert))

    def _enter(self, event: Phase) -> None:
        self.phase = event.name
        self.phases.setdefault(event.name, event.t)

    def _begin(self, event: StepBegin) -> None:
        self.steps[event.step] = True
        self.begun.setdefault(event.step, event.t)

    def _done(self, event: ActionOk) -> None:
        self.actions.setdefault(event.step, event.done)

    # -- alerts

    def _alert(self, event: AlertState) -> None:
        """One change; told once more, even after its episode's end, it is no other change."""
        key = tuple(sorted(event.labels.items()))
        if (key, event.state, event.at) in self._said:
            return
        self._said.add((key, event.state, event.at))
        name = event.labels.get("alertname", "")
        at = _instant(event, self._every_s.get(name, 0.0))
        episode = self._live.get(key)
        if event.state == "inactive":
            if episode is not None:
                self._note(episode, "resolved", at)
                del self._live[key]
            return
        if episode is None or (event.state == "pending" and episode.firing is not None):
            episode = Episode(dict(event.labels), self._sent(event.labels))
        if event.state == "firing" and episode.pending is None and event.active_at is not None:
            # Samples of the first evaluations after a start of Prometheus may be missing: ActiveAt is its own word.
            at = (min(at[0], event.active_at), at[1])
        first = not episode.own
        self._note(episode, event.state, at)
        if first:  # Whole by now, for others who read meanwhile.
            self._live[key] = episode
            self.episodes.append(episode)
            self._named.setdefault(name, []).append(episode)
            by_values = self._known.setdefault(tuple(episode.sent), {})
            by_values.setdefault(tuple(episode.sent.values()), []).append(episode)

    def _note(self, episode: Episode, state: State, at: Interval) -> None:
        if state in episode.own:
            return  # Told of another instant as well: the first word counts.
        episode.own[state] = at
        setattr(episode, state, self._ours(at))

    def _notice(self, event: Notice) -> None:
        self.notices.append(event)
        if event.refused:
            return
        for item in (item for one in read_words(event, self.episodes, list(self._named)) for item in one.alerts):
            for episode in self.within(item.labels):
                (episode.told if item.status == "firing" else episode.cleared).add(event.sink_key)

    def _suppression(self, event: Suppression) -> None:
        self.suppressions.append(event)
        if event.state == "suppressed":
            for episode in self.within(event.labels):
                if episode.resolved is None:
                    episode.suppressed = True

    # -- equipment, and the load

    def _ours_by_now(self, theirs: Interval) -> Interval:
        return (theirs[0] - self._skew[1], theirs[1] - self._skew[0])

    def _watch(self, event: Watch) -> None:
        self._saw(event.sink, *event.seen)
        self.watches.append(event)

    def _saw(self, observer: str, begin: float, end: float) -> None:
        spans = self.seen.setdefault(observer, [])
        if not spans or not spans[-1][0] <= begin <= spans[-1][1]:
            spans.append((begin, end))
        elif end > spans[-1][1]:
            spans[-1] = (spans[-1][0], end)
        self._seen_to[observer] = end

    def _poll(self, event: Poll) -> None:
        if event.skew is not None:
            self._skew = event.skew
        if not event.ok:
            if event.source not in self._excused:
                self._silent.setdefault(event.source, event)
            return
        if self._excused.get(event.source):
            del self._excused[event.source]
        if event.source in self._silent:
            self._unanswered.append(self._unanswered_since(self._silent.pop(event.source), event.asked))
        self._answered[event.source] = event.asked
        if event.seen_to is None:
            self._saw(event.source, self._seen_to.get(event.source, event.asked), event.asked)
            return
        self._ahead[event.source] = max(event.seen_to, self._ahead.get(event.source, event.seen_to))
        if event.source not in self._seen_to:
            self._catch_up(event.source)

    def _catch_up(self, source: str) -> None:
        """Takes the evaluations looked at since into what was seen; between two looks nothing was missed."""
        newest = self._ahead.pop(source, None)
        if newest is not None:
            at = self._ours((newest, newest))[0]
            self._saw(source, self._seen_to.get(source, at), at)

    def _unanswered_since(self, first: Poll, end: float | None) -> Outage:
        return Outage(first.source, self._answered.get(first.source, first.asked), end, first.detail)

    def _equipment(self, event: Equipment) -> None:
        name = event.name
        if event.detail.startswith("pid "):
            self.pids[name] = event.detail
        match event.state:
            case "down":
                first = event.detail.splitlines()[0] if event.detail else ""
                self._ailing[name] = f"{name} is down: {first}"
                if not event.invited:
                    self._down.setdefault(name, event)
                    return
                self._away.setdefault(name, event.t)
                self._excused[name] = False
                self._silent.pop(name, None)
            case "silent":
                self._ailing[name] = f"{name}: {event.detail}"
            case "up":
                self._ailing.pop(name, None)
                if name in self._excused:
                    self._excused[name] = True
                if name in self._away:
                    # What the scenario took down could neither send nor take anything: that is known, not unseen.
                    begun = self._away.pop(name)
                    self._catch_up(name)
                    self._saw(name, self._seen_to.get(name, begun), event.t + _CHAIN_S)
                elif name in self._down:
                    was = self._down.pop(name)
                    self._outages.append(Outage(name, was.t, event.t, was.detail))

    def _window(self, event: LoadWindow) -> None:
        self.windows.append(event)
        self.requests["ok"] += event.finished - event.failed
        self.requests["failed"] += event.failed
        self.requests["dropped"] += event.dropped


def _instant(event: AlertState, every_s: float) -> Interval:
    """The interval of a change: 1 ms wide if the evaluation before is known, else since the last known one."""
    end = event.at + PROMETHEUS_TICK_S
    if event.state == "pending" and event.active_at is not None:
        return (event.active_at, event.active_at + PROMETHEUS_TICK_S)
    if event.previous is None:
        return (event.active_at or 0.0, end)
    exact = event.at - event.previous < 1.5 * every_s
    return (event.at if exact else event.previous, end)
