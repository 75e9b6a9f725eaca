"""What the history shows, put in order: alerts' episodes, notices, outages, and when somebody was looking.

Instants are intervals in real seconds since the epoch. Nothing is judged here, and nothing is dropped.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field

from chaoskit.events import (
    ActionOk,
    AlertState,
    AnyEvent,
    Equipment,
    FaultFail,
    FaultOk,
    Interval,
    Invoke,
    Notice,
    Phase,
    Poll,
    Suppression,
    UndoBegin,
    UndoFail,
    UndoOk,
    Watch,
)
from chaoskit.history import History

PROMETHEUS_TICK_S = 0.001
"""Prometheus keeps its instants in whole milliseconds."""

_CHAIN_S = 0.25
"""Looks of a sink that follow one another this closely (real seconds) count as one."""


@dataclass(slots=True)
class Episode:
    """One life of one alert instance: pending, firing, resolved; each inside an interval, None if not seen."""

    labels: Mapping[str, str]
    pending: Interval | None = None
    firing: Interval | None = None
    resolved: Interval | None = None

    @property
    def begun(self) -> Interval:
        """When it first showed, pending or firing."""
        found = self.pending or self.firing
        assert found is not None
        return found

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels.get("alertname", "?")


@dataclass(frozen=True, slots=True)
class Outage:
    """Equipment was down uninvited from `begin` until `end`, or for good."""

    equipment: str
    begin: float
    end: float | None
    detail: str


@dataclass(slots=True)
class Evidence:
    """Everything that hops and findings are judged on."""

    every_s: Mapping[str, float] = field(default_factory=dict)
    episodes: list[Episode] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    suppressions: list[Suppression] = field(default_factory=list)
    invokes: dict[str, Invoke] = field(default_factory=dict)
    effects: dict[str, Interval] = field(default_factory=dict)
    gone: dict[str, Interval] = field(default_factory=dict)
    actions: dict[str, Interval] = field(default_factory=dict)
    fault_problems: list[FaultFail | UndoFail] = field(default_factory=list)
    undo_begun: dict[str, float] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    seen: dict[str, list[Interval]] = field(default_factory=dict)
    """By observer: spans of real time in which nothing could have happened unnoticed."""

    def blind_from(self, observer: str, begin: float, end: float) -> float | None:
        """The first instant in [begin, end] at which nobody was looking; None when somebody was all the time."""
        spans = self.seen.get(observer, [])
        at = bisect.bisect_right(spans, (begin, float("inf"))) - 1
        reached = begin
        for a, b in spans[max(at, 0) :]:
            if a > reached:
                break
            reached = max(reached, b)
            if reached >= end:
                return None
        return reached if reached < end else None

    def outage(self, equipment: tuple[str, ...], begin: float, end: float) -> Outage | None:
        """The first outage of any of this equipment that touches [begin, end]."""
        touching = [
            outage
            for outage in self.outages
            if outage.equipment in equipment and outage.begin <= end and (outage.end is None or outage.end >= begin)
        ]
        return min(touching, key=lambda outage: outage.begin, default=None)


def gather(history: History, every_s: Mapping[str, float]) -> Evidence:
    """Puts a history in order; total and pure. `every_s`: by alert, the real seconds between two evaluations."""
    evidence = Evidence(every_s=every_s)
    live: dict[tuple[tuple[str, str], ...], Episode] = {}
    down: dict[str, Equipment] = {}
    covered: dict[str, list[Interval]] = {}
    for event in history.events:
        _sort(event, evidence, live, down, covered)
    evidence.outages += [Outage(e.name, e.t, None, e.detail) for e in down.values()]
    evidence.outages.sort(key=lambda outage: outage.begin)
    evidence.notices.sort(key=lambda notice: notice.sent[1])
    evidence.seen = {name: _merged(spans) for name, spans in covered.items()}
    return evidence


def _sort(
    event: AnyEvent,
    evidence: Evidence,
    live: dict[tuple[tuple[str, str], ...], Episode],
    down: dict[str, Equipment],
    covered: dict[str, list[Interval]],
) -> None:
    match event:
        case AlertState():
            _episode(event, evidence, live)
        case Notice():
            evidence.notices.append(event)
        case Watch():
            covered.setdefault(event.sink, []).append((event.seen[0], event.seen[1] + _CHAIN_S))
        case Poll(ok=True, seen_to=float(seen_to)):
            spans = covered.setdefault(event.source, [])
            spans.append((spans[-1][1] if spans else seen_to, seen_to))
        case Poll(ok=True):
            spans = covered.setdefault(event.source, [])
            spans.append((spans[-1][1] if spans else event.asked, event.asked))
        case Equipment(state="down"):
            down.setdefault(event.name, event)
        case Equipment(state="up") if event.name in down:
            was = down.pop(event.name)
            evidence.outages.append(Outage(event.name, was.t, event.t, was.detail))
        case Suppression():
            evidence.suppressions.append(event)
        case Invoke():
            evidence.invokes[event.fault] = event
        case FaultOk():
            evidence.effects.setdefault(event.fault, event.effect)
        case UndoBegin():
            evidence.undo_begun.setdefault(event.fault, event.t)
        case UndoOk():
            evidence.gone.setdefault(event.fault, event.gone)
        case ActionOk():
            evidence.actions.setdefault(event.step, event.done)
        case FaultFail() | UndoFail():
            evidence.fault_problems.append(event)
        case Phase():
            evidence.phases.setdefault(event.name, event.t)
        case _:
            pass


def _episode(event: AlertState, evidence: Evidence, live: dict[tuple[tuple[str, str], ...], Episode]) -> None:
    key = tuple(sorted(event.labels.items()))
    at = _instant(event, evidence.every_s.get(event.labels.get("alertname", ""), 0.0))
    episode = live.get(key)
    if event.state == "inactive":
        if episode is not None:
            episode.resolved = at
            del live[key]
        return
    if episode is None or (event.state == "pending" and episode.firing is not None):
        episode = live[key] = Episode(dict(event.labels))
        evidence.episodes.append(episode)
    if event.state == "pending":
        episode.pending = at
    elif episode.pending is None and event.active_at is not None:
        # Samples of the first evaluations after a start of Prometheus may be missing: ActiveAt is its own word.
        episode.firing = (min(at[0], event.active_at), at[1])
    else:
        episode.firing = at


def _instant(event: AlertState, every_s: float) -> Interval:
    """Exact where the evaluation before is known to have said otherwise, else anywhere since that one."""
    end = event.at + PROMETHEUS_TICK_S
    if event.state == "pending" and event.active_at is not None:
        return (event.active_at, event.active_at + PROMETHEUS_TICK_S)
    if event.previous is None:
        return (event.active_at or 0.0, end)
    exact = event.at - event.previous < 1.5 * every_s
    return (event.at if exact else event.previous, end)


def _merged(spans: list[Interval]) -> list[Interval]:
    merged: list[Interval] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged
