"""What kept an alert of ours quiet from outside on an attached target: silences and alerts that are not of this run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from chaoskit.events import Suppression
from chaoskit.plan.model import Plan
from chaoskit.verify.evidence import Evidence


class Mute(NamedTuple):
    """An alert was kept from everybody from outside, at some time in [begin, end]; `words` say by what."""

    labels: Mapping[str, str]
    begin: float
    end: float
    words: str


def mutes_of(plan: Plan, evidence: Evidence) -> list[Mute]:
    """What was silenced or inhibited from outside, by Alertmanager's own word; nothing where the target is our own."""
    found: list[Mute] = []
    open_: dict[tuple[tuple[str, str], ...], tuple[float, str]] = {}
    for event in sorted(evidence.suppressions if plan.attached else (), key=lambda one: one.seen[1]):
        key = tuple(sorted(event.labels.items()))
        before = open_.pop(key, None)
        words = _words(plan, evidence, event)
        if before is not None:
            found.append(Mute(event.labels, before[0], event.seen[1], before[1]))
        if words:
            open_[key] = (event.seen[0], words)
    return [*found, *(Mute(dict(key), begin, math.inf, words) for key, (begin, words) in open_.items())]


def _words(plan: Plan, evidence: Evidence, event: Suppression) -> str:
    if event.state != "suppressed":
        return ""
    said = [f"silence {one} kept it quiet ({event.silences.get(one, 'not explained')})" for one in event.silenced_by]
    said += [
        f"{by.get('alertname', by.get('fingerprint', '?'))} inhibited it, an alert that is not of this run"
        for by in event.inhibited_by
        for labels in (evidence.origin(by) if plan.config.relabels else by,)
        if not any(alert.matches(labels) for alert in plan.alerts)
    ]
    return " and ".join(said)
