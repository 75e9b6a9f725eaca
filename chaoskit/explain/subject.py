"""The alert that is asked about: its rule, and what is known, given or assumed of its labels.

The one idea: a label is known (the rule sets it), given in the question, assumed (external_labels fill it in where
the series bring none), or open; what is open is named, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chaoskit.alerting.alert import Alert, alert_of
from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.errors import BadInput, Problem
from chaoskit.yaml_source import nearest


@dataclass(frozen=True, slots=True)
class Subject:
    """One alerting rule, with its alert's labels as far as they are known; `assumed` came from external_labels."""

    alert: Alert
    given: Mapping[str, str]
    assumed: Mapping[str, str]

    @property
    def rule(self) -> Rule:
        return self.alert.rule


def subject_of(config: AlertConfig, rule: Rule, given: Mapping[str, str] | None = None) -> Subject:
    """The rule's alert with these labels given, and external labels assumed where its series may lack them."""
    found = alert_of(rule, {})
    given = dict(given or {})
    assumed = {
        name: value
        for name, value in config.external_labels.items()
        if not found.known.get(name) and "{{" not in rule.labels.get(name, "") and name not in given
    }
    known = {**found.known, **assumed, **given}
    # An assumption that the expression leaves no doubt about is none.
    doubtful = {name: value for name, value in assumed.items() if found.open.may_have(name)}
    return Subject(Alert(rule, known, found.open, config.relabels), given, doubtful)


def find_subjects(config: AlertConfig, name: str, given: Mapping[str, str]) -> tuple[Subject, ...]:
    """The rules of this name that can carry the given labels; raises BadInput with the nearest name, or why not."""
    rules = config.alert_rules(name)
    if not rules:
        known = sorted({rule.alert for rule in config.rules if rule.alert})
        hint = nearest(name, known) or (
            f"there are: {', '.join(known[:12])}" if known else "no alerting rule was given"
        )
        raise BadInput(Problem(None, f"no alerting rule is called '{name}'", hint))
    refused = {id(rule): tuple(_refused(rule, given, config.external_labels)) for rule in rules}
    fitting = [rule for rule in rules if not refused[id(rule)]]
    if not fitting:
        raise BadInput(dict.fromkeys(problem for rule in rules for problem in refused[id(rule)]))
    return tuple(subject_of(config, rule, given) for rule in fitting)


def _refused(rule: Rule, given: Mapping[str, str], external: Mapping[str, str]) -> Iterator[Problem]:
    alert = alert_of(rule, {})
    for label, value in given.items():
        found = alert.value(label)
        if found is None or found == value or (not found and external.get(label) == value):
            continue
        yield Problem(rule.place, *_why(rule.alert, label, value, found))


def _why(alert: str, label: str, value: str, found: str) -> tuple[str, str]:
    if found:
        return f"{label}={value} cannot be: the rule of {alert} sets {label} to '{found}'", f"leave {label} out"
    return f"{alert} never carries {label}: its expression drops it", f"leave {label} out, or keep it in the expression"
