"""Targets as the lints and the search for silence see them: which series an alert must read to be about a level."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chaoskit.alerting.model import AlertConfig
from chaoskit.check.service_levels import Level as Watched
from chaoskit.check.service_levels import Watch
from chaoskit.errors import Place
from chaoskit.sla.silent import Kind, written
from chaoskit.sla.targets import Level, Targets, matches

_LITERAL = re.compile(r"[\w\-:/. ]+")
_FAILED = "error"
EACH = 1000.0
"""The increase of a made-up counter in one scrape interval."""


def watched(targets: Targets) -> list[Watched]:
    """Each level as what is asked of the alerts about it."""
    return [_watched(one, targets.place) for one in targets.levels]


def _watched(one: Level, place: Place) -> Watched:
    metrics: tuple[str, ...] = (one.up, f"{one.histogram}_bucket" if one.histogram else "", one.total)
    if one.kind == "ratio":
        metrics = (one.good, one.bad)
    return Watched(
        one.name,
        float(one.allowed),
        tuple(filter(None, metrics)),
        one.place or place,
        one.is_time,
        one.histogram,
        one.below_s,
        {label: value for label, value in one.match.items() if _LITERAL.fullmatch(value)},
    )


def series_of(level: Level, config: AlertConfig, watches: list[Watch]) -> Iterator[Kind]:
    """How a good and a bad scrape of the level may look; several where failures have several names.

    Nothing for latencies, which are not searched.
    """
    labels = {label: value for label, value in level.match.items() if _LITERAL.fullmatch(value)}
    if level.kind == "uptime":
        one = written(level.up, instance="chaoskit:9091", **labels)
        yield Kind({one: 1.0}, {one: 0.0}, counters=False)
    elif level.kind == "ratio":
        yield Kind({written(level.good, **labels): EACH}, {written(level.bad, **labels): EACH}, counters=True)
    elif level.kind == "errors":
        good = {label: value for label, value in level.good_where.items() if _LITERAL.fullmatch(value)}
        for label, value in good.items():
            failed = {
                matcher.value
                for watch in watches
                for condition in watch.conditions
                for node in condition.reads
                for matcher in node.matchers
                if matcher.label == label and matcher.op == "=" and not matches({label: matcher.value}, {label: value})
            }
            for name in sorted(failed | {_FAILED}):
                series = written(level.total, **labels, **{**good, label: name})
                yield Kind({written(level.total, **labels, **good): EACH}, {series: EACH}, counters=True)
