"""The labels that an alert will carry, as far as the configuration fixes them, and which matchers that decides.

The one idea: a label's value is known (the rule sets it), known to be missing (the expression drops it), or open
(the series decide). So a matcher matches, does not, or may.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property

from chaoskit.alerting.expression import expression
from chaoskit.alerting.labels import LabelSet, Made, labels_of
from chaoskit.alerting.model import Labels, Matcher, Relabel, Rule
from chaoskit.alerting.relabel import passes, relabelled, value_after
from chaoskit.alerting.routing import matches


class Answer(IntEnum):
    NO = 0
    MAYBE = 1
    YES = 2


@dataclass(frozen=True, eq=False)
class Alert:
    """An alerting rule with what is known of its alerts' labels, and what relabelling makes of them on their way."""

    rule: Rule
    known: Labels
    """Labels whose value the rule or the configuration sets, as the alert leaves Prometheus's rules."""
    open: LabelSet
    """Labels that the series may bring, beside the known ones."""
    steps: tuple[Relabel, ...] = ()
    """The steps of Prometheus's alert_relabel_configs, in their order."""
    _values: dict[str, str | None] = field(init=False, default_factory=dict)

    @property
    def name(self) -> str:
        return self.rule.alert

    def value(self, label: str) -> str | None:
        """The label's value at Alertmanager, "" where it is missing, None where the series decide."""
        if not self.steps:
            return self.own(label)
        if label not in self._values:
            self._values[label] = value_after(self.steps, label, self.own)
        return self._values[label]

    def own(self, label: str) -> str | None:
        """The label's value before alert_relabel_configs; None where only the series know it."""
        found = self.known.get(label)
        if found is not None:
            return found
        return None if self.open.may_have(label) else ""

    def with_labels(self, labels: Labels) -> Alert:
        """The same alert of a series that brings these labels; the rule's own stay."""
        return replace(self, known={**labels, **self.known})

    def fits(self, name: str, labels: Labels) -> bool:
        """Whether this can be the alert of this name with these labels, as a rule or its series give them."""
        return self.name == name and all(self.own(label) in (None, value) for label, value in labels.items())

    def may_have(self, label: str) -> bool:
        return self.value(label) != ""

    @cached_property
    def sent(self) -> Answer:
        """Whether Prometheus sends the alert at all: relabelling may drop it."""
        found = passes(self.steps, self.own, self.known) if self.steps else True
        return Answer.MAYBE if found is None else Answer.YES if found else Answer.NO

    @property
    def labels(self) -> dict[str, str]:
        """The labels that are known at Alertmanager."""
        if not self.steps:
            return dict(self.known)
        names = {*self.known, *(step.target for step in self.steps), *relabelled(self.steps, self.known)}
        return {name: value for name in sorted(names) if (value := self.value(name))}


def alert_of(rule: Rule, external_labels: Labels, steps: tuple[Relabel, ...] = (), made: Made | None = None) -> Alert:
    """The rule's alert as Alertmanager may see it; `made` tells which labels recorded series can carry."""
    carried = labels_of(expression(rule.expr), *(() if made is None else (made,)))
    # A label with a template in it is set, but to what only the series can tell; an empty one removes it.
    templated = frozenset(name for name, value in rule.labels.items() if "{{" in value)
    plain = {name: value for name, value in rule.labels.items() if name not in templated}
    open_ = carried.drop(frozenset(plain)).add(templated)
    outer = {name: value for name, value in external_labels.items() if not open_.may_have(name)}
    known = {**outer, **{name: value for name, value in plain.items() if value or name not in outer}}
    return Alert(rule, known | {"alertname": rule.alert}, open_, steps)


def answer(matcher: Matcher, alert: Alert) -> Answer:
    """Whether the alert satisfies the matcher."""
    value = alert.value(matcher.label)
    if value is None:
        return Answer.MAYBE
    return Answer.YES if matches(matcher, {matcher.label: value}) else Answer.NO


def answer_all(matchers: Iterable[Matcher], alert: Alert) -> Answer:
    """Whether the alert satisfies all of these matchers."""
    worst = Answer.YES
    for matcher in matchers:
        found = answer(matcher, alert)
        if found is Answer.NO:
            return found
        worst = min(worst, found)
    return worst


def takes(matchers: Iterable[Matcher], alert: Alert) -> Answer:
    """Whether the alert reaches Alertmanager and satisfies all of these matchers."""
    return min(alert.sent, answer_all(matchers, alert))
