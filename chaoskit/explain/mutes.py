"""Which alerts can mute which, and what must be so for them to do it.

The one idea: alerts that an inhibition cannot tell apart are handled together, so that five thousand alerts and a
rule that mutes half of them by the other half take seconds. What decides is chaoskit.alerting.inhibition's rule:
both sides match, all `equal` labels agree (missing equals empty), and an alert that matches both sides is not muted
by another that does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaoskit.alerting.model import InhibitRule, Matcher
from chaoskit.check.alerts import Alert, Answer, answer, answer_all, takes, values_of

_Values = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Mute:
    """One alert that can hold another back, by one inhibition rule."""

    source: Alert
    rule: InhibitRule
    conditions: tuple[str, ...]
    """What the labels must be like for it; empty: whenever the source fires."""


class Mutes:
    """A configuration's inhibitions, prepared for many questions about its alerts."""

    def __init__(self, alerts: Sequence[Alert], rules: Sequence[InhibitRule]) -> None:
        self._rules = rules
        self._pool = _Pool(alerts)
        self._by: dict[str, dict[str, list[int]]] = {}
        self._always: list[int] = []
        for number, rule in enumerate(rules):
            literal = next(((m.label, v) for m in rule.target if (v := values_of(m)) is not None), None)
            if literal is None:
                self._always.append(number)
            else:
                for value in literal[1]:
                    self._by.setdefault(literal[0], {}).setdefault(value, []).append(number)
        self._sources: dict[int, dict[_Values, list[Alert]]] = {}
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
        for number in self._candidates(target):
            rule = self._rules[number]
            if takes(rule.target, target) is Answer.NO:
                continue
            values = tuple(target.value(label) for label in rule.equal)
            doubts = tuple(_doubts(rule.target, target, "its"))
            own = answer_all(rule.source, target)
            key = (number, values, doubts, own is Answer.YES, own is Answer.MAYBE)
            if key not in self._seen:
                self._seen[key] = tuple(self._muting(number, values, doubts, own))
            if self._seen[key]:
                found.append(self._seen[key])
        return found

    def _candidates(self, target: Alert) -> list[int]:
        numbers = set(self._always)
        for label, by_value in self._by.items():
            value = target.value(label)
            if value is None:
                numbers.update(number for some in by_value.values() for number in some)
            else:
                numbers.update(by_value.get(value, ()))
        return sorted(numbers)

    def _muting(self, number: int, values: _Values, doubts: tuple[str, ...], own: Answer) -> Iterator[Mute]:
        rule = self._rules[number]
        groups = self._grouped(number)
        if None in values or any(None in group for group in groups):
            some = [each for each in groups if _may_agree(each, values)]
        else:
            some = [values] if values in groups else []
        for group in some:
            open_ = [
                f"{label} is the same for both"
                for label, a, b in zip(rule.equal, group, values, strict=True)
                if a is None or b is None
            ]
            for source in groups[group]:
                both = answer_all(rule.target, source)
                if own is Answer.YES and both is Answer.YES:
                    continue
                conditions = [*doubts, *_doubts(rule.source, source, f"{source.name}'s"), *open_]
                if own is not Answer.NO and both is not Answer.NO:
                    conditions.append("not both of them match both sides of the inhibition")
                yield Mute(source, rule, tuple(conditions))

    def _grouped(self, number: int) -> dict[_Values, list[Alert]]:
        if number not in self._sources:
            rule = self._rules[number]
            groups: dict[_Values, list[Alert]] = {}
            for alert in self._pool.matching(rule.source):
                groups.setdefault(tuple(alert.value(label) for label in rule.equal), []).append(alert)
            self._sources[number] = groups
        return self._sources[number]


class _Pool:
    """Alerts by what is known of a label."""

    def __init__(self, alerts: Sequence[Alert]) -> None:
        self._alerts = alerts
        self._by: dict[str, dict[str | None, list[Alert]]] = {}

    def matching(self, matchers: Sequence[Matcher]) -> Iterator[Alert]:
        literals = [(m.label, v) for m in matchers if (v := values_of(m)) is not None]
        pools = [[a for value in (*sorted(v), None) for a in self._with(label).get(value, ())] for label, v in literals]
        pool = min(pools, key=len, default=self._alerts)
        return (alert for alert in pool if takes(matchers, alert) is not Answer.NO)

    def _with(self, label: str) -> dict[str | None, list[Alert]]:
        if label not in self._by:
            by: dict[str | None, list[Alert]] = {}
            for alert in self._alerts:
                by.setdefault(alert.value(label), []).append(alert)
            self._by[label] = by
        return self._by[label]


def _may_agree(source: _Values, target: _Values) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(source, target, strict=True))


def _doubts(matchers: Sequence[Matcher], alert: Alert, whose: str) -> Iterator[str]:
    if alert.sent is Answer.MAYBE:
        yield f"alert_relabel_configs do not drop {'it' if whose == 'its' else alert.name}"
    for each in matchers:
        if answer(each, alert) is Answer.MAYBE:
            yield f'{whose} labels satisfy {each.label}{each.op}"{each.value}"'
