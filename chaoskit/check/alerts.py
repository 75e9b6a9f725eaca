"""What is known of an alert's labels before it ever fires, and which matchers that decides.

The one idea: a label's value is known (the rule sets it), known to be missing (the expression drops it), or open
(the series decide). So a matcher matches, does not, or may.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from chaoskit.alerting.expression import expression
from chaoskit.alerting.labels import LabelSet, labels_of
from chaoskit.alerting.model import Labels, Matcher, Rule
from chaoskit.alerting.routing import matches

_LITERAL = re.compile(r"[\w\-:/ ]*")


class Answer(IntEnum):
    NO = 0
    MAYBE = 1
    YES = 2


@dataclass(frozen=True, slots=True, eq=False)
class Alert:
    """An alerting rule with what is known of its alerts' labels."""

    rule: Rule
    known: Labels
    """Labels whose value the rule or the configuration sets."""
    open: LabelSet
    """Labels that the series may bring, beside the known ones."""

    @property
    def name(self) -> str:
        return self.rule.alert

    def value(self, label: str) -> str | None:
        """The label's value, "" where it is missing, None where the series decide."""
        found = self.known.get(label)
        if found is not None:
            return found
        return None if self.open.may_have(label) else ""

    def may_have(self, label: str) -> bool:
        return self.value(label) != ""


def alert_of(rule: Rule, external_labels: Mapping[str, str]) -> Alert:
    """The rule's alert as Alertmanager may see it."""
    carried = labels_of(expression(rule.expr))
    # A label with a template in it is set, but to what only the series can tell; an empty one removes it.
    templated = frozenset(name for name, value in rule.labels.items() if "{{" in value)
    plain = {name: value for name, value in rule.labels.items() if name not in templated}
    outer = {n: v for n, v in external_labels.items() if n not in rule.labels and not carried.may_have(n)}
    known = {**outer, **plain, "alertname": rule.alert}
    return Alert(rule, known, carried.add(templated))


def answer(matcher: Matcher, alert: Alert) -> Answer:
    """Whether the alert satisfies the matcher."""
    value = alert.value(matcher.label)
    if value is None:
        return Answer.MAYBE
    return Answer.YES if matches(matcher, {matcher.label: value}) else Answer.NO


def answer_all(matchers: Iterable[Matcher], alert: Alert) -> Answer:
    """Whether the alert satisfies all of them."""
    worst = Answer.YES
    for matcher in matchers:
        found = answer(matcher, alert)
        if found is Answer.NO:
            return found
        worst = min(worst, found)
    return worst


@lru_cache(maxsize=8192)
def values_of(matcher: Matcher) -> frozenset[str] | None:
    """The few values that the matcher lets through, where it names them one by one; otherwise None."""
    if matcher.op == "=":
        return frozenset((matcher.value,))
    if matcher.op != "=~":
        return None
    text = matcher.value
    if text.startswith("^"):
        text = text[1:]
    if text.endswith("$"):
        text = text[:-1]
    if text.startswith("(") and text.endswith(")") and text.count("(") == 1:
        text = text[1:-1].removeprefix("?:")
    parts = text.split("|")
    return frozenset(parts) if all(map(_LITERAL.fullmatch, parts)) else None
