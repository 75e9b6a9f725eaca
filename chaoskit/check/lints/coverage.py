"""What no scenario exercises: alerts, routes, receivers and inhibitions that nobody has seen work."""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.check.facts import Facts
from chaoskit.check.findings import Said, Severity, lint
from chaoskit.check.lints.routes import called


@lint("untested-alert", Severity.INFO, "coverage", ("scenarios", "rules"))
def untested_alert(facts: Facts) -> Iterator[Said]:
    """An alert that no scenario expects.

    It may not work, and nobody would know before the night it matters.
    """
    tested = facts.exercised.alerts
    for name, alerts in facts.by_name.items():
        if name not in tested:
            yield Said(alerts[0].rule.place, f"no scenario expects {name}", "write a scenario for it")


@lint("untested-route", Severity.INFO, "coverage", ("scenarios", "rules", "alertmanager"))
def untested_route(facts: Facts) -> Iterator[Said]:
    """A route over which no scenario expects a notice.

    It may not work, and nobody would know before the night it matters.
    """
    for route in facts.tree.routes:
        if route.path not in facts.exercised.routes:
            message = f"no scenario expects a notice over {called(route)}"
            yield Said(route.place, message, "expect one of its alerts at its receiver")


@lint("untested-receiver", Severity.INFO, "coverage", ("scenarios", "rules", "alertmanager"))
def untested_receiver(facts: Facts) -> Iterator[Said]:
    """A receiver at which no scenario expects a notice.

    It may not work, and nobody would know before the night it matters.
    """
    for name, receiver in facts.config.receivers.items():
        if name not in facts.exercised.receivers:
            yield Said(receiver.place, f"no scenario expects a notice at {name}", "expect one of its alerts there")


@lint("untested-inhibition", Severity.INFO, "coverage", ("scenarios", "rules", "alertmanager"))
def untested_inhibition(facts: Facts) -> Iterator[Said]:
    """An inhibition that no scenario sees suppress an alert.

    It may not work, and nobody would know before the night it matters.
    """
    for number, sides in enumerate(facts.inhibitions):
        if number not in facts.exercised.inhibitions:
            todo = "expect a target with suppressed_by: and a control"
            yield Said(sides.rule.place, "no scenario expects this inhibition to mute an alert", todo)
