"""What a rehearsal found, per rule: who would have been paged, when, with what text, or why nobody knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec

from chaoskit.alerting.model import Receiver, Rule
from chaoskit.alerting.routing import told_by
from chaoskit.events import Notice
from chaoskit.history import History
from chaoskit.hop import Hop
from chaoskit.observe.pressure import Pressure
from chaoskit.plan.model import Plan, PlannedAlert
from chaoskit.rehearse.marker import headline
from chaoskit.rehearse.rendering import NOTHING, Unrendered
from chaoskit.rehearse.tested import GivenTest, GroupRow
from chaoskit.rehearse.tested import rows as tested_rows
from chaoskit.report.text import telling
from chaoskit.verify.anchors import assign
from chaoskit.verify.evidence import Episode, Evidence, gather
from chaoskit.verify.verdict import Result, Row, Verdict, worst_of
from chaoskit.verify.verify import verify

_UNLIKE = "the scripted series did not make it fire as they did for promtool"
RESTORED = "`for` restored"
"""How an outcome says that Prometheus was to take over since when the alert is pending."""
SYNTHETIC = "source: synthetic; detect hop not proven"


@dataclass(frozen=True, slots=True)
class Heard:
    """The first notice of an alert through one door; `after_vs` counts from firing, in virtual seconds."""

    receiver: str
    integration: str
    after_vs: float
    text: str
    recipients: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    """Alerts of other names that the same notice told of: then its instant may be theirs."""


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """One alert rule: rehearsed with a result, or not (`result` None) with the reason."""

    rule: Rule
    result: Result | None
    reasons: tuple[str, ...] = ()
    heard: tuple[Heard, ...] = ()
    receivers: tuple[str, ...] = ()
    """To whom the configuration routes it."""
    muted_by: tuple[str, ...] = ()
    """Alerts that mute it while they fire, by the inhibition rules."""
    rows: tuple[Row, ...] = ()
    stub: str = ""
    wave: str = ""
    attempt: int = 1
    """2: it was UNKNOWN at first, and was played once more."""
    fired: bool = False
    unmoved: bool = False
    """Its series did not make it fire as they did for promtool, and nothing of this machine's explains it."""
    how: str = ""
    """What of it was not played as it is in life; empty where all was."""
    deaf: tuple[str, ...] = ()
    """Those of its receivers that have no integration."""

    @property
    def told_to_nobody(self) -> str:
        """Why an alert that fired reaches nobody; empty where one of its receivers has an integration."""
        if self.fired and not self.receivers:
            return "told to nobody: alert_relabel_configs drop it"
        if not self.fired or not self.deaf or set(self.receivers) - set(self.deaf):
            return ""
        return f"told to nobody: {', '.join(self.deaf)} {'has' if len(self.deaf) == 1 else 'have'} no integration"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The whole rehearsal."""

    outcomes: tuple[RuleOutcome, ...]
    findings: tuple[Row, ...]
    """What happened besides, in any wave."""
    unreached: tuple[str, ...]
    """Receivers that no rule reaches."""
    notes: tuple[str, ...]
    promise: str
    """`computed`, or the promise file's name."""
    took_s: float = 0.0
    codes: tuple[int, ...] = field(default=())
    """How the waves ended, apart from their rows: interrupted or not healed."""
    tests: tuple[GroupRow, ...] = ()
    """Each group of the unit tests that were given."""

    @property
    def rehearsed(self) -> tuple[RuleOutcome, ...]:
        """Those that have a result."""
        return tuple(one for one in self.outcomes if one.result is not None)


def judge_wave(
    history: History,
    plan: Plan,
    name: str,
    disturbed: str = "",
    pressure: Pressure | None = None,
    unrendered: Unrendered = NOTHING,
    derived: bool = False,
    test: GivenTest | None = None,
    how: Mapping[str, str] = {},
) -> tuple[dict[str, RuleOutcome], list[Row], Verdict]:
    """By alert name what a wave's history says of it, whatever else it shows, and the verdict as such.

    `disturbed` says why an alert may have ended early or never fired though the rules are right; `pressure` knows
    how long programs waited for this machine meanwhile, `unrendered` which templates failed. Of `derived` series that
    make an alert true before their fault nobody learns anything: it counts as not rehearsed. `test` expects more. `how`
    says by alert what is not played as it is in life.
    """
    verdict = verify(history, plan)
    evidence = gather(history, plan.every_s, plan.witnesses, partial(told_by, plan.config))
    owners = assign(plan, evidence)
    seen = unrendered.rows(verdict.rows, plan.config)
    seen += tested_rows(test, evidence, plan.time_scale) if test else []
    names = sorted((alert.rule.alert for alert in plan.alerts), key=len, reverse=True)
    by_name: dict[str, list[Row]] = {}
    rows: list[Row] = []
    others: list[Row] = []
    for row in (_disturbed(_synthetic(row), disturbed) for row in seen if _counts(row)):
        of = next(
            (n for n in names if row.hop is not Hop.FINDING and (row.about == n or row.about.startswith(f"{n} "))), None
        )
        if of and pressure is not None:
            lives = [e for e in evidence.episodes if (owner := owners.get(id(e))) and owner.rule.alert == of]
            row = _waited(row, lives, pressure, plan.time_scale)
        rows.append(row)
        (by_name.setdefault(of, []) if of else others).append(row)
    found: dict[str, RuleOutcome] = {}
    for alert in plan.alerts:
        mine = [e for e in evidence.episodes if owners.get(id(e)) is alert]
        astray = [] if alert.rule.alert not in plan.beside else list(_elsewhere(alert, mine, evidence, plan))
        rows += astray
        by_name.setdefault(alert.rule.alert, []).extend(astray)
        outcome = _outcome(alert, by_name[alert.rule.alert], mine, evidence, plan, name)
        if derived and not disturbed and (unmoved := _unmoved(outcome)):
            at_rest = any(e.name == alert.rule.alert for e in evidence.episodes)
            outcome = unrehearsed(alert.rule, unmoved) if at_rest else replace(outcome, unmoved=True)
        if derived and RESTORED in how.get(alert.rule.alert, "") and not all(_is_restored(e, evidence) for e in mine):
            outcome = unrehearsed(alert.rule, "Prometheus did not restore since when it was pending")
        outcome = replace(outcome, how=how.get(alert.rule.alert, ""))
        there = found.get(alert.rule.alert)
        found[alert.rule.alert] = worse(there, outcome) if there else outcome
    return found, others, replace_result(verdict, rows)


def _is_restored(episode: Episode, evidence: Evidence) -> bool:
    """Whether it has been pending since before the step that started Prometheus."""
    begun = min((invoke.t for invoke in evidence.invokes.values()), default=0.0)
    return episode.own.get("pending", (0.0, 0.0))[0] < begun


def replace_result(verdict: Verdict, rows: Sequence[Row]) -> Verdict:
    """The verdict with these rows."""
    result = worst_of(row.result for row in rows)
    return msgspec.structs.replace(verdict, rows=list(rows), result=result)


def _counts(row: Row) -> bool:
    """A rehearsal has no load, and what moved the series was no fault of a service: when it shows is not judged."""
    return row.hop is not Hop.LOAD and not (
        row.hop is Hop.DETECT and (row.result is Result.PASS or row.observed is not None)
    )


def _synthetic(row: Row) -> Row:
    """Whether a condition shows is the script's doing here, so its failure is no failure of the rules."""
    if row.hop is not Hop.DETECT or row.result is not Result.FAIL:
        return row
    reason = f"{row.about}: {_UNLIKE}: {row.reason}"
    return Row(
        about=row.about, hop=row.hop, observed=row.observed, allowed=row.allowed, result=Result.UNKNOWN, reason=reason
    )


def _disturbed(row: Row, why: str) -> Row:
    if not why or row.result is not Result.FAIL or (not row.hop.timed or row.hop is Hop.DETECT):
        return row
    return msgspec.structs.replace(row, result=Result.UNKNOWN, reason=f"{row.reason}; but {why}")


def _waited(row: Row, lives: Sequence[Episode], pressure: Pressure, scale: float) -> Row:
    """A notice that came no later than programs had to wait for a core says nothing of anybody's configuration."""
    if (
        row.result is not Result.FAIL
        or row.hop not in (Hop.NOTIFY, Hop.ALL_CLEAR)
        or not (row.observed and row.allowed)
    ):
        return row
    late_s, after_s = (row.observed[0] - row.allowed[1]) / scale, row.observed[1] / scale
    starts = [start for e in lives if (start := e.firing if row.hop is Hop.NOTIFY else e.resolved) is not None]
    if late_s <= 0 or not any(pressure.explains(late_s, start[0], start[1] + after_s) for start in starts):
        return row
    why = f"programs waited for this busy machine as long as the {late_s:.2f} real s by which it was late"
    return msgspec.structs.replace(row, result=Result.UNKNOWN, reason=f"{row.reason}; but {why}")


def _outcome(
    alert: PlannedAlert, rows: list[Row], episodes: list[Episode], evidence: Evidence, plan: Plan, wave: str
) -> RuleOutcome:
    doors = dict.fromkeys(
        [*(n.door for n in alert.notices), *((n.receiver, n.integration, n.index) for n in evidence.notices)]
    )
    heard = tuple(h for door in doors if (h := _heard(door, episodes, evidence, alert, plan)) is not None)
    muted = _muted(episodes, evidence)
    if muted and not heard:
        reason = f"{alert.rule.alert}: it was muted by {', '.join(muted)}, which fired on the same series"
        rows = [_excused(row, reason) for row in rows]
    problems = tuple(telling(rows))
    result = worst_of(row.result for row in rows)
    fired = any(episode.firing is not None for episode in episodes)
    return RuleOutcome(alert.rule, result, problems, heard, muted_by=muted, rows=tuple(rows), wave=wave, fired=fired)


def _unmoved(outcome: RuleOutcome) -> str:
    return next((row.reason for row in outcome.rows if row.hop is Hop.DETECT and _UNLIKE in row.reason), "")


def _elsewhere(alert: PlannedAlert, episodes: list[Episode], evidence: Evidence, plan: Plan) -> Iterator[Row]:
    """Receivers that heard of it though nothing leads it there."""
    doors = {notice.door for notice in alert.notices}
    for notice in evidence.notices:
        door = (notice.receiver, notice.integration, notice.index)
        told = next((e for e in episodes if e.firing and _tells(notice, e)), None)
        if door in doors or told is None or notice.refused:
            continue
        doors.add(door)
        labels = ", ".join(f"{k}={v}" for k, v in sorted(told.sent.items()))
        ways = f"routes lead it to {', '.join(alert.receivers) or 'nobody'}"
        to = f"{notice.receiver} ({notice.integration})"
        reason = f"{alert.rule.alert}: {to} heard of it, and {ways}; it carried {labels}"
        yield Row(about=alert.rule.alert, hop=Hop.NOTIFY, to=to, result=Result.FAIL, reason=reason)


def _excused(row: Row, reason: str) -> Row:
    if row.result is not Result.FAIL or row.hop not in (Hop.NOTIFY, Hop.ALL_CLEAR, Hop.CONTENT):
        return row
    return Row(about=row.about, hop=row.hop, to=row.to, result=Result.UNKNOWN, reason=reason)


def _heard(
    door: tuple[str, str, int], episodes: list[Episode], evidence: Evidence, alert: PlannedAlert, plan: Plan
) -> Heard | None:
    for notice in evidence.notices:
        if (notice.receiver, notice.integration, notice.index) != door or notice.refused:
            continue
        for episode in episodes:
            if episode.firing is not None and _tells(notice, episode) and notice.sent[1] >= episode.firing[0]:
                after = max(0.0, (notice.sent[1] - episode.firing[0]) * plan.time_scale)
                others = {item.labels.get("alertname", "?"): None for item in notice.alerts}
                beside = tuple(name for name in others if name not in (alert.rule.alert, episode.sent.get("alertname")))
                return Heard(door[0], door[1], after, _text(notice, alert), tuple(notice.recipients), beside)
    return None


def _tells(notice: Notice, episode: Episode) -> bool:
    return any(item.status == "firing" and episode.is_in(item.labels) for item in notice.alerts)


def _muted(episodes: list[Episode], evidence: Evidence) -> tuple[str, ...]:
    by = {
        source.get("alertname", "?"): None
        for event in evidence.suppressions
        if event.state == "suppressed" and any(episode.is_in(event.labels) for episode in episodes)
        for source in event.inhibited_by
    }
    return tuple(by)


def _text(notice: Notice, alert: PlannedAlert) -> str:
    """What a person reads first: a mail's subject, a payload's own summary, or the payload."""
    if notice.subject:
        return notice.subject
    for item in notice.alerts:
        if item.labels.get("alertname") == alert.rule.alert:
            for key in ("summary", "title", "message", "description"):
                if item.annotations.get(key):
                    return item.annotations[key]
    return headline(notice.text)


def unrehearsed(rule: Rule, reason: str, stub: str = "") -> RuleOutcome:
    """A rule that was not rehearsed."""
    return RuleOutcome(rule, None, (reason,), stub=stub)


def worse(one: RuleOutcome, other: RuleOutcome) -> RuleOutcome:
    """Of two outcomes of one rule the worse, with what was heard in either."""
    if one.result is None or other.result is None:
        return other if one.result is None else one
    worst = one if worst_of([one.result, other.result]) is one.result else other
    heard = tuple({(h.receiver, h.integration): h for h in (*other.heard, *one.heard)}.values())
    reasons = tuple(dict.fromkeys([*one.reasons, *other.reasons]))
    fired = one.fired or other.fired
    return replace(worst, heard=heard, reasons=reasons, rows=(*one.rows, *other.rows), fired=fired)


def with_static(
    outcome: RuleOutcome, receivers: Mapping[str, Receiver], muted_by: Sequence[str], require_told: bool = False
) -> RuleOutcome:
    """The outcome with what the configuration alone says; with `require_told` an alert that reaches nobody fails."""
    muted = tuple(dict.fromkeys([*outcome.muted_by, *muted_by]))
    deaf = tuple(name for name, receiver in receivers.items() if not receiver.integrations)
    outcome = replace(outcome, receivers=tuple(receivers), muted_by=muted, deaf=deaf)
    if not require_told or not outcome.told_to_nobody:
        return outcome
    reason = f"{outcome.rule.alert}: nobody is told of it, and --require-told was given"
    return replace(outcome, result=Result.FAIL, reasons=(*outcome.reasons, reason))
