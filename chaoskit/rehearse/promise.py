"""The promise that a configuration implies, for teams that have written none: computed, and labelled so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from chaoskit.alerting.model import AlertConfig, Promise, PromisedNotice, Rule
from chaoskit.alerting.routing import alert_labels, match_routes
from chaoskit.units import format_duration

NAME = "computed"


def computed_notices(
    config: AlertConfig, rule: Rule, labels: Iterable[Mapping[str, str]]
) -> dict[tuple[str, str], PromisedNotice]:
    """What each receiver is owed for alerts of this rule with these labels, by (alert, receiver)."""
    found: dict[tuple[str, str], PromisedNotice] = {}
    for one in labels:
        for route in match_routes(config.route, alert_labels(config, rule, one)):
            notice = PromisedNotice(
                rule.alert, route.receiver, rule.for_s, route.group_wait_s, route.repeat_interval_s, route.place
            )
            there = found.get((rule.alert, route.receiver))
            if there is None or notice.group_wait_s < there.group_wait_s:
                found[rule.alert, route.receiver] = notice
    return found


def write(promise: Promise) -> str:
    """The promise as the text of a promise file."""
    alerts: dict[str, dict[str, Any]] = {}
    for (alert, receiver), notice in sorted(promise.notices.items()):
        alerts.setdefault(alert, {"notices": {}})["notices"][receiver] = {
            "for": format_duration(notice.for_s),
            "group_wait": format_duration(notice.group_wait_s),
            "repeat": format_duration(notice.repeat_s),
        }
    for alert, appears_s in sorted(promise.appears_s.items()):
        alerts.setdefault(alert, {})["appears"] = format_duration(appears_s)
    head = (
        "# Computed from the rules and routes by `chaoskit rehearse --write-promise`. Review it: from now on the next\n"
        "# change is judged against what stands here, not against what the configuration happens to say.\n"
    )
    delivery = {} if promise.delivery_s is None else {"delivery": format_duration(promise.delivery_s)}
    return head + yaml.safe_dump({"chaoskit": 1, **delivery, "alerts": alerts}, sort_keys=False, width=120)
