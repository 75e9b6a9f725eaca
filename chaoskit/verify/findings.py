"""Everything that was not promised: alerts nobody expected, notices nobody was promised, repeats that come early.

A scenario that says nothing of an alert says that it does not fire, from its first step to the end of its tail: what
was before is waited for by its steady state, and what comes later is of those who play on in the same stack. Where
nobody was looking, "nothing else happened" is UNKNOWN, and so is an alert that fired while the machine was too busy to
let the target run, or once more after its own fault had lapsed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaoskit.alerting import routing
from chaoskit.alerting.model import PromisedNotice, Route
from chaoskit.alerting.windows_expression import range_of
from chaoskit.events import Notice
from chaoskit.plan.model import Plan, PlannedAlert
from chaoskit.plan.witnesses import WITNESS
from chaoskit.scenario.model import Attached
from chaoskit.units import format_duration
from chaoskit.verify import processor
from chaoskit.verify.anchors import lapses
from chaoskit.verify.evidence import Episode, Evidence
from chaoskit.verify.expected import NOTHING_ELSE
from chaoskit.verify.hops import SINKS
from chaoskit.verify.judge import elsewhen
from chaoskit.verify.verdict import Result, Row
from chaoskit.verify.volume import judge_volumes, tells_only

_HUNG_S = 0.5
"""Real seconds for which a sink must stand still before what it was sent may be sent again."""
_REPEATERS = ("alertmanager", "prometheus", "target")


def find(plan: Plan, evidence: Evidence, owners: Mapping[int, PlannedAlert], since: float, until: float) -> list[Row]:
    """Rows for whatever nobody expected. `owners`: by id(episode), the expectation that it fulfils."""
    rows = [
        *_alerts(plan, evidence, owners, since, until),
        *_strangers(plan, evidence, since, until),
        *_repeats(plan, evidence, since, until),
    ]
    known_to = evidence.known_to(until)
    observers = ("prometheus", *evidence.witnesses)
    blind = [(seen, at) for seen in observers if (at := evidence.blind_from(seen, since, known_to)) is not None]
    volumes = judge_volumes(plan, evidence, since, until, [seen for seen, _ in blind if seen != "prometheus"])
    return [*(rows or [_nothing_else(plan, evidence, since, until, blind)]), *volumes]


def _nothing_else(
    plan: Plan, evidence: Evidence, since: float, until: float, blind: Sequence[tuple[str, float]]
) -> Row:
    """Nothing was found: PASS where everything was watched. `blind`: who was not looking, and from when."""
    if not blind and (gone := evidence.target_gone(since, until)):
        reason = f"nothing else was seen, but {gone}, so nobody knows what else it would have shown"
        return _finding(NOTHING_ELSE, reason, Result.UNKNOWN)
    if not blind:
        watched = f"watched for {(until - since) * plan.time_scale:.0f} s"
        return Row(about=NOTHING_ELSE, hop="finding", result=Result.PASS, rests_on=watched)
    first = min(blind, key=lambda item: item[1])
    after = (first[1] - since) * plan.time_scale
    if not evidence.whole:
        ended = (until - since) * plan.time_scale
        reason = f"nothing else was seen until the run ended early, {ended:.1f} s after the first step, so nobody knows"
        return _finding(NOTHING_ELSE, reason, Result.UNKNOWN)
    target = plan.profile.target
    if isinstance(target, Attached) and not target.witness and [name for name, _ in blind] == [WITNESS]:
        reason = "nothing else was seen, but the profile names no witness, so nobody knows who else was told"
        return _finding(NOTHING_ELSE, reason, Result.UNKNOWN)
    names = ", ".join(name for name, _ in blind)
    reason = (
        f"nothing else was seen, but {names} was not watched all the time (blind from {after:.1f} s after the first "
        "step on), so nobody knows"
    )
    return _finding(NOTHING_ELSE, reason, Result.UNKNOWN)


def describe(labels: Mapping[str, str], rule_labels: Mapping[str, str] = {}) -> str:
    """An instance for people: its name and whatever tells it from others of its rule."""
    own = [f"{value}" for key, value in sorted(labels.items()) if key not in _COMMON and key not in rule_labels]
    return " ".join([labels.get("alertname", "?"), *own])


_COMMON = frozenset({"alertname", "severity", "component", "team", "job", "instance"})


def _alerts(
    plan: Plan, evidence: Evidence, owners: Mapping[int, PlannedAlert], since: float, until: float
) -> list[Row]:
    rows = []
    for episode in evidence.episodes:
        if episode.firing is None or id(episode) in owners or plan.allowed(episode.name):
            continue
        if plan.foreign(episode.labels) or elsewhen(episode.firing, since, until):
            continue  # Said in a note: it is not the tested configuration's, or not of this scenario's time.
        expected = [alert for alert in plan.alerts if alert.matches(episode.labels)]
        what = "fired once more than expected" if expected else "fired, and the scenario neither expects nor allows it"
        heard = sorted({notice.receiver for notice in evidence.notices if _lists(notice, episode)})
        routed = sorted({r.receiver for r in routing.match_routes(plan.config.route, episode.sent)})
        who = f"notified: {', '.join(heard)}" if heard else f"nobody was notified yet; routed to: {', '.join(routed)}"
        but = _lapsed(plan, evidence, expected, episode) or _busy(plan, evidence, episode)
        told = f"{describe(episode.labels)} {what}{but and f', but {but}'}; {who}"
        rows.append(_finding(describe(episode.labels), told, Result.UNKNOWN if but else Result.FAIL))
    return rows


def _lapsed(plan: Plan, evidence: Evidence, expected: Sequence[PlannedAlert], episode: Episode) -> str:
    """Why its own fault was not in force all the time: one that comes and goes makes its alert come and go."""
    assert episode.firing is not None
    for problem in (problem for alert in expected for problem in lapses(plan, evidence, alert, episode)):
        effect, gone = evidence.effects.get(problem.fault), evidence.gone.get(problem.fault)
        if effect and episode.firing[1] >= effect[0] and (gone is None or episode.begun[0] <= gone[1]):
            return f"its fault lapsed ({problem.reason})"
    return ""


def _busy(plan: Plan, evidence: Evidence, episode: Episode) -> str:
    """Whether the target was starved in all that the rule looked at: from its range before pending to firing."""
    assert episode.firing is not None
    rules = plan.config.alert_rules(episode.name)
    looked_back_s = max((range_of(plan.config, rule) for rule in rules), default=0.0) / plan.time_scale
    begin, end = episode.begun[0] - looked_back_s, episode.firing[1]
    return evidence.target_gone(begin, end) or processor.starved(
        evidence.processor, ("target",), begin, end, plan.time_scale
    )


def _lists(notice: Notice, episode: Episode) -> bool:
    return any(item.status == "firing" and episode.is_in(item.labels) for item in notice.alerts)


def _fired(labels: Mapping[str, str], evidence: Evidence) -> bool:
    return any(episode.firing is not None and episode.is_in(labels) for episode in evidence.episodes)


def _strangers(plan: Plan, evidence: Evidence, since: float, until: float) -> list[Row]:
    rows: list[Row] = []
    told: set[tuple[object, str]] = set()
    for notice in evidence.notices:
        if elsewhen(notice.sent, since, until):
            continue
        door = (notice.receiver, notice.integration, notice.index)
        to = f"{notice.receiver or 'an unknown door'} ({notice.integration})"
        if not notice.alerts:
            if (door, "") not in told:
                what = f"{to} got a notice whose alerts cannot be told: {notice.subject or notice.text[:80]!r}"
                rows.append(_finding(to, what, Result.UNKNOWN))
            told.add((door, ""))
        for item in notice.alerts:
            name = item.labels.get("alertname", "?")
            if plan.allowed(name) or (door, name) in told or plan.foreign(item.labels):
                continue
            owners = [alert for alert in plan.alerts if alert.matches(item.labels)]
            if any(planned.door == door for alert in owners for planned in alert.notices):
                continue
            if any(alert.expectation.suppressed_by for alert in owners):
                continue  # Whoever hears of it firing is judged there; its end may ride along with its group's.
            what = "promised to others only"
            if not owners:
                if item.status == "resolved" or _fired(item.labels, evidence):
                    continue  # The end of something from before, or an alert that is a finding already.
                what = "which the scenario neither expects nor allows, and which no evaluation showed"
            told.add((door, name))
            rows.append(_finding(describe(item.labels), f"{to} heard of {describe(item.labels)}, {what}"))
    return rows


def _repeats(plan: Plan, evidence: Evidence, since: float, until: float) -> list[Row]:
    rows = []
    last: dict[tuple[str, str, int, str], tuple[Notice, frozenset[tuple[tuple[tuple[str, str], ...], str]]]] = {}
    for notice in evidence.notices:
        content = frozenset((tuple(sorted(item.labels.items())), item.status) for item in notice.alerts)
        if not content or notice.refused or tells_only(notice, plan.foreign):
            continue  # What was refused has not been told; sending it again is right.
        labels = notice.alerts[0].labels
        route = next(
            (r for r in routing.match_routes(plan.config.route, labels) if r.receiver == notice.receiver), None
        )
        if route is None:
            continue
        key = (notice.receiver, notice.integration, notice.index, str(routing.group_labels(route, labels)))
        if all(status == "resolved" for _, status in content):
            last.pop(key, None)
            continue
        before = last.get(key)
        last[key] = (notice, content)
        if before is None or before[1] != content or elsewhen(notice.sent, since, until):
            continue
        gap = (notice.sent[1] - before[0].sent[0]) * plan.time_scale
        least_s, governed = _least_between(plan, notice, route)
        if gap < least_s:
            # An alert that flaps for want of a processor is told again, and rightly.
            span = (before[0].sent[0], notice.sent[1])
            busy = processor.starved(evidence.processor, _REPEATERS, *span, plan.time_scale)
            busy = busy or evidence.target_gone(*span) or _hung(evidence, notice, *span)
            rows.append(
                _finding(
                    describe(labels),
                    f"{notice.receiver} ({notice.integration}) was notified of the same again after {gap:.1f} s"
                    f"{busy and f', but {busy}'}; governed by {governed}",
                    Result.UNKNOWN if busy else Result.FAIL,
                )
            )
    return rows


def _hung(evidence: Evidence, notice: Notice, begin: float, end: float) -> str:
    """Whether its sink stood still, so that a notice was taken and never answered, and rightly sent again."""
    sink = SINKS.get(notice.integration, "webhook-sink")
    away = evidence.away((sink,), begin, end)
    lasted_s = away.lasted_s(end) if away is not None else evidence.lag((sink,), begin, end)[0]
    return f"the {sink} stood still for up to {lasted_s:.1f} real s meanwhile" if away or lasted_s > _HUNG_S else ""


def _least_between(plan: Plan, notice: Notice, route: Route) -> tuple[float, str]:
    """How long before the same may be told again, by the route or a promise of longer, and what says so."""
    promises = plan.config.promise.notices
    told = {item.labels.get("alertname", "") for item in notice.alerts}
    promised = min((p for name in told if (p := promises.get((name, route.receiver)))), key=_repeat_s, default=None)
    if promised is not None and promised.repeat_s > route.repeat_interval_s:
        return promised.repeat_s, f"the promise's repeat: {format_duration(promised.repeat_s)} ({promised.place})"
    return route.repeat_interval_s, f"repeat_interval: {format_duration(route.repeat_interval_s)} ({route.place})"


def _repeat_s(promised: PromisedNotice) -> float:
    return promised.repeat_s


def _finding(about: str, reason: str, result: Result = Result.FAIL) -> Row:
    return Row(about=about, hop="finding", result=result, reason=reason)
