"""All that was not promised: unexpected alerts, notices to receivers that were promised none, early repeats, mutes.

A scenario that says nothing of an alert says that it does not fire, from its first step to the end of its tail: what
was before is waited for by its steady state, and what comes later is of those who play on in the same stack. Where no
observer was looking, "nothing else happened" is UNKNOWN, and so is an alert that fired while the machine was too busy
to let the target run, or once more after its own fault had lapsed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from chaoskit.alerting import routing
from chaoskit.alerting.model import Route
from chaoskit.alerting.silences import written
from chaoskit.alerting.windows_expression import range_of
from chaoskit.events import Notice, SinkKey, Stranger
from chaoskit.history import History
from chaoskit.hop import Hop
from chaoskit.plan.model import Plan, PlannedAlert, sink_of
from chaoskit.plan.silences import silences
from chaoskit.plan.witnesses import hears_all_receivers
from chaoskit.units import format_duration
from chaoskit.verify.anchors import Silenced, lapses
from chaoskit.verify.case import Case, describe
from chaoskit.verify.check import Check, Need, Strict, broken, but, kept, outside_span, unknown
from chaoskit.verify.evidence import Episode, Evidence
from chaoskit.verify.volume import tells_only

NOTHING_ELSE = "nothing else"
_HUNG_S = 0.5
"""Real seconds for which a sink must stand still before what it was sent may be sent again."""
_REPEATERS = ("alertmanager", "prometheus", "target")


def _judge(case: Case) -> Iterator[Strict]:
    """Alerts, notices and mutes that nothing promised or allowed."""
    found = [*_alerts(case), *_strangers(case), *_mutes(case), *_repeats(case), *_idle_silences(case)]
    yield from found or [_nothing_else(case)]


def _nothing_else(case: Case) -> Strict:
    """Nothing was found; that rests on everything having been watched."""
    evidence, watched = case.evidence, (case.until - case.since) * case.scale
    if not evidence.complete:
        reason = f"until the run ended early, {watched:.1f} s after the first step; the rest was not watched"
        return unknown(Hop.FINDING, NOTHING_ELSE, f"nothing else was seen {reason}")
    if not hears_all_receivers(case.plan.profile):
        reason = "but the profile names no witness that hears every receiver, so other notices would not have been seen"
        return unknown(Hop.FINDING, NOTHING_ELSE, f"nothing else was seen, {reason}")
    need = Need(
        (case.since, evidence.known_to(case.until)),
        but("nothing else was seen", ", so something may have been missed"),
        case.since,
        observers=("prometheus", *evidence.witnesses),
        equipment=("target",),
    )
    return kept(Hop.FINDING, NOTHING_ELSE, f"watched for {watched:.0f} s", need)


def _alerts(case: Case) -> Iterator[Strict]:
    plan, evidence = case.plan, case.evidence
    told: dict[int, set[str]] = {}
    for notice in evidence.notices:
        for episode in (
            one for item in notice.alerts if item.status == "firing" for one in evidence.within(item.labels)
        ):
            told.setdefault(id(episode), set()).add(notice.receiver)
    for episode in evidence.episodes:
        if episode.firing is None or id(episode) in case.owners or plan.allowed(episode.name):
            continue
        if plan.foreign(episode.labels) or outside_span(episode.firing, case.since, case.until):
            continue  # Said in a note: it is not the tested configuration's, or not of this scenario's time.
        expected = [alert for alert in plan.alerts if alert.matches(episode.labels)]
        what = "fired once more than expected" if expected else "fired, and the scenario neither expects nor allows it"
        heard = sorted(told.get(id(episode), ()))
        routed = sorted({r.receiver for r in routing.match_routes(plan.config.route, episode.sent)})
        who = f"notified: {', '.join(heard)}" if heard else f"no notice was seen yet; routed to: {', '.join(routed)}"
        name = describe(episode.labels)
        # The target had to run in all that the rule looked at: from its range before pending to firing.
        looked_back_s = max(
            (range_of(plan.config, rule) for rule in plan.config.alert_rules(episode.name)), default=0.0
        )
        need = Need(
            (episode.begun[0] - looked_back_s / case.scale, episode.firing[1]),
            but(f"{name} {what}", f"; {who}"),
            episode.firing[1],
            "firing",
            equipment=("target",),
            busy=("target",),
            known=_lapsed(plan, evidence, expected, episode),
        )
        yield broken(Hop.FINDING, name, f"{name} {what}; {who}", need)


def _lapsed(plan: Plan, evidence: Evidence, expected: Sequence[PlannedAlert], episode: Episode) -> str:
    """Why its own fault was not in force all the time: one that comes and goes makes its alert come and go."""
    assert episode.firing is not None
    for problem in (problem for alert in expected for problem in lapses(plan, evidence, alert, episode)):
        effect, gone = evidence.faults.effects.get(problem.fault), evidence.faults.gone.get(problem.fault)
        if effect and episode.firing[1] >= effect[0] and (gone is None or episode.begun[0] <= gone[1]):
            return f"its fault lapsed ({problem.reason})"
    return ""


def _strangers(case: Case) -> Iterator[Strict]:
    plan, evidence = case.plan, case.evidence
    told: set[tuple[object, str]] = set()
    for notice in evidence.notices:
        if outside_span(notice.sent, case.since, case.until):
            continue
        door, to = notice.sink_key, f"{notice.receiver or 'an unknown door'} ({notice.integration})"
        if not notice.alerts:
            if (door, "") not in told:
                what = f"{to} got a notice that names no alert: {notice.subject or notice.text[:80]!r}"
                yield unknown(Hop.FINDING, to, what)
            told.add((door, ""))
        for item in notice.alerts:
            labels = case.origin(item.labels)
            name = labels.get("alertname", "?")
            if plan.allowed(name) or (door, name) in told or plan.foreign(labels):
                continue
            owners = [alert for alert in plan.alerts if alert.matches(labels)]
            if any(planned.sink_key == door for alert in owners for planned in alert.notices):
                continue
            if any(alert.expectation.suppressed_by for alert in owners):
                continue  # Receivers that hear of it firing are judged there; its end may ride along with its group's.
            what = "which is promised to other receivers only"
            if not owners:
                if item.status == "resolved" or any(e.firing for e in evidence.within(item.labels)):
                    continue  # The end of something from before, or an alert that is a finding already.
                what = "which the scenario neither expects nor allows, and which no evaluation showed"
            told.add((door, name))
            about = describe(item.labels)
            yield broken(Hop.FINDING, about, f"{to} heard of {about}, {what}")


def _mutes(case: Case) -> Iterator[Strict]:
    """Alerts that no expectation names, muted by others than are promised; of expected ones `muted-by` tells."""
    plan, told = case.plan, set[tuple[str, str]]()
    ours = {alert.rule.alert for alert in plan.alerts}
    for event in case.evidence.suppressions:
        labels, about = case.origin(event.labels), describe(event.labels)
        promised = plan.config.promise.alerts.get(labels.get("alertname", ""))
        if promised is None or promised.muted_by is None or outside_span(event.seen, case.since, case.until):
            continue
        if plan.foreign(labels) or plan.only_beside(labels) or any(alert.matches(labels) for alert in plan.alerts):
            continue
        began = [e.firing[1] for e in case.evidence.within(event.labels) if e.firing and e.firing[0] <= event.seen[1]]
        earlier = bool(began) and max(began) < case.since
        for by, name in case.muting([event]).items():
            if name in promised.muted_by or (about, by) in told or (earlier and name not in ours):
                continue  # An alert from before the run that others mute is none of this scenario's doing.
            told.add((about, by))
            only = ", ".join(promised.muted_by) or "none"
            what = f"{by} muted {about}, of {only} that may; promised at {promised.at('muted_by')}"
            yield (broken if name or not promised.muted_by else unknown)(Hop.FINDING, about, what)


def _repeats(case: Case) -> Iterator[Strict]:
    plan, evidence = case.plan, case.evidence
    last: dict[tuple[SinkKey, str], tuple[Notice, frozenset[tuple[tuple[tuple[str, str], ...], str]]]] = {}
    for notice in evidence.notices:
        content = frozenset((tuple(sorted(item.labels.items())), item.status) for item in notice.alerts)
        if not content or notice.refused or tells_only(case, notice, plan.foreign):
            continue  # What was refused has not been told; sending it again is right.
        labels = notice.alerts[0].labels
        route = next(
            (r for r in routing.match_routes(plan.config.route, labels) if r.receiver == notice.receiver), None
        )
        if route is None:
            continue
        key = (notice.sink_key, str(routing.group_labels(route, labels)))
        if all(status == "resolved" for _, status in content):
            last.pop(key, None)
            continue
        before = last.get(key)
        last[key] = (notice, content)
        if before is None or before[1] != content or outside_span(notice.sent, case.since, case.until):
            continue
        if any(e.firing and e.firing[0] > before[0].sent[1] and e.is_told(notice, "firing") for e in evidence.episodes):
            continue  # It had ended meanwhile, of which this receiver hears nothing, and fired anew.
        gap = (notice.sent[1] - before[0].sent[0]) * plan.time_scale
        least_s, governed = _least_between(plan, notice, route)
        if gap >= least_s:
            continue
        what = f"{notice.receiver} ({notice.integration}) was notified of the same again after {gap:.1f} s"
        # An alert that flaps for want of a processor is told again, and rightly; so is what its sink never answered.
        need = Need(
            (before[0].sent[0], notice.sent[1]),
            but(what, f"; governed by {governed}"),
            before[0].sent[0],
            "the first of them",
            equipment=(notice.by or sink_of(notice.integration), "target"),
            busy=_REPEATERS,
            late_s=_HUNG_S,
        )
        yield broken(Hop.FINDING, describe(labels), f"{what}; governed by {governed}", need)


def _idle_silences(case: Case) -> Iterator[Strict]:
    """Silences that muted no alert: of a silence that matches nothing people think that it does."""
    evidence = case.evidence
    muting = {one for event in evidence.suppressions for one in event.silenced_by}
    for step, _, matchers in silences(case.plan.scenario):
        silence = Silenced(case.plan, evidence, step)
        if silence.begun is None or silence.ids & muting:
            continue
        end = evidence.known_to(case.until) if silence.ending is None else silence.ending
        what = f"the silence of {written(matchers)} muted no alert"
        need = Need(
            (silence.begun[1], end), but(what), silence.begun[1], "the silence", ("alertmanager",), ("alertmanager",),
            busy=("prometheus", "alertmanager", "target"),
        )  # fmt: skip
        yield broken(Hop.FINDING, step, what, need)


def _least_between(plan: Plan, notice: Notice, route: Route) -> tuple[float, str]:
    """How long before the same may be told again, by the route or a promise of longer, and what says so."""
    promises = plan.config.promise.notices
    told = {item.labels.get("alertname", "") for item in notice.alerts}
    said = [promised for name in told if (promised := promises.get((name, route.receiver)))]
    promised = min(said, key=lambda each: each.repeat_s, default=None)
    if promised is not None and promised.repeat_s > route.repeat_interval_s:
        return promised.repeat_s, f"the promise's repeat: {format_duration(promised.repeat_s)} ({promised.place})"
    return route.repeat_interval_s, f"repeat_interval: {format_duration(route.repeat_interval_s)} ({route.place})"


FINDINGS = Check("findings", Case, _judge, lambda _: [(NOTHING_ELSE, Hop.FINDING, "")])


def notes_of_others(plan: Plan, evidence: Evidence, since: float, until: float) -> list[str]:
    """Alerts that fired and are none of this scenario's doing: outside its own time, and those of other teams."""
    before, after, there, under_way = set[str](), set[str](), set[str](), set[str]()
    because = {allow.alert: allow.because for allow in plan.scenario.allow}
    allowed = dict[str, None]()
    for episode in evidence.episodes:
        if episode.firing is None:
            continue
        early, late = episode.firing[1] < since, episode.firing[0] > until
        if plan.foreign(episode.labels):
            (there if early else under_way).add(episode.name)
        elif (early or late) and not plan.allowed(episode.name):
            (before if early else after).add(episode.name)
        elif episode.name in because and not early and not late:
            allowed[episode.name] = None
    said = {
        "fired before the first step, and waited for until they had ended": before,
        "fired after the end of this scenario's tail, while others played on in its stack": after,
        "firing already when the run began, of no rule of this configuration": there,
        "fired under way, of no rule of this configuration": under_way,
    }
    notes = [f"{what}: {', '.join(sorted(names))}" for what, names in said.items() if names]
    return notes + [f"fired, and is allowed to: {name}, because {because[name]}" for name in allowed]


def notes_of_strangers(history: History) -> list[str]:
    """A note for each kind of message that the sinks refused, since the run's Alertmanager had not sent it, counted."""
    counts: Counter[Stranger] = Counter()
    for event in history.of(Stranger):
        counts[msgspec.structs.replace(event, n=-1, t=0.0, count=0)] += event.count
    return [f"{msgspec.structs.replace(one, count=count)}; it counts for nothing" for one, count in counts.items()]
