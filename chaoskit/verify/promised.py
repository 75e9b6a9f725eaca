"""The promise beside the hops, judged from what was observed: a row for each key of an expected alert's promise.

Labels and mutes are Alertmanager's own word; the ways from the fault to a receiver and from its end to the all-clear
are judged whole, where the hops judge their parts; groups, recipients, ends and repeats are those of what came.
An alert of which nothing but its notices is promised has none of these rows: they came later than the format.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from chaoskit.alerting import windows
from chaoskit.alerting.model import PromisedAlert, PromisedNotice
from chaoskit.alerting.routing import match_routes
from chaoskit.alerting.windows import Window
from chaoskit.errors import Place
from chaoskit.events import Interval, Notice, Suppression
from chaoskit.hop import Hop
from chaoskit.plan.model import PlannedNotice
from chaoskit.units import amount, format_duration, seconds
from chaoskit.verify.agreement import bearable, told_at
from chaoskit.verify.case import Instance
from chaoskit.verify.check import DUST_VS, Check, Need, Owed, Strict, between, broken, but, kept, unknown
from chaoskit.verify.evidence import Episode
from chaoskit.verify.hops import SENDERS, TimedHop, clear, detect, ended, hold, notified
from chaoskit.verify.verdict import Result

_UNFIRED = "the alert was not seen firing"
_UNHEARD = "no notice that lists the alert was seen at the receiver"


def _promised(one: Instance) -> PromisedAlert | None:
    return one.case.plan.config.promise.alerts.get(one.alert.rule.alert)


def _promised_notices(one: Instance) -> list[PlannedNotice]:
    """Where it must be told, if anything else is promised of it; nowhere for one that is to be muted."""
    if _promised(one) is None or one.alert.expectation.suppressed_by is not None:
        return []
    return [notice for notice in one.alert.notices if notice.ask.mode != "never"]


def _notice_of(one: Instance, planned: PlannedNotice) -> PromisedNotice | None:
    return one.case.plan.config.promise.notices.get((one.alert.rule.alert, planned.receiver))


@dataclass(frozen=True, slots=True)
class _Key:
    """One key's row of an instance, at a door or none, promised at `place`."""

    one: Instance
    hop: Hop
    place: Place
    to: str = ""

    def says(self, what: str) -> str:
        """`WorkerUnhealthy worker-1 -> worker-alerts (email), repeat: what; promised at place`."""
        who = f"{self.one.about} -> {self.to}" if self.to else self.one.about
        return f"{who}, {self.hop}: {what}; promised at {self.place}"

    def unjudged(self, what: str) -> Strict:
        return unknown(self.hop, self.one.about, f"not judged: {self.says(what)}", self.to)

    def kept(self, rests_on: str, *needs: Need) -> Strict:
        return kept(self.hop, self.one.about, rests_on, *needs, to=self.to)

    def broken(self, what: str, *needs: Need) -> Strict:
        return broken(self.hop, self.one.about, self.says(what), *needs, to=self.to)


def _shown(one: Instance) -> list[Suppression]:
    """The suppressions that Alertmanager showed of it while it had it; empty without an episode."""
    had = (event for event in one.case.evidence.suppressions if event.state != "gone")
    return [event for event in had if one.episode and one.episode.is_in(event.labels)]


def _labels(one: Instance) -> Iterator[Strict]:
    """The labels of the alert as Alertmanager showed it."""
    promised = _promised(one)
    if promised is None or not promised.labels:
        return
    key = _Key(one, Hop.LABELS, promised.at("labels"))
    shown = [event.labels for event in _shown(one)]
    if not shown:
        yield key.unjudged(_UNFIRED if one.firing is None else "no look at Alertmanager showed the alert")
        return
    wrong = [
        f"{name} is {labels[name] if labels.get(name) else 'missing'}, where {value} is promised"
        for labels in shown
        for name, value in promised.labels.items()
        if labels.get(name, "") != value
    ]
    if wrong:
        yield key.broken(f"Alertmanager showed it, and {'; '.join(dict.fromkeys(wrong))}")
    else:
        yield key.kept(f"shown with {', '.join(f'{name}={value}' for name, value in promised.labels.items())}")


def _muted_by(one: Instance) -> Iterator[Strict]:
    """Every alert that Alertmanager named as muting it."""
    promised, episode = _promised(one), one.episode
    if promised is None or promised.muted_by is None:
        return
    key = _Key(one, Hop.MUTED_BY, promised.at("muted_by"))
    if episode is None or episode.firing is None:
        yield key.unjudged(_UNFIRED)
        return
    mine = _shown(one)
    by = one.case.muting(mine)
    others = [words for words, name in by.items() if name not in promised.muted_by]
    if others:
        only = ", ".join(promised.muted_by) or "none"
        certain = not promised.muted_by or any(by[words] for words in others)
        what = f"{', '.join(others)} muted the alert, and only {only} may"
        yield key.broken(what) if certain else key.unjudged(what)
    elif not mine:
        yield key.unjudged("no look at Alertmanager showed the alert")
    else:
        said = f"{', '.join(by)} muted it" if by else "nothing muted it"
        end = min(episode.resolved[1] if episode.resolved else math.inf, one.case.evidence.known_to(one.case.until))
        says = but(key.says(f"{said} as far as was seen"))
        yield key.kept(said, Need((episode.firing[0], end), says, episode.firing[1], "firing", ("alertmanager",)))


def _phones(one: Instance) -> Iterator[tuple[PlannedNotice, Window]]:
    """The doors to which the whole way from the fault is promised, each with its window."""
    return ((each, each.phone) for each in _promised_notices(one) if each.phone is not None)


def _ends_told(one: Instance) -> Iterator[tuple[PlannedNotice, Window]]:
    """The same of the way from the undo to the all-clear, where the scenario brings the end about, in order."""
    if one.alert.expectation.until_step != "never" and one.alert.expectation.resolves is True:
        yield from ((each, each.over) for each in _promised_notices(one) if each.over is not None)


def _way(one: Instance, planned: PlannedNotice, window: Window) -> TimedHop:
    """A bound holds for a new group: one that had notified before says what is new at its next tick."""
    if window.hop is Hop.FAULT_TO_PHONE:
        found = one.case.groups.window(planned, one.episode)
        if found.hi_vs > planned.notify.hi_vs:
            window = windows.later(window, found.hi_vs - planned.notify.hi_vs, found.setting)
    window, more = bearable(planned, window, one.case.scale), f" ({window.place})"
    return TimedHop(one, window.hop, window, to=planned.to, more=more, delay_s=planned.delay_s)


def _phone(one: Instance) -> Iterator[Strict]:
    """From the fault's effect to the first notice at each door."""
    for planned, window in _phones(one):
        whole = _way(one, planned, window).timed(one.anchors.fault, told_at(planned, one.heard(planned, "firing")))
        yield _made_of(whole, *detect(one), *hold(one), notified(one, planned))


def _all_clear(one: Instance) -> Iterator[Strict]:
    """From the undo to the notice of the end at each door."""
    for planned, window in _ends_told(one):
        way, heard = _way(one, planned, window), one.heard(planned, "resolved")
        if planned.all_clear is None:
            key = _Key(one, way.hop, window.place or one.alert.expectation.place, planned.to)
            yield key.unjudged("no all-clear is promised to the receiver")
        else:
            start = one.anchors.undo if heard or one.heard(planned, "firing") else None
            yield _made_of(way.timed(start, told_at(planned, heard)), *clear(one), *ended(one, planned))


def _made_of(whole: Strict, *hops: Strict) -> Strict:
    """A whole way with the excuses of the hops that it is made of, in their order, and none of its own.

    It is UNKNOWN where one of them could not be judged, or never came, though the whole did. A whole that is too early
    asks why its first hop was, one that never came why that hop did not come; one that is too late asks all of them,
    each for the whole delay, or for its own, if that is less.
    """
    row, asked = msgspec.structs.replace(whole.row, rests_on=hops[-1].row.rests_on), list[Strict]()
    for each in () if row.result is Result.UNKNOWN else hops:
        never = each.row.observed is None
        if (each.row.result is Result.UNKNOWN and not each.needs) or (never and row.result is Result.PASS):
            reason = f"{row.about} -> {row.to}, {row.hop}: one of its hops is not certain: {each.row.reason}"
            return Strict(msgspec.structs.replace(row, result=Result.UNKNOWN, reason=reason, rests_on=""))
        asked.append(each)
        if never:  # what follows has no beginning
            break
    if row.result is not Result.FAIL:
        return Strict(row)
    [own] = whole.needs
    late_s, end = own.late_s, own.span[1]
    if late_s is None:
        needs = [replace(need, span=(need.span[0], max(need.span[1], end))) for need in asked[-1].needs]
    else:
        needs = [need for each in (asked if late_s > 0 else asked[:1]) for need in each.needs]
        needs = [n if n.late_s is None or 0 < n.late_s < late_s else replace(n, late_s=late_s) for n in needs]
    return Strict(row, tuple(replace(need, says=own.says) for need in needs))


def _grouped_by(one: Instance) -> Iterator[Strict]:
    """The labels of the group with which a notice came."""
    for planned, notice in _grouped(one):
        key, wanted = _Key(one, Hop.GROUPED_BY, notice.place, planned.to), notice.grouped_by or ()
        # A mail does not tell its group; the recorder of what Alertmanager delivered does.
        seen = [told for by in ("", *planned.by[1:]) if (told := one.heard(planned, "firing", by))]
        heard = next((told for told in seen if told.group_labels is not None), None)
        if heard is None or heard.group_labels is None:
            yield key.unjudged("the alert's notices do not tell the labels of their group" if seen else _UNHEARD)
            continue
        # A group has of the labels only those that its alerts carry.
        carried = next(dict(item.labels) for item in heard.alerts if one.episode and one.episode.is_in(item.labels))
        expected = sorted(carried if wanted == ("...",) else {*wanted} & carried.keys())
        found = sorted(heard.group_labels)
        if found == expected:
            yield key.kept(f"by {', '.join(found) or 'nothing'}")
        else:
            by, not_by = (", ".join(labels) or "nothing" for labels in (found, expected))
            yield key.broken(f"the alert's notice was grouped by {by}, not by {not_by}")


def _grouped(one: Instance) -> Iterator[tuple[PlannedNotice, PromisedNotice]]:
    """The doors with a promised group; of a receiver's own, told at once, only those that tell it, where any does."""
    if one.alert.expectation.suppressed_by is not None:
        return
    notices = {planned.sink_key: one.heard(planned, "firing") for planned in one.alert.notices}
    tells = {door[0] for door, heard in notices.items() if heard and heard.group_labels is not None}
    for planned in one.alert.notices:
        notice = _notice_of(one, planned)
        heard = notices[planned.sink_key]
        untold = heard is not None and heard.group_labels is None and planned.receiver in tells
        if planned.ask.mode != "never" and notice is not None and notice.grouped_by is not None and not untold:
            yield planned, notice


def _mailed(one: Instance) -> Iterator[tuple[PlannedNotice, Place]]:
    """The doors whose mails have promised addresses."""
    receivers = one.case.plan.config.promise.receivers
    return ((each, receivers[each.receiver].place) for each in _promised_notices(one) if each.recipients)


def _recipients(one: Instance) -> Iterator[Strict]:
    """The addresses that the mails went to."""
    for planned, place in _mailed(one):
        key, promised = _Key(one, Hop.RECIPIENTS, place, planned.to), ", ".join(planned.recipients)
        mails = [mail for status in ("firing", "resolved") if (mail := one.heard(planned, status))]
        went_to = {tuple(sorted(mail.recipients)) for mail in mails} - {tuple(sorted(planned.recipients))}
        if not mails:
            yield key.unjudged(_UNHEARD)
        elif went_to:
            went = "; ".join(", ".join(addresses) for addresses in sorted(went_to))
            yield key.broken(f"a mail went to {went or 'no address'}, not to {promised}")
        else:
            yield key.kept(f"{amount(len(mails), 'mails')} to {promised}")


def _resolves(one: Instance) -> Iterator[tuple[PlannedNotice, Place]]:
    """The doors at which it is promised whether the end is told, where the scenario brings that about."""
    receivers = one.case.plan.config.promise.receivers
    for planned in _promised_notices(one):
        told = planned.all_clear is not None or planned.no_all_clear is not None
        if planned.receiver in receivers and told and one.alert.expectation.until_step != "never":
            yield planned, receivers[planned.receiver].place


def _resolved(one: Instance) -> Iterator[Strict]:
    """Whether the end was told."""
    for planned, place in _resolves(one):
        key, [over] = _Key(one, Hop.RESOLVED, place, planned.to), ended(one, planned)
        if one.heard(planned, "resolved") is not None and planned.no_all_clear is None:
            yield key.kept("the end was told")
        elif one.heard(planned, "resolved") is not None:
            yield key.broken("the receiver was told the end, and no all-clear is promised")
        elif one.resolved is None or one.heard(planned, "firing") is None:
            yield key.unjudged("the alert was not seen to resolve" if one.resolved is None else _UNHEARD)
        else:
            silent = "the receiver was not told the end"
            needs = [replace(need, says=but(key.says(silent))) for need in over.needs]
            yield (key.kept if planned.all_clear is None else key.broken)(silent, *needs)


def _repeats(one: Instance) -> Iterator[tuple[PlannedNotice, PromisedNotice]]:
    for planned in _promised_notices(one):
        if (notice := _notice_of(one, planned)) is not None:
            yield planned, notice


def _repeat(one: Instance) -> Iterator[Strict]:
    """How long after a notice the same came again, as far as the run was long enough to see it."""
    for planned, notice in _repeats(one):
        told, key = _told(one, planned), _Key(one, Hop.REPEAT, notice.place, planned.to)
        if one.episode is None or not told:
            yield key.unjudged(_UNHEARD)
        else:
            yield _repeated(key, one.episode, planned, notice, told)


def _told(one: Instance, planned: PlannedNotice) -> list[Notice]:
    """The notices at a door that list this life of the instance as firing, in order."""
    first, end = one.heard(planned, "firing"), one.resolved[1] if one.resolved else math.inf
    came = (n for n in one.case.evidence.notices if n.sink_key == planned.sink_key and not n.refused)
    return [
        n
        for n in came
        if first and first.sent <= n.sent and n.sent[0] <= end and one.episode and one.episode.is_told(n, "firing")
    ]


def _repeated(
    key: _Key, episode: Episode, planned: PlannedNotice, notice: PromisedNotice, told: Sequence[Notice]
) -> Strict:
    one, case, sinks = key.one, key.one.case, planned.sinks
    tolerance_vs = windows.delivery_of(case.plan.config, case.scale)
    gaps = [
        (between(later.sent, earlier.sent, case.scale), (earlier, later))
        for earlier, later in itertools.pairwise(told)
        if _listed(earlier) == _listed(later)
    ]
    promise = f"again after {format_duration(notice.repeat_s)}"
    due_vs, ticks = _due_vs(one, planned, notice, tolerance_vs)
    for gap, (earlier, later) in gaps:
        if gap[1] < notice.repeat_s - tolerance_vs - DUST_VS or gap[0] > due_vs + DUST_VS:
            what = f"the receiver was told the same again after {seconds(gap[1])}, where {promise} is promised{ticks}"
            # Alertmanager, started again, does not know of it; nor that a first one arrived, where its answer was lost.
            need = Need(
                (earlier.sent[0], later.sent[1]), but(key.says(what)), earlier.sent[1], "that notice", sinks,
                equipment=("alertmanager", *sinks), busy=SENDERS,
            )  # fmt: skip
            return key.broken(what, need)
    known_to = case.evidence.known_to(case.until)
    end = min(episode.resolved[0] if episode.resolved else math.inf, case.until)
    fired: Interval = between((end, end), told[-1].sent, case.scale)
    says = but(key.says("as far as was seen"))
    watched = Need((told[0].sent[0], min(end, known_to)), says, told[0].sent[0], "the first notice", sinks)
    if fired[0] > due_vs:
        what = f"the alert went on for {seconds(fired[0])} and was not told again, where {promise} is promised{ticks}"
        need = Need(
            (told[-1].sent[0], told[-1].sent[1] + due_vs / case.scale), but(key.says(what)), told[-1].sent[1],
            "the last notice", sinks, (*SENDERS, *sinks), SENDERS, instance=one,
        )  # fmt: skip
        return key.broken(what, need)
    if gaps:
        return key.kept(f"the same came again after {', '.join(seconds(gap[1]) for gap, _ in gaps)}", watched)
    return key.kept(f"not again in {seconds(max(0.0, fired[0]))}, due {promise}", watched)


def _due_vs(one: Instance, planned: PlannedNotice, notice: PromisedNotice, tolerance_vs: float) -> tuple[float, str]:
    """How long after a notice the next must have come: the repeat up to a tick of its group, and one more tick."""
    labels = one.episode.sent if one.episode else {}
    routes = [r for r in match_routes(one.case.plan.config.route, labels) if r.receiver == planned.receiver]
    tick_s = notice.group_interval_s or min((r.group_interval_s for r in routes), default=notice.repeat_s)
    ticks = f", at a tick of {format_duration(tick_s)}"
    return windows.up(notice.repeat_s, tick_s) + tick_s + tolerance_vs, ticks


def _listed(notice: Notice) -> tuple[object, ...]:
    """A notice's contents as a key: equal for two notices that tell the same."""
    alerts = sorted((item.status, sorted(item.labels.items())) for item in notice.alerts)
    return (notice.group_key, sorted((notice.group_labels or {}).items()), alerts)


def _own(hop: Hop, key: Callable[[PromisedAlert], object]) -> Callable[[Instance], Iterable[Owed]]:
    """One row where the key is promised of the alert."""
    return lambda one: [(one.about, hop, "")] if (promised := _promised(one)) and key(promised) else []


def _at(
    hop: Hop, doors: Callable[[Instance], Iterable[tuple[PlannedNotice, object]]]
) -> Callable[[Instance], Iterable[Owed]]:
    """One row for each of these doors."""
    return lambda one: [(one.about, hop, door.to) for door, _ in doors(one)]


PROMISED = (
    Check("labels", Instance, _labels, _own(Hop.LABELS, lambda promised: promised.labels)),
    Check("what muted it", Instance, _muted_by, _own(Hop.MUTED_BY, lambda promised: promised.muted_by is not None)),
    Check("the way from the fault", Instance, _phone, _at(Hop.FAULT_TO_PHONE, _phones)),
    Check("the way to the all-clear", Instance, _all_clear, _at(Hop.UNDO_TO_ALL_CLEAR, _ends_told)),
    Check("groups", Instance, _grouped_by, _at(Hop.GROUPED_BY, _grouped)),
    Check("recipients", Instance, _recipients, _at(Hop.RECIPIENTS, _mailed)),
    Check("resolved notices", Instance, _resolved, _at(Hop.RESOLVED, _resolves)),
    Check("repeats", Instance, _repeat, _at(Hop.REPEAT, _repeats)),
)
