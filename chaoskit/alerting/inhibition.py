"""Which alerts mute which: Alertmanager's inhibition rules, exactly (inhibit.InhibitRule).

A rule mutes a target while a firing source matches its source side, the target its target side, and both
have equal values in every `equal` label; a missing label equals an empty one. An alert that matches both
sides is only muted by sources that do not match the target side, so that nothing mutes itself, and two such
alerts do not mute each other. Whether the source is itself muted does not matter. (0.33 remembers one source for each
set of equal values: if that one matches both sides too, it does not mute such an alert, even if another source does.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaoskit.alerting.alert import Alert, Answer, answer, answer_all, takes
from chaoskit.alerting.model import AlertConfig, InhibitRule, Labels, Matcher
from chaoskit.alerting.routing import matches_all

Part = tuple[int, bool, tuple[str, ...]]
"""An alert's part in an inhibition: the rule's number, which partners it meets, the values of its `equal` labels."""


def conditions(rule: InhibitRule, source: Alert, target: Alert) -> tuple[str, ...] | None:
    """The conditions on labels under which the source mutes the target; empty: whenever it fires; None: never."""
    if takes(rule.source, source) is Answer.NO or takes(rule.target, target) is Answer.NO:
        return None
    own, both = answer_all(rule.source, target), answer_all(rule.target, source)
    values = [(label, source.value(label), target.value(label)) for label in rule.equal]
    if own is both is Answer.YES or any(None not in (a, b) and a != b for _, a, b in values):
        return None
    open_ = [f"{label} is the same for both" for label, a, b in values if None in (a, b)]
    if Answer.NO not in (own, both):
        open_.append("not both of them match both sides of the inhibition")
    return (*doubts(rule.target, target, "its"), *doubts(rule.source, source, f"{source.name}'s"), *open_)


def doubts(matchers: Sequence[Matcher], alert: Alert, whose: str) -> Iterator[str]:
    """The conditions under which the alert is sent and satisfies matchers that it may satisfy."""
    if alert.sent is Answer.MAYBE:
        yield f"alert_relabel_configs do not drop {'it' if whose == 'its' else alert.name}"
    for each in matchers:
        if answer(each, alert) is Answer.MAYBE:
            yield f"{whose} labels satisfy {each}"


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
