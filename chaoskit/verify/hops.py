"""The five hops of one alert instance, each with its own beginning, budget and blame.

    fault ──detect──> pending ──hold──> firing ──notify──> receiver
    undo  ──clear───> resolved ──all-clear──> receiver

A hop that was seen is judged against its window. One that was not seen is FAIL ("never") only where somebody
was looking until the last allowed instant, all the equipment it needs was up, and we ourselves had not ended the
fault before it was due; otherwise UNKNOWN, as is a notice that what the scenario itself calls its muter kept back. What
was pending before its fault, and stayed, shows nothing of the fault: FAIL. What came too late while our own equipment
stood still, or while the machine was too busy to let it run, is UNKNOWN too; what no route of the configuration leads
to its receiver cannot come, so that is FAIL however busy the machine was.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from chaoskit.alerting.windows import Window
from chaoskit.errors import Place
from chaoskit.events import Interval, Notice
from chaoskit.plan.model import PlannedAlert, PlannedNotice
from chaoskit.units import amount, format_duration
from chaoskit.verify import sentences
from chaoskit.verify.company import Company
from chaoskit.verify.evidence import Episode, Evidence
from chaoskit.verify.excuses import Anchors, Excuses, Hop
from chaoskit.verify.judge import between, judge, margin_vs
from chaoskit.verify.outside import Mutes
from chaoskit.verify.verdict import Result, Row

SINKS = {"email": "mail-sink", "witness": "witness"}
"""What sees which integration's notices; every other one comes through the web."""


@dataclass(frozen=True, slots=True)
class HopJudge:
    """Judges the hops of one instance; `about` names it in rows."""

    evidence: Evidence
    alert: PlannedAlert
    scale: float
    about: str
    anchors: Anchors
    end_of_watch: float
    company: Company
    mutes: Mutes = field(default_factory=Mutes)
    strays: tuple[Episode, ...] = ()
    """Episodes of this very instance that no expectation has to do with."""

    def rows(self, episode: Episode | None) -> list[Row]:
        """All hops of this instance, in the order in which they happen."""
        pending = (episode.pending or episode.firing) if episode else None
        firing = episode.firing if episode else None
        resolved = episode.resolved if episode and firing else None
        detect = self._hop("detect", self.alert.detect, ("prometheus", "target"))
        standing = self._standing(detect) if episode is None else None
        rows = [
            standing or self._timed(detect, self.anchors.fault, pending, episode),
            self._hold(pending, firing, episode),
        ]
        for notice in self.alert.notices:
            rows.append(self._notify(notice, episode, firing))
        if self.alert.expectation.until_step == "never":
            return [*rows, self._still_firing(episode)]
        rows.append(self._clear(firing, resolved, episode))
        for notice in self.alert.notices:
            if notice.all_clear is not None:
                rows.append(self._all_clear(notice, notice.all_clear, resolved, episode))
            elif notice.no_all_clear is not None:
                rows.append(self._no_all_clear(notice, notice.no_all_clear, resolved, episode))
        return rows

    def _standing(self, hop: Hop) -> Row | None:
        """What was there before the fault and stayed, so that nothing tells what the fault brings about."""
        fault = self.anchors.fault
        if fault is None:
            return None
        for one in self.strays:
            if one.begun[1] >= fault[0] or (one.resolved is not None and one.resolved[0] <= fault[1]):
                continue
            before = sentences.s((fault[0] - one.begun[1]) * self.scale)
            busy = self._excuses.starved(hop, one.begun[0] - hop.window.hi_vs / self.scale, fault[1])
            reason = sentences.standing(self._who(hop), before, busy, hop.setting)
            return self._row(hop, Result.UNKNOWN if busy else Result.FAIL, reason, allowed=_allowed(hop))
        return None

    def heard(self, notice: PlannedNotice, episode: Episode | None, status: str) -> Notice | None:
        """The first notice at this door that lists the instance with the status, within its episode."""
        if episode is None:
            return None
        since = episode.begun[0] if status == "firing" or episode.resolved is None else episode.resolved[0]
        for seen in self.evidence.notices:
            if (seen.receiver, seen.integration, seen.index) != notice.door or seen.sent[1] < since or seen.refused:
                continue
            if any(item.status == status and episode.is_in(item.labels) for item in seen.alerts):
                return seen
        return None

    def _hold(self, pending: Interval | None, firing: Interval | None, episode: Episode | None) -> Row:
        hop = self._hop("hold", self.alert.hold, ("prometheus", "target"), more=self._hold_setting())
        if episode is None or firing is None:
            return self._timed(hop, pending, firing, episode)
        # Both ends are Prometheus's own instants: no other clock has a part in it.
        own = episode.own
        return self._judged(hop, own.get("pending", own["firing"]), own["firing"], (pending or firing, firing), episode)

    def _notify(self, notice: PlannedNotice, episode: Episode | None, firing: Interval | None) -> Row:
        heard = self.heard(notice, episode, "firing")
        needs = ("prometheus", "alertmanager", "target", sink_of(notice))
        window = self.company.window(notice, episode)
        hop = self._hop("notify", window, needs, notice.to, self._notice_setting(notice))
        hop = replace(hop, can_come=heard is not None or notice.configured is not None)
        if notice.ask.mode != "never":
            if heard is None and (muted := self.company.muted(notice, episode)):
                return self._row(hop, Result.UNKNOWN, self._unseen(hop, muted))
            return self._timed(hop, firing, heard.sent if heard else None, episode)
        if firing is None:
            return self._unreached(hop)
        where = f"the scenario's notifies: never ({self.alert.expectation.place})"
        if heard is not None:
            after = sentences.s((heard.sent[1] - firing[0]) * self.scale)
            what = f"it was notified {after} after firing, and the scenario says never"
            return self._row(hop, Result.FAIL, f"{self._who(hop)} {what}; governed by {where}")
        known_to = self.evidence.known_to(self.end_of_watch)
        trouble = self.mutes.of(episode, firing[0], known_to) or self._excuses.unwatched(hop, firing, known_to)
        return self._silent(hop, trouble, where, firing)

    def _clear(self, firing: Interval | None, resolved: Interval | None, episode: Episode | None) -> Row:
        hop = self._hop("clear", self.alert.clear, ("prometheus", "target"))
        if self.alert.expectation.resolves == "false_alarm" and firing is not None and self.anchors.undo is not None:
            return self._false_alarm(hop, resolved, self.anchors.undo)
        if self.anchors.lapsed and firing is not None:
            trouble = f"the fault had ended by itself at an instant that nobody knows ({self.anchors.lapsed})"
            return self._row(hop, Result.UNKNOWN, self._unseen(hop, trouble))
        return self._timed(hop, self.anchors.undo if firing else None, resolved, episode)

    def _false_alarm(self, hop: Hop, resolved: Interval | None, undo: Interval) -> Row:
        """The scenario says that it resolves though nobody mended anything: before the undo, whenever that is."""
        where = f"the scenario's resolves: false_alarm ({self.alert.expectation.place})"
        if resolved is None:
            trouble = self._excuses.unwatched(hop, undo, self.evidence.known_to(self.end_of_watch))
            result = Result.UNKNOWN if trouble else Result.FAIL
            what = trouble or "it never resolved, and the scenario says that it does so falsely"
            return self._row(hop, result, f"{self._who(hop)} {what}; governed by {where}")
        if resolved[1] <= undo[0]:
            before = sentences.s((undo[0] - resolved[1]) * self.scale)
            return self._row(hop, Result.PASS, rests_on=f"{before} before the undo")
        result = Result.FAIL if resolved[0] >= undo[1] else Result.UNKNOWN
        after = sentences.s((resolved[1] - undo[0]) * self.scale)
        what = f"it resolved {after} after the undo, and the scenario says that it does so before, falsely"
        return self._row(hop, result, f"{self._who(hop)} {what}; governed by {where}")

    def _all_clear(
        self, notice: PlannedNotice, window: Window, resolved: Interval | None, episode: Episode | None
    ) -> Row:
        needs = ("prometheus", "alertmanager", "target", sink_of(notice))
        hop = self._hop("all-clear", window, needs, notice.to, self._all_clear_setting(notice))
        heard = self.heard(notice, episode, "resolved")
        # Who was never told of an alert is not told of its end either: that failure has been named already.
        told = heard is not None or self.heard(notice, episode, "firing") is not None
        return self._timed(hop, resolved if told else None, heard.sent if heard else None, episode)

    def _no_all_clear(
        self, notice: PlannedNotice, promised: Place, resolved: Interval | None, episode: Episode | None
    ) -> Row:
        hop = self._hop("all-clear", notice.notify, ("prometheus", "alertmanager", sink_of(notice)), notice.to)
        where = f"the promise's resolved: false ({promised})"
        if resolved is None:
            reason = f"not judged: {self._who(hop)} it was not seen to resolve; governed by {where}"
            return self._row(hop, Result.UNKNOWN, reason)
        if (heard := self.heard(notice, episode, "resolved")) is not None:
            after = sentences.s((heard.sent[1] - resolved[0]) * self.scale)
            what = f"the end was told {after} after resolved, and no all-clear is promised"
            return self._row(hop, Result.FAIL, f"{self._who(hop)} {what}; governed by {where}")
        trouble = self._excuses.unwatched(hop, resolved, self.evidence.known_to(self.end_of_watch))
        return self._silent(hop, trouble, where, resolved)

    def _still_firing(self, episode: Episode | None) -> Row:
        hop = self._hop("clear", self.alert.clear, ("prometheus",))
        if episode is None or episode.firing is None:
            return self._unreached(hop)
        where = f"the scenario's until: never ({self.alert.expectation.place})"
        if episode.resolved is not None:
            after = sentences.s((episode.resolved[1] - episode.firing[0]) * self.scale)
            what = f"it resolved {after} after firing, and the scenario says until: never"
            busy = self._excuses.starved(hop, episode.firing[0], episode.resolved[1])
            busy = busy or self.evidence.target_gone(episode.firing[0], episode.resolved[1])
            result = Result.UNKNOWN if busy else Result.FAIL
            return self._row(hop, result, f"{self._who(hop)} {what}{busy and f', but {busy}'}; governed by {where}")
        trouble = self._excuses.unwatched(hop, episode.firing, self.evidence.known_to(self.end_of_watch))
        return self._silent(hop, trouble, where, episode.firing)

    def _silent(self, hop: Hop, trouble: str, where: str, since: Interval) -> Row:
        """Nothing came, as it should be: PASS where somebody was looking."""
        if not trouble:
            watched = sentences.s((self.end_of_watch - since[1]) * self.scale)
            return self._row(hop, Result.PASS, rests_on=f"nothing in {watched}")
        return self._row(hop, Result.UNKNOWN, f"{self._who(hop)} nothing was seen, but {trouble}; governed by {where}")

    def _timed(self, hop: Hop, start: Interval | None, seen: Interval | None, episode: Episode | None) -> Row:
        if start is None:
            return self._unreached(hop)
        if not self.evidence.clock.known:
            trouble = "Prometheus's clock was never compared with ours"
            return self._row(hop, Result.UNKNOWN, self._unseen(hop, trouble), allowed=_allowed(hop))
        if seen is not None:
            return self._judged(hop, start, seen, (start, seen), episode)
        latest = start[1] + hop.window.hi_vs / self.scale
        excuses = self._excuses
        trouble = self._muted(hop, episode, start[0], latest) or excuses.unwatched(
            hop, start, latest, self._same_group(hop.to)
        )
        trouble = trouble or excuses.ended_early(hop, start, latest, episode)
        if trouble := trouble or excuses.starved(hop, start[0], latest):
            return self._row(hop, Result.UNKNOWN, self._unseen(hop, trouble))
        watched_vs = (self.end_of_watch - start[1]) * self.scale
        reason = sentences.never(self._who(hop), hop.name, hop.window.hi_vs, watched_vs, hop.setting)
        return self._row(hop, Result.FAIL, reason, allowed=_allowed(hop))

    def _muted(self, hop: Hop, episode: Episode | None, begin: float, end: float) -> str:
        """What kept the alert from its receivers meanwhile and is not of this run."""
        return self.mutes.of(episode, begin, end) if hop.to else ""

    def _judged(
        self,
        hop: Hop,
        start: Interval,
        seen: Interval,
        ours: tuple[Interval, Interval],
        episode: Episode | None,
    ) -> Row:
        """From `start` to `seen`, on one clock; `ours` are the same two on our own."""
        observed, allowed = between(seen, start, self.scale), _allowed(hop)
        result, reason = judge(observed, allowed, hop.window.resolution_vs), ""
        if result is Result.FAIL:
            trouble = self._muted(hop, episode, ours[0][0], ours[1][1])
            late_vs = observed[0] - allowed[1]
            trouble = trouble or self._excuses.late(hop, self._same_group(hop.to), *ours, late_vs)
            if trouble:
                result = Result.UNKNOWN
                reason = sentences.excused(self._who(hop), hop.name, observed, allowed, trouble, hop.setting)
            else:
                reason = sentences.wrong_time(self._who(hop), hop.name, observed, allowed, hop.setting)
        elif result is Result.UNKNOWN:
            width = observed[1] - observed[0]
            why = self._excuses.clocks(hop, ours[0])
            reason = sentences.too_coarse(self._who(hop), hop.name, width, hop.window, why, hop.setting)
        return self._row(hop, result, reason, observed=observed, allowed=allowed)

    def _same_group(self, to: str) -> tuple[str, ...]:
        """Sinks of all integrations of the same receiver, whoever is expected to hear of the alert there.

        A group's next notice waits until every integration of its receiver is done with the last one, and one
        that meets a closed door tries for max(group_interval, 10 s), which no time scale shortens.
        """
        receiver = next((n.receiver for n in self.alert.notices if n.to == to), None)
        kinds = {one.kind for one in self.company.integrations(receiver or "")}
        return tuple(sorted({SINKS.get(kind, "webhook-sink") for kind in kinds} & set(self.evidence.witnesses)))

    @property
    def _excuses(self) -> Excuses:
        every_s = self.evidence.every_s.get(self.alert.rule.alert, 0.0)
        return Excuses(self.evidence, self.scale, self.anchors, self.end_of_watch, every_s)

    def _unseen(self, hop: Hop, trouble: str) -> str:
        return sentences.unseen(self._who(hop), hop.name, hop.window.hi_vs, trouble, hop.setting)

    def _unreached(self, hop: Hop) -> Row:
        reason = sentences.unreached(self._who(hop), hop.name, hop.window, hop.setting)
        return self._row(hop, Result.UNKNOWN, reason)

    def _hop(self, name: str, window: Window, needs: tuple[str, ...], to: str = "", more: str = "") -> Hop:
        return Hop(name, to, window, needs, f"{window.setting}{more}")

    def _row(
        self,
        hop: Hop,
        result: Result,
        reason: str = "",
        *,
        observed: Interval | None = None,
        allowed: Interval | None = None,
        rests_on: str = "",
    ) -> Row:
        return Row(
            about=self.about,
            hop=hop.name,
            to=hop.to,
            observed=observed,
            allowed=allowed,
            margin_vs=round(margin_vs(observed, allowed), 3) if observed and allowed else None,
            uncertainty_vs=round(observed[1] - observed[0], 3) if observed else None,
            result=result,
            reason=reason,
            rests_on=rests_on,
        )

    def _who(self, hop: Hop) -> str:
        return sentences.who(self.about, hop.to, hop.name)

    def _hold_setting(self) -> str:
        rule = self.alert.rule
        return f"; the rule says for: {format_duration(rule.for_s)} ({rule.place})"

    def _all_clear_setting(self, notice: PlannedNotice) -> str:
        if not notice.sends_resolved:
            return f" and send_resolved, which is false for this {notice.integration} of {notice.receiver}"
        return f" ({notice.all_clear.place})" if notice.all_clear else ""

    def _notice_setting(self, notice: PlannedNotice) -> str:
        refused = [
            n for n in self.evidence.notices if (n.receiver, n.integration, n.index) == notice.door and n.refused
        ]
        if refused:
            return f"; the receiver refused it {amount(len(refused), 'times')}, with {refused[0].refused}"
        if notice.configured is None:
            return f"; no route of the configuration leads this alert to {notice.receiver}"
        return f"; the configuration says {notice.configured.setting} ({notice.configured.place})"


def _allowed(hop: Hop) -> Interval:
    return (hop.window.lo_vs, hop.window.hi_vs)


def sink_of(notice: PlannedNotice) -> str:
    """The equipment that sees the notices of this integration."""
    return SINKS.get(notice.integration, "webhook-sink")
