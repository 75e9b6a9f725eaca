"""Notes on what is others' doing: their alerts, alerts of other times, and what no Alertmanager of ours sent.

None of it is the tested scenario's doing, so none of it fails anything.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from chaoskit.events import Stranger
from chaoskit.history import History
from chaoskit.plan.model import Plan
from chaoskit.verify.evidence import Evidence


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
