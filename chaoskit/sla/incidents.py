"""Alerts of a window as incidents with their price, outages that no alert saw, alerts without an outage; pure.

Two witnesses are compared. Recorded slices say when the service was down, episodes say when an alert was open. Slices
hold five minutes, so an outage is known to that grain, and an alert belongs to it that was open within it or within
five minutes after.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chaoskit.sla.episodes import Incident, incidents, rank, span_of
from chaoskit.sla.model import SLICE_S, Episode, Result, Slice
from chaoskit.sla.spans import Stretch, length, shared, union

WEEK_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Evidence:
    """One environment and window: its slices by level, the contract's result of each, and what was planned."""

    slices: Mapping[str, Sequence[Slice]]
    results: Mapping[str, Result]
    planned: Sequence[Stretch] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """When a receiver was notified of an episode: seconds after ActiveAt; `heard`: by the witness, not the promise."""

    after_s: float
    heard: bool


@dataclass(frozen=True, slots=True)
class Told:
    """An incident with what is known of it beside its alerts."""

    incident: Incident
    used: Mapping[str, float]
    """By level: the share of the window's budget that was lost while it went on, planned time apart."""
    notice: Notice | None
    silenced_s: float | None
    """Seconds from the begin to the first silence, which counts as an acknowledgement; None where there was none."""
    rehearsed: bool | None
    """Whether a scenario expects one of its alerts; None where no scenarios were shown."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Slices in a row in which a level's service was down for `down_s` in all, and who would have known."""

    level: str
    starts_at: int
    ends_at: int
    down_s: float
    alerts: tuple[str, ...]
    planned: bool
    left: float | None
    """The share of the budget that was left when the first alert could be heard of; None: no alert saw it."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How often and for how long: of one severity's incidents, or of one alert's episodes."""

    severity: str
    alert: str
    count: int
    per_week: float
    median_s: float
    p90_s: float
    longest_s: float
    notice_s: float | None
    """The median time to notice, where it is known of any."""


@dataclass(frozen=True, slots=True)
class Story:
    """The incidents and outages of one environment and window."""

    environment: str
    incidents: tuple[Told, ...]
    outages: tuple[Outage, ...]
    without_outage: tuple[tuple[str, Stretch], ...]
    """Time of alerts on outages in which nothing was down and no target was missed: alert and stretch."""
    figures: tuple[Figures, ...]
    alert_downtime_s: int
    """The union of the alerts that stand for an outage."""


@dataclass(frozen=True, slots=True)
class Known:
    """Facts from outside the store: when episodes were notified or silenced, and which alerts scenarios expect."""

    notice: Callable[[Episode], Notice | None] = field(default=lambda one: None)
    silenced: Callable[[Episode], float | None] = field(default=lambda one: None)
    rehearsed: frozenset[str] | None = None


def story(
    environment: str,
    found: Iterable[Episode],
    evidence: Evidence,
    within: Stretch,
    outage_alerts: Sequence[str],
    known: Known,
) -> Story:
    """Compares the episodes that touch `within` with the slices of that time; an open one lasts to its end."""
    episodes = [one for one in found if span_of(one, within[1])[1] >= within[0] and one.active_at < within[1]]
    told = [_told(one, evidence, within, known) for one in incidents(episodes, within[1])]
    mine = [one for one in episodes if one.alertname in outage_alerts]
    outages = [
        outage
        for level, result in evidence.results.items()
        if result.unit == "s"
        for outage in _outages(level, result, evidence, mine, known, within[1])
    ]
    # Where more events failed than the target allows, something was out as well.
    failing = [
        (one.starts_at - SLICE_S, one.ends_at + SLICE_S)
        for level, result in evidence.results.items()
        if result.unit == "events"
        for one in evidence.slices[level]
        if _bad(one, result) > float(result.allowed) * (one.total or 0.0)
    ]
    down = union([*((one.starts_at - SLICE_S, one.ends_at + SLICE_S) for one in outages), *failing])
    lonely = [
        (one.alertname, span)
        for one in mine
        for span in shared([span_of(one, within[1])], *within)
        if not shared(down, *span)
    ]
    open_ = union(span for one in mine for span in shared([span_of(one, within[1])], *within))
    weeks = max((within[1] - within[0]) / WEEK_S, 1e-9)
    return Story(
        environment,
        tuple(told),
        tuple(outages),
        tuple(sorted(lonely, key=lambda one: one[1])) if any(r.unit == "s" for r in evidence.results.values()) else (),
        tuple(_figures(told, episodes, within, weeks, known)),
        length(open_),
    )


def _told(one: Incident, evidence: Evidence, within: Stretch, known: Known) -> Told:
    notices = [(each.active_at + told.after_s, told) for each in one.episodes if (told := known.notice(each))]
    first = min(notices, key=lambda pair: pair[0], default=None)
    notice = None if first is None else Notice(first[0] - one.begin, first[1].heard)
    silences = [each.active_at + s - one.begin for each in one.episodes if (s := known.silenced(each)) is not None]
    used = {}
    for level, result in evidence.results.items():
        if result.budget > 0:
            # A slice before: a service is down before its alert is active.
            lost = sum(
                _bad(each, result)
                for each in _counted(evidence, level)
                if each.ends_at > max(one.begin - SLICE_S, within[0]) and each.starts_at < max(one.end, one.begin + 1)
            )
            used[level] = lost / result.budget
    rehearsed = None if known.rehearsed is None else any(name in known.rehearsed for name in one.alerts)
    return Told(one, used, notice, min(silences, default=None), rehearsed)


def _counted(evidence: Evidence, level: str) -> Iterable[Slice]:
    """The slices of a level that no planned time touches."""
    return (each for each in evidence.slices[level] if not shared(evidence.planned, each.starts_at, each.ends_at))


def _bad(one: Slice, result: Result) -> float:
    if result.unit == "s":
        return one.down_s or 0.0
    return one.total - one.good if one.total is not None and one.good is not None else 0.0


def _outages(
    level: str, result: Result, evidence: Evidence, alerts: Sequence[Episode], known: Known, until: int
) -> list[Outage]:
    runs: list[list[Slice]] = []
    for one in evidence.slices[level]:
        if (one.down_s or 0.0) > 0:
            if runs and runs[-1][-1].ends_at == one.starts_at:
                runs[-1].append(one)
            else:
                runs.append([one])
    found = []
    for run in runs:
        begin, end = run[0].starts_at, run[-1].ends_at
        mine = [one for one in alerts if shared([span_of(one, until)], begin, end + SLICE_S)]
        heard = [_heard_at(one, known) for one in mine]
        lost = sum(_bad(each, result) for each in _counted(evidence, level) if each.ends_at <= begin)
        left = None
        if heard and result.budget > 0:
            at = min(heard)
            # What of this outage is over by then: down time is taken to begin at once.
            inside = sum(min(each.down_s or 0.0, max(at - each.starts_at, 0)) for each in run)
            left = 1 - (lost + inside) / result.budget
        planned = bool(shared(evidence.planned, begin, end))
        names = tuple(dict.fromkeys(one.alertname for one in mine))
        found.append(Outage(level, begin, end, sum(each.down_s or 0.0 for each in run), names, planned, left))
    return found


def _heard_at(one: Episode, known: Known) -> float:
    notice = known.notice(one)
    return one.active_at + notice.after_s if notice is not None else one.fired_at


def _figures(
    told: Sequence[Told], episodes: Sequence[Episode], within: Stretch, weeks: float, known: Known
) -> Iterable[Figures]:
    for severity in sorted({one.incident.severity for one in told}, key=rank):
        some = [one for one in told if one.incident.severity == severity]
        notices = [one.notice.after_s for one in some if one.notice is not None]
        yield _figure(severity, "", [one.incident.open_s for one in some], notices, weeks)
        names = sorted({one.alertname for one in episodes if one.severity == severity})
        for name in names:
            mine = [one for one in episodes if (one.severity, one.alertname) == (severity, name)]
            spans = [span_of(one, within[1]) for one in mine]
            notices = [notice.after_s for one in mine if (notice := known.notice(one)) is not None]
            yield _figure(severity, name, [end - begin for begin, end in spans], notices, weeks)


def _figure(severity: str, alert: str, open_s: Sequence[float], notices: Sequence[float], weeks: float) -> Figures:
    ordered = sorted(open_s)
    p90 = ordered[min(len(ordered) - 1, -(-9 * len(ordered) // 10) - 1)] if ordered else 0.0
    return Figures(
        severity,
        alert,
        len(ordered),
        len(ordered) / weeks,
        statistics.median(ordered) if ordered else 0.0,
        p90,
        max(ordered, default=0.0),
        statistics.median(notices) if notices else None,
    )
