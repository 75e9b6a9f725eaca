"""Rule files: alerting and recording rules in the order Prometheus evaluates them.

Strict about groups and rules, since each of their keys decides when an alert fires. A rule whose expression or key is
not known here is left out and said to be not understood: whether Prometheus accepts it is promtool's to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import promql_parser

from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.model import Rule
from chaoskit.alerting.prometheus_config import PrometheusFile
from chaoskit.alerting.promql_newer import newer_construct
from chaoskit.yaml_source import Node

_GROUP_KEYS = ("name", "interval", "query_offset", "limit", "labels", "rules")
_RULE_KEYS = ("alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations")
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def parse_expression(text: str) -> Any:
    """The syntax tree of a PromQL expression; raises ValueError with the parser's reason."""
    return promql_parser.parse(text)


def read_rules(reading: Reading, text: str, file: str, prometheus: PrometheusFile) -> tuple[Rule, ...]:
    """All rules of one file, in its order; every problem goes to `reading`. Names may repeat."""
    root = reading.root(text, file)
    reading.known_keys(root, ("groups",), "the rule file", ())
    rules: list[Rule | None] = []
    groups: dict[str, int] = {}
    for group in reading.mappings(root, "groups", "a rule group"):
        members = reading.mappings(group, "rules", "a rule")
        names = [n for node in members if (n := reading.text(node, "alert") or reading.text(node, "record"))]
        reading.known_keys(group, _GROUP_KEYS, "a rule group", names)
        name = reading.required(group, "name", "a rule group")
        if name in groups:
            reading.say(
                group.place, f"the group '{name}' is defined twice", f"first on line {groups[name]}; rename one"
            )
        groups.setdefault(name, group.place.line)
        interval_s = reading.duration(group, "interval", 0.0) or prometheus.evaluation_interval_s
        offset_s = reading.duration(group, "query_offset", prometheus.query_offset_s)
        labels = reading.string_map(group, "labels")
        rules.extend(_rule(reading, node, name, interval_s, offset_s, labels) for node in members)
    return tuple(rule for rule in rules if rule is not None)


def _rule(
    reading: Reading, node: Node, group: str, interval_s: float, offset_s: float, group_labels: dict[str, str]
) -> Rule | None:
    """None for a rule that cannot be read, which is said."""
    alert, record = reading.text(node, "alert"), reading.text(node, "record")
    reading.known_keys(node, _RULE_KEYS, "a rule", [alert or record])
    if bool(alert) == bool(record):
        found = "both 'alert' and 'record'" if alert else "neither 'alert' nor 'record'"
        reading.say(node.place, f"the rule has {found}", "a rule is one of the two")
    if record:
        _check_recording(reading, node, record)
    expr = _expression(reading, node, alert or record)
    if expr is None:
        return None
    return Rule(
        alert,
        record,
        expr,
        reading.duration(node, "for", 0.0),
        reading.duration(node, "keep_firing_for", 0.0),
        {**group_labels, **reading.string_map(node, "labels")},
        reading.string_map(node, "annotations"),
        group,
        interval_s,
        node.place,
        offset_s,
    )


def _check_recording(reading: Reading, node: Node, record: str) -> None:
    if not _METRIC_NAME.fullmatch(record):
        reading.say(node.place, f"'{record}' is not a metric name", "use letters, digits, _ and :")
    for key in ("for", "keep_firing_for", "annotations"):
        value = reading.get(node, key)
        if value is not None:
            reading.say(value.place, f"a recording rule cannot have '{key}'", "remove it, or make it an alert")


def why_unread(expr: str) -> tuple[str, bool]:
    """Why an expression cannot be read here, and whether that is known to be newer PromQL; empty where it can."""
    if newer := newer_construct(expr):
        return f"{newer} is newer than the parser here", True
    try:
        parse_expression(expr)
    except ValueError as error:
        return str(error).strip(), False
    return "", False


def why_left_out(expr: str, set_aside: Mapping[str, str]) -> str:
    """Why a rule of this expression is in no configuration that was read; empty where it is."""
    return set_aside.get(expr) or why_unread(expr)[0]


def _expression(reading: Reading, node: Node, name: str) -> str | None:
    """The rule's expression; None where it does not parse."""
    expr = reading.required(node, "expr", f"the rule '{name}'")
    why, newer = why_unread(expr) if expr else ("", False)
    if not why:
        return expr
    value = reading.get(node, "expr")
    place = value.place if value else node.place
    message = f"the expression of the rule '{name}' does not parse: {why}"
    reading.puzzle(place, message, "try it with promtool check rules", [name], newer, expr)
    return None
