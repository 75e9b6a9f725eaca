"""What is documented about routing, written down once more by hand; and every alert of the bundle, with labels."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from chaoskit.alerting.expression import expression
from chaoskit.alerting.labels import labels_of
from chaoskit.bundle import folder

BY_NAME = ("alertname", "severity", "component")


@dataclass(frozen=True)
class Way:
    """One route: its receiver, what it groups by, and its times in seconds."""

    receiver: str
    group_wait_s: float
    group_interval_s: float
    repeat_interval_s: float
    group_by: tuple[str, ...] = BY_NAME


M, H = 60, 3600
CRITICAL = Way("critical-alerts", 10, 2 * M, 1 * H)
WATCHDOG = Way("watchdog", 10, 1 * M, 5 * M, ("alertname",))
WAYS = {
    "worker": Way("worker-alerts", 30, 5 * M, 2 * H, ("alertname", "worker_name")),
    "database": Way("database-alerts", 30, 5 * M, 1 * H),
    "circuit_breaker": Way("circuit-breaker-alerts", 1 * M, 5 * M, 3 * H),
    "dlq": Way("dlq-alerts", 2 * M, 5 * M, 6 * H),
    "system": Way("infrastructure-alerts", 5 * M, 5 * M, 12 * H),
    "api": Way("default-receiver", 30, 5 * M, 4 * H),
    "cache": Way("default-receiver", 30, 5 * M, 4 * H),
    "retry": Way("default-receiver", 30, 5 * M, 4 * H),
    "monitoring": Way("infrastructure-alerts", 30, 5 * M, 4 * H),
    "sla": Way("default-receiver", 30, 5 * M, 24 * H),
}
"""By component."""


def ways(labels: dict[str, str]) -> tuple[Way, ...]:
    """The ways that an alert with these labels goes, in order; one of an unknown component fails here."""
    if labels["alertname"] == "Watchdog":
        return (WATCHDOG,)
    component = WAYS[labels["component"]]
    return (CRITICAL, component) if labels["severity"] == "critical" else (component,)


def _alerts() -> dict[str, dict[str, str]]:
    """The labels of one firing alert of every alerting rule of the bundle, by alertname."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted(folder().glob("*_alerts.yml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    series = {"instance": "crm:9091", "job": "insa-crm", "worker_name": "worker-2"}
                    carried = labels_of(expression(rule["expr"]))
                    kept = {name: value for name, value in series.items() if carried.may_have(name)}
                    found[rule["alert"]] = kept | rule["labels"] | {"alertname": rule["alert"]}
    return found


ALERTS = _alerts()
