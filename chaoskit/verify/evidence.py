"""What the history shows, put in order: alerts' episodes, notices, outages, and when somebody was looking.

Instants are intervals in real seconds since the epoch, on our clock. Nothing is judged here, and nothing is dropped.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator, Mapping
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
    Processor,
    Suppression,
    UndoBegin,
    UndoFail,
    UndoOk,
    Watch,
)
from chaoskit.history import History
from chaoskit.verify.clocks import Clock, compare
from chaoskit.verify.episodes import Episode as Episode
from chaoskit.verify.episodes import Lives, Sent

_CHAIN_S = 0.25
"""Real seconds that equipment may need to look on again once it is said to be up."""

_LOOK_S = 1.0
"""Real seconds between two looks at which processes stand still."""

TARGET = "target"

_LAST_LOOK_S = 1.2
"""Real seconds between the last word of an observer and the end of the run."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Equipment was down uninvited from `begin` until `end`, or for good."""

    equipment: str
    begin: float
    end: float | None
    detail: str

    def lasted_s(self, until: float) -> float:
        """Real seconds that it lasted; one that did not end, until then."""
        return (until if self.end is None else self.end) - self.begin


@dataclass(slots=True)
class Evidence:
    """Everything that hops and findings are judged on."""

    clock: Clock
    every_s: Mapping[str, float] = field(default_factory=dict)
    witnesses: tuple[str, ...] = ("mail-sink", "webhook-sink")
    """The equipment without which no notice is seen."""
    episodes: list[Episode] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    unanswered: list[Outage] = field(default_factory=list)
    """Spans in which Prometheus or Alertmanager answered no look, though it was not known to be down."""
    lags: list[Watch] = field(default_factory=list)
    processor: list[Processor] = field(default_factory=list)
    suppressions: list[Suppression] = field(default_factory=list)
    invokes: dict[str, Invoke] = field(default_factory=dict)
    effects: dict[str, Interval] = field(default_factory=dict)
    gone: dict[str, Interval] = field(default_factory=dict)
    actions: dict[str, Interval] = field(default_factory=dict)
    fault_problems: list[FaultFail | UndoFail] = field(default_factory=list)
    undo_begun: dict[str, float] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    whole: bool = True
    """Whether the run was watched to the end that its plan foresaw; if not, no silence is complete."""
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

    def in_force(self, span: Interval) -> Interval | None:
        """From the first fault's effect to the last one's end, within the span; None where none took effect."""
        if not self.effects:
            return None
        ends = [self.gone[fault][1] if fault in self.gone else span[1] for fault in self.effects]
        begin = max(span[0], min(effect[0] for effect in self.effects.values()))
        return (begin, max(begin, min(span[1], max(ends))))

    def known_to(self, end: float) -> float:
        """Up to where observers that looked until the end of a run know what happened.

        The last evaluation before the end is known of only at the look after it, and that look is no more. What
        was to be watched longer is never known: infinity.
        """
        if not self.whole:
            return math.inf
        return end - _LAST_LOOK_S - 2 * max(self.every_s.values(), default=0.0)

    def away(self, sinks: tuple[str, ...], begin: float, end: float) -> Outage | None:
        """The longest stretch in [begin, end] in which one of these sinks, once up, was not looking."""
        found = [gap for sink in sinks for gap in self._gaps(sink, begin, end)]
        return max(found, key=lambda gap: gap.lasted_s(end), default=None)

    def _gaps(self, sink: str, begin: float, end: float) -> Iterator[Outage]:
        spans = self.seen.get(sink, [])
        reached = max(begin, spans[0][0]) if spans else begin
        for a, b in [*spans, (end, end)]:
            if a > reached and reached < end:
                turned = sum(w.refused for w in self.lags if w.sink == sink and reached <= w.seen[0] <= a)
                full = f"all its places were taken, and {turned} connections were sent away" if turned else ""
                yield Outage(sink, reached, min(a, end), full or "it stood still, or was gone")
            reached = max(reached, b)

    def stopped(self, begin: float, end: float) -> str:
        """Which processes of the target a signal kept stopped in [begin, end], though no fault did; empty where none.

        Two looks must show it: a fault may stop a newborn process for a moment, to see whether it is its own.
        """
        for one, other in itertools.pairwise(self.processor):
            since, until = one.during[1], other.during[1]
            if since <= end and until >= begin:
                both = [title for title in one.stopped.get(TARGET, ()) if title in other.stopped.get(TARGET, ())]
                if titles := [title for title in both if not self._is_hit(title, since)]:
                    return f"{TARGET} ({', '.join(titles)})"
        return ""

    def _is_hit(self, title: str, at: float) -> bool:
        """Whether a fault in force has this process among what it acts on."""
        return any(str(name) in title.split() for invoke in self._in_force(at) for name in _names(invoke))

    def _in_force(self, at: float) -> Iterator[Invoke]:
        for fault, invoke in self.invokes.items():
            if invoke.t <= at <= self.gone.get(fault, (math.inf, math.inf))[1] + _LOOK_S:
                yield invoke

    def outage(self, equipment: tuple[str, ...], begin: float, end: float) -> Outage | None:
        """The first outage of any of this equipment that touches [begin, end].

        What a command of the scenario did to the target is its own doing.
        """
        found = [
            one
            for one in _touching(self.outages, equipment, begin, end)
            if one.equipment != TARGET or not any(invoke.kind == "command" for invoke in self._in_force(one.begin))
        ]
        return min(found, key=lambda outage: outage.begin, default=None)

    def silence(self, equipment: tuple[str, ...], begin: float, end: float) -> Outage | None:
        """The longest span touching [begin, end] in which any of this equipment answered no look."""
        return max(
            _touching(self.unanswered, equipment, begin, end), key=lambda silent: silent.lasted_s(end), default=None
        )

    def lag(self, sinks: tuple[str, ...], begin: float, end: float) -> tuple[float, str]:
        """The longest that any of these sinks stood still in [begin, end], in real seconds, and which it was."""
        late = [(w.lag_s, w.sink) for w in self.lags if w.sink in sinks and w.seen[0] <= end and w.seen[1] >= begin]
        return max(late, default=(0.0, ""))


def gather(
    history: History,
    every_s: Mapping[str, float],
    witnesses: tuple[str, ...] = ("mail-sink", "webhook-sink"),
    sent: Sent = lambda labels: labels,
) -> Evidence:
    """Puts a history in order; total and pure. `every_s`: by alert, the real seconds between two evaluations.

    `sent` tells under which labels an alert goes to Alertmanager.
    """
    evidence = Evidence(compare(history.of(Poll)), every_s, witnesses)
    lives = Lives(every_s, evidence.clock, sent)
    evidence.episodes = lives.episodes
    asking = _Asking()
    down: dict[str, Equipment] = {}
    away: dict[str, float] = {}
    covered: dict[str, list[Interval]] = {}
    for event in history.events:
        if isinstance(event, AlertState):
            lives.take(event)
        elif isinstance(event, Poll | Equipment):
            asking.take(event)
        _sort(event, evidence, down, away, covered)
    evidence.unanswered = asking.ended()
    evidence.outages += [Outage(e.name, e.t, None, e.detail) for e in down.values()]
    pids = {e.name: int(e.detail.split()[1]) for e in history.of(Equipment) if e.detail.startswith("pid ")}
    evidence.outages = [o for o in evidence.outages if not _killed_by_fault(evidence, o, pids.get(o.equipment))]
    evidence.outages.sort(key=lambda outage: outage.begin)
    evidence.notices.sort(key=lambda notice: notice.sent[1])
    evidence.seen = {name: _merged(spans) for name, spans in covered.items()}
    return evidence


def _sort(
    event: AnyEvent,
    evidence: Evidence,
    down: dict[str, Equipment],
    away: dict[str, float],
    covered: dict[str, list[Interval]],
) -> None:
    match event:
        case Notice():
            evidence.notices.append(event)
        case Watch():
            covered.setdefault(event.sink, []).append(event.seen)
            evidence.lags.append(event)
        case Poll(ok=True, seen_to=float(seen_to)):
            spans = covered.setdefault(event.source, [])
            ours = evidence.clock.ours((seen_to, seen_to))[0]
            spans.append((spans[-1][1] if spans else ours, ours))
        case Poll(ok=True):
            spans = covered.setdefault(event.source, [])
            spans.append((spans[-1][1] if spans else event.asked, event.asked))
        case Equipment(state="down", invited=True):
            away.setdefault(event.name, event.t)
        case Equipment(state="up") if event.name in away:
            # What the scenario took down could neither send nor take anything: that is known, not unseen.
            spans = covered.setdefault(event.name, [])
            begun = spans[-1][1] if spans else away[event.name]
            spans.append((begun, event.t + _CHAIN_S))
            del away[event.name]
        case Equipment(state="down"):
            down.setdefault(event.name, event)
        case Equipment(state="up") if event.name in down:
            was = down.pop(event.name)
            evidence.outages.append(Outage(event.name, was.t, event.t, was.detail))
        case Processor():
            evidence.processor.append(event)
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


class _Asking:
    """Spans between good answers in which none was good."""

    def __init__(self) -> None:
        self._good: dict[str, float] = {}
        self._silent: dict[str, Poll] = {}
        self._found: list[Outage] = []
        self._invited: dict[str, bool] = {}
        """Taken down by the scenario, which excuses nothing; True once it is up again, until it answers."""

    def take(self, event: Poll | Equipment) -> None:
        if isinstance(event, Equipment):
            if event.state == "down" and event.invited:
                self._invited[event.name] = False
                self._silent.pop(event.name, None)
            elif event.state == "up" and event.name in self._invited:
                self._invited[event.name] = True
            return
        self._poll(event)

    def _poll(self, poll: Poll) -> None:
        if not poll.ok:
            if poll.source not in self._invited:
                self._silent.setdefault(poll.source, poll)
            return
        if self._invited.get(poll.source):
            del self._invited[poll.source]
        if poll.source in self._silent:
            self._found.append(self._span(self._silent.pop(poll.source), poll.asked))
        self._good[poll.source] = poll.asked

    def ended(self) -> list[Outage]:
        return [*self._found, *(self._span(first, None) for first in self._silent.values())]

    def _span(self, first: Poll, end: float | None) -> Outage:
        return Outage(first.source, self._good.get(first.source, first.asked), end, first.detail)


def _names(invoke: Invoke) -> list[str]:
    """Of what a fault acts on: its targets, and the processes that its token names."""
    victims = invoke.undo.get("victims", ())
    named = [one["name"] for one in victims if isinstance(one, dict) and "name" in one]
    return [*invoke.targets, *named]


def _killed_by_fault(evidence: Evidence, outage: Outage, pid: int | None) -> bool:
    """Whether a fault in force had this very process among its victims."""
    return pid is not None and any(
        isinstance(one, dict) and one.get("pid") == pid
        for invoke in evidence._in_force(outage.begin)
        for one in invoke.undo.get("victims", ())
    )


def _touching(outages: list[Outage], equipment: tuple[str, ...], begin: float, end: float) -> list[Outage]:
    return [o for o in outages if o.equipment in equipment and o.begin <= end and (o.end is None or o.end >= begin)]


def _merged(spans: list[Interval]) -> list[Interval]:
    merged: list[Interval] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged
