"""Why a row that was judged strictly cannot be known: what we ourselves did, missed, or held up. The one place.

A FAIL, or a PASS that rests on nothing being seen, becomes UNKNOWN where its `Need` was not met. Nothing else
does, and no excuse makes anything pass. Asked in this order:

    known      what the check itself found: its fault had lapsed, its muter was about
    muted      others' silences and alerts on an attached target
    unseen     an observer did not look, equipment was down or stood still, a group waited for another integration
    delayed    the same for what was seen at the wrong time: only what lasted as long as it is late explains it
    ended      our own undo, before it was due
    unscraped  scripted series went stale; only for a FAIL
    busy       the machine left too little processor time; only for a FAIL, and never in real time
"""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Sequence

import msgspec

from chaoskit.events import Interval, Processor, Scrapes
from chaoskit.hop import Hop, Lane
from chaoskit.plan.model import sink_of
from chaoskit.units import seconds
from chaoskit.verify.case import Case
from chaoskit.verify.check import Need, Strict
from chaoskit.verify.evidence import TARGET, Outage
from chaoskit.verify.verdict import Result, Row

FLAP_REAL_S = 2.0
"""Real seconds before an alert resolved in which the scrapes lie whose samples it then lacks."""
_RETRY_REAL_S = 10.0
"""Real seconds for which Alertmanager at least tries one delivery again."""


def excuse(one: Strict, case: Case) -> Row:
    """The row, UNKNOWN where what it rests on was not given."""
    row = one.row
    if row.result is Result.UNKNOWN or not row.hop.excusable:
        return row
    for need in one.needs:
        if row.result is Result.PASS and need.late_s is not None:
            continue  # what was seen in time rests on nothing else
        if trouble := _trouble(row, need, case):
            return msgspec.structs.replace(
                row,
                result=Result.UNKNOWN,
                reason=need.says(trouble),
                rests_on="",
                allowed=None if need.observers and not row.observed else row.allowed,
            )
    return row


def _trouble(row: Row, need: Need, case: Case) -> str:
    hop = need.hop or row.hop
    heard = hop.lane is Lane.RECEIVER
    trouble = need.known or (_muted(need, case) if heard else "")
    group = _same_group(row, need, case) if heard and (need.observers or need.late_s is not None) else ()
    if need.late_s is None:
        trouble = trouble or unseen(need, case, group) or _ended(row.result, hop, need)
    else:
        trouble = trouble or _delayed(hop, need, need.late_s, case, group)
    if trouble or row.result is Result.PASS:
        return trouble
    return _unscraped(hop, case) or starved(case.evidence.processor, need.busy, *need.span, case.scale)


def _muted(need: Need, case: Case) -> str:
    """The mutes from outside that kept the alert from notifying in the span, in words; empty where there are none."""
    episode, (begin, end) = need.instance.episode if need.instance else None, need.span
    mutes = (one for one in case.mutes if episode and one.begin <= end and one.end >= begin)
    return "; ".join(dict.fromkeys(one.words for one in mutes if episode and episode.is_in(one.labels)))


def _unscraped(hop: Hop, case: Case) -> str:
    """Whether scripted series may have gone stale, which ends what is pending or fires."""
    failed = [one.failed for one in case.history.of(Scrapes)] if hop.timed and hop is not Hop.DETECT else []
    if True in failed:
        return "a scrape of the series failed, for this machine was too busy"
    return "Prometheus did not tell whether all scrapes of the series succeeded" if None in failed else ""


def _same_group(row: Row, need: Need, case: Case) -> tuple[str, ...]:
    """Sinks of all integrations of the same receiver, though nothing is expected there.

    A group's next notice waits until every integration of its receiver is done with the last one, and one
    that meets a closed door tries for max(group_interval, 10 s), which no time scale shortens.
    """
    notices = need.instance.alert.notices if need.instance else ()
    receivers = [case.plan.config.receivers.get(n.receiver) for n in notices if n.to == row.to]
    kinds = {one.kind for receiver in receivers if receiver for one in receiver.integrations}
    return tuple(sorted({sink_of(kind) for kind in kinds} & set(case.evidence.witnesses)))


def unseen(need: Need, case: Case, group: tuple[str, ...] = ()) -> str:
    """Why something may have happened in the span unseen; empty where all was up and looking.

    `group`: the sinks of the same receiver's integrations, which its group waits for.
    """
    evidence, (begin, end) = case.evidence, need.span
    if outage := evidence.outage(need.equipment, begin, end):
        return _was_down(outage, need, case)
    if TARGET in need.equipment and (stood := evidence.stopped(begin, end)):
        return f"{stood} stood still"
    if silent := evidence.silence(need.equipment, begin, end):
        return f"{silent.equipment} did not answer for {silent.lasted_s(end):.1f} real s ({silent.detail})"
    looked = {name: evidence.blind_from(name, need.zero, end) for name in need.observers if end <= case.until}
    if blind := {name: at for name, at in looked.items() if at is not None}:
        after = seconds((min(blind.values()) - need.zero) * case.scale)
        return f"{', '.join(blind)} was not watched all the time (blind from {after} after {need.since} on)"
    others = tuple(one for one in group if one not in need.equipment)
    if gone := evidence.outage(others, _retried_from(need), end):
        return f"{_was_down(gone, need, case)}, and it takes notices of the same receiver"
    if away := _away(others, need, case):
        return _held_up(away, end)
    if need.observers and end > case.until:
        ended = seconds(max(0.0, case.until - need.zero) * case.scale)
        return f"the run ended {ended} after {need.since}"
    return ""


def _delayed(hop: Hop, need: Need, late_s: float, case: Case, group: tuple[str, ...]) -> str:
    """Which of our own equipment may have delayed the observation, in words; empty where none did."""
    evidence, (begin, end) = case.evidence, need.span
    equipment = need.equipment + group
    if outage := evidence.outage(equipment, _retried_from(need), end):
        return _was_down(outage, need, case)
    if TARGET in need.equipment and (stood := evidence.stopped(begin, end)):
        return f"{stood} stood still meanwhile"
    if late_s <= 0:
        return ""
    for sink in (one for one in need.observers if one in evidence.witnesses):
        blind = evidence.blind_from(sink, need.zero, need.seen_from)
        if blind is not None:
            since = seconds((blind - need.zero) * case.scale)
            return f"{sink} was not watched from {since} on and may have missed an earlier notice"
    silent = evidence.silence(equipment, begin, end)
    if silent is not None and late_s <= silent.lasted_s(end) + _RETRY_REAL_S:
        lasted = silent.lasted_s(end)
        return f"{silent.equipment} did not answer for {lasted:.1f} real s meanwhile ({silent.detail})"
    away = _away(equipment, need, case)
    if away is not None and late_s <= away.lasted_s(end) + _RETRY_REAL_S:
        return _held_up(away, end)
    lag_s, sink = evidence.lag(equipment, begin, end)
    if late_s <= lag_s:
        return f"the {sink} stood still for up to {lag_s:.2f} real s meanwhile, which may have delayed the notice"
    every_s = evidence.every_s.get(need.instance.alert.rule.alert, 0.0) if need.instance else 0.0
    way_s = on_the_way_s(evidence.processor, case.readings, every_s, begin, end, case.scale)
    if hop.lane is Lane.RECEIVER and late_s <= way_s:
        return (
            "this machine was busy: on the way of the notice Prometheus and Alertmanager waited for a processor "
            f"for up to {way_s:.2f} real s"
        )
    return ""


def _was_down(outage: Outage, need: Need, case: Case) -> str:
    """Which equipment was down, from when to when after `need.zero`, and why."""

    def after(at: float) -> str:
        return seconds((at - need.zero) * case.scale)

    begin = f"{after(outage.begin)} after" if outage.begin > need.zero else "before"
    end = "on" if outage.end is None else f"to {after(outage.end)} after it"
    return f"{outage.equipment} was down from {begin} {need.since} {end} ({outage.detail})"


def _retried_from(need: Need) -> float:
    """From when on a delivery that failed may still be tried again within the span."""
    return need.span[0] - (_RETRY_REAL_S if need.instance else 0.0)


def _away(equipment: tuple[str, ...], need: Need, case: Case) -> Outage | None:
    """When one of the sinks among this equipment was not looking; a delivery is tried for a while after that."""
    sinks = tuple(one for one in equipment if one in case.evidence.witnesses)
    return case.evidence.away(sinks, _retried_from(need), min(need.span[1], case.until))


def _held_up(away: Outage, end: float) -> str:
    """Alertmanager begins with a group's next notice when every integration has taken, or refused, the last."""
    return (
        f"the {away.equipment} was not watched for {away.lasted_s(end):.1f} real s meanwhile ({away.detail}), and "
        "Alertmanager sends a receiver's next notice only when all of its integrations are done with the last"
    )


def _ended(result: Result, hop: Hop, need: Need) -> str:
    """Whether we took the fault back before the hop was due, so that it could not come."""
    one, latest = need.instance, need.span[1]
    ended = one.anchors.ended if one else None
    if result is Result.PASS or one is None or ended is None or ended[0] >= latest:
        return ""
    if hop not in (Hop.DETECT, Hop.HOLD, Hop.NOTIFY):
        return ""
    resolved = one.episode.resolved if one.episode else None
    if hop is not Hop.DETECT and (resolved is None or not ended[0] <= resolved[1] or resolved[0] >= latest):
        return ""
    after = seconds(max(0.0, (ended[0] - need.zero) * one.case.scale))
    return f"{ended[1]} {after} after {need.since}, before the hop's end was due"


SHARE = 0.85
"""The part of its ready time that equipment spends waiting from which on it is starved.

Threads that wake for a moment wait long in proportion to what they run, so the share is high even in health. Measured
on two cores, as the mean of a run and its worst second: one drill alone 0.42 (0.58), two stacks side by side that kept
every promise 0.49 to 0.64 (0.81), and a machine with ten ready processes a core, where alerts of latency fired, 0.88
to 0.98.
"""
SECOND = 0.90
"""The same for a single second. Of some 350 seconds in which a target waited for a quarter or more, one reached that in
a gate of three stacks on idle cores, none in gates of two beside two busy loops that kept every promise, and 27 in one
with a third stack beside those, in which alerts of latency fired and others flapped.
"""
MOST_S = 0.2
"""Real seconds of lateness that waiting of any program may explain: more comes from a setting."""
PART = 0.25
"""How much of the span it must have waited besides, in sum: who hardly has anything to do waits for most of that, and
is late by next to nothing."""


def starved(seen: Sequence[Processor], equipment: Sequence[str], begin: float, end: float, scale: float) -> str:
    """Which of the equipment was starved in [begin, end], in words for a reason; empty where none was.

    The kernel's own count decides, never the symptom: share = waited / (waited + used), of the time in which threads
    were ready. SHARE or more in the whole span, or in two seconds in a row, or SECOND in one is enough, for at 60x they
    are minutes: every request in flight meets its deadline, or four scrapes in a row fail and an alert resolves. In
    real time slowness is what people would suffer too, so there it excuses nothing.
    """
    if scale <= 1:
        return ""
    inside = _inside(seen, begin, end)
    pairs = [[one, other] for one, other in itertools.pairwise(inside)]
    spells = [(inside, SHARE), *((pair, SHARE) for pair in pairs), *(([each], SECOND) for each in inside)]
    found = [one for spell, least in spells for name in equipment if (one := _waiting(spell, name, least))]
    if not found:
        return ""
    share, waited, ready, name = max(found)
    return (
        f"this machine was too busy: the {name} waited for a processor for {share:.0%} of the time in which it was "
        f"ready to run ({waited:.2f} of {ready:.2f} real s)"
    )


def on_the_way_s(
    seen: Sequence[Processor], readings: Sequence[Interval], every_s: float, begin: float, end: float, scale: float
) -> float:
    """How much later a notice may have come for want of a processor on its way in [begin, end], in real seconds.

    Prometheus tells of an alert at the end of an evaluation, one each `every_s`, and what it waited for in a second is
    shared among those of that second; Alertmanager does nothing but pass on, so all that it waited for may have been
    this notice's. In a second in which Prometheus waited for 1.2 s in sum a notice was 0.24 s late, though neither was
    starved. Where the kernel told only for how long any program waited (`readings`, instants with the sum until then),
    it may have been this notice, for MOST_S. No time in real time, where slowness is real.
    """
    if scale <= 1:
        return 0.0
    inside = _inside(seen, begin, end)
    evaluating = max((_waited(each, "prometheus") * every_s for each in inside), default=0.0)
    passing_on = max((_waited(each, "alertmanager") for each in inside), default=0.0)
    return max(evaluating + passing_on, min(_any_waited_s(readings, begin, end), MOST_S))


def _any_waited_s(readings: Sequence[Interval], begin: float, end: float) -> float:
    instant = operator.itemgetter(0)
    first = bisect.bisect_right(readings, begin, key=instant) - 1
    last = min(bisect.bisect_left(readings, end, key=instant), len(readings) - 1)
    return readings[last][1] - readings[first][1] if first >= 0 else 0.0


def _inside(seen: Sequence[Processor], begin: float, end: float) -> list[Processor]:
    return [each for each in seen if each.during[0] < end and each.during[1] > begin]


def _waited(each: Processor, name: str) -> float:
    """Seconds waited in a second."""
    return each.waited_s.get(name, 0.0) / max(1e-3, each.during[1] - each.during[0])


def _waiting(seen: Sequence[Processor], name: str, least: float) -> tuple[float, float, float, str] | None:
    """The share, the seconds waited and those ready of equipment, where they are enough to call it starved."""
    span_s = sum(each.during[1] - each.during[0] for each in seen)
    waited = sum(each.waited_s.get(name, 0.0) for each in seen)
    ready = waited + sum(each.used_s.get(name, 0.0) for each in seen)
    if waited <= 0 or waited < least * ready or waited < PART * span_s:
        return None
    return waited / ready, waited, ready, name
