"""What the scenarios exercise, read off their expectations.

An alert is exercised where a scenario expects it; `allow` earns nothing. A route and its receiver are where such an
alert is expected to be delivered over them, an inhibition where it is expected to suppress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaoskit.check.alerts import Alert
from chaoskit.scenario.model import Expectation

if TYPE_CHECKING:
    from chaoskit.check.facts import Facts


@dataclass(frozen=True, slots=True)
class Exercised:
    """What the scenarios exercise, by identity."""

    alerts: frozenset[str]
    routes: frozenset[tuple[int, ...]]
    receivers: frozenset[str]
    inhibitions: frozenset[int]


def exercised(facts: Facts) -> Exercised:
    """Reads it off the expectations; of routes that an alert may take, all count."""
    alerts: set[str] = set()
    routes: set[tuple[int, ...]] = set()
    receivers: set[str] = set()
    inhibitions: set[int] = set()
    promised: dict[str, set[str]] = {}
    for alert, receiver in facts.config.promise.notices:
        promised.setdefault(alert, set()).add(receiver)
    for expectation in (each for scenario in facts.scenarios for each in scenario.expect):
        targets = meant(facts, expectation)
        alerts.update(target.name for target in targets)
        if expectation.suppressed_by is not None:
            sources = facts.by_name.get(expectation.suppressed_by, ())
            for number, sides in enumerate(facts.inhibitions):
                if any(sides.may_mute(source, target) for source in sources for target in targets):
                    inhibitions.add(number)
            continue
        if expectation.notifies is None:
            heard = promised.get(expectation.alert, set())
        else:
            heard = {name for name, notify in expectation.notifies.items() if notify.mode != "never"}
        for target in targets:
            for each in facts.reached(target):
                if each.route.receiver in heard:
                    routes.add(each.route.path)
                    receivers.add(each.route.receiver)
    return Exercised(frozenset(alerts), frozenset(routes), frozenset(receivers), frozenset(inhibitions))


def meant(facts: Facts, expectation: Expectation) -> tuple[Alert, ...]:
    """The rules that an expectation can be about: those of its name whose labels agree."""
    return tuple(
        alert
        for alert in facts.by_name.get(expectation.alert, ())
        if all(alert.own(name) in (None, value) for name, value in expectation.labels.items())
    )
