"""Suppressed means seen to be suppressed: by its source, and without a notice that lists it as firing meanwhile.

Silence alone proves nothing: an alert that nobody routes is silent too. So Alertmanager must have shown the
alert as suppressed with the source among its inhibitors, and the scenario names a positive control.
"""

from __future__ import annotations

from chaoskit.events import Notice
from chaoskit.plan.model import Plan, PlannedAlert
from chaoskit.verify.evidence import Episode, Evidence
from chaoskit.verify.verdict import Result, Row


def judge_suppressed(
    plan: Plan, evidence: Evidence, alert: PlannedAlert, episode: Episode | None, about: str, until: float
) -> list[Row]:
    """One row for an expectation with `suppressed_by`; none for others."""
    source = alert.expectation.suppressed_by
    if source is None:
        return []
    if episode is None or episode.firing is None:
        return [_row(about, Result.UNKNOWN, f"{about}: not judged: it was not seen firing")]
    source_end = max(
        (e.resolved[0] if e.resolved else until for e in evidence.episodes if e.name == source and e.firing),
        default=until,
    )
    told = [n for n in evidence.notices if n.sent[1] < source_end and _lists_firing(n, episode)]
    if told:
        receivers = ", ".join(sorted({notice.receiver for notice in told}))
        return [_row(about, Result.FAIL, f"{about}: {receivers} heard of it although {source} should mute it")]
    later = [n for n in evidence.notices if n.sent[1] >= source_end and _lists_firing(n, episode)]
    if later and alert.expectation.then == "silent":
        return [_row(about, Result.FAIL, f"{about}: {later[0].receiver} heard of it after {source} ended")]
    if not later and alert.expectation.then == "delivered":
        return [_row(about, Result.FAIL, f"{about}: it was not delivered after {source} ended")]
    seen = any(
        event.state == "suppressed"
        and all(event.labels.get(k) == v for k, v in episode.labels.items())
        and any(by.get("alertname") == source for by in event.inhibited_by)
        for event in evidence.suppressions
    )
    if not seen:
        outage = evidence.outage(("alertmanager",), episode.firing[0], until)
        blind = evidence.blind_from("alertmanager", episode.firing[1], min(source_end, until))
        result = Result.FAIL if outage is None and blind is None else Result.UNKNOWN
        return [_row(about, result, f"{about}: Alertmanager never showed it suppressed by {source}")]
    return [_row(about, Result.PASS)]


def _lists_firing(notice: Notice, episode: Episode) -> bool:
    return any(
        item.status == "firing" and all(item.labels.get(k) == v for k, v in episode.labels.items())
        for item in notice.alerts
    )


def _row(about: str, result: Result, reason: str = "") -> Row:
    return Row(about=about, hop="suppressed", result=result, reason=reason)
