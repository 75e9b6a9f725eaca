"""From stored samples of ALERTS to episodes, and from episodes to incidents; pure.

An episode is one alert's time open, from ActiveAt to its resolve. `observe/alert_states.py` proves each change of
state while it happens, from evaluations that are known to be over; here the samples are days old and Prometheus may
have been away among them, so firing samples are joined: those no further apart than two evaluations, those with the
same ActiveAt (the value of ALERTS_FOR_STATE: one life of the alert, even across a gap), and those with nothing but
unknown time between them. Never by `changes(ALERTS)`: its value is always 1.

An incident is what a team lives through: episodes of one environment that overlap or follow each other within five
minutes. Its open time is their union, so two alerts at once are not counted twice.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chaoskit.observe.alert_states import Labels
from chaoskit.sla.model import Episode
from chaoskit.sla.spans import Stretch, length, overlap, union

FOLLOWS_S = 300
"""Seconds after an episode within which a further one belongs to the same incident."""
SEVERITIES = ("critical", "error", "warning", "info")
"""From the worst on; any other word comes after them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Samples of one environment and some time: when each alert fired, and its ActiveAt as (instant, value).

    `unknown` are the stretches, without overlaps, in which Prometheus was away, up to `until`; `kept_s` is
    keep_firing_for by alert name. Instants are whole seconds, as ActiveAt is written.
    """

    environment: str
    firing: Mapping[Labels, Sequence[int]]
    active: Mapping[Labels, Sequence[tuple[int, int]]]
    until: int
    interval_s: float
    unknown: Sequence[Stretch] = ()
    kept_s: Mapping[str, float] = field(default_factory=dict)
    every_s: Mapping[str, float] = field(default_factory=dict)
    """Evaluation intervals by alert name, where they are known; `interval_s` is that of the others."""

    def interval(self, alertname: str) -> float:
        """Seconds between two evaluations of the alert."""
        return self.every_s.get(alertname, self.interval_s)


def fingerprint(labels: Labels) -> str:
    """The label set as one short word."""
    return hashlib.sha256(repr(labels).encode()).hexdigest()[:16]


def span_of(one: Episode, until: int) -> Stretch:
    """An episode's stretch from ActiveAt to the resolve, or to `until` where it is still open."""
    return (one.active_at, max(one.active_at, until if one.resolved_at is None else one.resolved_at))


def episodes(seen: Seen, before: Iterable[Episode] = ()) -> list[Episode]:
    """The episodes of these samples in order of ActiveAt; `before` are the last known ones, which may go on.

    Those of `before` that these samples neither extend nor end are left out.
    """
    latest: dict[str, Episode] = {}
    for one in before:
        if one.fingerprint not in latest or latest[one.fingerprint].last_at < one.last_at:
            latest[one.fingerprint] = one
    found: list[Episode] = []
    for labels, instants in seen.firing.items():
        found += _of_one(labels, sorted(instants), latest.pop(fingerprint(labels), None), seen)
    found += [
        _ended(one, seen) for one in latest.values() if one.resolved_at is None and not _joined(one, seen.until, seen)
    ]
    return sorted(found, key=lambda one: (one.active_at, one.fingerprint))


def _of_one(labels: Labels, instants: Sequence[int], current: Episode | None, seen: Seen) -> list[Episode]:
    born = sorted(seen.active.get(labels, ()))
    known = dict(labels)
    found: list[Episode] = []
    changed = current is not None and current.resolved_at is None
    for at in instants:
        if current is not None and at <= current.last_at:
            continue
        active_at = _active_at(born, at, seen.interval(known.get("alertname", "")))
        if current is not None and (active_at == current.active_at or _joined(current, at, seen)):
            current = replace(current, last_at=at, resolved_at=None)
        else:
            if current is not None and changed:
                found.append(_ended(current, seen))
            begun = at if active_at is None else min(active_at, at)
            name, severity = known.get("alertname", ""), known.get("severity", "none")
            current = Episode(seen.environment, fingerprint(labels), begun, at, at, None, name, severity, known)
        changed = True
    if current is not None and changed:
        found.append(current if _joined(current, seen.until, seen) else _ended(current, seen))
    return found


def _active_at(born: Sequence[tuple[int, int]], at: int, interval_s: float) -> int | None:
    """ActiveAt as it was written at the same evaluation; None where it was not."""
    index = bisect.bisect_right(born, at, key=lambda one: one[0]) - 1
    return born[index][1] if index >= 0 and born[index][0] > at - interval_s else None


def _joined(one: Episode, at: int, seen: Seen) -> bool:
    """Whether no more than two evaluations between its last sample and this instant are known to have lacked it."""
    away = overlap(seen.unknown, one.last_at, at)
    return at - one.last_at - away <= 2 * seen.interval(one.alertname)


def _ended(one: Episode, seen: Seen) -> Episode:
    end = one.last_at + seen.interval(one.alertname) - seen.kept_s.get(one.alertname, 0.0)
    return replace(one, resolved_at=max(one.fired_at, round(end)))


@dataclass(frozen=True, slots=True)
class Incident:
    """Episodes of one environment that belong together."""

    environment: str
    episodes: tuple[Episode, ...]
    spans: tuple[Stretch, ...]
    """The union of the incident's episodes, in order of time."""
    open: bool

    @property
    def begin(self) -> int:
        return self.spans[0][0]

    @property
    def end(self) -> int:
        return self.spans[-1][1]

    @property
    def open_s(self) -> int:
        """Seconds in which at least one of its alerts was open."""
        return length(self.spans)

    @property
    def severity(self) -> str:
        return min((one.severity for one in self.episodes), key=rank)

    @property
    def alerts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.alertname for one in self.episodes))


def incidents(found: Iterable[Episode], until: int) -> list[Incident]:
    """The incidents of each environment in order of time; what is still open is taken to last until `until`."""
    groups: list[list[Episode]] = []
    ends: dict[str, int] = {}
    latest: dict[str, list[Episode]] = {}
    for one in sorted(found, key=lambda each: (each.active_at, each.fingerprint)):
        begin, end = span_of(one, until)
        if one.environment not in latest or begin > ends[one.environment] + FOLLOWS_S:
            latest[one.environment] = []
            groups.append(latest[one.environment])
        latest[one.environment].append(one)
        ends[one.environment] = max(end, ends.get(one.environment, end))
    return [
        Incident(
            some[0].environment,
            tuple(some),
            tuple(union(span_of(one, until) for one in some) or [span_of(some[0], until)]),
            any(one.resolved_at is None for one in some),
        )
        for some in groups
    ]


def rank(severity: str) -> tuple[int, str]:
    """A severity's sort key: the worst first."""
    return (SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES), severity)
