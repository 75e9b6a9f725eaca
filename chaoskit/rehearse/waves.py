"""Which rules are rehearsed together: as many as possible at once, but none that would disturb, or mute, another.

Two rules must not share a wave when a selector of the one finds what the other scripts (unless its results carry a mark
of their own), when its texts query such a metric, when the series of one make a match in the other ambiguous, when the
alert of one mutes that of the other, when both have one name (a promise speaks of names), or when both would be told in
one notification group, whose ticks would then say when the second is told. And rules that look far back get a stack
with a larger time scale, so that no wave takes hours.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from chaoskit.alerting.inhibition import Part, parts
from chaoskit.alerting.model import AlertConfig, Matcher, Rule
from chaoskit.alerting.routing import alert_labels, match_routes, matches_all
from chaoskit.faults.series import Scripted
from chaoskit.rehearse.apart import Group, groups_of
from chaoskit.rehearse.derive import exprs_of, looks_at, watched_by
from chaoskit.rehearse.matching import OneSide, ambiguous, one_sides
from chaoskit.rehearse.past import Far, left_s
from chaoskit.rehearse.proof import Proven

MOST_IN_A_WAVE = 120
MOST_WHEN_BUSY = 40
"""On a machine with other work."""
SCALES = (60.0, 120.0, 200.0)
CALM = ((10, 200.0), (120, 150.0), (math.inf, 120.0))
"""The least where nothing else keeps this machine busy, and no promise is to be held against its own bounds: for so
many rules at most."""
_SHORT_REAL_S = 20.0
_SLACK_S = 60.0
_LEAST_TICK_REAL_S = 0.075
"""Evaluations that follow each other faster than this are not told apart on a busy machine."""


_ANY = "*"
_MOST_TOLD = 12


@dataclass(slots=True)
class Wave:
    """Rules that are rehearsed at the same time."""

    members: list[Proven]
    names: set[str]
    shown: dict[str, list[Mapping[str, str]]]
    """By metric, the labels of the scripted series."""
    watched: dict[str, list[Sequence[Matcher]]]
    """By metric, the selectors of rules whose results carry no mark of their own; under "" those that name none."""
    queried: set[str]
    """The metrics that texts query, with any labels."""
    sides: list[OneSide]
    series: list[Scripted]
    need_s: float
    """How long the fault must last until every member is noticed."""
    lasts_s: float
    """How long the conditions of all members hold."""
    sources: set[Part]
    targets: set[Part]
    groups: set[Group]

    def has_room_for(self, other: Wave) -> bool:
        """Whether the drill and those in this wave do not disturb each other."""
        mine, theirs = self.shown.keys(), other.shown.keys()
        return (
            self.names.isdisjoint(other.names)
            and max(self.need_s, other.need_s) <= min(self.lasts_s, other.lasts_s)
            and not (finds(self.watched, other.shown) or finds(other.watched, self.shown))
            and not (theirs & self.queried or other.queried & mine)
            and not ambiguous([s for s in self.sides if s.metrics & theirs], other.series)
            and not ambiguous([s for s in other.sides if s.metrics & mine], self.series)
            and not (other.sources & self.targets or other.targets & self.sources)
            and not other.groups & self.groups
        )

    def take(self, other: Wave) -> None:
        """Takes the members of another wave into this one."""
        for name in ("names", "queried", "sources", "targets", "groups"):
            getattr(self, name).update(getattr(other, name))
        for name in ("members", "sides", "series"):
            getattr(self, name).extend(getattr(other, name))
        for metric, labels in other.shown.items():
            self.shown.setdefault(metric, []).extend(labels)
        for metric, selectors in other.watched.items():
            self.watched.setdefault(metric, []).extend(selectors)
        self.need_s, self.lasts_s = max(self.need_s, other.need_s), min(self.lasts_s, other.lasts_s)


def length_s(proven: Proven) -> float:
    """Virtual seconds from the fault to firing, or from its end to resolved: range plus `for` or `keep_firing_for`."""
    rule = proven.subject.rule
    return proven.subject.span_s + max(rule.for_s, rule.keep_firing_for_s)


def needed_s(config: AlertConfig, proven: Proven) -> float:
    """How long the fault must last until the alert is noticed: its range (unless it holds at once), `for`, waits."""
    rule = proven.subject.rule
    waits = [
        route.group_wait_s
        for result in proven.results
        for route in match_routes(config.route, alert_labels(config, proven.subject.rule, result))
    ]
    # What is played with a past has it all behind it but the waits, and what is left of its `for`.
    rise_s = proven.subject.span_s if proven.within_s is None else proven.within_s
    before_s = proven.far.left_s if proven.far else rise_s + rule.for_s
    return before_s + max(waits, default=0.0) + _SLACK_S


def held_to_s(proven: Proven) -> float:
    """For how long the alert's condition holds, counted as `needed_s` is."""
    if proven.lasts_s is None:
        return math.inf
    if proven.far is None:
        return proven.lasts_s
    for_s = proven.subject.rule.for_s
    return proven.lasts_s - proven.far.rise_s - (0.0 if proven.far.left_s >= for_s else for_s)


def with_a_past(
    proven: Proven, edges: tuple[float, float], interval_s: float, asked: float | None, longest_real_s: float
) -> tuple[Proven, float]:
    """A rule that takes too long, to be played with a past, and its time scale. That is the smallest at which its end
    takes no longer than `longest_real_s`; where it does at any, the end is not played."""
    rise_s, fall_s = edges
    end_s = fall_s + proven.subject.rule.keep_firing_for_s
    scale = scale_for_length(end_s, interval_s, asked, longest_real_s)
    ends, scale = scale is not None, scale or asked or fastest(interval_s, SCALES[0])
    return replace(proven, far=Far(rise_s, fall_s, ends, left_s(proven.subject.rule.for_s, scale))), scale


def scale_for(
    proven: Proven, interval_s: float, asked: float | None, longest_real_s: float, least: float = SCALES[0]
) -> float | None:
    """The time scale at which a rule is rehearsed; None where it would take longer than that at any."""
    every_s = min(interval_s, proven.subject.rule.interval_s)
    return scale_for_length(length_s(proven), every_s, asked, longest_real_s, least)


def scale_for_length(
    length_vs: float, interval_s: float, asked: float | None, longest_real_s: float, least: float = SCALES[0]
) -> float | None:
    """The time scale for what takes so many virtual seconds; None where it would take longer than that at any. `least`:
    none below it is taken, but where evaluations would follow each other too fast."""
    if asked is not None:
        return asked if length_vs / asked <= longest_real_s else None
    steps = [least, *(scale for scale in SCALES if scale > least)]
    possible = [scale for scale in steps if scale <= fastest(interval_s, scale)] or [fastest(interval_s, least)]
    for scale in possible:
        if length_vs / scale <= _SHORT_REAL_S:
            return scale
    return possible[-1] if length_vs / possible[-1] <= longest_real_s else None


def fastest(interval_s: float, wanted: float) -> float:
    """The wanted time scale, or the largest at which evaluations so far apart can still be told from each other."""
    return min(wanted, max(1.0, interval_s / _LEAST_TICK_REAL_S))


def marked(proven: Proven) -> bool:
    """Whether all results carry the rule's own mark, so that other rules' series cannot be taken for its."""
    return all(any(proven.subject.mark in value for value in result.values()) for result in proven.results)


def make_waves(
    config: AlertConfig, records: Mapping[str, Rule], proven: Sequence[Proven], most: int = MOST_IN_A_WAVE
) -> list[Wave]:
    """Few waves, each without conflicts; rules that take equally long come together."""
    waves: list[Wave] = []
    for one in sorted(proven, key=length_s):
        alone = _alone(config, records, one)
        wave = next((wave for wave in waves if len(wave.members) < most and wave.has_room_for(alone)), None)
        if wave is None:
            waves.append(alone)
        else:
            wave.take(alone)
    return waves


def _alone(config: AlertConfig, records: Mapping[str, Rule], one: Proven) -> Wave:
    rule, series, exprs = one.subject.rule, list(one.guess.series), exprs_of(one.subject.rule, records)
    sent = [alert_labels(config, rule, result) for result in one.results]
    sources, targets = (set[Part]().union(*(parts(config, labels)[side] for labels in sent)) for side in (0, 1))
    watched = {} if marked(one) else watched_by(exprs)
    sides = [side for expr in exprs for side in one_sides(expr)]
    bounds, groups = (needed_s(config, one), held_to_s(one)), groups_of(config, sent)
    shown, queried = by_metric(series), looks_at(rule, records)
    return Wave([one], {rule.alert}, shown, watched, queried, sides, series, *bounds, sources, targets, groups)


def foreign_to(config: AlertConfig, records: Mapping[str, Rule], proven: Sequence[Proven]) -> list[dict[str, str]]:
    """The labels of instances that alerts may have by other rules' series, each marked as that rule's."""
    shown: dict[str, dict[int, list[Mapping[str, str]]]] = {}
    for number, one in enumerate(proven):
        for name, labels in by_metric(one.guess.series).items():
            shown.setdefault(name, {})[number] = labels
    found: list[dict[str, str]] = []
    for number, one in enumerate(proven):
        if not marked(one):  # no other's series is in its sight: they come in different waves
            continue
        rule = one.subject.rule
        watched = watched_by(exprs_of(rule, records))
        others = {
            other
            for name, all_of in watched.items()
            for labels_by in ([shown.get(name, {})] if name else shown.values())
            for other, labels in labels_by.items()
            if other != number and any(matches_all(matchers, each) for matchers in all_of for each in labels)
        }
        for mark in {proven[other].subject.mark for other in others}:
            for result in one.results:
                theirs = {key: value.replace(one.subject.mark, mark) for key, value in result.items()}
                found.append(alert_labels(config, one.subject.rule, theirs))
    return found


def by_metric(series: Iterable[Scripted]) -> dict[str, list[Mapping[str, str]]]:
    """By metric, the labels of each series, its name among them."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for one in series:
        found.setdefault(one.name, []).append({**dict(one.labels), "__name__": one.name})
    return found


def finds(watched: Mapping[str, list[Sequence[Matcher]]], shown: Mapping[str, list[Mapping[str, str]]]) -> bool:
    """Whether a selector finds one of the series."""
    return any(
        matches_all(matchers, labels)
        for name, all_of in watched.items()
        for labels in (shown.get(name, ()) if name else itertools.chain(*shown.values()))
        for matchers in all_of
    )


def muted_by(
    config: AlertConfig, alerts: Mapping[str, tuple[Rule, Sequence[Mapping[str, str]], str]]
) -> dict[str, tuple[str, ...]]:
    """By rule, the names of the alerts that mute it. A label that carries a rule's own mark may have any value in life,
    so two such labels may be equal."""
    sources: dict[tuple[int, bool], dict[tuple[str, ...], dict[str, None]]] = {}
    targets: list[tuple[Part, str, str]] = []
    for number, (rule, results, mark) in alerts.items():
        for result in results:
            labels = alert_labels(config, rule, result)
            loose = {name: _ANY if mark in value else value for name, value in labels.items()}
            muting, muted = parts(config, labels, loose)
            for inhibition, on_both, values in muting:
                sources.setdefault((inhibition, on_both), {}).setdefault(values, {})[rule.alert] = None
            targets += [(part, number, rule.alert) for part in muted]
    found: dict[str, dict[str, None]] = {}
    for (inhibition, on_both, key), number, name in sorted(targets, key=lambda each: each[0]):
        by_values = sources.get((inhibition, on_both), {})
        for source in (one for values, names in by_values.items() if _may_equal(values, key) for one in names):
            same = source == name and "alertname" in config.inhibit_rules[inhibition].equal
            found.setdefault(number, {})[f"{source} (another severity)" if same else source] = None
    return {number: _few(tuple(names)) for number, names in found.items()}


def _may_equal(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return all(a == b or (_ANY in (a, b) and a and b) for a, b in zip(one, other, strict=True))


def _few(names: tuple[str, ...]) -> tuple[str, ...]:
    return names if len(names) <= _MOST_TOLD else (*names[:_MOST_TOLD], f"and {len(names) - _MOST_TOLD} more")
