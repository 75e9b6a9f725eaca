"""Suppressed means seen to be suppressed: by its source, and without a notice that lists it as firing meanwhile.

Silence alone proves nothing: an alert without a route is silent too. So Alertmanager must have shown the
alert as suppressed with the source among its inhibitors, and the scenario names a positive control. Where the source
itself lapsed for want of a processor, nothing tells whether it would have muted.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from chaoskit.events import Notice
from chaoskit.plan.model import Plan, PlannedAlert
from chaoskit.verify.evidence import Episode, Evidence
from chaoskit.verify.excuses import FLAP_REAL_S
from chaoskit.verify.processor import starved
from chaoskit.verify.verdict import Result, Row

_TOLD_REAL_S = 2.0
"""Real seconds from when an alert fires again to when a notice that was decided without it may still arrive."""


def judge_suppressed(
    plan: Plan, evidence: Evidence, alert: PlannedAlert, episode: Episode | None, about: str, until: float
) -> list[Row]:
    """One row for an expectation with `suppressed_by`; none for others."""
    source = alert.expectation.suppressed_by
    if source is None:
        return []
    if episode is None or episode.firing is None:
        return [_row(about, Result.UNKNOWN, f"{about}: not judged: it was not seen firing")]
    ends = episode.resolved[1] if episode.resolved else until
    source_end = max(
        (
            e.resolved[0] if e.resolved else until
            for e in evidence.episodes
            if e.name == source and e.firing and e.firing[0] <= ends
        ),
        default=until,
    )
    told = [n for n in evidence.notices if not n.refused and _tells_of(n, episode, evidence.episodes)]
    later = [n for n in told if n.sent[1] >= source_end]
    if early := [n for n in told if n.sent[1] < source_end]:
        receivers = ", ".join(sorted({notice.receiver for notice in early}))
        reason = f"{about}: {receivers} heard of it although {source} should mute it"
        return [_failure(plan, evidence, source, early, about, reason)]
    if later and alert.expectation.then == "silent":
        reason = f"{about}: {later[0].receiver} heard of it after {source} ended"
        return [_failure(plan, evidence, source, later, about, reason)]
    unwatched = _unwatched(evidence, evidence.witnesses, episode.firing[0], evidence.known_to(until))
    if not later and unwatched:
        return [_row(about, Result.UNKNOWN, f"{about}: nobody was seen to hear of it, but {unwatched}")]
    busy = _starved(plan, evidence, episode.firing[0], until)
    if not later and alert.expectation.then == "delivered":
        return [_missing(about, f"it was not delivered after {source} ended", busy)]
    seen = any(
        event.state == "suppressed"
        and episode.is_in(event.labels)
        and any(by.get("alertname") == source for by in event.inhibited_by)
        for event in evidence.suppressions
    )
    if not seen:
        end = min(source_end, evidence.known_to(until))
        unwatched = _unwatched(evidence, ("alertmanager",), episode.firing[1], end)
        return [_missing(about, f"Alertmanager never showed it suppressed by {source}", unwatched or busy)]
    return [Row(about=about, hop="suppressed", result=Result.PASS, rests_on="shown suppressed")]


def _missing(about: str, what: str, trouble: str) -> Row:
    """What should have been seen was not: FAIL, or UNKNOWN where there was trouble."""
    return _row(about, Result.UNKNOWN if trouble else Result.FAIL, f"{about}: {what}{trouble and f', but {trouble}'}")


def _failure(plan: Plan, evidence: Evidence, source: str, told: Sequence[Notice], about: str, reason: str) -> Row:
    """FAIL, or UNKNOWN where each of the notices came while the source had lapsed for want of a processor."""
    lapses = [_lapse(plan, evidence, source, notice) for notice in told]
    if all(lapses):
        return _row(about, Result.UNKNOWN, f"{reason}, but that had resolved for a while, and {lapses[0]}")
    return _row(about, Result.FAIL, reason)


def _lapse(plan: Plan, evidence: Evidence, source: str, notice: Notice) -> str:
    """Who was starved where the source resolved just then and fired again later; empty where it did not.

    An alert whose samples are missing resolves, and mutes nobody until it fires again.
    """
    lives = sorted((e.firing[0], e.resolved) for e in evidence.episodes if e.name == source and e.firing)
    for (_, resolved), (again, _) in itertools.pairwise(lives):
        if resolved and resolved[0] <= notice.sent[1] and again >= notice.sent[0] - _TOLD_REAL_S:
            return _starved(plan, evidence, resolved[0], notice.sent[1])
    return ""


def _starved(plan: Plan, evidence: Evidence, begin: float, end: float) -> str:
    """Which part of the chain was starved in between, or in the scrapes just before; empty where none was."""
    chain = ("prometheus", "alertmanager", "target")
    busy = starved(evidence.processor, chain, begin - FLAP_REAL_S, end, plan.time_scale)
    return busy or evidence.target_gone(begin, end)


def _unwatched(evidence: Evidence, observers: tuple[str, ...], begin: float, end: float) -> str:
    """Why nobody can know what these observers would have seen; empty where they were looking all the time."""
    outage = evidence.outage(observers, begin, end)
    if outage is not None:
        return f"{outage.equipment} was down ({outage.detail})"
    blind = [observer for observer in observers if evidence.blind_from(observer, begin, end) is not None]
    return f"{', '.join(blind)} was not watched all the time" if blind else ""


def _tells_of(notice: Notice, episode: Episode, episodes: Sequence[Episode]) -> bool:
    """Whether a notice lists this life of the alert as firing, and not an earlier or a later one of the same labels."""
    assert episode.firing is not None
    if not _lists_firing(notice, episode) or notice.sent[1] < episode.firing[0]:
        return False
    later = [e.firing[0] for e in episodes if e.firing and e.labels == episode.labels and e.firing > episode.firing]
    return all(notice.sent[1] < begun for begun in later)


def _lists_firing(notice: Notice, episode: Episode) -> bool:
    return any(item.status == "firing" and episode.is_in(item.labels) for item in notice.alerts)


def _row(about: str, result: Result, reason: str = "") -> Row:
    return Row(about=about, hop="suppressed", result=result, reason=reason)
