"""The eight questions that are documented for every alert, answered one by one for each instance that was expected.

    pending   seen pending                            mailed    the mails came, to the right people
    firing    after its `for`                         html      and their HTML is right
    received  Alertmanager had it                     resolved  when what was wrong had ended
    grouped   as the configuration says               all-clear the mails that say so came

Most answers are those of the hops' rows. Two are found here, from what Alertmanager showed and what the notices
held; where they fail, the verdict has a row for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from chaoskit.alerting import routing
from chaoskit.alerting.model import Route
from chaoskit.events import Notice, Suppression
from chaoskit.hop import Hop
from chaoskit.plan.model import Plan, PlannedAlert, PlannedNotice
from chaoskit.plan.witnesses import RECORDER
from chaoskit.units import amount
from chaoskit.verify.case import Instance
from chaoskit.verify.check import Check, Need, Strict, broken, but, kept, unknown
from chaoskit.verify.evidence import Episode, Evidence
from chaoskit.verify.notification_content import wrong_html, wrong_recipients
from chaoskit.verify.verdict import Result, Row, worst_of

ITEMS = ("pending", "firing", "received", "grouped", "mailed", "html", "resolved", "all-clear")
_BRIEF_S = 2.0
"""Real seconds that an alert must have fired for that looks at Alertmanager cannot have missed it."""


class Checklist(msgspec.Struct, frozen=True, kw_only=True):
    """The answers for one instance, in the order of ITEMS; None where nothing of the kind is promised."""

    about: str
    answers: dict[str, Result | None]


def checklist(one: Instance, rows: Sequence[Row]) -> Checklist:
    """The checklist's answers for one instance of an alert; `rows` are all rows of that instance."""
    alert = one.alert
    mails = [n for n in alert.notices if n.integration == "email" and n.ask.mode != "never" and n.by[:1] != (RECORDER,)]
    addressed, html = _mails(one, mails)
    told = _of(rows, Hop.NOTIFY, lambda row: _to(row, mails) or _is_mail_too(row, alert))
    clears = [notice for notice in mails if notice.all_clear is not None]
    ends = alert.expectation.until_step != "never"
    found = (told, addressed, _broken(rows, Hop.SUPPRESSED))
    answers = {
        "pending": _of(rows, Hop.DETECT),
        "firing": _of(rows, Hop.HOLD),
        "received": _of(rows, Hop.RECEIVED),
        "grouped": _of(rows, Hop.GROUPED),
        "mailed": _worst(each for each in found if each is not None),
        "html": html,
        "resolved": _of(rows, Hop.CLEAR) if ends else _broken(rows, Hop.CLEAR),
        "all-clear": _of(rows, Hop.ALL_CLEAR, lambda row: _to(row, clears)),
    }
    return Checklist(about=one.about, answers=answers)


def _received(one: Instance) -> Iterator[Strict]:
    """Alertmanager had the alert: its API showed it, or it sent a notice of it. Relabelling may drop it before."""
    case, episode = one.case, one.episode
    evidence, until = case.evidence, case.until
    if episode is None or episode.firing is None or not episode.sent:
        yield unknown(Hop.RECEIVED, one.about, f"not judged: {one.about}: not seen firing, or dropped by relabelling")
        return
    begin, end = episode.firing, episode.resolved[1] if episode.resolved else until
    shown = any(
        event.state != "gone" and event.seen[1] >= begin[0] and episode.is_in(event.labels)
        for event in evidence.suppressions
    )
    told = any(notice.sent[1] >= begin[0] and episode.is_told(notice) for notice in evidence.notices)
    watched_to = min(end, evidence.known_to(until))
    why = (
        f"{one.about}, received: the alert fired for {(end - begin[0]) * case.scale:.1f} s, and Alertmanager, which "
        "was asked throughout, never had it; governed by alerting: alertmanagers of the Prometheus configuration, and "
        "alert_relabel_configs"
    )
    if shown or told:
        yield kept(Hop.RECEIVED, one.about, "shown, or told")
    elif watched_to - begin[1] < _BRIEF_S:
        yield unknown(Hop.RECEIVED, one.about, f"not judged: {one.about}: the alert fired for too short a time")
    else:
        busy = ("prometheus", "alertmanager")
        up = Need((begin[0], end), but(why), begin[1], "firing", equipment=("alertmanager",), busy=busy)
        looked = Need((begin[0], watched_to), but(why), begin[1], "firing", observers=("alertmanager",))
        yield broken(Hop.RECEIVED, one.about, why, up, looked)


def _grouped(one: Instance) -> Iterator[Strict]:
    """Whether its notices are grouped as configured; no row where none was promised, UNKNOWN where none came."""
    asked = [notice for notice in one.alert.notices if notice.ask.mode != "never"]
    if not asked or one.alert.expectation.suppressed_by is not None:
        return
    heard = [n for planned in asked if (n := one.heard(planned, "firing")) is not None]
    if not heard or one.episode is None:
        yield unknown(Hop.GROUPED, one.about, f"not judged: {one.about}: no notice was seen")
        return
    for notice in heard:
        if wrong := wrong_group(one.case.plan, one.case.evidence, notice, one.episode):
            where = f"{notice.receiver} ({notice.integration})"
            yield broken(Hop.GROUPED, one.about, f"{one.about}, grouped: at {where} {wrong}")
            return
    yield kept(Hop.GROUPED, one.about, amount(len(heard), "notices"))


RECEIVED = Check("whether Alertmanager had it", Instance, _received)
GROUPED = Check("grouping", Instance, _grouped)


def _mails(one: Instance, mails: Sequence[PlannedNotice]) -> tuple[Result | None, Result | None]:
    """The recipients of the mails that came, and their HTML; UNKNOWN where a mail is missing."""
    if not mails or one.alert.expectation.suppressed_by is not None:
        return None, None
    addressed, html = [], []
    for planned in mails:
        came = one.heard(planned, "firing")
        if came is None:
            addressed.append(Result.UNKNOWN)
            html.append(Result.UNKNOWN)
            continue
        addressed.append(Result.FAIL if wrong_recipients(came, planned) else Result.PASS)
        wrong = wrong_html(came, planned, one.alert, one.case.plan.config.promise)
        html.append(Result.FAIL if wrong else Result.PASS)
    return worst_of(addressed), worst_of(html)


def _of(rows: Sequence[Row], hop: Hop, counts: Callable[[Row], bool] = lambda _: True) -> Result | None:
    return _worst(row.result for row in rows if row.hop is hop and counts(row))


def _worst(results: Iterable[Result]) -> Result | None:
    found = list(results)
    return worst_of(found) if found else None


def _broken(rows: Sequence[Row], hop: Hop) -> Result | None:
    """FAIL where the hop did; None where it did not, for then nothing of the kind is asked."""
    return Result.FAIL if any(row.hop is hop and row.result is Result.FAIL for row in rows) else None


def _is_mail_too(row: Row, alert: PlannedAlert) -> bool:
    """Whether a notice that is not expected by mail, or that nothing could show, tells of mails all the same."""
    if any(row.to == one.to for one in alert.unproved):
        return "(" not in row.to or "(email" in row.to
    return row.result is Result.FAIL and "(email" in row.to


def _to(row: Row, mails: Sequence[PlannedNotice]) -> bool:
    return any(row.to == planned.to for planned in mails)


_SLACK_S = 0.5
"""Real seconds that an alert which Alertmanager shows may need to join its group."""


def wrong_group(plan: Plan, evidence: Evidence, notice: Notice, episode: Episode) -> str:
    """How the group of a notice that lists this instance differs from the configuration; empty where it does not.

    Where several routes lead to the receiver, it is right when it fits one of them.
    """
    labels = routing.sent_labels(plan.config, episode.labels)
    routes = [r for r in routing.match_routes(plan.config.route, labels) if r.receiver == notice.receiver]
    wrong = [_wrong_under(plan, evidence, notice, route, labels) for route in routes]
    return "" if not wrong or "" in wrong else wrong[0]


def _wrong_under(plan: Plan, evidence: Evidence, notice: Notice, route: Route, labels: Mapping[str, str]) -> str:
    mine = routing.group_labels(route, labels)
    by = "all labels (...)" if route.group_by is None else ", ".join(sorted(route.group_by)) or "nothing"
    governed = f"governed by group_by: {by} ({route.place})"
    root = plan.config.route
    keys = [routing.group_key(root, route, labels, by_name=by_name) for by_name in (False, True)]
    if notice.group_key and notice.group_key not in keys:
        return f"its group is {notice.group_key}, and the configuration makes it {keys[0]}; {governed}"
    for item in notice.alerts:
        if routing.group_labels(route, item.labels) != mine:
            return f"the alert was told together with {_named(item.labels)}, which belongs to another group; {governed}"
    listed = [item.labels for item in notice.alerts]
    for other in _firing_with(evidence, notice):
        same = routing.matches_all(route.matchers, other) and routing.group_labels(route, other) == mine
        same = same and route in routing.match_routes(root, other)
        if same and not any(other.items() <= shown.items() for shown in listed):
            return f"the alert was told without {_named(other)}, which is of the same group and was firing; {governed}"
    return ""


def _firing_with(evidence: Evidence, notice: Notice) -> Iterable[Mapping[str, str]]:
    """The label sets of alerts that were active in Alertmanager from well before a notice until after it."""
    last: dict[tuple[tuple[str, str], ...], Suppression] = {}
    changed: set[tuple[tuple[str, str], ...]] = set()
    for event in evidence.suppressions:
        key = tuple(sorted(event.labels.items()))
        if event.seen[1] < notice.sent[0] - _SLACK_S:
            last[key] = event
        elif event.seen[0] <= notice.sent[1]:
            changed.add(key)
    ended = [e for e in evidence.episodes if e.resolved is not None and e.resolved[0] <= notice.sent[1]]
    for key, event in last.items():
        over = any(e.is_in(event.labels) for e in ended)
        if event.state == "active" and key not in changed and not over:
            yield event.labels


def _named(labels: Mapping[str, str]) -> str:
    more = [value for key, value in sorted(labels.items()) if key not in ("alertname", "instance", "job")]
    return " ".join([labels.get("alertname", "?"), *more])
