"""Which alerts mute which: Alertmanager's inhibition rules, exactly (inhibit.InhibitRule).

A rule mutes a target while a firing source matches its source side, the target its target side, and both
have equal values in every `equal` label; a missing label equals an empty one. An alert that matches both
sides is only muted by sources that do not match the target side, so that nothing mutes itself, and two such
alerts do not mute each other. Whether the source is itself muted does not matter. (0.33 remembers one source for each
set of equal values: if that one matches both sides too, it does not mute such an alert, even if another source does.)
"""

from __future__ import annotations

from chaoskit.alerting.model import AlertConfig, InhibitRule, Labels
from chaoskit.alerting.routing import matches_all

Part = tuple[int, bool, tuple[str, ...]]
"""An alert's part in an inhibition: the rule's number, which partners it meets, the values of its `equal` labels."""


def mutes(rule: InhibitRule, source: Labels, target: Labels) -> bool:
    """Whether this rule mutes an alert labelled `target` while one labelled `source` fires."""
    if not matches_all(rule.target, target) or not matches_all(rule.source, source):
        return False
    if any(source.get(label, "") != target.get(label, "") for label in rule.equal):
        return False
    return not (matches_all(rule.source, target) and matches_all(rule.target, source))


def muting_rules(config: AlertConfig, source: Labels, target: Labels) -> tuple[InhibitRule, ...]:
    """The rules by which the source mutes the target, in the order written; empty when none does."""
    return tuple(rule for rule in config.inhibit_rules if mutes(rule, source, target))


def parts(config: AlertConfig, labels: Labels, compared: Labels | None = None) -> tuple[set[Part], set[Part]]:
    """Where an alert is a source and where a target: it mutes every alert that has one of its sources as a target.

    `compared` holds the values of `equal` labels, where they are not those of `labels`. No parts where it is not sent.
    """
    sources: set[Part] = set()
    targets: set[Part] = set()
    for number, rule in enumerate(config.inhibit_rules if labels else ()):
        is_source, is_target = matches_all(rule.source, labels), matches_all(rule.target, labels)
        values = tuple((labels if compared is None else compared).get(label, "") for label in rule.equal)
        # A source on both sides meets only targets that are nothing else.
        if is_source:
            sources.add((number, is_target, values))
        if is_target:
            targets |= {(number, on_both, values) for on_both in ((False,) if is_source else (False, True))}
    return sources, targets
