"""All windows of one alert together: from the fault to every receiver, and back.

What the fault needs to become visible in the expression stands before the detect hop: the service's own
delay, as promised, and the expression's range, which a change may need to fill.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chaoskit.alerting.model import AlertConfig, Labels, PromisedNotice, Route, Rule
from chaoskit.alerting.routing import alert_labels, group_key, match_routes
from chaoskit.alerting.windows import (
    Window,
    all_clear,
    clear,
    delivery_of,
    detect,
    hold,
    notify,
    promised_hold,
    promised_notify,
)
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
class ReceiverWindows:
    """What one receiver hears of an alert."""

    receiver: str
    deliveries: tuple[Delivery, ...]
    """One for each group the alert is in at this receiver: two routes may lead to it."""
    promised: PromisedNotice | None
    promised_hold: Window | None
    promised_notify: Window | None
    """From firing; None where nothing is promised to this receiver."""


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
    receivers: tuple[ReceiverWindows, ...]

    def first_notice_vs(self) -> tuple[float, float]:
        """From the fault to the first notice anywhere: (earliest, latest); raises ValueError without receivers."""
        notices = [each.notify for receiver in self.receivers for each in receiver.deliveries]
        held = (self.hold.lo_vs, self.hold.hi_vs) if self.hold else (0.0, 0.0)
        earliest = self.detect.lo_vs + held[0] + min(window.lo_vs for window in notices)
        return round(earliest, 6), round(self.detect.hi_vs + held[1] + min(window.hi_vs for window in notices), 6)


def from_fault(config: AlertConfig, rule: Rule) -> Window:
    """The detect hop counted from the fault: what the service may take to show it, and the range that it must fill."""
    return detect(config, rule, config.promise.appears_s.get(rule.alert, 0.0) + range_of(config, rule))


def from_undo(config: AlertConfig, rule: Rule) -> Window:
    """The clear hop counted from the undo: what the service may take to recover, and the range that must empty."""
    return clear(config, rule, config.promise.clears_s.get(rule.alert, 0.0) + range_of(config, rule))


def windows_for(
    config: AlertConfig,
    rule: Rule,
    labels: Labels,
    *,
    live: bool = False,
    delivery_vs: float | None = None,
    time_scale: float = 1.0,
    routes: Iterable[Route] | None = None,
) -> AlertWindows:
    """The windows of an alert of this rule whose series has `labels`, at every receiver it is routed to.

    `live` takes its groups for live ones; `delivery_vs` replaces the promised or default tolerance;
    `routes` are those that lead on, where the caller knows them already: `labels` are then those at Alertmanager.
    """
    seen = alert_labels(config, rule, labels) if routes is None else labels
    tolerance_vs = delivery_of(config, time_scale) if delivery_vs is None else delivery_vs
    by_receiver: dict[str, list[Route]] = {}
    for route in match_routes(config.route, seen) if routes is None else routes:
        by_receiver.setdefault(route.receiver, []).append(route)
    return AlertWindows(
        rule,
        seen,
        from_fault(config, rule),
        hold(rule) if rule.for_s else None,
        from_undo(config, rule),
        tuple(
            _receiver(config, rule, seen, receiver, found, live, tolerance_vs)
            for receiver, found in by_receiver.items()
        ),
    )


def _receiver(
    config: AlertConfig, rule: Rule, labels: Labels, receiver: str, routes: list[Route], live: bool, tolerance_vs: float
) -> ReceiverWindows:
    hears = receiver in config.receivers and any(each.send_resolved for each in config.receivers[receiver].integrations)
    deliveries: dict[str, Delivery] = {}
    # Two routes with one group key share Alertmanager's notification log: the quicker one is heard.
    for route in sorted(routes, key=lambda each: (each.group_wait_s, each.path)):
        key = group_key(config.route, route, labels)
        ending = all_clear(route, tolerance_vs) if hears else None
        deliveries.setdefault(key, Delivery(route, key, notify(rule, route, tolerance_vs, live), ending))
    in_order = tuple(sorted(deliveries.values(), key=lambda each: each.route.path))
    promised = config.promise.notices.get((rule.alert, receiver))
    if promised is None:
        return ReceiverWindows(receiver, in_order, None, None, None)
    return ReceiverWindows(
        receiver,
        in_order,
        promised,
        promised_hold(promised, rule),
        promised_notify(promised, tolerance_vs, in_order[0].route if live else None),
    )
