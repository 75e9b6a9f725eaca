"""The history's events, put in order: alerts' episodes, notices, outages, and the spans in which observers looked.

Instants are intervals in real seconds since the epoch, on our clock. Nothing is judged here, and nothing is dropped.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator, Mapping
from functools import cached_property, partial

from chaoskit.alerting.routing import told_by
from chaoskit.events import Interval, Invoke, Poll
from chaoskit.fold import Episode as Episode
from chaoskit.fold import Fold
from chaoskit.fold import Outage as Outage
from chaoskit.history import History
from chaoskit.plan.model import Plan
from chaoskit.plan.witnesses import is_judged
from chaoskit.plan.words import read_words
from chaoskit.verify.clock_skew import Clock

_LOOK_S = 1.0
"""Real seconds between two looks at which processes stand still."""

TARGET = "target"

_TAIL_SLACK_S = 1.5
"""Real seconds between the last word of any observer and the end of looking on."""
_LAST_LOOK_S = 1.2
"""Real seconds between the last word of an observer and the end of the run."""


class Evidence(Fold):
    """Everything that hops and findings are judged on: the account of a whole history, put in order; total and pure.

    Without a plan it is to look at, never to judge.
    """

    def __init__(self, history: History, plan: Plan | None = None) -> None:
        self.clock = Clock(history.of(Poll))
        self.every_s = plan.every_s if plan else {}
        super().__init__(self.every_s, partial(told_by, plan.config) if plan else dict, self.clock.ours)
        self.witnesses = plan.witnesses if plan else ()
        """The equipment without which no notice is seen."""
        self.set_back_s = 0.0
        """The most by which our own clock went back from one event to the next."""
        reached = -math.inf
        for event in history.events:
            if event.t < reached:
                self.set_back_s = max(self.set_back_s, reached - event.t)
            reached = event.t
            self.take(event)
        for source in list(self._ahead):
            self._catch_up(source)
        self.until = self.phases.get("stopping", history.last_t)
        """The instant at which the run stopped looking on."""
        tail, tail_s = self.phases.get("tail"), plan.tail_vs / plan.time_scale - _TAIL_SLACK_S if plan else 0.0
        self.complete = tail is not None and not self.interruptions and self.until >= tail + tail_s
        """Whether the run was watched to the end that its plan foresaw; if not, no silence is complete."""
        notices = [one for notice in self.notices for one in read_words(notice, self.episodes, self.every_s)]
        notices.sort(key=lambda notice: notice.sent[1])
        judged = [plan is None or is_judged(plan.profile, plan.config, one) for one in notices]
        self.notices = list(itertools.compress(notices, judged))
        self.controls = [one for one, counts in zip(notices, judged, strict=True) if not counts]
        """The same notices as nearer witnesses saw them."""
        self.seen = {name: _merged(spans) for name, spans in self.seen.items()}

    @cached_property
    def outages(self) -> list[Outage]:
        """The spans in which equipment was down without a fault of the run, the earliest first."""
        theirs = (one for one in super().outages if not self._killed_by_fault(one, self.pids.get(one.equipment)))
        return sorted(theirs, key=lambda outage: outage.begin)

    def origin(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """The labels in Prometheus of the alert that is told with these; the same where none is known."""
        return next((episode.labels for episode in self.episodes if episode.is_in(labels)), labels)

    def blind_from(self, observer: str, begin: float, end: float) -> float | None:
        """The first instant in [begin, end] at which this observer was not looking; None when it looked throughout."""
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
        """The span from the first fault's effect to the last one's end, as far as it was watched.

        None where none took effect.
        """
        if not self.faults.effects:
            return None
        ends = [self.faults.gone[fault][1] if fault in self.faults.gone else span[1] for fault in self.faults.effects]
        begin = max(span[0], min(effect[0] for effect in self.faults.effects.values()))
        return (begin, max(begin, min(span[1], max(ends))))

    def known_to(self, end: float) -> float:
        """Up to where observers that looked until the end of a run know what happened.

        The last evaluation before the end is known of only at the look after it, and that look is no more. Infinity
        where the run ended early: then nothing is known up to its end.
        """
        if not self.complete:
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
                turned = sum(w.refused for w in self.watches if w.sink == sink and reached <= w.seen[0] <= a)
                full = f"the sink was at its limit of open connections and refused {turned}" if turned else ""
                yield Outage(sink, reached, min(a, end), full or "the sink was stopped or had ended")
            reached = max(reached, b)

    def stopped(self, begin: float, end: float) -> str:
        """Which processes of the target a signal kept stopped in [begin, end], though no fault did; empty where none.

        Two looks must show it: a fault may stop a newborn process for a moment, to see whether it is its own. It may
        have stood still since the look before them.
        """
        for one, other in itertools.pairwise(self.processor):
            if one.during[0] <= end and other.during[1] >= begin:
                both = [title for title in one.stopped.get(TARGET, ()) if title in other.stopped.get(TARGET, ())]
                if titles := [title for title in both if not self._is_hit(title, one.during[1])]:
                    return f"{TARGET} ({', '.join(titles)})"
        return ""

    def _is_hit(self, title: str, at: float) -> bool:
        """Whether a fault in force has this process among what it acts on."""
        return any(str(name) in title.split() for invoke in self._in_force(at) for name in _names(invoke))

    def _in_force(self, at: float) -> Iterator[Invoke]:
        for fault, invoke in self.faults.invokes.items():
            if invoke.t <= at <= self.faults.gone.get(fault, (math.inf, math.inf))[1] + _LOOK_S:
                yield invoke

    def _killed_by_fault(self, outage: Outage, pid: str | None) -> bool:
        """Whether a fault in force had this very process, told as `pid 12`, among its victims."""
        return pid is not None and any(
            isinstance(one, dict) and f"pid {one.get('pid')}" == pid
            for invoke in self._in_force(outage.begin)
            for one in invoke.undo.get("victims", ())
        )

    def outage(self, equipment: tuple[str, ...], begin: float, end: float) -> Outage | None:
        """The first outage of any of this equipment that touches [begin, end].

        An outage of the target while a command of the scenario is in force is intended and does not count.
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
        late = [(w.lag_s, w.sink) for w in self.watches if w.sink in sinks and w.seen[0] <= end and w.seen[1] >= begin]
        return max(late, default=(0.0, ""))


def _names(invoke: Invoke) -> list[str]:
    """Of what a fault acts on: its targets, and the processes that its token names."""
    victims = invoke.undo.get("victims", ())
    named = [one["name"] for one in victims if isinstance(one, dict) and "name" in one]
    return [*invoke.targets, *named]


def _touching(outages: list[Outage], equipment: tuple[str, ...], begin: float, end: float) -> list[Outage]:
    return [o for o in outages if o.equipment in equipment and o.begin <= end and (o.end is None or o.end >= begin)]


def _merged(spans: list[Interval]) -> list[Interval]:
    merged: list[Interval] = []
    for span in sorted(spans):
        if not merged or span[0] > merged[-1][1]:
            merged.append(span)
        elif span[1] > merged[-1][1]:
            merged[-1] = (merged[-1][0], span[1])
    return merged
