"""The parts of a configuration that there are to prove, and those that an expectation proves: for check and the gate.

The one idea: a proof names one part. A notice at a receiver proves a route only where the alert certainly went over it,
or where no other route could have brought it there; the same holds for the inhibition that kept an alert back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from chaoskit.alerting.alert import Alert, alert_of
from chaoskit.alerting.inhibition import conditions
from chaoskit.alerting.model import AlertConfig, InhibitRule, Labels, Receiver, Route, Rule
from chaoskit.check.reach import Tree
from chaoskit.scenario.model import Expectation

KINDS = ("alerts", "routes", "receivers", "inhibitions")
Part = Rule | Route | Receiver | InhibitRule
Key = str | int | tuple[int, ...]
"""An alert or receiver by its name, a route by its path, an inhibition by its number."""


def parts(
    config: AlertConfig, tree: Tree, alerts: Sequence[Alert], standing: Collection[str] = ()
) -> dict[str, dict[Key, Part]]:
    """By kind all that there is to prove, in the configuration's order; of `standing` alerts nothing can be.

    A route with children counts where one of the alerts may go out on the route itself: else it only leads to others.
    """
    ends = {each.route.path for alert in alerts for each in tree.reached(alert)}
    routes: dict[Key, Part] = {r.path: r for r in tree.routes if not r.children or r.path in ends}
    named = {route.receiver for route in routes.values() if isinstance(route, Route)}
    rules: dict[Key, Part] = {}
    for alert in alerts:
        if alert.name not in standing:
            rules.setdefault(alert.name, alert.rule)
    return {
        "alerts": rules,
        "routes": routes,
        "receivers": {name: one for name, one in config.receivers.items() if name in named},
        "inhibitions": dict(enumerate(config.inhibit_rules)),
    }


def proven(
    config: AlertConfig, tree: Tree, expectation: Expectation, alert: Alert, heard: Iterable[str], bound: Labels
) -> Mapping[str, set[Key]]:
    """By kind what is proven once the expectation of this alert came true, and these receivers heard of it.

    `bound` are labels that the fault's target decides. Nothing where the alert cannot have the expectation's labels.
    """
    found: dict[str, set[Key]] = {kind: set() for kind in KINDS}
    if not alert.fits(expectation.alert, expectation.labels):
        return found
    target = alert.with_labels({**expectation.labels, **bound})
    found["alerts"].add(target.name)
    if expectation.suppressed_by is not None:
        sources = alerts_of(config, expectation.suppressed_by)
        muting: dict[Key, bool] = {}
        for number, rule in enumerate(config.inhibit_rules):
            ways = [way for one in sources if (way := conditions(rule, one, target)) is not None]
            if ways:
                muting[number] = () in ways
        found["inhibitions"] = _sure(muting)
        return found
    reached = tree.reached(target)
    for receiver in heard:
        routes: dict[Key, bool] = {one.route.path: one.certain for one in reached if one.route.receiver == receiver}
        if routes:
            found["receivers"].add(receiver)
            found["routes"] |= _sure(routes)
    return found


def alerts_of(config: AlertConfig, name: str) -> tuple[Alert, ...]:
    """The alerts of the rules of this name."""
    return tuple(alert_of(rule, config.external_labels, config.relabels) for rule in config.alert_rules(name))


def _sure(ways: Mapping[Key, bool]) -> set[Key]:
    """The ways that were certainly taken; the only one there is was."""
    return {way for way, certain in ways.items() if certain or len(ways) == 1}
