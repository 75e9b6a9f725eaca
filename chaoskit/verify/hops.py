"""The five hops of one alert instance, each with its own beginning, budget and blame.

    fault ──detect──> pending ──hold──> firing ──notify──> receiver
    undo  ──clear───> resolved ──all-clear──> receiver

A hop that was seen is judged against its window. One that was not seen is FAIL ("never") only where somebody
was looking until the last allowed instant and all the equipment it needs was up; otherwise UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaoskit.alerting.windows import Window
from chaoskit.events import Interval, Notice
from chaoskit.plan.model import PlannedAlert, PlannedNotice
from chaoskit.units import format_duration
from chaoskit.verify.evidence import Episode, Evidence
from chaoskit.verify.judge import between, judge, margin_vs
from chaoskit.verify.verdict import Result, Row

_RETRY_REAL_S = 10.0
"""Real seconds for which Alertmanager at least tries one delivery again."""

SINKS = {"email": "mail-sink"}
"""Which sink witnesses which integration; every other one comes through the web."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """When the clocks of an instance start: the fault's effect, and its undo; None where that was not seen."""

    fault: Interval | None
    undo: Interval | None


@dataclass(frozen=True, slots=True)
class HopJudge:
    """Judges the hops of one instance; `about` names it in rows."""

    evidence: Evidence
    alert: PlannedAlert
    scale: float
    about: str
    anchors: Anchors
    end_of_watch: float

    def rows(self, episode: Episode | None) -> list[Row]:
        """All hops of this instance, in the order in which they happen."""
        pending = (episode.pending or episode.firing) if episode else None
        firing = episode.firing if episode else None
        rows = [
            self._timed("detect", "", self.alert.detect, self.anchors.fault, pending, ("prometheus", "target")),
            self._timed("hold", "", self.alert.hold, pending, firing, ("prometheus",), self._hold_setting()),
        ]
        for notice in self.alert.notices:
            rows.append(self._notify(notice, episode, firing))
        if self.alert.expectation.until_step == "never":
            return [*rows, self._still_firing(episode)]
        resolved = episode.resolved if episode else None
        start = self.anchors.undo if firing else None
        rows.append(self._timed("clear", "", self.alert.clear, start, resolved, ("prometheus", "target")))
        for notice in self.alert.notices:
            if notice.all_clear is not None:
                heard = self.heard(notice, episode, "resolved")
                needs = ("prometheus", "alertmanager", _sink(notice))
                seen = heard.sent if heard else None
                extra = self._all_clear_setting(notice)
                rows.append(self._timed("all-clear", notice.to, notice.all_clear, resolved, seen, needs, extra))
        return rows

    def heard(self, notice: PlannedNotice, episode: Episode | None, status: str) -> Notice | None:
        """The first notice at this door that lists the instance with the status, within its episode."""
        if episode is None:
            return None
        since = episode.begun[0] if status == "firing" or episode.resolved is None else episode.resolved[0]
        for seen in self.evidence.notices:
            if (seen.receiver, seen.integration, seen.index) != notice.door or seen.sent[1] < since:
                continue
            if any(item.status == status and _covers(item.labels, episode.labels) for item in seen.alerts):
                return seen
        return None

    def _notify(self, notice: PlannedNotice, episode: Episode | None, firing: Interval | None) -> Row:
        heard = self.heard(notice, episode, "firing")
        needs = ("prometheus", "alertmanager", _sink(notice))
        if notice.ask.mode != "never":
            seen = heard.sent if heard else None
            extra = self._notice_setting(notice)
            return self._timed("notify", notice.to, notice.notify, firing, seen, needs, extra)
        if heard is not None:
            reason = f"{notice.to} was notified, and the scenario says never"
            return self._row("notify", notice.to, Result.FAIL, reason)
        if firing is None:
            return self._unreached("notify", notice.to)
        blind = self._absent("notify", notice.to, firing, self.end_of_watch, needs)
        return blind or self._row("notify", notice.to, Result.PASS)

    def _still_firing(self, episode: Episode | None) -> Row:
        if episode is None or episode.firing is None:
            return self._unreached("clear", "")
        if episode.resolved is not None:
            return self._row("clear", "", Result.FAIL, "it resolved, and the scenario says until: never")
        blind = self._absent("clear", "", episode.firing, self.end_of_watch, ("prometheus",))
        return blind or self._row("clear", "", Result.PASS)

    def _timed(
        self,
        hop: str,
        to: str,
        window: Window,
        start: Interval | None,
        seen: Interval | None,
        needs: tuple[str, ...],
        setting: str = "",
    ) -> Row:
        if start is None:
            return self._unreached(hop, to)
        allowed = (window.lo_vs, window.hi_vs)
        setting = f"{window.setting}{setting}"
        if seen is None:
            latest = start[1] + window.hi_vs / self.scale
            blind = self._absent(hop, to, start, latest, needs)
            waited = (self.end_of_watch - start[1]) * self.scale
            reason = (
                f"{self._who(to)} {_NEVER[hop]} within {_s(window.hi_vs)} of {_SINCE[hop]}, nor in the "
                f"{_s(waited)} that were watched; governed by {setting}"
            )
            return blind or self._row(hop, to, Result.FAIL, reason, allowed=allowed)
        observed = between(seen, start, self.scale)
        result = judge(observed, allowed, window.resolution_vs)
        reason = ""
        if result is Result.FAIL:
            outage = self.evidence.outage(needs + self._same_group(to), start[0] - _RETRY_REAL_S, seen[1])
            if outage is not None:
                result = Result.UNKNOWN
                reason = f"{self._who(to)} {outage.equipment} was down meanwhile ({outage.detail})"
            else:
                reason = self._wrong_time(hop, to, observed, allowed, setting)
        elif result is Result.UNKNOWN:
            reason = (
                f"{self._who(to)} {hop} is known only to lie within {_s(observed[1] - observed[0])}, and telling it "
                f"from a wrong promise takes {_s(window.resolution_vs)}; governed by {setting}"
            )
        return self._row(hop, to, result, reason, observed=observed, allowed=allowed)

    def _wrong_time(self, hop: str, to: str, observed: Interval, allowed: Interval, setting: str) -> str:
        late = observed[0] > allowed[1]
        off = observed[0] - allowed[1] if late else allowed[0] - observed[1]
        how = "late" if late else "early"
        bound = f"at most {_s(allowed[1])}" if late else f"at least {_s(allowed[0])}"
        return (
            f"{self._who(to)} {_DID[hop]} {_s(observed[1])} after {_SINCE[hop]}, {_s(off)} too {how} "
            f"({bound} promised); governed by {setting}"
        )

    def _absent(self, hop: str, to: str, start: Interval, latest: float, needs: tuple[str, ...]) -> Row | None:
        outage = self.evidence.outage(needs, start[0], latest)
        if outage is not None:
            reason = f"{self._who(to)} {hop} was not seen, and {outage.equipment} was down ({outage.detail})"
            return self._row(hop, to, Result.UNKNOWN, reason)
        for observer in needs:
            if observer in ("target", "alertmanager"):
                continue
            blind = self.evidence.blind_from(observer, start[1], min(latest, self.end_of_watch))
            if latest > self.end_of_watch:
                blind = min(blind or self.end_of_watch, self.end_of_watch)
            if blind is not None:
                after = (blind - start[1]) * self.scale
                reason = f"{self._who(to)} {hop} was not seen, and {observer} was not watched from {_s(after)} on"
                return self._row(hop, to, Result.UNKNOWN, reason)
        return None

    def _unreached(self, hop: str, to: str) -> Row:
        return self._row(hop, to, Result.UNKNOWN, f"not judged: {_START[hop]} was not seen")

    def _row(
        self,
        hop: str,
        to: str,
        result: Result,
        reason: str = "",
        *,
        observed: Interval | None = None,
        allowed: Interval | None = None,
    ) -> Row:
        known = observed is not None and allowed is not None
        return Row(
            about=self.about,
            hop=hop,
            to=to,
            observed=observed,
            allowed=allowed,
            margin_vs=round(margin_vs(observed, allowed), 3) if observed and allowed and known else None,
            uncertainty_vs=round(observed[1] - observed[0], 3) if observed else None,
            result=result,
            reason=reason,
        )

    def _who(self, to: str) -> str:
        return f"{self.about} -> {to}:" if to else f"{self.about}:"

    def _hold_setting(self) -> str:
        rule = self.alert.rule
        return f"; the rule says for: {format_duration(rule.for_s)} ({rule.place})"

    def _same_group(self, to: str) -> tuple[str, ...]:
        """Sinks of the same receiver's other integrations.

        A group's next notice waits until every integration of its receiver is done with the last one, and one
        that meets a closed door tries for max(group_interval, 10 s), which no time scale shortens.
        """
        receiver = next((n.receiver for n in self.alert.notices if n.to == to), None)
        return tuple(_sink(n) for n in self.alert.notices if n.receiver == receiver)

    def _all_clear_setting(self, notice: PlannedNotice) -> str:
        if not notice.sends_resolved:
            return f" and send_resolved, which is false for this {notice.integration} of {notice.receiver}"
        return f" ({notice.all_clear.place})" if notice.all_clear else ""

    def _notice_setting(self, notice: PlannedNotice) -> str:
        if notice.configured is None:
            return f"; no route of the configuration leads this alert to {notice.receiver}"
        return f"; the configuration says {notice.configured.setting} ({notice.configured.place})"


_SINCE = {
    "detect": "the fault",
    "hold": "pending",
    "notify": "firing",
    "clear": "the undo",
    "all-clear": "resolved",
}
_START = {
    "detect": "the fault's effect",
    "hold": "pending",
    "notify": "firing",
    "clear": "firing, or the undo,",
    "all-clear": "the resolve",
}
_DID = {
    "detect": "became pending",
    "hold": "fired",
    "notify": "was notified",
    "clear": "resolved",
    "all-clear": "heard the all-clear",
}
_NEVER = {
    "detect": "never became pending",
    "hold": "never fired",
    "notify": "was never notified",
    "clear": "never resolved",
    "all-clear": "never heard the all-clear",
}


def _sink(notice: PlannedNotice) -> str:
    return SINKS.get(notice.integration, "webhook-sink")


def _covers(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether a notice's labels hold the alert's: external labels may have come on top on the way."""
    return all(labels.get(key) == value for key, value in wanted.items())


def _s(virtual_s: float) -> str:
    return f"{virtual_s:.1f} s"
