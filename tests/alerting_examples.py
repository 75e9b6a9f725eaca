"""Small and random alert configurations, shared by the tests of routing, inhibition and windows."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace
from typing import Any, cast

import yaml

from chaoskit.alerting.alert import Alert
from chaoskit.alerting.config import load_texts
from chaoskit.alerting.inhibition import conditions
from chaoskit.alerting.labels import NONE
from chaoskit.alerting.model import AlertConfig, InhibitRule, Labels, Route, Rule
from chaoskit.alerting.routing import alert_labels, group_key, match_routes, matches_all
from chaoskit.alerting.windows import Window, all_clear, delivery_of, notify

PROMETHEUS = """
global: {scrape_interval: 15s, evaluation_interval: 15s}
rule_files: [rules.yml]
scrape_configs: [{job_name: app}]
"""
RULES = """
groups:
  - name: workers
    rules:
      - alert: WorkerDown
        expr: worker_health == 0
        for: 2m
        labels: {severity: critical, component: worker}
"""
ALERTMANAGER = """
route:
  receiver: everyone
  group_by: [alertname]
  group_wait: 30s
receivers:
  - name: everyone
    webhook_configs: [{url: "http://127.0.0.1:1/"}]
"""


def load(
    rules: str = RULES, alertmanager: str = ALERTMANAGER, prometheus: str = PROMETHEUS, promise: str = ""
) -> AlertConfig:
    """The configuration in these texts, each under the file name that it usually has."""
    texts = {
        "prometheus:prometheus.yml": prometheus,
        "rules:rules.yml": rules,
        "alertmanager:alertmanager.yml": alertmanager,
    }
    return load_texts(texts | ({"promise:notification_windows.yml": promise} if promise else {}))


def notices_of(config: AlertConfig, rule: Rule) -> set[tuple[str, Window, Window | None]]:
    """Receiver, first notice and all-clear by the exact rules of routing; all labels of the alert are the rule's."""
    labels = alert_labels(config, rule, rule.labels)
    routes: dict[tuple[str, str], Route] = {}
    for route in match_routes(config.route, labels):
        key = (route.receiver, group_key(config.route, route, labels))
        routes[key] = min(routes.get(key, route), route, key=lambda each: (each.group_wait_s, each.path))
    delivery_vs = delivery_of(config, 1.0)
    return {
        (name, notify(route, delivery_vs), all_clear(route, delivery_vs) if ends else None)
        for (name, _), route in routes.items()
        for ends in (any(each.send_resolved for each in config.receivers[name].integrations),)
    }


NAMES = ("severity", "component", "team", "zone", "zone2", "alertname")
VALUES = ("critical", "warning", "api", "db", "a b", 'q"uote', "x,y", "é", "back\\slash", "{brace}", "two\nlines", "7")
PATTERNS = ("crit.*", ".+", "api|db", ".*", "", "a.b", "[a-z]+", r"\d", 'q"uote|x,y', "(?i)CRITICAL", ".*lines", r"\S+")
ACTIONS = ("replace", "replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop",
           "labelkeep", "lowercase", "uppercase")  # fmt: skip
RECEIVERS = tuple(f"r{number}" for number in range(6))


def _value(rng: random.Random, values: tuple[str, ...]) -> str:
    """Mostly one of the first two, so that alerts and matchers meet often enough."""
    return rng.choice(values[:2] if rng.random() < 0.7 else values)


def muting_rules(config: AlertConfig, source: Labels, target: Labels) -> tuple[InhibitRule, ...]:
    """The inhibitions by which an alert with these labels mutes one with those, in the order written."""
    unnamed = cast(Rule, SimpleNamespace(alert=""))
    pair = [Alert(unnamed, labels, NONE) for labels in (source, target)]
    return tuple(each for each in config.inhibit_rules if conditions(each, *pair) == ())


def mutes(rule: InhibitRule, source: Labels, target: Labels) -> bool:
    """Alertmanager's inhibition in its own words, for labels that are all known."""
    both = matches_all(rule.source, target) and matches_all(rule.target, source)
    equal = all(source.get(label, "") == target.get(label, "") for label in rule.equal)
    return matches_all(rule.target, target) and matches_all(rule.source, source) and equal and not both


def random_labels(rng: random.Random) -> dict[str, str]:
    """Some labels with some values, always with an alertname."""
    names = rng.sample(NAMES, rng.randint(2, len(NAMES)))
    return {name: _value(rng, VALUES) for name in names} | {"alertname": _value(rng, VALUES)}


def random_route(rng: random.Random, depth: int = 2, **settings: Any) -> dict[str, Any]:
    """A routing tree as alertmanager.yml holds it; `settings` go into its root."""
    root = {"receiver": rng.choice(RECEIVERS), **_grouping(rng), **settings}
    return root | _children(rng, depth)


def alertmanager_text(route: dict[str, Any], url: str = "http://127.0.0.1:1/", **more: Any) -> str:
    """A whole alertmanager.yml around a routing tree; each receiver is a webhook below the URL."""
    receivers = [{"name": name, "webhook_configs": [{"url": f"{url}{name}"}]} for name in RECEIVERS]
    return yaml.safe_dump({"route": route, "receivers": receivers, **more}, sort_keys=False)


def random_matchers(rng: random.Random, side: str = "") -> dict[str, Any]:
    """`match`, `match_re` and `matchers` in the forms that people write, on one side of an inhibition or a route."""
    keys: dict[str, Any] = {}
    if rng.random() < 0.3:
        keys[f"{side}match"] = {rng.choice(NAMES): _value(rng, VALUES)}
    if rng.random() < 0.2:
        keys[f"{side}match_re"] = {rng.choice(NAMES): _value(rng, PATTERNS)}
    if rng.random() < 0.5 or not keys:
        written = [_matcher(rng) for _ in range(rng.choice((1, 1, 2)))]
        forms = (written, [", ".join(written)], ["{" + ",".join(written) + "}"], ["{" + ", ".join(written) + ",}"])
        keys[f"{side}matchers"] = rng.choice(forms)
    return keys


def random_step(rng: random.Random) -> dict[str, Any]:
    """One step of alert_relabel_configs that every version takes."""
    action = rng.choice(ACTIONS)
    sources = rng.sample((*NAMES, "cluster"), rng.choice((1, 1, 2)))
    target = rng.choice((*NAMES, "cluster", "made1"))
    pattern = rng.choice((*PATTERNS, "(.*)", "(c|w|d)(.*)", "A(1?[02468])", "(?P<all>.+)"))
    match action:
        case "replace":
            to = rng.choice((target, target, target, "made$1", "${1}x"))
            with_ = rng.choice(("$1", "critical", "", "db", "${1}-$$-$all", "$2"))
            given = {"regex": pattern} if rng.random() < 0.8 else {"separator": "-"}
            if "$" in to:  # a name that is not ASCII is one for Prometheus 3 only
                given = {"regex": "([a-z]+)(.*)"}
            return {
                "source_labels": sources,
                "target_label": to,
                "replacement": with_,
                **given,
            }
        case "keep" | "drop":
            return {
                "action": action,
                "source_labels": sources,
                "regex": "A?(1|[2468]|.*[cd].*)" if action == "keep" else pattern,
            }
        case "labelmap":
            name = rng.choice(("z(.*)", "(t).*m", "(severity)", "comp(.+)"))
            return {"action": action, "regex": name, "replacement": rng.choice(("made$1", "$1", "zone", "made1"))}
        case "labeldrop" | "labelkeep":
            names = "|".join(rng.sample(NAMES, 2 if action == "labeldrop" else 5))
            return {"action": action, "regex": rng.choice((names, "z.*", "[a-t].*"))}
    more = {"modulus": 4} if action == "hashmod" else {}
    return {"action": action, "source_labels": sources, "target_label": target, **more}


def _children(rng: random.Random, depth: int) -> dict[str, Any]:
    count = rng.randint(1, 4) if depth else 0
    children = []
    for _ in range(count):
        child: dict[str, Any] = random_matchers(rng) if rng.random() < 0.9 else {}
        child |= _grouping(rng) | _children(rng, depth - 1)
        if rng.random() < 0.7:
            child["receiver"] = rng.choice(RECEIVERS)
        if rng.random() < 0.6:
            child["continue"] = True
        children.append(child)
    return {"routes": children} if children else {}


def _grouping(rng: random.Random) -> dict[str, Any]:
    choice = rng.random()
    if choice < 0.3:
        return {}
    if choice < 0.5:
        return {"group_by": ["..."]}
    return {"group_by": rng.sample(NAMES, rng.randint(0, 3))}


def _matcher(rng: random.Random) -> str:
    op = rng.choice(("=", "!=", "=~", "!~"))
    value = _value(rng, PATTERNS if "~" in op else VALUES)
    if value.isalnum() and rng.random() < 0.5:
        return f"{rng.choice(NAMES)}{op}{value}"
    space = rng.choice(("", " "))
    return f"{rng.choice(NAMES)}{space}{op}{space}{json.dumps(value, ensure_ascii=False)}"
