"""Coverage proven live: rules, routes, receivers and inhibition rules, counted from verdicts. Pure.

Only what an expectation asked for and every one of its rows confirmed earns coverage; what merely fired does not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from chaoskit.alerting.inhibition import muting_rules
from chaoskit.alerting.model import AlertConfig, Route
from chaoskit.alerting.routing import labels_of, match_routes
from chaoskit.hop import Hop
from chaoskit.plan.model import Plan, PlannedAlert
from chaoskit.verify.verdict import Result, Verdict

KINDS = ("alerts", "routes", "receivers", "inhibition rules")


@dataclass(frozen=True, slots=True)
class Coverage:
    """The names to prove and the proven ones, by kind."""

    all: Mapping[str, frozenset[str]]
    proven: Mapping[str, frozenset[str]]

    def missing(self, kind: str) -> list[str]:
        """The names of this kind that no scenario proved, sorted."""
        return sorted(self.all[kind] - self.proven[kind])

    @property
    def percent(self) -> float:
        """Over all kinds together; 100 only when nothing is missing."""
        total = sum(len(self.all[kind]) for kind in KINDS)
        found = sum(len(self.all[kind] & self.proven[kind]) for kind in KINDS)
        return 100.0 * found / total if total else 100.0


def everything(config: AlertConfig, standing: Iterable[str] = ()) -> dict[str, frozenset[str]]:
    """The names to prove in a configuration, by kind. A root with children is a fallback, not a route of its own."""
    known = set(standing)
    routes = {_named(route) for route in _leaves(config.route)}
    return {
        "alerts": frozenset(rule.alert for rule in config.rules if rule.alert and rule.alert not in known),
        "routes": frozenset(routes),
        "receivers": frozenset(route.receiver for route in _leaves(config.route)),
        "inhibition rules": frozenset(str(rule.place) for rule in config.inhibit_rules),
    }


def could_prove(plan: Plan) -> dict[str, frozenset[str]]:
    """The names that a scenario proves if all of it passes, by kind."""
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for alert in plan.alerts:
        _add(plan, alert, found)
    return {kind: frozenset(names) for kind, names in found.items()}


def proven_by(plan: Plan, verdict: Verdict) -> dict[str, frozenset[str]]:
    """The proofs in a scenario's verdict: of a run that passed as a whole, what a row of its own says PASS of."""
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    if verdict.result is Result.PASS:
        for alert in plan.alerts:
            name = alert.rule.alert
            mine = [row for row in verdict.rows if row.about == name or row.about.startswith(f"{name} ")]
            if mine:
                _add(plan, alert, found, {row.to.partition(" (")[0] for row in mine if row.hop is Hop.NOTIFY})
    return {kind: frozenset(names) for kind, names in found.items()}


def covered(config: AlertConfig, proofs: Iterable[Mapping[str, frozenset[str]]], standing: Iterable[str]) -> Coverage:
    """The coverage of several proofs together."""
    proven: dict[str, frozenset[str]] = {kind: frozenset() for kind in KINDS}
    for proof in proofs:
        proven = {kind: proven[kind] | proof[kind] for kind in KINDS}
    return Coverage(everything(config, standing), proven)


def _add(plan: Plan, alert: PlannedAlert, found: dict[str, set[str]], heard: Collection[str] | None = None) -> None:
    """`heard`: the receivers that a row is about; None: all that are expected to hear of it."""
    config = plan.config
    found["alerts"].add(alert.rule.alert)
    source = alert.expectation.suppressed_by
    if source is not None:
        rules = (rule for by in labels_of(config, source) for rule in muting_rules(config, by, alert.labels))
        found["inhibition rules"].update(str(rule.place) for rule in rules)
        return
    told = {notice.receiver for notice in alert.notices if notice.ask.mode != "never"}
    told = told if heard is None else told & set(heard)
    found["receivers"] |= told
    found["routes"] |= {_named(route) for route in match_routes(config.route, alert.labels) if route.receiver in told}


def _leaves(route: Route) -> list[Route]:
    return [leaf for child in route.children for leaf in _leaves(child)] or [route]


def _named(route: Route) -> str:
    return f"{route.receiver} ({route.place})"
