"""Two configurations compared: every alert, every receiver, and both promises.

The one idea: a promise is broken by a change where the new configuration departs from it and the old one did not;
what was broken before is `check`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from chaoskit.alerting.model import AlertConfig
from chaoskit.diff.alerts import Alerts
from chaoskit.diff.model import KINDS, Broken, Change, Difference
from chaoskit.diff.pairs import pairs
from chaoskit.diff.receivers import receiver_changes
from chaoskit.diff.written import Written
from chaoskit.explain.people import People
from chaoskit.explain.promises import Departure, departures, without_places

_ORDER = {kind: number for number, kind in enumerate(KINDS)}


def diff(old: AlertConfig, new: AlertConfig) -> Difference:
    """What people notice when the new configuration takes the old one's place."""
    return Difference(tuple(_changes(old, new)), *_promises(old, new))


def _changes(old: AlertConfig, new: AlertConfig) -> Iterator[Change]:
    before, after = People(old), People(new)
    written = Written(old), Written(new)
    alerts = Alerts(before, after, written)
    found: list[Change] = []
    for pair in pairs(before.subjects, after.subjects):
        if pair.old is None and pair.new is not None:
            found.append(alerts.added(pair.new))
        elif pair.new is None and pair.old is not None:
            found.append(alerts.removed(pair.old))
        elif pair.old is not None and pair.new is not None:
            found += alerts.changed(pair.old, pair.new)
    found += receiver_changes(old, new, written, alerts.heard)
    yield from sorted(dict.fromkeys(found), key=lambda each: _ORDER[each.kind])


def _promises(old: AlertConfig, new: AlertConfig) -> tuple[tuple[Broken, ...], tuple[str, ...]]:
    """What is broken by the change, by either promise, and what is mended."""
    files = frozenset(key.partition(":")[2] for config in (old, new) for key in config.sources)
    before = _said(departures(old), files)
    broken: dict[str, Broken] = {}
    mended: dict[str, None] = {}
    same = _meant(old) == _meant(new)
    for whose, promising in (("new", new),) if same else (("new", new), ("old", old)):
        after = _said(departures(_with_promise_of(new, promising)), files)
        # The old configuration under the same promise: what it breaks as well is not this change's doing.
        under = before if promising is old or same else _said(departures(_with_promise_of(old, promising)), files)
        for text, each in after.items():
            if each.broken and text not in under:
                broken.setdefault(text, Broken(each.message, each.place, whose))
        if promising is new:
            mended.update((each.message, None) for text, each in under.items() if each.broken and text not in after)
    return tuple(broken.values()), tuple(mended)


def _with_promise_of(config: AlertConfig, other: AlertConfig) -> AlertConfig:
    if config is other:
        return config
    sources = {key: text for key, text in config.sources.items() if not key.startswith("promise:")}
    sources |= {key: text for key, text in other.sources.items() if key.startswith("promise:")}
    return replace(config, promise=other.promise, sources=sources)


def _said(found: tuple[Departure, ...], files: frozenset[str]) -> dict[str, Departure]:
    return {f"{each.lint} {without_places(each.message, files)}": each for each in found}


def _meant(config: AlertConfig) -> object:
    """The promise without the places in it."""
    promise = config.promise
    return (
        {key: (each.for_s, each.group_wait_s, each.repeat_s) for key, each in promise.notices.items()},
        {name: (each.recipients, each.resolved) for name, each in promise.receivers.items()},
        promise.appears_s,
        promise.clears_s,
        promise.delivery_s,
        promise.runbook_base,
        promise.subject_contains,
    )
