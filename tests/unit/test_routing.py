"""An alert takes the way through the routing tree that Alertmanager gives it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest
from alerting_examples import alertmanager_text, load, random_labels, random_route
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.alerting.model import Matcher, Route
from chaoskit.alerting.routing import (
    alert_labels,
    group_key,
    group_labels,
    match_routes,
    matches,
    matches_all,
    receivers_of,
)

TREE = """
route:
  receiver: default
  group_by: [alertname, severity]
  routes:
    - matchers: [severity="critical"]
      receiver: critical
      continue: true
    - matchers: [component="worker"]
      receiver: worker
      group_by: [alertname, worker]
      routes:
        - match: {team: night}
          receiver: night
          group_by: ['...']
        - match_re: {team: "da.*"}
          group_by: []
    - matchers: ['component=~"api|db"']
receivers: [{name: default}, {name: critical}, {name: worker}, {name: night}]
"""


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({}, []),  # no labels: it is not sent
        ({"severity": "info"}, ["default"]),
        ({"severity": "critical"}, ["critical"]),
        ({"severity": "critical", "component": "worker"}, ["critical", "worker"]),
        ({"component": "worker", "team": "night"}, ["night"]),
        ({"component": "worker", "team": "day"}, ["worker"]),
        ({"component": "db", "severity": "critical"}, ["critical", "default"]),
        ({"component": "dbx"}, ["default"]),
    ],
)
def test_children_are_tried_in_order_until_one_that_does_not_continue(
    labels: dict[str, str], receivers: list[str]
) -> None:
    assert list(receivers_of(load(alertmanager=TREE), labels)) == receivers


@pytest.mark.parametrize(
    ("op", "value", "present", "missing"),
    [
        ("=", "", False, True),
        ("!=", "", True, False),
        ("=~", ".*", True, True),
        ("=~", ".+", True, False),
        ("!~", ".+", False, True),
        ("=~", "", False, True),
    ],
)
def test_a_missing_label_equals_an_empty_one(op: str, value: str, present: bool, missing: bool) -> None:
    matcher = Matcher("a", op, value)
    assert matches(matcher, {"a": "x"}) is present
    assert matches(matcher, {}) is missing
    assert matches(matcher, {"a": ""}) is missing


def test_expressions_match_from_end_to_end() -> None:
    assert not matches(Matcher("a", "=~", "rit"), {"a": "critical"})
    assert not matches(Matcher("a", "=~", "a|b"), {"a": "ax"})


def test_grouping_is_inherited_and_an_empty_list_inherits_too() -> None:
    root = load(alertmanager=TREE).route
    worker = root.children[1]
    assert root.children[0].group_by == ("alertname", "severity")
    assert worker.group_by == ("alertname", "worker")
    assert worker.children[0].group_by is None
    assert worker.children[1].group_by == ("alertname", "worker")
    assert worker.children[1].receiver == "worker"


def test_group_keys_read_as_alertmanager_prints_them() -> None:
    root = load(alertmanager=TREE).route
    labels = {
        "alertname": "A",
        "severity": "critical",
        "component": "worker",
        "team": 'n"',
        "worker": "",
        "zone2": "x",
        "zone": "\x07ä",
    }
    critical, worker = root.children[0], root.children[1]
    assert group_key(root, critical, labels) == '{}/{severity="critical"}:{alertname="A", severity="critical"}'
    assert group_labels(worker, labels) == {"alertname": "A"}
    assert group_key(root, worker, labels) == '{}/{component="worker"}:{alertname="A"}'
    every = group_key(root, worker.children[0], labels)
    assert every == (
        '{}/{component="worker"}/{team="night"}:'
        r'{alertname="A", component="worker", severity="critical", team="n\"", zone2="x", zone="\aä"}'
    )
    named = group_key(root, worker.children[0], labels, by_name=True)
    assert named.endswith(r'zone="\aä", zone2="x"}')
    assert group_key(root, worker.children[1], labels) == '{}/{component="worker"}/{team=~"^(?:da.*)$"}:{alertname="A"}'


def test_names_that_need_quotes_are_printed_with_quotes() -> None:
    routes = r"""routes: [{matchers: ['"a b"="é\n"']}]"""
    root = load(alertmanager=f"route: {{receiver: a, {routes}}}\nreceivers: [{{name: a}}]").route
    assert group_key(root, root.children[0], {}) == r'{}/{"a b"="é\n"}:{}'


def test_an_alert_carries_its_rules_labels_its_name_and_the_external_ones() -> None:
    prometheus = "global: {external_labels: {site: x, team: sre}}\nscrape_configs: [{job_name: a}]\n"
    rules = """
groups:
  - name: g
    labels: {team: g}
    rules: [{alert: A, expr: up, labels: {severity: c, w: '{{ $labels.w }}', none: ''}}]
"""
    config = load(rules, prometheus=prometheus)
    labels = alert_labels(
        config, config.rules[0], {"w": "w1", "severity": "series", "alertname": "series", "none": "series"}
    )
    assert labels == {"site": "x", "team": "g", "severity": "c", "w": "w1", "alertname": "A"}


def walk(route: Route) -> Iterator[Route]:
    yield route
    for child in route.children:
        yield from walk(child)


def on_the_way(root: Route, route: Route) -> list[Route]:
    """The route and everything above it, root first."""
    nodes = [root]
    for index in route.path:
        nodes.append(nodes[-1].children[index])
    return nodes


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_routing_follows_from_its_definition_on_random_trees(seed: int) -> None:
    """A route handles an alert iff all on its way match, no child does, and no sibling before it ended the search."""
    rng = random.Random(seed)
    config = load(alertmanager=alertmanager_text(random_route(rng)))
    labels = random_labels(rng)
    found = match_routes(config.route, labels)

    def takes(node: Route) -> bool:
        return matches_all(node.matchers, labels)

    expected = []
    for route in walk(config.route):
        way = on_the_way(config.route, route)
        earlier = [
            sibling
            for above, node in pairwise(way)
            for sibling in above.children[: node.path[-1]]
            if takes(sibling) and not sibling.continues
        ]
        if all(map(takes, way)) and not any(map(takes, route.children)) and not earlier:
            expected.append(route)
    assert list(found) == expected
    assert found, "an alert always goes somewhere"


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_alerts_share_a_group_iff_they_share_its_labels(seed: int) -> None:
    rng = random.Random(seed)
    root = load(alertmanager=alertmanager_text(random_route(rng))).route
    one, other = random_labels(rng), random_labels(rng)
    for route in walk(root):
        same = group_labels(route, one) == group_labels(route, other)
        assert (group_key(root, route, one) == group_key(root, route, other)) is same
