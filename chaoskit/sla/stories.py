"""The story of each environment in a window, from the store: what `incidents`, the page and the plan's price read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaoskit.sla.arithmetic import planned_spans
from chaoskit.sla.compute import compliance, evidence_key, in_force
from chaoskit.sla.incidents import Evidence, Known, Story, story
from chaoskit.sla.model import Episode, Result, Slice, Window
from chaoskit.sla.spans import shared
from chaoskit.sla.store import Store
from chaoskit.sla.targets import Targets
from chaoskit.sla.windows import months_of

_BEFORE_S = 86_400


@dataclass(frozen=True, slots=True)
class Read:
    """The stored evidence of one environment and window; `until` is where the evidence ends, or the window."""

    environment: str
    evidence: Evidence
    episodes: Sequence[Episode]
    until: int


def stories(
    store: Store, targets: Targets, window: Window, known: Known, *, now: int, environments: Iterable[str] = ()
) -> list[Story]:
    """The incidents of each environment; raises BadInput for an unknown one."""
    targets = in_force(store, targets, window, now)
    results = compliance(store, targets, window, now=now, environments=environments)
    return [story_of(one, window, targets, known) for one in read(store, targets, window, results)]


def story_of(one: Read, window: Window, targets: Targets, known: Known) -> Story:
    """The story of what was read."""
    within = (window.starts_at, one.until)
    return story(one.environment, one.episodes, one.evidence, within, targets.outage_alerts, known)


def read(store: Store, targets: Targets, window: Window, results: Sequence[Result]) -> list[Read]:
    """The evidence that the results rest on, by environment."""
    found = []
    for name in dict.fromkeys(one.environment for one in results):
        contract = {one.level: one for one in results if one.environment == name and one.basis == "contract"}
        slices: dict[str, list[Slice]] = {}
        for level in targets.levels:
            key = evidence_key(store, level)
            slices[level.name] = store.slices(name, key, window.starts_at, window.ends_at)
        planned = store.planned(name, months_of(window)[0].starts_at, window.ends_at)
        spans = shared(planned_spans(planned, window, targets.planned_cap_s), window.starts_at, window.ends_at)
        ends = [some[-1].ends_at for some in slices.values() if some]
        until = min(max(ends, default=window.starts_at), window.ends_at)
        episodes = store.episodes(name, window.starts_at - _BEFORE_S, window.ends_at)
        found.append(Read(name, Evidence(slices, contract, spans), episodes, until))
    return found
