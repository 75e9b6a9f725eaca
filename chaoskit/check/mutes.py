"""Which alerts can mute which, and what must be so for them to do it.

The one idea: alerts that an inhibition cannot tell apart are handled together, so that five thousand alerts and a
rule that mutes half of them by the other half take seconds. chaoskit.alerting.inhibition decides of each pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaoskit.alerting.alert import Alert, Answer, answer_all, takes
from chaoskit.alerting.inhibition import conditions, doubts
from chaoskit.alerting.model import InhibitRule, Matcher
from chaoskit.alerting.routing import values_of
from chaoskit.check.reach import Index

_Values = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Mute:
    """One alert that can hold another back, by one inhibition rule."""

    source: Alert
    rule: InhibitRule
    conditions: tuple[str, ...]
    """The conditions on labels, as sentences; empty: whenever the source fires."""


class Mutes:
    """A configuration's inhibitions, prepared for many questions about its alerts."""

    def __init__(self, alerts: Sequence[Alert], rules: Sequence[InhibitRule]) -> None:
        self._rules = rules
        self._pool = Pool(alerts)
        self._index = Index([rule.target for rule in rules])
        self._sources: dict[int, tuple[dict[_Values, list[Alert]], bool]] = {}
        """By the rule's number, its sources by their values, and whether any of those is open."""
        self._seen: dict[tuple[int, _Values, tuple[str, ...], bool, bool], tuple[Mute, ...]] = {}
        self._names: dict[tuple[int, ...], frozenset[tuple[str, bool]]] = {}

    def of(self, target: Alert) -> tuple[Mute, ...]:
        """Everything that can mute this alert, in the order of the rules and of the alerts."""
        return tuple(mute for some in self._parts(target) for mute in some)

    def names(self, target: Alert) -> frozenset[tuple[str, bool]]:
        """The sources' names, each with whether it mutes for certain."""
        parts = self._parts(target)
        key = tuple(map(id, parts))  # the parts are kept in _seen, so that their identities stay theirs
        found = self._names.get(key)
        if found is None:
            certain = {mute.source.name for some in parts for mute in some if not mute.conditions}
            names = {mute.source.name for some in parts for mute in some}
            found = self._names[key] = frozenset((name, name in certain) for name in names)
        return found

    def _parts(self, target: Alert) -> list[tuple[Mute, ...]]:
        found = []
        for number in self._index.candidates(target):
            rule = self._rules[number]
            if takes(rule.target, target) is Answer.NO:
                continue
            values = tuple(target.value(label) for label in rule.equal)
            doubtful = tuple(doubts(rule.target, target, "its"))
            own = answer_all(rule.source, target)
            key = (number, values, doubtful, own is Answer.YES, own is Answer.MAYBE)
            if key not in self._seen:
                self._seen[key] = tuple(self._muting(number, values, target))
            if self._seen[key]:
                found.append(self._seen[key])
        return found

    def _muting(self, number: int, values: _Values, target: Alert) -> Iterator[Mute]:
        rule = self._rules[number]
        groups, some_open = self._grouped(number)
        if None in values or some_open:
            some = [each for each in groups if _may_agree(each, values)]
        else:
            some = [values] if values in groups else []
        for source in (source for group in some for source in groups[group]):
            found = conditions(rule, source, target)
            if found is not None:
                yield Mute(source, rule, found)

    def _grouped(self, number: int) -> tuple[dict[_Values, list[Alert]], bool]:
        if number not in self._sources:
            rule = self._rules[number]
            groups: dict[_Values, list[Alert]] = {}
            for alert, _ in self._pool.matching(rule.source):
                groups.setdefault(tuple(alert.value(label) for label in rule.equal), []).append(alert)
            self._sources[number] = groups, any(None in group for group in groups)
        return self._sources[number]


class Pool:
    """Alerts by what is known of a label, so that only those are looked at that a matcher's literal values leave."""

    def __init__(self, alerts: Sequence[Alert]) -> None:
        self._alerts = alerts
        self._by: dict[str, dict[str | None, list[int]]] = {}

    def matching(self, matchers: Sequence[Matcher]) -> Iterator[tuple[Alert, Answer]]:
        """The alerts that may reach Alertmanager and satisfy the matchers, in their order, each with the answer."""
        pools = [self._valued(m.label, values) for m in matchers if (values := values_of(m)) is not None]
        for number in min(pools, key=len, default=range(len(self._alerts))):
            alert = self._alerts[number]
            if (found := takes(matchers, alert)) is not Answer.NO:
                yield alert, found

    def _valued(self, label: str, values: frozenset[str]) -> Sequence[int]:
        index = self._by.get(label)
        if index is None:
            index = self._by[label] = {}
            for number, alert in enumerate(self._alerts):
                index.setdefault(alert.value(label), []).append(number)
        return sorted(number for value in (*values, None) for number in index.get(value, ()))


def _may_agree(source: _Values, target: _Values) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(source, target, strict=True))
