"""The eight questions that are documented for every alert, answered one by one for each instance that was expected.

    pending   seen pending                            mailed    the mails came, to the right people
    firing    after its `for`                         html      and their HTML is right
    received  Alertmanager had it                     resolved  when what was wrong had ended
    grouped   as the configuration says               all-clear the mails that say so came

Most answers are those of the hops' rows. Two are found here, from what Alertmanager showed and what the notices
held; where they fail, the verdict has a row for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from chaoskit.alerting.model import Promise
from chaoskit.plan.model import Plan, PlannedAlert, PlannedNotice
from chaoskit.verify import processor
from chaoskit.verify.content import wrong_html, wrong_people
from chaoskit.verify.evidence import Episode, Evidence
from chaoskit.verify.grouping import wrong_group
from chaoskit.verify.hops import HopJudge
from chaoskit.verify.verdict import Result, Row, worst_of

ITEMS = ("pending", "firing", "received", "grouped", "mailed", "html", "resolved", "all-clear")
_BRIEF_S = 2.0
"""Real seconds that an alert must have fired for that looks at Alertmanager cannot have missed it."""


class Checklist(msgspec.Struct, frozen=True, kw_only=True):
    """The answers for one instance, in the order of ITEMS; None where nothing of the kind is promised."""

    about: str
    answers: dict[str, Result | None]


def check(plan: Plan, judged: HopJudge, episode: Episode | None, rows: Sequence[Row]) -> tuple[Checklist, list[Row]]:
    """The answers, and a row for each of the two found here that is a failure. `rows`: all rows of the instance."""
    alert = judged.alert
    received, why_received = _received(judged.evidence, episode, judged.end_of_watch, judged.scale)
    grouped, why_grouped = _grouped(plan, judged, alert, episode)
    mails = [n for n in alert.notices if n.integration == "email" and n.ask.mode != "never"]
    people, html = _mails(judged, alert, mails, episode, plan.config.promise)
    told = _worst(row.result for row in rows if row.hop == "notify" and (_to(row, mails) or _is_mail_too(row, alert)))
    clears = [notice for notice in mails if notice.all_clear is not None]
    ends = alert.expectation.until_step != "never"
    answers = {
        "pending": _worst(row.result for row in rows if row.hop == "detect"),
        "firing": _worst(row.result for row in rows if row.hop == "hold"),
        "received": received,
        "grouped": grouped,
        "mailed": _worst(each for each in (told, people, _broken(rows, "suppressed")) if each is not None),
        "html": html,
        "resolved": _worst(row.result for row in rows if row.hop == "clear") if ends else _broken(rows, "clear"),
        "all-clear": _worst(row.result for row in rows if row.hop == "all-clear" and _to(row, clears)),
    }
    failures = [
        Row(about=judged.about, hop=hop, result=Result.FAIL, reason=f"{judged.about}, {hop}: {why}")
        for hop, result, why in (("received", received, why_received), ("grouped", grouped, why_grouped))
        if result is Result.FAIL
    ]
    return Checklist(about=judged.about, answers=answers), failures


def _received(evidence: Evidence, episode: Episode | None, until: float, scale: float) -> tuple[Result, str]:
    """Alertmanager had it: it showed it, or told somebody of it. What relabelling drops never gets there."""
    if episode is None or episode.firing is None or not episode.sent:
        return Result.UNKNOWN, ""
    begin, end = episode.firing, episode.resolved[1] if episode.resolved else until
    shown = any(
        event.state != "gone" and event.seen[1] >= begin[0] and episode.is_in(event.labels)
        for event in evidence.suppressions
    )
    told = any(
        notice.sent[1] >= begin[0] and any(episode.is_in(item.labels) for item in notice.alerts)
        for notice in evidence.notices
    )
    if shown or told:
        return Result.PASS, ""
    watched_to = min(end, evidence.known_to(until))
    unknown = (
        watched_to - begin[1] < _BRIEF_S
        or evidence.outage(("alertmanager",), begin[0], end) is not None
        or evidence.silence(("alertmanager",), begin[0], end) is not None
        or evidence.blind_from("alertmanager", begin[1], watched_to) is not None
        or processor.starved(evidence.processor, ("prometheus", "alertmanager"), begin[0], end, scale) != ""
    )
    if unknown:
        return Result.UNKNOWN, ""
    fired_vs = (end - begin[0]) * scale
    return Result.FAIL, (
        f"it fired for {fired_vs:.1f} s, and Alertmanager, which was asked all the time, never had it; "
        "governed by alerting: alertmanagers of the Prometheus configuration, and alert_relabel_configs"
    )


def _grouped(plan: Plan, judged: HopJudge, alert: PlannedAlert, episode: Episode | None) -> tuple[Result | None, str]:
    """None where nobody was to hear of it; UNKNOWN where nobody did."""
    asked = [notice for notice in alert.notices if notice.ask.mode != "never"]
    if not asked or alert.expectation.suppressed_by is not None:
        return None, ""
    heard = [n for planned in asked if (n := judged.heard(planned, episode, "firing")) is not None]
    if not heard or episode is None:
        return Result.UNKNOWN, ""
    for notice in heard:
        if wrong := wrong_group(plan, judged.evidence, notice, episode):
            return Result.FAIL, f"at {notice.receiver} ({notice.integration}) {wrong}"
    return Result.PASS, ""


def _mails(
    judged: HopJudge,
    alert: PlannedAlert,
    mails: Sequence[PlannedNotice],
    episode: Episode | None,
    promise: Promise,
) -> tuple[Result | None, Result | None]:
    """The recipients of the mails that came, and their HTML; UNKNOWN where a mail is missing."""
    if not mails or alert.expectation.suppressed_by is not None:
        return None, None
    people, html = [], []
    for planned in mails:
        came = judged.heard(planned, episode, "firing")
        if came is None:
            people.append(Result.UNKNOWN)
            html.append(Result.UNKNOWN)
            continue
        people.append(Result.FAIL if wrong_people(came, planned) else Result.PASS)
        html.append(Result.FAIL if wrong_html(came, planned, alert, promise) else Result.PASS)
    return worst_of(people), worst_of(html)


def _worst(results: Iterable[Result]) -> Result | None:
    found = list(results)
    return worst_of(found) if found else None


def _broken(rows: Sequence[Row], hop: str) -> Result | None:
    """FAIL where the hop did; None where it did not, for then nothing of the kind is asked."""
    return Result.FAIL if any(row.hop == hop and row.result is Result.FAIL for row in rows) else None


def _is_mail_too(row: Row, alert: PlannedAlert) -> bool:
    """Whether a notice that is not expected by mail, or that nothing could show, tells of mails all the same."""
    if any(row.to == one.to for one in alert.unproved):
        return "(" not in row.to or "(email" in row.to
    return row.result is Result.FAIL and "(email" in row.to


def _to(row: Row, mails: Sequence[PlannedNotice]) -> bool:
    return any(row.to == planned.to for planned in mails)
