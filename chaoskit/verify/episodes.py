"""The lives of alert instances, from the changes that Prometheus's evaluations showed.

Each instant is kept twice: on Prometheus's own clock, exact, for spans between two of its instants (`for`), and on
ours, as exactly as the two clocks were compared, for spans that begin or end with a fault or a notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from chaoskit.events import AlertState, Interval
from chaoskit.verify.clocks import Clock

PROMETHEUS_TICK_S = 0.001
"""Prometheus keeps its instants in whole milliseconds."""

Labels = tuple[tuple[str, str], ...]
Sent = Callable[[Mapping[str, str]], Mapping[str, str]]
"""From an alert's labels in Prometheus to those under which it is sent."""
State = Literal["pending", "firing", "resolved"]


@dataclass(slots=True)
class Episode:
    """One life of one alert instance: pending, firing, resolved, each inside an interval of our clock or not seen."""

    labels: Mapping[str, str]
    sent: Mapping[str, str] = field(default_factory=dict)
    """The labels under which Alertmanager knows it, as far as they are known; none where it is sent to nobody."""
    pending: Interval | None = None
    firing: Interval | None = None
    resolved: Interval | None = None
    own: dict[State, Interval] = field(default_factory=dict)
    """The same instants on Prometheus's own clock."""

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

    def is_in(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels, as Alertmanager tells them, hold all under which the alert was sent."""
        return bool(self.sent) and all(labels.get(key) == value for key, value in self.sent.items())


class Lives:
    """Takes the changes in order of time; `every_s`: by alert, the real seconds between two evaluations."""

    def __init__(self, every_s: Mapping[str, float], clock: Clock, sent: Sent) -> None:
        self.episodes: list[Episode] = []
        self._every_s = every_s
        self._clock = clock
        self._sent = sent
        self._live: dict[Labels, Episode] = {}
        self._told: set[tuple[Labels, str, float]] = set()

    def take(self, event: AlertState) -> None:
        """One change; told once more, even after its episode's end, it is no other change."""
        key = tuple(sorted(event.labels.items()))
        if (key, event.state, event.at) in self._told:
            return
        self._told.add((key, event.state, event.at))
        at = _instant(event, self._every_s.get(event.labels.get("alertname", ""), 0.0))
        episode = self._live.get(key)
        if event.state == "inactive":
            if episode is not None:
                self._note(episode, "resolved", at)
                del self._live[key]
            return
        if episode is None or (event.state == "pending" and episode.firing is not None):
            episode = self._live[key] = Episode(dict(event.labels), self._sent(event.labels))
            self.episodes.append(episode)
        if event.state == "firing" and episode.pending is None and event.active_at is not None:
            # Samples of the first evaluations after a start of Prometheus may be missing: ActiveAt is its own word.
            at = (min(at[0], event.active_at), at[1])
        self._note(episode, event.state, at)

    def _note(self, episode: Episode, state: State, at: Interval) -> None:
        if state in episode.own:
            return  # Told of another instant as well: the first word counts.
        episode.own[state] = at
        setattr(episode, state, self._clock.ours(at))


def _instant(event: AlertState, every_s: float) -> Interval:
    """Exact where the evaluation before is known to have said otherwise, else anywhere since that one."""
    end = event.at + PROMETHEUS_TICK_S
    if event.state == "pending" and event.active_at is not None:
        return (event.active_at, event.active_at + PROMETHEUS_TICK_S)
    if event.previous is None:
        return (event.active_at or 0.0, end)
    exact = event.at - event.previous < 1.5 * every_s
    return (event.at if exact else event.previous, end)
