"""Rule files: alerting and recording rules in the order Prometheus evaluates them.

Strict about groups and rules, since each of their keys decides when an alert fires. An expression must
parse here; whether Prometheus accepts it is promtool's to say.
"""

from __future__ import annotations

import re
from typing import Any

import promql_parser

from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.model import Rule
from chaoskit.alerting.prometheus_config import PrometheusFile
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
    reading.known_keys(root, ("groups",), "the rule file")
    rules: list[Rule] = []
    groups: dict[str, int] = {}
    for group in reading.mappings(root, "groups", "a rule group"):
        reading.known_keys(group, _GROUP_KEYS, "a rule group")
        name = reading.required(group, "name", "a rule group")
        if name in groups:
            reading.say(
                group.place, f"the group '{name}' is defined twice", f"first on line {groups[name]}; rename one"
            )
        groups.setdefault(name, group.place.line)
        interval_s = reading.duration(group, "interval", 0.0) or prometheus.evaluation_interval_s
        offset_s = reading.duration(group, "query_offset", prometheus.query_offset_s)
        labels = reading.string_map(group, "labels")
        rules.extend(
            _rule(reading, node, name, interval_s, offset_s, labels)
            for node in reading.mappings(group, "rules", "a rule")
        )
    return tuple(rules)


def _rule(
    reading: Reading, node: Node, group: str, interval_s: float, offset_s: float, group_labels: dict[str, str]
) -> Rule:
    reading.known_keys(node, _RULE_KEYS, "a rule")
    alert, record = reading.text(node, "alert"), reading.text(node, "record")
    if bool(alert) == bool(record):
        found = "both 'alert' and 'record'" if alert else "neither 'alert' nor 'record'"
        reading.say(node.place, f"the rule has {found}", "a rule is one of the two")
    if record:
        _check_recording(reading, node, record)
    what = f"the rule '{alert or record}'"
    return Rule(
        alert,
        record,
        _expression(reading, node, what),
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


def _expression(reading: Reading, node: Node, what: str) -> str:
    expr = reading.required(node, "expr", what)
    if expr:
        try:
            parse_expression(expr)
        except ValueError as error:
            value = reading.get(node, "expr")
            reading.say(
                value.place if value else node.place,
                f"the expression of {what} does not parse: {str(error).strip()}",
                "try it with promtool check rules",
            )
    return expr
