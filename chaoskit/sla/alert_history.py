"""Fetching the alerts of a stretch from one Prometheus, as episodes that go on from those that are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import mode

from chaoskit.observe.alert_states import Labels, labels_of
from chaoskit.sla.episodes import Seen, episodes
from chaoskit.sla.model import DAY_S, Episode, Slice
from chaoskit.sla.source import Rule, Series, Source, environment_of
from chaoskit.sla.spans import Stretch, union
from chaoskit.sla.targets import Targets

BEFORE_S = 7 * DAY_S
"""How far back an episode may have been seen last that goes on."""
_MARGIN_S = 600
_USUAL_S = 60.0


def fetch_episodes(
    source: Source,
    targets: Targets,
    slices: Iterable[Slice],
    before: Callable[[str], Iterable[Episode]],
    begin: int,
    end: int,
) -> dict[str, list[Episode]]:
    """The episodes by environment that the alerts between these instants make or change.

    `slices` tell when nothing was known, `before` the episodes of an environment that are stored. Raises
    EquipmentError where the source does not answer.
    """
    firing = source.raw('ALERTS{alertstate="firing"}', begin - _MARGIN_S, end)
    active = source.raw("ALERTS_FOR_STATE", begin - _MARGIN_S, end) if firing else []
    rules = source.rules()
    mine = list(slices)
    names = {_where(one, targets) for one in firing} | {one.environment for one in mine}
    found = {}
    for name in sorted(names):
        seen = Seen(
            environment=name,
            firing=_instants(firing, name, targets),
            active=_born(active, name, targets),
            until=end,
            interval_s=_interval(firing, rules),
            unknown=_unknown(mine, name),
            kept_s={rule.name: rule.kept_s for rule in rules},
            every_s={rule.name: rule.interval_s for rule in rules},
        )
        if made := episodes(seen, before(name)):
            found[name] = made
    return found


def _where(one: Series, targets: Targets) -> str:
    return environment_of(one.labels, targets.label, targets.environment)


def _own(one: Series) -> Labels:
    return labels_of({name: value for name, value in one.labels.items() if name not in ("alertstate", "__name__")})


def _instants(firing: Sequence[Series], name: str, targets: Targets) -> dict[Labels, list[int]]:
    return {_own(one): [at // 1000 for at in one.times] for one in firing if _where(one, targets) == name}


def _born(active: Sequence[Series], name: str, targets: Targets) -> dict[Labels, list[tuple[int, int]]]:
    return {
        _own(one): [(at // 1000, int(value)) for at, value in zip(one.times, one.values, strict=True)]
        for one in active
        if _where(one, targets) == name
    }


def _interval(firing: Sequence[Series], rules: Sequence[Rule]) -> float:
    """How far evaluations are apart of rules that are not loaded any more: as most of all samples are."""
    gaps = [(b - a) / 1000 for one in firing for a, b in zip(one.times, one.times[1:], strict=False)]
    known = [rule.interval_s for rule in rules]
    return mode(gaps) if gaps else min(known, default=_USUAL_S)


def _unknown(slices: Iterable[Slice], name: str) -> list[Stretch]:
    """When something of the environment was not seen, to the slice."""
    return union(
        (one.starts_at, one.ends_at)
        for one in slices
        if one.environment == name and ((one.unknown_s or 0.0) > 0 or one.coverage < 1)
    )
