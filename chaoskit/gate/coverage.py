"""Coverage proven live: rules, routes, receivers and inhibition rules, counted from verdicts. Pure.

Only what an expectation asked for and every one of its rows confirmed earns coverage; what merely fired does not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chaoskit.alerting.alert import alert_of
from chaoskit.alerting.model import AlertConfig
from chaoskit.check import coverage
from chaoskit.check.reach import Tree
from chaoskit.hop import Hop
from chaoskit.plan.model import Plan
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
    """Everything that there is to prove in a configuration, as people name it."""
    alerts = [alert_of(rule, config.external_labels, config.relabels) for rule in config.rules if rule.alert]
    found = coverage.parts(config, Tree(config.route), alerts, set(standing))
    return _named(config, {kind: set(some) for kind, some in found.items()})


def could_prove(plan: Plan) -> dict[str, frozenset[str]]:
    """The names that a scenario proves if all of it passes, by kind."""
    return _proven(plan, {id(alert): None for alert in plan.alerts})


def proven_by(plan: Plan, verdict: Verdict) -> dict[str, frozenset[str]]:
    """The proofs in a scenario's verdict: of a run that passed as a whole, what a row of its own says PASS of."""
    heard: dict[int, set[str] | None] = {}
    for alert in plan.alerts if verdict.result is Result.PASS else ():
        name = alert.rule.alert
        mine = [row for row in verdict.rows if row.about == name or row.about.startswith(f"{name} ")]
        if mine:
            heard[id(alert)] = {row.to.partition(" (")[0] for row in mine if row.hop is Hop.NOTIFY}
    return _proven(plan, heard)


def covered(config: AlertConfig, proofs: Iterable[Mapping[str, frozenset[str]]], standing: Iterable[str]) -> Coverage:
    """The coverage of several proofs together."""
    return Coverage(everything(config, standing), together(proofs))


def together(proofs: Iterable[Mapping[str, frozenset[str]]]) -> dict[str, frozenset[str]]:
    """Everything that any of the proofs proves, by kind."""
    listed = list(proofs)
    return {kind: frozenset().union(*(proof[kind] for proof in listed)) for kind in KINDS}


def _proven(plan: Plan, heard: Mapping[int, Collection[str] | None]) -> dict[str, frozenset[str]]:
    """`heard`: by alert the receivers that a row is about; None: all that are expected to hear of it."""
    config, tree = plan.config, Tree(plan.config.route)
    found: dict[str, set[coverage.Key]] = {kind: set() for kind in coverage.KINDS}
    for alert in (one for one in plan.alerts if id(one) in heard):
        told, rows = {n.receiver for n in alert.notices if n.ask.mode != "never"}, heard[id(alert)]
        bound = {alert.label: alert.names[0]} if alert.names else {}
        told = told if rows is None else told & set(rows)
        fired = alert_of(alert.rule, config.external_labels, config.relabels)
        mine = coverage.proven(config, tree, alert.expectation, fired, told, bound)
        found = {kind: found[kind] | mine[kind] for kind in found}
    return _named(config, found)


def _named(config: AlertConfig, found: Mapping[str, Iterable[coverage.Key]]) -> dict[str, frozenset[str]]:
    """The parts as people name them."""
    routes = {route.path: f"{route.receiver} ({route.place})" for route in Tree(config.route).routes}
    inhibitions = {number: str(rule.place) for number, rule in enumerate(config.inhibit_rules)}
    names: dict[str, Mapping[Any, str]] = {"routes": routes, "inhibitions": inhibitions}
    return {
        called: frozenset(names[kind][key] if kind in names else str(key) for key in found[kind])
        for called, kind in zip(KINDS, coverage.KINDS, strict=True)
    }
