"""From raw samples of ALERTS and finished evaluations to transitions; pure, no clock and no network.

Prometheus writes one sample of ALERTS for every active alert at every evaluation of its group, stamped with the
evaluation's planned instant, which lies on a fixed grid of the group's interval. So a sample proves presence at
its instant. Absence needs two things: an evaluation that certainly finished before the samples were asked for
(`Group.evaluated`, read first), and no sample at its instant.

    grid        |     |     |     |     |        interval I
    samples     p     p     f     f              -> pending, firing: exactly at their first samples
    evaluated                        ^ a little after the grid instant: that evaluation is over, and lacks it
                                                 -> inactive at that grid instant, previous = the last sample

`evaluated` is the wall clock when an evaluation began, never earlier than its grid instant and less than one
interval later (Prometheus skips evaluations for which it would be later than that), so rounding *down* to the grid
gives the evaluation. A rule that fails leaves no sample although its alerts live on; the list of active alerts,
which is read together with `evaluated`, tells that apart from a resolve.

Instants are whole milliseconds inside, as Prometheus stores them.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from chaoskit.events import AlertState

State = Literal["pending", "firing"]
Labels = tuple[tuple[str, str], ...]
"""A label set in order of names, with alertname and without alertstate."""

_TICK_MS = 1


def labels_of(mapping: Mapping[str, str]) -> Labels:
    """The labels of an alert as a sorted tuple, so that equal label sets are equal."""
    return tuple(sorted(mapping.items()))


@dataclass(frozen=True, slots=True)
class Active:
    """An active alert in the answer of the rules API: activeAt in seconds since the epoch, and the value."""

    active_at: float
    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """A rule group as the rules API shows it; `rules` are pairs of alert name and the rule's own labels.

    `evaluated` is None for a group that has not been evaluated yet.
    """

    key: str
    interval_s: float
    evaluated: float | None
    rules: tuple[tuple[str, Labels], ...] = ()
    active: Mapping[Labels, Active] = field(default_factory=dict)


def seen_to(groups: Iterable[Group]) -> float | None:
    """Every evaluation planned at or before this instant is over; None while a group has not had its first.

    With groups of different intervals it follows the slowest.
    """
    seen = [group.evaluated for group in groups]
    known = [instant for instant in seen if instant is not None]
    return min(known) if known and len(known) == len(seen) else None


@dataclass(slots=True)
class _Track:
    """One alert instance: its last sample, or, once inactive, the evaluation that is known to have lacked it."""

    interval_ms: int
    last_ms: int
    state: State | None
    active_at: float | None = None
    gone_ms: int | None = None


class AlertStates:
    """Takes successive looks, in order, and gives the transitions that each of them shows."""

    def __init__(self) -> None:
        self._tracks: dict[Labels, _Track] = {}
        self._group_of: dict[Labels, str] = {}
        self._evaluations: dict[str, list[int]] = {}

    def look(
        self, now: float, groups: Sequence[Group], samples: Mapping[Labels, Sequence[tuple[float, State]]]
    ) -> list[AlertState]:
        """The transitions that evaluations known to be over have shown since the last look, in order of time.

        `groups` were read before `samples`, and `now` is Prometheus's clock when they were. `samples` reach back
        without a gap to the last look's samples; older ones may be among them again. The first look starts anew:
        what is active then has no `previous` unless another alert's samples show an evaluation before.
        """
        by_key = {group.key: group for group in groups}
        placed = {labels: self._place(labels, groups) for labels in {*samples, *self._live()}}
        self._note_evaluations(by_key, placed, samples)
        found: list[AlertState] = []
        for labels, key in placed.items():
            group = by_key.get(key) if key is not None else None
            if group is None:
                found += self._rule_gone(labels, now)
            else:
                found += self._follow(labels, group, samples.get(labels, ()))
        self._forget_old_evaluations()
        return sorted(found, key=lambda event: (event.at, labels_of(event.labels)))

    def _live(self) -> list[Labels]:
        return [labels for labels, track in self._tracks.items() if track.state is not None]

    def _place(self, labels: Labels, groups: Sequence[Group]) -> str | None:
        """The group an alert belongs to: where it is listed, else where it was, else whose rule fits best."""
        for group in groups:
            if labels in group.active:
                self._group_of[labels] = group.key
                return group.key
        fitting = {
            group.key: fit
            for group in groups
            if (fit := max((_fit(rule, labels) for rule in group.rules), default=0)) > 0
        }
        known = self._group_of.get(labels)
        if known in fitting:
            return known
        if not fitting:
            return None
        self._group_of[labels] = best = max(fitting, key=lambda key: fitting[key])
        return best

    def _note_evaluations(
        self,
        groups: Mapping[str, Group],
        placed: Mapping[Labels, str | None],
        samples: Mapping[Labels, Sequence[tuple[float, State]]],
    ) -> None:
        over = {group.key: _floor_ms(group.evaluated) for group in groups.values() if group.evaluated is not None}
        fresh = {key: {over[key]} if key in over else set() for key in groups}
        for labels, points in samples.items():
            key = placed.get(labels)
            if key in over:
                fresh[key].update(at_ms for at, _ in points if (at_ms := _ms(at)) <= over[key])
        self._evaluations = {
            key: sorted(instants.union(self._evaluations.get(key, ()))) for key, instants in fresh.items()
        }

    def _forget_old_evaluations(self) -> None:
        """Only those since the last samples of what is still active can matter again, and the newest."""
        needed: dict[str, int] = {}
        for labels in self._live():
            key, last_ms = self._group_of[labels], self._tracks[labels].last_ms
            needed[key] = min(last_ms, needed.get(key, last_ms))
        for key, instants in self._evaluations.items():
            if instants:
                del instants[: bisect.bisect_left(instants, min(instants[-1], needed.get(key, instants[-1])))]

    def _rule_gone(self, labels: Labels, now: float) -> Iterator[AlertState]:
        """A reload took the rule away, and its alerts with it."""
        track = self._tracks.get(labels)
        if track is not None and track.state is not None:
            yield _gone(labels, track, _floor_ms(now))

    def _follow(self, labels: Labels, group: Group, points: Sequence[tuple[float, State]]) -> Iterator[AlertState]:
        if group.evaluated is None:
            return
        interval_ms, end_ms = _ms(group.interval_s), _floor_ms(group.evaluated)
        active = group.active.get(labels)
        track = self._tracks.get(labels)
        for at_ms, state in sorted((_ms(at), state) for at, state in points):
            # What an evaluation wrote that is not known to be over waits for the next look.
            if at_ms > end_ms or (track is not None and at_ms <= track.last_ms):
                continue
            if track is not None and track.state is not None:
                yield from self._between(labels, track, at_ms, state, interval_ms, group)
            if track is None:
                track = self._tracks[labels] = _Track(interval_ms, 0, None)
            if track.state != state:
                yield self._changed(labels, track, at_ms, state, interval_ms, group)
            track.last_ms, track.state, track.interval_ms = at_ms, state, interval_ms
        if track is not None and track.state is not None:
            lacking = self._lacking(track, end_ms, interval_ms, group, active)
            if lacking:
                yield _gone(labels, track, lacking[0])

    def _between(
        self, labels: Labels, track: _Track, at_ms: int, state: State, interval_ms: int, group: Group
    ) -> Iterator[AlertState]:
        """Whether the alert was away between its last sample and this one."""
        gap_ms = at_ms - track.last_ms
        if gap_ms < 1.5 * interval_ms or interval_ms != track.interval_ms:
            return
        active = group.active.get(labels)
        lacking = self._lacking(track, at_ms - interval_ms, interval_ms, group, active)
        born_ms = None if active is None else _floor_ms(active.active_at)
        anew = born_ms is not None and track.last_ms + _TICK_MS < born_ms <= at_ms + _TICK_MS
        if lacking:
            yield _gone(labels, track, lacking[0])
            track.gone_ms = lacking[-1]
        elif anew or (track.state == "firing" and state == "pending"):
            # A new life, so at least one evaluation since lacked it (or a restart forgot it), the latest of them
            # one interval before its first sample.
            yield _gone(labels, track, at_ms - interval_ms)
            track.gone_ms = track.last_ms if gap_ms > 2.5 * interval_ms else at_ms - interval_ms

    def _lacking(self, track: _Track, end_ms: int, interval_ms: int, group: Group, active: Active | None) -> list[int]:
        """Grid instants after the track's last sample, up to `end_ms`, of evaluations that lacked the alert."""
        evaluations = self._evaluations[group.key]
        alive_to_ms = 0
        if active is not None and _floor_ms(active.active_at) <= track.last_ms + _TICK_MS:
            # Listed, and since before its last sample: alive all the time, its rule fails to evaluate.
            alive_to_ms = _floor_ms(group.evaluated or 0)
        if interval_ms != track.interval_ms:
            # The grid has changed with the interval; only a later evaluation of the new one is certain.
            after_ms = track.last_ms + max(interval_ms, track.interval_ms)
            return [at for at in evaluations if after_ms <= at <= end_ms and at > alive_to_ms]
        grid = {
            track.last_ms + (at - track.last_ms) // interval_ms * interval_ms
            for at in evaluations
            if track.last_ms < at < end_ms + interval_ms and at > alive_to_ms
        }
        return sorted(at for at in grid if track.last_ms < at <= end_ms)

    def _changed(
        self, labels: Labels, track: _Track, at_ms: int, state: State, interval_ms: int, group: Group
    ) -> AlertState:
        """The alert shows a new state at a sample."""
        active = group.active.get(labels)
        # Younger than the sample, it is of a later life.
        listed = active if active and _floor_ms(active.active_at) <= at_ms + _TICK_MS else None
        if track.state is not None:
            previous_ms: int | None = track.last_ms
        else:
            previous_ms = self._evaluation_before(at_ms, interval_ms, group)
            if track.gone_ms is not None:
                previous_ms = max(track.gone_ms, previous_ms or 0)
            if listed and previous_ms is not None and previous_ms >= (born_ms := _floor_ms(listed.active_at)):
                # It was active at `previous` already: Prometheus writes no ALERTS in its first two evaluations
                # after a start, and then puts an older ActiveAt in place where it remembers one.
                earlier_ms = max(self._evaluation_before(born_ms, interval_ms, group) or 0, track.last_ms)
                previous_ms = earlier_ms if 0 < earlier_ms < born_ms else None
            track.active_at = None if previous_ms is None else at_ms / 1000
        if listed is not None:
            track.active_at = listed.active_at
        return AlertState(
            labels=dict(labels),
            state=state,
            at=at_ms / 1000,
            previous=None if previous_ms is None else previous_ms / 1000,
            active_at=track.active_at,
            value=listed.value if listed else "",
        )

    def _evaluation_before(self, at_ms: int, interval_ms: int, group: Group) -> int | None:
        """The newest evaluation before a sample that is known to have happened, on that sample's grid."""
        evaluations = self._evaluations[group.key]
        index = bisect.bisect_left(evaluations, at_ms)
        if not index:
            return None
        return at_ms + (evaluations[index - 1] - at_ms) // interval_ms * interval_ms


def _gone(labels: Labels, track: _Track, at_ms: int) -> AlertState:
    event = AlertState(
        labels=dict(labels),
        state="inactive",
        at=at_ms / 1000,
        previous=track.last_ms / 1000,
        active_at=track.active_at,
    )
    track.state, track.gone_ms, track.active_at = None, at_ms, None
    return event


def _fit(rule: tuple[str, Labels], labels: Labels) -> int:
    """How many labels of a rule an alert carries, alertname included; 0 where it cannot be the rule's."""
    name, own = rule
    present = dict(labels)
    fixed = [(key, value) for key, value in own if value and "{{" not in value]
    fits = present.get("alertname") == name and all(present.get(key) == value for key, value in fixed)
    return 1 + len(fixed) if fits else 0


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _floor_ms(seconds: float) -> int:
    # Prometheus cuts its grid instants down to milliseconds, so the wall clock is cut down too. The small
    # addition makes up for what a float of today's epoch cannot hold.
    return math.floor(seconds * 1000 + 0.0005)
