"""What is others' doing: silences that they set on an attached target, their alerts, what these inhibit, other times.

None of it is the tested scenario's doing, so none of it fails anything. It is said, and what it hides is UNKNOWN.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from chaoskit.events import Stranger, Suppression
from chaoskit.history import History
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
            mute.words for mute in self.all if mute.begin <= end and mute.end >= begin and episode.is_in(mute.labels)
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
    said = [f"silence {one} kept it quiet ({event.silences.get(one, 'not explained')})" for one in event.silenced_by]
    said += [
        f"{by.get('alertname', by.get('fingerprint', '?'))} inhibited it, an alert that is not of this run"
        for by in event.inhibited_by
        if not any(alert.matches(by) for alert in plan.alerts)
    ]
    return " and ".join(said)


def unwitnessed_rows(plan: Plan) -> list[Row]:
    """One for every integration that is promised a notice of a rule's alerts which nobody sees arrive."""
    pairs = dict.fromkeys((alert.rule.alert, name) for alert in plan.alerts for name in alert.unwitnessed)
    return [_unwitnessed(rule, name, any(alert.notices for alert in plan.alerts)) for rule, name in pairs]


def witnessed_as(name: str) -> str:
    """How rows call an integration that profiles call `receiver/integration`."""
    receiver, _, integration = name.partition("/")
    return f"{receiver} ({integration.replace('/', ' ')})"


def _unwitnessed(rule: str, name: str, witnessed: bool) -> Row:
    to = witnessed_as(name)
    seen = "the witness shows when the receiver is told, not" if witnessed else "nobody sees"
    reason = (
        f"{rule} -> {to}: {seen} whether this integration delivers "
        f"(look there yourself, and accept it by name with waive: [{name}] in the profile)"
    )
    return Row(about=rule, hop="notify", to=to, result=Result.UNKNOWN, reason=reason)


def notes_of_others(plan: Plan, evidence: Evidence, since: float, until: float) -> list[str]:
    """Alerts that fired and are none of this scenario's doing: outside its own time, and those of other teams."""
    before, after, there, under_way = set[str](), set[str](), set[str](), set[str]()
    because = {allow.alert: allow.because for allow in plan.scenario.allow}
    allowed = dict[str, None]()
    for episode in evidence.episodes:
        if episode.firing is None:
            continue
        early, late = episode.firing[1] < since, episode.firing[0] > until
        if plan.foreign(episode.labels):
            (there if early else under_way).add(episode.name)
        elif (early or late) and not plan.allowed(episode.name):
            (before if early else after).add(episode.name)
        elif episode.name in because and not early and not late:
            allowed[episode.name] = None
    said = {
        "fired before the first step, and waited for until they had ended": before,
        "fired after the end of this scenario's tail, while others played on in its stack": after,
        "firing already when the run began, of no rule of this configuration": there,
        "fired under way, of no rule of this configuration": under_way,
    }
    notes = [f"{what}: {', '.join(sorted(names))}" for what, names in said.items() if names]
    return notes + [f"fired, and is allowed to: {name}, because {because[name]}" for name in allowed]


def notes_of_strangers(history: History) -> list[str]:
    """What was refused at the sinks' doors because something else than the run's Alertmanager had sent it, counted."""
    counts: Counter[Stranger] = Counter()
    for event in history.of(Stranger):
        counts[msgspec.structs.replace(event, n=-1, t=0.0, count=0)] += event.count
    return [f"{msgspec.structs.replace(one, count=count)}; it counts for nothing" for one, count in counts.items()]
