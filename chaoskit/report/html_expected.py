"""Each expected alert on the timeline: its life, and every receiver's notices, over the windows that were allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chaoskit import hop
from chaoskit.alerting.windows import Window
from chaoskit.events import Interval
from chaoskit.plan.model import PlannedNotice
from chaoskit.report.html_axis import Axis, Bar, Group, Lane, Mark
from chaoskit.report.html_lanes import MOST_LANES, life, subject
from chaoskit.report.text import allowed, observed, shortened
from chaoskit.verify.case import Case, Instance
from chaoskit.verify.verdict import Key, Row, Verdict, by_key, worst_of

_Rows = Mapping[Key, Row]


def expected_groups(case: Case | None, verdict: Verdict | None, axis: Axis) -> list[Group]:
    """One group for each instance that the scenario expects, also for those that never showed; none unjudged, unless
    the run is not over: then with the windows that are to come."""
    if case is None or (verdict is None and axis.now is None):
        return []
    rows = by_key(verdict.rows if verdict else ())
    groups = [_Instance(axis, one, rows).group(f"alert-{n}") for n, one in enumerate(case.instances)]
    if len(groups) > MOST_LANES:
        more = Group(f"and {len(groups) - MOST_LANES} more expected alerts", [])
        return [*groups[:MOST_LANES], more]
    return groups


@dataclass(frozen=True, slots=True)
class _Instance:
    """One instance of one expectation, with what its rows say."""

    axis: Axis
    one: Instance
    rows: _Rows

    def group(self, anchor: str) -> Group:
        mine = [row for key, row in self.rows.items() if key[0] == self.one.about]
        result = str(worst_of(row.result for row in mine)) if mine else ""
        heard = {notice.to for notice in self.one.alert.notices}
        silent = dict.fromkeys(row.to for row in mine if row.to and row.to not in heard)
        lanes = [self._state(), *map(self._receiver, self.one.alert.notices)]
        lanes += [Lane(to, [], [], result=self._worst(to), note="nothing can be seen here") for to in silent]
        return Group(self.one.about, [lane.bounded() for lane in lanes], result, "expected", anchor)

    def _state(self) -> Lane:
        alert, episode, anchors = self.one.alert, self.one.episode, self.one.anchors
        bars = [*self._window(alert.detect, "", anchors.fault), *self._window(alert.hold, "", self._begun())]
        if alert.expectation.until_step != "never":
            bars += self._window(alert.clear, "", anchors.undo)
        bars += life(self.axis, episode) if episode else []
        bars += self._suppressed() if episode else []
        marks = []
        if episode is not None and episode.resolved is not None:
            at = f"resolved {self.axis.at(episode.resolved[1])}"
            marks.append(self.axis.mark(episode.resolved[1], "cleared", at))
        return Lane(
            hop.Lane.ALERT.value,
            bars,
            marks,
            result=self._worst(""),
            note="" if episode else "not yet" if self.axis.now else "never seen",
        )

    def _receiver(self, notice: PlannedNotice) -> Lane:
        episode = self.one.episode
        bars: list[Bar] = []
        if notice.ask.mode != "never":
            bars += self._window(self.one.case.groups.window(notice, episode), notice.to, self._firing())
        if notice.all_clear is not None:
            bars += self._window(notice.all_clear, notice.to, self._resolved())
        marks: list[Mark] = []
        for status, kind, of in (("firing", "told", hop.Hop.NOTIFY), ("resolved", "cleared", hop.Hop.ALL_CLEAR)):
            heard = self.one.heard(notice, status)
            if heard is None:
                continue
            row = self.rows.get((self.one.about, of, notice.to))
            after = f", {observed(row.observed)} after {of.since}" if row and row.observed else ""
            title = shortened(f"{subject(heard)} {self.axis.at(heard.sent[1])}{after}")
            bars.append(self.axis.bar(heard.sent, "seen", title))
            marks.append(self.axis.mark(heard.sent[1], f"{kind} {_how(row)}".strip(), title))
        note = "must hear nothing" if notice.ask.mode == "never" else ""
        return Lane(notice.to, bars, marks, result=self._worst(notice.to), note=note)

    def _window(self, window: Window, to: str, since: Interval | None) -> Iterator[Bar]:
        """The bar of the allowed window, from the row if it was judged, else from the plan; none off the axis."""
        if since is None:
            return
        row = self.rows.get((self.one.about, window.hop, to))
        lo, hi = row.allowed if row is not None and row.allowed is not None else (window.lo_vs, window.hi_vs)
        span = (since[0] + lo / self.axis.scale, since[1] + hi / self.axis.scale)
        if self.axis.shows(span):
            title = f"{window.hop} {allowed((lo, hi))} after {window.hop.since}"
            yield self.axis.bar(span, "window", title)

    def _begun(self) -> Interval | None:
        """When it first showed; of a run that is not over, when it is to show: that window is still to come."""
        return self.one.begun or self._coming(self.one.alert.detect, self.one.anchors.fault)

    def _firing(self) -> Interval | None:
        return self.one.firing or self._coming(self.one.alert.hold, self._begun())

    def _resolved(self) -> Interval | None:
        return self.one.resolved or self._coming(self.one.alert.clear, self.one.anchors.undo)

    def _coming(self, window: Window, since: Interval | None) -> Interval | None:
        if since is None or self.axis.now is None:
            return None
        return (since[0] + window.lo_vs / self.axis.scale, since[1] + window.hi_vs / self.axis.scale)

    def _suppressed(self) -> Iterator[Bar]:
        """Spans in which Alertmanager said that it holds the alert back."""
        labels = dict(self.one.episode.labels) if self.one.episode else {}
        since: tuple[float, str] | None = None
        for event in self.one.case.evidence.suppressions:
            if any(event.labels.get(key) != value for key, value in labels.items()):
                continue
            if event.state == "suppressed":
                by = ", ".join(dict.fromkeys(one.get("alertname", "?") for one in event.inhibited_by))
                since = since or (event.seen[0], by or ", ".join(event.silenced_by))
            elif since is not None:
                yield self._held(since, event.seen[1])
                since = None
        if since is not None:
            yield self._held(since, self.axis.until)

    def _held(self, since: tuple[float, str], until: float) -> Bar:
        return self.axis.bar((since[0], until), "held", shortened(f"held back by {since[1]}"), f"held by {since[1]}")

    def _worst(self, to: str) -> str:
        """Of all rows of the instance that are about a receiver, or with an empty name about the alert itself."""
        found = [row for (about, _, whose), row in self.rows.items() if (about, whose) == (self.one.about, to)]
        return str(worst_of(row.result for row in found)) if found else ""


def _how(row: Row | None) -> str:
    """The style of what did not pass."""
    return {"FAIL": "bad", "UNKNOWN": "doubt"}.get(str(row.result), "") if row else ""
