"""The findings of a rehearsal, per rule: who would have been paged, when, with what text, or why this is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chaoskit.alerting.model import Receiver, Rule
from chaoskit.events import Notice, Scrapes
from chaoskit.hop import Hop
from chaoskit.plan.model import PlannedAlert
from chaoskit.rehearse.marker import headline
from chaoskit.rehearse.unit_tests import GroupRow
from chaoskit.report.text import telling
from chaoskit.verify.case import Case
from chaoskit.verify.evidence import Episode
from chaoskit.verify.scripted import UNLIKE, is_restored, muted_by
from chaoskit.verify.verdict import Result, Row, Verdict, worst_of
from chaoskit.verify.verify import judge_case

RESTORED = "`for` restored"
"""How an outcome says that Prometheus was to take over since when the alert is pending."""
NO_END = "end not played"
"""The words for series that stay as the fault made them."""
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
    """The receivers to which the configuration routes it."""
    muted_by: tuple[str, ...] = ()
    """Alerts that mute this one while they fire, by the inhibition rules."""
    rows: tuple[Row, ...] = ()
    stub: str = ""
    wave: str = ""
    attempt: int = 1
    """The number of the attempt: 2 where the rule was UNKNOWN at first and was played once more."""
    fired: bool = False
    unmoved: bool = False
    """Whether the series did not make the alert fire as for promtool, though the machine was not too busy."""
    how: str = ""
    """The part of the rule that was not played as in production; empty where all was."""
    deaf: tuple[str, ...] = ()
    """The receivers of the alert that have no integration."""

    @property
    def undelivered(self) -> str:
        """Why an alert that fired sends no notification; empty where one of its receivers has an integration."""
        if self.fired and not self.receivers:
            return "no notification is sent: alert_relabel_configs drop the alert"
        if not self.fired or not self.deaf or set(self.receivers) - set(self.deaf):
            return ""
        names = ", ".join(self.deaf)
        who = f"receiver {names} has" if len(self.deaf) == 1 else f"receivers {names} have"
        return f"no notification is sent: {who} no integration"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The outcome of a whole rehearsal: every rule, test group and interval."""

    outcomes: tuple[RuleOutcome, ...]
    findings: tuple[Row, ...]
    """Rows about anything other than a rehearsed rule, of all waves."""
    unreached: tuple[str, ...]
    """Receivers that no rehearsed rule reaches."""
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
        """The rules that were rehearsed and have a result."""
        return tuple(one for one in self.outcomes if one.result is not None)

    @property
    def hours(self) -> tuple[Row, ...]:
        """Each time interval of a route, played inside and outside."""
        return tuple(row for row in self.findings if row.hop is Hop.HOURS)

    @property
    def besides(self) -> tuple[Row, ...]:
        """The findings that are not PASS."""
        return tuple(row for row in self.findings if row.result is not Result.PASS)


def judge_wave(
    case: Case, name: str, derived: bool = False, how: Mapping[str, str] = {}
) -> tuple[Verdict, dict[str, RuleOutcome], list[Row]]:
    """The verdict on a wave, the outcome by alert name, and the rows about anything else. An alert that `derived`
    series make true before their fault proves nothing, so it counts as not rehearsed. `how` says by alert which part
    is not played as in production."""
    verdict, _ = judge_case(case)
    names = sorted((alert.rule.alert for alert in case.plan.alerts), key=len, reverse=True)
    by_name: dict[str, list[Row]] = {}
    others: list[Row] = []
    for row in verdict.rows:
        of = next(
            (n for n in names if row.hop is not Hop.FINDING and (row.about == n or row.about.startswith(f"{n} "))), None
        )
        (by_name.setdefault(of, []) if of else others).append(row)
    disturbed = any(one.failed is not False for one in case.history.of(Scrapes))
    found: dict[str, RuleOutcome] = {}
    for alert in case.plan.alerts:
        mine = case.lives_of(alert)
        outcome = _outcome(case, alert, by_name.get(alert.rule.alert, []), name)
        unmoved = next((row.reason for row in outcome.rows if row.hop is Hop.DETECT and UNLIKE in row.reason), "")
        if derived and not disturbed and unmoved:
            at_rest = any(e.name == alert.rule.alert for e in case.evidence.episodes)
            outcome = unrehearsed(alert.rule, unmoved) if at_rest else replace(outcome, unmoved=True)
        missed = any(not is_restored(one, case.evidence) for one in mine)
        if derived and missed and RESTORED in how.get(alert.rule.alert, ""):
            outcome = unrehearsed(alert.rule, "Prometheus did not restore since when it was pending")
        outcome = replace(outcome, how=how.get(alert.rule.alert, ""))
        there = found.get(alert.rule.alert)
        found[alert.rule.alert] = worse(there, outcome) if there else outcome
    return verdict, found, others


def _outcome(case: Case, alert: PlannedAlert, rows: list[Row], wave: str) -> RuleOutcome:
    episodes = case.lives_of(alert)
    doors = dict.fromkeys([*(n.sink_key for n in alert.notices), *(n.sink_key for n in case.evidence.notices)])
    heard = tuple(h for door in doors if (h := _heard(door, episodes, case, alert)) is not None)
    muted = tuple(dict.fromkeys(name for episode in episodes for name in muted_by(case, episode)))
    result, problems = worst_of(row.result for row in rows), tuple(telling(rows))
    fired = any(episode.firing is not None for episode in episodes)
    return RuleOutcome(alert.rule, result, problems, heard, muted_by=muted, rows=tuple(rows), wave=wave, fired=fired)


def _heard(door: tuple[str, str, int], episodes: list[Episode], case: Case, alert: PlannedAlert) -> Heard | None:
    for notice in case.evidence.notices:
        if notice.sink_key != door or notice.refused:
            continue
        for episode in episodes:
            if episode.firing is not None and episode.is_told(notice, "firing") and notice.sent[1] >= episode.firing[0]:
                after = max(0.0, (notice.sent[1] - episode.firing[0]) * case.scale)
                others = {item.labels.get("alertname", "?"): None for item in notice.alerts}
                beside = tuple(name for name in others if name not in (alert.rule.alert, episode.sent.get("alertname")))
                return Heard(door[0], door[1], after, _text(notice, alert), tuple(notice.recipients), beside)
    return None


def _text(notice: Notice, alert: PlannedAlert) -> str:
    """The text that a person reads first: a mail's subject, a payload's own summary, or the payload."""
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
    """The worse of two outcomes of one rule, with what was heard in either."""
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
    """The outcome with receivers and mutes added; with `require_told` an alert that sends no notification fails."""
    muted = tuple(dict.fromkeys([*outcome.muted_by, *muted_by]))
    deaf = tuple(name for name, receiver in receivers.items() if not receiver.integrations)
    outcome = replace(outcome, receivers=tuple(receivers), muted_by=muted, deaf=deaf)
    if not require_told or not outcome.undelivered:
        return outcome
    reason = f"{outcome.rule.alert}: no receiver is notified of this alert, and --require-told was given"
    return replace(outcome, result=Result.FAIL, reasons=(*outcome.reasons, reason))
