"""An attached target is not ours alone: silences that others set, alerts of other teams, what their alerts inhibit.

None of it is the tested configuration's doing, so none of it fails anything. It is said, and what it hides is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaoskit.events import Suppression
from chaoskit.plan.model import Plan
from chaoskit.verify.episodes import Episode
from chaoskit.verify.evidence import Evidence
from chaoskit.verify.verdict import Result, Row

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Mute:
    """An alert was kept from everybody from outside, at some time in [begin, end]; `words` say by what."""

    labels: Mapping[str, str]
    begin: float
    end: float
    words: str


@dataclass(frozen=True, slots=True)
class Mutes:
    """All of a run; empty where the target is our own."""

    all: tuple[Mute, ...] = ()

    def of(self, episode: Episode | None, begin: float, end: float) -> str:
        """What kept this alert from being told in [begin, end]; empty where nothing did."""
        if episode is None:
            return ""
        words = [
            mute.words
            for mute in self.all
            if mute.begin <= end
            and mute.end >= begin
            and all(mute.labels.get(key) == value for key, value in episode.labels.items())
        ]
        return "; ".join(dict.fromkeys(words))


def mutes_of(plan: Plan, evidence: Evidence) -> Mutes:
    """What was silenced or inhibited from outside, from Alertmanager's own word."""
    if not plan.attached:
        return Mutes()
    found: list[Mute] = []
    open_: dict[tuple[tuple[str, str], ...], tuple[float, str]] = {}
    for event in sorted(evidence.suppressions, key=lambda one: one.seen[1]):
        key = tuple(sorted(event.labels.items()))
        before = open_.pop(key, None)
        words = _words(plan, event)
        if before is not None:
            found.append(Mute(event.labels, before[0], event.seen[1], before[1]))
        if words:
            open_[key] = (event.seen[0], words)
    found += [Mute(dict(key), begin, FOREVER, words) for key, (begin, words) in open_.items()]
    return Mutes(tuple(found))


def _words(plan: Plan, event: Suppression) -> str:
    if event.state != "suppressed":
        return ""
    said = [
        f"silence {one} kept it quiet ({event.silences.get(one, 'which nobody explains')})" for one in event.silenced_by
    ]
    said += [
        f"{by.get('alertname', by.get('fingerprint', '?'))} inhibited it, an alert that is not of this run"
        for by in event.inhibited_by
        if not any(alert.matches(by) for alert in plan.alerts)
    ]
    return " and ".join(said)


def unwitnessed_rows(plan: Plan) -> list[Row]:
    """One for every integration that is promised a notice which nobody sees arrive."""
    rows = []
    for alert in plan.alerts:
        for name in alert.unwitnessed:
            receiver, _, integration = name.partition("/")
            to = f"{receiver} ({integration.replace('/', ' ')})"
            seen = "the witness shows when the receiver is told, not" if alert.notices else "nobody sees"
            reason = (
                f"{alert.rule.alert} -> {to}: {seen} whether this integration delivers "
                f"(look there yourself, and accept it by name with waive: [{name}] in the profile)"
            )
            rows.append(Row(about=alert.rule.alert, hop="notify", to=to, result=Result.UNKNOWN, reason=reason))
    return rows


def foreign_notes(plan: Plan, evidence: Evidence, since: float) -> list[str]:
    """Alerts that are none of this run's doing: those from before the first step, and those of others."""
    episodes = [one for one in evidence.episodes if one.firing is not None and plan.foreign(one.labels)]
    before = sorted({one.name for one in episodes if one.firing is not None and one.firing[0] < since})
    under_way = sorted({one.name for one in episodes if one.firing is not None and one.firing[0] >= since})
    own = sorted(
        {
            one.name
            for one in evidence.episodes
            if plan.attached and one.firing and one.firing[1] < since and not plan.foreign(one.labels)
        }
    )
    notes = []
    if own:
        notes.append(f"fired before the first step, and waited for until they had ended: {', '.join(own)}")
    if before:
        notes.append(f"firing already when the run began, of no rule of this configuration: {', '.join(before)}")
    if under_way:
        notes.append(f"fired under way, of no rule of this configuration: {', '.join(under_way)}")
    return notes
