"""The five timed hops of one alert instance, each with its own beginning, budget and blame (`chaoskit.hop`).

A hop that was seen is judged against its window; one that was not seen is FAIL ("never"). An alert that was pending
before its fault, and stayed, shows nothing of the fault: FAIL. A hop is UNKNOWN only where it lacks its beginning, or
is known less exactly than it takes to decide. A notice that no route of the configuration leads to its receiver cannot
come, so a busy processor is no excuse for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from chaoskit.alerting.routing import every_route, match_routes, matches_all
from chaoskit.alerting.silences import written
from chaoskit.alerting.windows import Window
from chaoskit.events import Interval
from chaoskit.hop import Hop
from chaoskit.plan.model import PlannedNotice
from chaoskit.units import amount, format_duration, seconds
from chaoskit.verify.agreement import agreed, bearable, told_at
from chaoskit.verify.case import Case, Instance
from chaoskit.verify.check import Check, Need, Owed, Strict, between, judge, margin_vs, outside
from chaoskit.verify.excuses import FLAP_REAL_S
from chaoskit.verify.scripted import is_restored, muted_by, unlike
from chaoskit.verify.verdict import Result, Row

_RULES = ("prometheus", "target")
SENDERS = ("prometheus", "alertmanager", "target")
"""The equipment that a notice takes until it is sent."""


@dataclass(frozen=True, slots=True)
class TimedHop:
    """One hop of one instance, at a receiver or none: its window, the equipment that it takes, what governs it."""

    one: Instance
    hop: Hop
    window: Window
    equipment: tuple[str, ...] = _RULES
    to: str = ""
    more: str = ""
    """More settings that govern the hop, in words."""
    can_come: bool = True
    delay_s: float = 0.0
    """Real seconds by which the notice may be seen later than it was sent."""

    @property
    def case(self) -> Case:
        return self.one.case

    @property
    def allowed(self) -> Interval:
        return (self.window.lo_vs, self.window.hi_vs)

    def says(self, what: str, where: str = "") -> str:
        """`WorkerUnhealthy worker-1 -> worker-alerts (email), notify: what; governed by where`, a setting."""
        who = f"{self.one.about} -> {self.to}" if self.to else self.one.about
        return f"{who}, {self.hop}: {what}; governed by {where or self.window.setting + self.more}"

    def vs(self, begin: float, end: float) -> str:
        """The virtual seconds from one instant to another, in words."""
        return seconds((end - begin) * self.case.scale)

    def timed(self, start: Interval | None, seen: Interval | None, known: str = "") -> Strict:
        """Judges the time from `start` to `seen`, on our clock; `known` may explain that it was not seen."""
        if start is None:
            what = self.says(f"{self.hop.start} was not seen; {_span(self.allowed)} promised")
            return self.row(Result.UNKNOWN, f"not judged: {what}")
        if not self.case.evidence.clock.known:
            trouble = "Prometheus's clock was never compared with ours"
            return self.row(Result.UNKNOWN, self.unseen(trouble), allowed=self.allowed)
        if seen is not None:
            return self.judged(start, seen, (start, seen))
        latest = start[1] + self.window.hi_vs / self.case.scale + self.delay_s
        watched = f"nor in the {self.vs(start[1], self.case.until)} that were watched"
        reason = self.says(f"{self.hop.never} within {seconds(self.window.hi_vs)} of {self.hop.since}, {watched}")
        return self.row(Result.FAIL, reason, self.need(start, latest, self.unseen, known), allowed=self.allowed)

    def judged(self, start: Interval, seen: Interval, ours: tuple[Interval, Interval]) -> Strict:
        """Judges the time from `start` to `seen`, on one clock; `ours` are the same two on our own."""
        observed, allowed, scale = between(seen, start, self.case.scale), self.allowed, self.case.scale
        figures: dict[str, Any] = {
            "observed": observed,
            "allowed": allowed,
            "margin_vs": round(margin_vs(observed, allowed), 3),
            "uncertainty_vs": round(observed[1] - observed[0], 3),
        }
        result, reason = judge(observed, allowed, self.window.resolution_vs), ""
        if result is Result.UNKNOWN:
            width, enough = seconds(observed[1] - observed[0]), seconds(self.window.resolution_vs)
            known = f"known only to lie within {width}{self._clocks(ours[0])}"
            reason = self.says(f"{known}, and a verdict needs {enough} or less")

        def excused(trouble: str) -> str:
            after = f"{seconds(observed[1])} after {self.hop.since}"
            return self.says(f"seen {after}, where {_span(allowed)} was promised, but {trouble}")

        late_s, begin, busy = (observed[0] - allowed[1]) / scale, ours[0][0], self._busy
        if late_s <= 0 and self.hop is Hop.CLEAR:
            # An alert that flaps lacks samples, since the scrapes just before it ended took too long.
            begin = min(begin, ours[1][0] - FLAP_REAL_S)
        elif late_s <= 0 and result is Result.FAIL:
            busy = ()  # nothing else comes too early for want of a processor
        if result is Result.FAIL:
            reason = self.says(f"{self.hop.did} {outside(observed, allowed, self.hop.since)}")
        need = Need(
            (begin, ours[1][1]), excused, ours[0][1], self.hop.since, self._observers, self.equipment, busy,
            late_s, ours[1][0], self.one, hop=self.hop,
        )  # fmt: skip
        return self.row(result, reason, need, **figures)

    def silent(self, since: Interval, where: str) -> Strict:
        """PASS for a notice that did not come, as it should be; `where` that is said."""
        watched = self.vs(since[1], self.case.until)
        return self.row(Result.PASS, "", self.until_end(since, where), rests_on=f"nothing in {watched}")

    def until_end(self, since: Interval, where: str, before: str = "nothing was seen, but ") -> Need:
        """The need behind "nothing came": to have been watched from `since` to the end of looking on."""
        known_to = self.case.evidence.known_to(self.case.until)
        return self.need(since, known_to, lambda trouble: self.says(f"{before}{trouble}", where))

    def need(self, start: Interval, end: float, says: Callable[[str], str], known: str = "") -> Need:
        """The need behind "nothing came" from `start` to `end`: observers, equipment and processors in this span."""
        return Need(
            (start[0], end), says, start[1], self.hop.since, self._observers, self.equipment, self._busy,
            instance=self.one, known=known, hop=self.hop,
        )  # fmt: skip

    def row(self, result: Result, reason: str, *needs: Need, **more: Any) -> Strict:
        """A row of the verdict for this hop."""
        row = Row(about=self.one.about, hop=self.hop, to=self.to, result=result, reason=reason, **more)
        return Strict(row, needs)

    def wrong(self, what: str, where: str, *needs: Need) -> Strict:
        """FAIL of something that has no window."""
        return self.row(Result.FAIL, self.says(what, where), *needs)

    def unseen(self, trouble: str) -> str:
        """The reason of what was not seen, though it may have come."""
        return self.says(f"not seen within {seconds(self.window.hi_vs)} of {self.hop.since}, and {trouble}")

    @property
    def _observers(self) -> tuple[str, ...]:
        return tuple(one for one in self.equipment if one not in ("target", "alertmanager"))

    @property
    def _busy(self) -> tuple[str, ...]:
        return (*self.equipment, "target") if self.can_come else ()

    def _clocks(self, start: Interval) -> str:
        """The clocks' part of an uncertainty, in words; empty where it is less than half of the hop's resolution."""
        skew = self.case.evidence.clock.skew(start[0])
        share_vs = (skew[1] - skew[0]) * self.case.scale
        if self.hop is Hop.HOLD or share_vs < self.window.resolution_vs / 2:
            return ""
        return f" ({seconds(share_vs)} of it is between Prometheus's clock and ours)"


def _span(allowed: Interval) -> str:
    """A window as people say it."""
    return seconds(allowed[0]) if allowed[0] == allowed[1] else f"{allowed[0]:.1f}–{seconds(allowed[1])}"


def detect(one: Instance) -> Iterator[Strict]:
    """From the fault's effect to pending."""
    promise = TimedHop(one, Hop.DETECT, one.alert.detect)
    standing = _standing(promise) if one.episode is None else None
    found = standing or promise.timed(one.anchors.fault, one.begun)
    yield found if one.case.rehearsal is None else unlike(found, f"{one.about}: ")


def _standing(promise: TimedHop) -> Strict | None:
    """FAIL where the alert was pending before the fault and stayed, so the fault's effect was not seen; else None."""
    fault = promise.one.anchors.fault
    if fault is None:
        return None
    for stray in promise.one.strays:
        if stray.begun[1] >= fault[0] or (stray.resolved is not None and stray.resolved[0] <= fault[1]):
            continue
        before = f"was pending already {promise.vs(stray.begun[1], fault[0])} before the fault"
        what = f"{before}, so the fault's effect on the alert was not seen"

        def says(busy: str, what: str = what) -> str:
            return promise.says(f"{what}; but {busy}")

        span = (stray.begun[0] - promise.window.hi_vs / promise.case.scale, fault[1])
        need = Need(span, says, busy=(*promise.equipment, "target"))
        return promise.row(Result.FAIL, promise.says(what), need, allowed=promise.allowed)
    return None


def hold(one: Instance) -> Iterator[Strict]:
    """From pending to firing: the rule's `for`."""
    rule, pending, firing = one.alert.rule, one.begun, one.firing
    more = f"; the rule says for: {format_duration(rule.for_s)} ({rule.place})"
    promise = TimedHop(one, Hop.HOLD, one.alert.hold, more=more)
    if one.episode is None or firing is None:
        yield promise.timed(pending, firing)
        return
    # Both ends are Prometheus's own instants: no other clock has a part in it.
    own = one.episode.own
    if one.case.rehearsal is not None and "pending" in own and is_restored(one.episode, one.case.evidence):
        # The evaluation that ends it comes up to an interval after the whole of it is over.
        window = replace(one.alert.hold, hi_vs=one.alert.hold.hi_vs + rule.interval_s)
        more += "; Prometheus restored the instant of pending, which lies between two evaluations"
        promise = replace(promise, window=window, more=more)
    yield promise.judged(own.get("pending", own["firing"]), own["firing"], (pending or firing, firing))


def _notify(one: Instance) -> Iterator[Strict]:
    """From firing to each receiver's first notice."""
    for notice in one.alert.notices:
        yield notified(one, notice)


def notified(one: Instance, notice: PlannedNotice) -> Strict:
    """From firing to the first notice at one door."""
    hop = notice.notify.hop
    heard, firing = one.heard(notice, "firing"), one.unsilenced if hop is Hop.AFTER_SILENCE else one.firing
    groups = one.case.groups
    window = bearable(notice, groups.window(notice, one.episode), one.case.scale)
    can_come = heard is not None or notice.configured is not None
    promise = TimedHop(
        one, hop, window, (*SENDERS, *notice.sinks), notice.to, _notice_setting(one, notice), can_come,
        notice.delay_s,
    )  # fmt: skip
    if notice.ask.mode != "never":
        muted = "" if heard else kept_from(one, notice)
        found = promise.timed(firing, told_at(notice, heard), muted)
        return agreed(one, notice, "firing", found, promise.says, firing)
    if firing is None:
        return promise.timed(None, None)
    where = f"the scenario's notifies: never ({one.alert.expectation.place})"
    if heard is None:
        return promise.silent(firing, where)
    after = promise.vs(firing[0], heard.sent[1])
    return promise.wrong(f"the receiver was notified {after} after firing, and the scenario says never", where)


def kept_from(one: Instance, notice: PlannedNotice) -> str:
    """The innocent reason why an instance was not notified at a receiver, such as a mute; empty where there is none."""
    episode = one.episode
    lost = one.case.untemplated((notice.receiver, notice.integration))
    muted = one.case.groups.muted(notice, episode) or lost
    if one.case.rehearsal and episode and (by := muted_by(one.case, episode)):
        muted = f"the alert was muted by {', '.join(by)}, which fired on the same series"
    return muted


def _notice_setting(one: Instance, notice: PlannedNotice) -> str:
    notices = one.case.evidence.notices
    refused = [n for n in notices if n.sink_key == notice.sink_key and n.refused]
    if refused:
        return f"; the receiver refused it {amount(len(refused), 'times')}, with {refused[0].refused}"
    if what := one.case.templates.doors.get((notice.receiver, notice.integration)):
        return f"; its template fails: {what} ({one.case.plan.config.receivers[notice.receiver].place})"
    if notice.configured is None:
        return f"; no route of the configuration leads this alert to {notice.receiver}{_led(one, notice.receiver)}"
    return f"; the configuration says {notice.configured.setting} ({notice.configured.place})"


def _led(one: Instance, receiver: str) -> str:
    """Where routes lead it in place of the receiver, and what each route to the receiver asks for in vain."""
    root, labels = one.case.plan.config.route, one.episode.sent if one.episode else one.alert.labels
    goes = [f"{route.receiver} ({route.place})" for route in match_routes(root, labels)]
    asks = [
        f"{written(route.matchers)} ({route.place})"
        for route in every_route(root)
        if route.receiver == receiver and not matches_all(route.matchers, labels)
    ]
    there = f", but to {', '.join(dict.fromkeys(goes))}" if goes else ""
    return there + (f"; the route to {receiver} asks for {', or '.join(dict.fromkeys(asks))}" if asks else "")


def clear(one: Instance) -> Iterator[Strict]:
    """From the undo to resolved; or that it goes on firing."""
    firing, resolved, undo = one.firing, one.resolved, one.anchors.undo
    ends = one.alert.expectation.until_step != "never"
    promise = TimedHop(one, Hop.CLEAR, one.alert.clear, _RULES if ends else ("prometheus",))
    if not ends:
        yield _still_firing(promise, firing, resolved)
    elif one.alert.expectation.resolves == "false_alarm" and firing is not None and undo is not None:
        yield _false_alarm(promise, resolved, undo)
    elif one.anchors.lapsed and firing is not None:
        trouble = f"the fault had ended by itself at an unknown instant ({one.anchors.lapsed})"
        yield promise.row(Result.UNKNOWN, promise.unseen(trouble))
    else:
        yield promise.timed(undo if firing else None, resolved)


def _false_alarm(promise: TimedHop, resolved: Interval | None, undo: Interval) -> Strict:
    """The scenario says that the alert resolves falsely, although the fault lasts: it must resolve before the undo."""
    where = f"the scenario's resolves: false_alarm ({promise.one.alert.expectation.place})"
    if resolved is None:
        what = "the alert never resolved, but the scenario expects a false all-clear before the undo"
        return promise.wrong(what, where, promise.until_end(undo, where, ""))
    if resolved[1] <= undo[0]:
        return promise.row(Result.PASS, "", rests_on=f"{promise.vs(resolved[1], undo[0])} before the undo")
    after = promise.vs(undo[0], resolved[1])
    what = f"the alert resolved {after} after the undo, but the scenario expects a false all-clear before the undo"
    result = Result.FAIL if resolved[0] >= undo[1] else Result.UNKNOWN
    return promise.row(result, promise.says(what, where))


def _still_firing(promise: TimedHop, firing: Interval | None, resolved: Interval | None) -> Strict:
    if firing is None:
        return promise.timed(None, None)
    where = f"the scenario's until: never ({promise.one.alert.expectation.place})"
    if resolved is None:
        return promise.silent(firing, where)
    what = f"the alert resolved {promise.vs(firing[0], resolved[1])} after firing, and the scenario says until: never"
    need = Need(
        (firing[0], resolved[1]),
        lambda trouble: promise.says(f"{what}, but {trouble}", where),
        firing[1],
        "firing",
        equipment=("target",),
        busy=_RULES,
    )
    return promise.wrong(what, where, need)


def _all_clear(one: Instance) -> Iterator[Strict]:
    """From resolved to each receiver's all-clear."""
    for notice in one.alert.notices:
        if one.alert.expectation.until_step != "never":
            yield from ended(one, notice)


def ended(one: Instance, notice: PlannedNotice) -> Iterator[Strict]:
    """From resolved to the all-clear at one door, or that none comes; nothing where neither is promised."""
    needs = (*SENDERS, *notice.sinks)
    resolved, heard = one.resolved, one.heard(notice, "resolved")
    if notice.all_clear is not None:
        more = f" ({notice.all_clear.place})"
        if not notice.sends_resolved:
            more = f" and send_resolved, which is false for this {notice.integration} of {notice.receiver}"
        window = bearable(notice, notice.all_clear, one.case.scale)
        promise = TimedHop(one, Hop.ALL_CLEAR, window, needs, notice.to, more, delay_s=notice.delay_s)
        # Who was never told of an alert is not told of its end either: that failure has been named already.
        told = heard is not None or one.heard(notice, "firing") is not None
        found = promise.timed(resolved if told else None, told_at(notice, heard))
        yield agreed(one, notice, "resolved", found, promise.says, resolved)
    elif notice.no_all_clear is not None:
        promise = TimedHop(one, Hop.ALL_CLEAR, notice.notify, tuple(n for n in needs if n != "target"), notice.to)
        where = f"the promise's resolved: false ({notice.no_all_clear})"
        if resolved is None:
            yield promise.row(Result.UNKNOWN, f"not judged: {promise.says('the alert was not seen to resolve', where)}")
        elif heard is not None:
            after = promise.vs(resolved[0], heard.sent[1])
            yield promise.wrong(f"was told the end {after} after resolved, and no all-clear is promised", where)
        else:
            yield promise.silent(resolved, where)


def _owes_all_clear(one: Instance) -> list[Owed]:
    return [(one.about, Hop.ALL_CLEAR, n.to) for n in one.alert.notices if n.all_clear or n.no_all_clear]


HOPS = (
    Check("detection", Instance, detect, lambda one: [(one.about, Hop.DETECT, "")]),
    Check("holding", Instance, hold, lambda one: [(one.about, Hop.HOLD, "")]),
    Check("notification", Instance, _notify, lambda one: [(one.about, n.notify.hop, n.to) for n in one.alert.notices]),
    Check("clearing", Instance, clear, lambda one: [(one.about, Hop.CLEAR, "")]),
    Check("the all-clear", Instance, _all_clear, _owes_all_clear),
)
