"""All windows of one alert together: from the fault to every receiver, and back.

What the fault needs to become visible in the expression stands before the detect hop: the service's own
delay, as promised, and the expression's range, which a change may need to fill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chaoskit.alerting.model import AlertConfig, Labels, Route, Rule
from chaoskit.alerting.routing import group_key
from chaoskit.alerting.windows import Window, all_clear, clear, detect, hold, notify
from chaoskit.alerting.windows_expression import range_of


@dataclass(frozen=True, slots=True)
class Delivery:
    """One route on which an alert reaches a receiver, and its windows."""

    route: Route
    group_key: str
    notify: Window
    all_clear: Window | None
    """None where no integration of the receiver sends resolved notices."""


@dataclass(frozen=True, slots=True)
class AlertWindows:
    """The five hops of one alert: `detect` counts from the fault, `clear` from its undo."""

    rule: Rule
    labels: Labels
    """As Alertmanager sees them."""
    detect: Window
    hold: Window | None
    """None for a rule without `for`: it is never pending, and `detect` ends at firing."""
    clear: Window
    deliveries: Mapping[str, tuple[Delivery, ...]]
    """By receiver, one for each group that the alert is in there: two routes may lead to it."""


def from_fault(config: AlertConfig, rule: Rule) -> Window:
    """The detect hop counted from the fault: what the service may take to show it, and the range that it must fill."""
    return detect(config, rule, config.promise.appears_s.get(rule.alert, 0.0) + range_of(config, rule))


def from_undo(config: AlertConfig, rule: Rule) -> Window:
    """The clear hop counted from the undo: what the service may take to recover, and the range that must empty."""
    return clear(config, rule, config.promise.clears_s.get(rule.alert, 0.0) + range_of(config, rule))


def windows_for(
    config: AlertConfig, rule: Rule, labels: Labels, routes: Iterable[Route], delivery_vs: float
) -> AlertWindows:
    """The windows of an alert of this rule that has `labels` at Alertmanager, at every receiver of these routes."""
    by_receiver: dict[str, list[Route]] = {}
    for route in routes:
        by_receiver.setdefault(route.receiver, []).append(route)
    return AlertWindows(
        rule,
        labels,
        from_fault(config, rule),
        hold(rule) if rule.for_s else None,
        from_undo(config, rule),
        {
            receiver: _deliveries(config, labels, receiver, found, delivery_vs)
            for receiver, found in by_receiver.items()
        },
    )


def _deliveries(
    config: AlertConfig, labels: Labels, receiver: str, routes: Iterable[Route], delivery_vs: float
) -> tuple[Delivery, ...]:
    hears = receiver in config.receivers and any(each.send_resolved for each in config.receivers[receiver].integrations)
    found: dict[str, Delivery] = {}
    # Two routes with one group key share Alertmanager's notification log: the quicker one is heard.
    for route in sorted(routes, key=lambda each: (each.group_wait_s, each.path)):
        key = group_key(config.route, route, labels)
        ending = all_clear(route, delivery_vs) if hears else None
        found.setdefault(key, Delivery(route, key, notify(route, delivery_vs), ending))
    return tuple(sorted(found.values(), key=lambda each: each.route.path))
