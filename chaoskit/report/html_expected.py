"""Each expected alert on the timeline: its life, and every receiver's notices, over the windows that were allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chaoskit.events import Interval
from chaoskit.history import History
from chaoskit.plan.model import Plan, PlannedAlert, PlannedNotice
from chaoskit.report.html_axis import Axis, Bar, Group, Lane, Mark
from chaoskit.report.html_lanes import MOST_LANES, life, subject
from chaoskit.report.text import allowed, observed, shortened
from chaoskit.verify.anchors import anchors_of
from chaoskit.verify.evidence import Episode, Evidence
from chaoskit.verify.hops import HopJudge
from chaoskit.verify.verdict import ORDER, Row, Verdict, worst_of
from chaoskit.verify.verify import company_of, instances

_Rows = Mapping[tuple[str, str, str], Row]


def expected_groups(
    plan: Plan | None,
    history: History,
    evidence: Evidence,
    verdict: Verdict | None,
    axis: Axis,
    owners: Mapping[int, PlannedAlert],
) -> list[Group]:
    """One group for each instance that the scenario expects, also for those that never showed; none unjudged."""
    if plan is None or verdict is None:
        return []
    # Of several rows of one name, what is worst counts.
    worst_last = sorted(verdict.rows, key=lambda row: ORDER.index(row.result), reverse=True)
    rows = {(row.about, row.hop, row.to): row for row in worst_last}
    until = evidence.phases.get("stopping", history.last_t)
    company = company_of(plan, evidence, history)
    groups = []
    for alert in plan.alerts:
        mine = [episode for episode in evidence.episodes if owners.get(id(episode)) is alert]
        for episode, about in instances(alert, mine):
            anchors = anchors_of(plan, evidence, alert, episode)
            judge = HopJudge(evidence, alert, plan.time_scale, about, anchors, until, company)
            groups.append(_Instance(axis, evidence, alert, episode, judge, rows).group())
    if len(groups) > MOST_LANES:
        more = Group(f"and {len(groups) - MOST_LANES} more expected alerts", [])
        return [*groups[:MOST_LANES], more]
    return groups


@dataclass(frozen=True, slots=True)
class _Instance:
    """One instance of one expectation, with what its rows say."""

    axis: Axis
    evidence: Evidence
    alert: PlannedAlert
    episode: Episode | None
    judge: HopJudge
    rows: _Rows

    def group(self) -> Group:
        mine = [row for key, row in self.rows.items() if key[0] == self.judge.about]
        result = str(worst_of(row.result for row in mine)) if mine else ""
        heard = {notice.to for notice in self.alert.notices}
        silent = dict.fromkeys(row.to for row in mine if row.to and row.to not in heard)
        lanes = [self._state(), *map(self._receiver, self.alert.notices)]
        lanes += [Lane(to, [], [], result=self._worst(to), note="nothing can be seen here") for to in silent]
        return Group(self.judge.about, [lane.bounded() for lane in lanes], result, "expected")

    def _state(self) -> Lane:
        episode, anchors = self.episode, self.judge.anchors
        pending = (episode.pending or episode.firing) if episode else None
        bars = [
            *self._window("detect", "", anchors.fault, self.alert.detect.lo_vs, self.alert.detect.hi_vs),
            *self._window("hold", "", pending, self.alert.hold.lo_vs, self.alert.hold.hi_vs),
        ]
        if self.alert.expectation.until_step != "never":
            bars += self._window("clear", "", anchors.undo, self.alert.clear.lo_vs, self.alert.clear.hi_vs)
        bars += life(self.axis, episode) if episode else []
        bars += self._suppressed() if episode else []
        marks = []
        if episode is not None and episode.resolved is not None:
            at = f"resolved {self.axis.at(episode.resolved[1])}"
            marks.append(self.axis.mark(episode.resolved[1], "cleared", at))
        return Lane("the alert itself", bars, marks, result=self._worst(""), note="" if episode else "never seen")

    def _receiver(self, notice: PlannedNotice) -> Lane:
        firing = self.episode.firing if self.episode else None
        resolved = self.episode.resolved if self.episode and firing else None
        bars: list[Bar] = []
        if notice.ask.mode != "never":
            window = self.judge.company.window(notice, self.episode)
            bars += self._window("notify", notice.to, firing, window.lo_vs, window.hi_vs)
        if notice.all_clear is not None:
            bars += self._window("all-clear", notice.to, resolved, notice.all_clear.lo_vs, notice.all_clear.hi_vs)
        marks: list[Mark] = []
        for status, kind, hop in (("firing", "told", "notify"), ("resolved", "cleared", "all-clear")):
            heard = self.judge.heard(notice, self.episode, status)
            if heard is None:
                continue
            row = self.rows.get((self.judge.about, hop, notice.to))
            after = f", {observed(row.observed)} after {_since(hop)}" if row and row.observed else ""
            title = shortened(f"{subject(heard)} {self.axis.at(heard.sent[1])}{after}")
            bars.append(self.axis.bar(heard.sent, "seen", title))
            marks.append(self.axis.mark(heard.sent[1], f"{kind} {_how(row)}".strip(), title))
        note = "must hear nothing" if notice.ask.mode == "never" else ""
        return Lane(notice.to, bars, marks, result=self._worst(notice.to), note=note)

    def _window(self, hop: str, to: str, since: Interval | None, lo_vs: float, hi_vs: float) -> Iterator[Bar]:
        """What was allowed, as the row says where it was judged, else as planned."""
        if since is None:
            return
        row = self.rows.get((self.judge.about, hop, to))
        lo, hi = row.allowed if row is not None and row.allowed is not None else (lo_vs, hi_vs)
        span = (since[0] + lo / self.axis.scale, since[1] + hi / self.axis.scale)
        if self.axis.shows(span):
            title = f"{hop}: allowed {allowed((lo, hi))} after {_since(hop)}"
            yield self.axis.bar(span, "window", title)

    def _suppressed(self) -> Iterator[Bar]:
        """Spans in which Alertmanager said that it holds the alert back."""
        labels = dict(self.episode.labels) if self.episode else {}
        since: tuple[float, str] | None = None
        for event in self.evidence.suppressions:
            if any(event.labels.get(key) != value for key, value in labels.items()):
                continue
            if event.state == "suppressed":
                by = ", ".join(dict.fromkeys(one.get("alertname", "?") for one in event.inhibited_by))
                since = since or (event.seen[0], by or ", ".join(event.silenced_by))
            elif since is not None:
                yield self._held(since, event.seen[1])
                since = None
        if since is not None:
            yield self._held(since, self.axis.end)

    def _held(self, since: tuple[float, str], until: float) -> Bar:
        return self.axis.bar((since[0], until), "held", shortened(f"held back by {since[1]}"), f"held by {since[1]}")

    def _worst(self, to: str) -> str:
        """Of all rows of the instance that are about a receiver, or with an empty name about the alert itself."""
        found = [row for (about, _, whose), row in self.rows.items() if (about, whose) == (self.judge.about, to)]
        return str(worst_of(row.result for row in found)) if found else ""


def _since(hop: str) -> str:
    return {"detect": "the fault", "hold": "pending", "notify": "firing", "clear": "the undo"}.get(hop, "resolved")


def _how(row: Row | None) -> str:
    """The style of what did not pass."""
    return {"FAIL": "bad", "UNKNOWN": "doubt"}.get(str(row.result), "") if row else ""
