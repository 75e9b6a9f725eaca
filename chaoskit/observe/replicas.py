"""Several Prometheus with the same rules, looked at as one: the earliest of them counts.

    replica a  pending 12.0  firing 72.0                 \\
    replica b  pending 14.5  firing 74.5  inactive 130.5  >  pending 12.0  firing 72.0  inactive 130.5
    a again                               inactive 128.0 /

An alert is in the highest state that any replica which answers shows, from the earliest instant at which one showed
it; it is over when none shows it any more, which is what their Alertmanagers go by. Knowledge reaches as far as the
slowest of those that answer has been looked at. A replica that does not answer is said as equipment, and its last word
counts no longer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from chaoskit.events import AlertState, Equipment, Event, Interval, Poll
from chaoskit.observe.alert_states import Labels, labels_of
from chaoskit.observe.prometheus import PrometheusObserver

_RANK = {"inactive": 0, "pending": 1, "firing": 2}


class Merged:
    """Takes the events of each replica and gives those of all of them together, in order of their instants; pure."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._seen: list[float | None] = [None] * len(names)
        self._skew: list[Interval | None] = [None] * len(names)
        self._answers: list[bool | None] = [None] * len(names)
        self._shown: list[dict[Labels, AlertState]] = [{} for _ in names]
        self._waiting: list[tuple[float, int, AlertState]] = []
        self._state: dict[Labels, str] = {}

    def take(self, replica: int, event: Event) -> list[Event]:
        """The events that this one of a replica brings about."""
        if isinstance(event, AlertState):
            self._waiting.append((event.at, replica, event))
            return []
        if not isinstance(event, Poll):
            return [event]
        return self._look(replica, event)

    def _look(self, replica: int, poll: Poll) -> list[Event]:
        found: list[Event] = []
        if poll.ok is not self._answers[replica]:
            name = self._names[replica]
            if not poll.ok or self._answers[replica] is not None:
                state = "up" if poll.ok else "down"
                found.append(Equipment(name=name, state=state, detail="" if poll.ok else poll.detail))  # type: ignore[arg-type]
            self._answers[replica] = poll.ok
            if not poll.ok:
                self._shown[replica].clear()
        if poll.ok:
            self._seen[replica] = poll.seen_to
            self._skew[replica] = poll.skew or self._skew[replica]
        live = [number for number, answers in enumerate(self._answers) if answers]
        if not live:
            return [*found, poll]
        known = [self._seen[number] for number in live]
        if not poll.ok:
            return found
        seen_to = min((at for at in known if at is not None), default=None)
        found += self._told(seen_to)
        skews = [skew for number in live if (skew := self._skew[number])]
        skew = (min(low for low, _ in skews), max(high for _, high in skews)) if skews else None
        return [*found, msgspec.structs.replace(poll, seen_to=seen_to, skew=skew)]

    def _told(self, until: float | None) -> list[Event]:
        """The changes up to this instant, which every replica that answers was looked at."""
        ready = sorted((one for one in self._waiting if until is not None and one[0] <= until), key=lambda one: one[:2])
        self._waiting = [one for one in self._waiting if one not in ready]
        found: list[Event] = []
        for _, replica, event in ready:
            labels = labels_of(event.labels)
            if self._answers[replica]:
                self._shown[replica][labels] = event
            found += self._change(labels, event)
        for labels, state in list(self._state.items()):
            last = [shown[labels] for shown in self._shown if labels in shown]
            if state != "inactive" and last and all(one.state == "inactive" for one in last):
                found += self._change(labels, max(last, key=lambda one: one.at))  # the other's word counts no longer
        return found

    def _change(self, labels: Labels, event: AlertState) -> list[Event]:
        before = self._state.get(labels, "inactive")
        now = max((shown[labels].state for shown in self._shown if labels in shown), key=_RANK.__getitem__, default="")
        rises = _RANK[event.state] > _RANK[before]
        if not rises and (now != "inactive" or before == "inactive"):
            return []
        self._state[labels] = event.state if rises else "inactive"
        return [event if rises else msgspec.structs.replace(event, state="inactive")]


def merge(replicas: Mapping[str, PrometheusObserver], on_event: Callable[[Event], None]) -> None:
    """Leads the events of each replica's observer, by its URL, to `on_event` as `Merged` makes one of them."""
    merged, one_at_a_time = Merged([f"prometheus {url}" for url in replicas]), threading.Lock()

    def take(number: int, event: Event) -> None:
        with one_at_a_time:
            for each in merged.take(number, event):
                on_event(each)

    for number, observer in enumerate(replicas.values()):
        observer.tell(partial(take, number))
