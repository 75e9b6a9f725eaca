"""Under which labels an alert arrives, and whom it reaches, is what a real Prometheus tells a real Alertmanager.

Four Prometheus at once tell one Alertmanager: each has random steps, and marks what it sends. Where its version knows
steps of an Alertmanager's own, some of them are there. (Several Alertmanagers with different steps cannot be
compared: Prometheus relabels for the second one what it has relabelled for the first.)
"""

from __future__ import annotations

import random
from collections.abc import Sized
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from alerting_examples import NAMES, VALUES, alertmanager_text, load, random_labels, random_route, random_step
from test_routing_real import eventually, flat, get

from chaoskit.alerting.alert import Answer
from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.routing import alert_labels, receivers_of
from chaoskit.check.lint_context import LintContext
from chaoskit.host.ports import reserve
from chaoskit.stack.binaries import Binaries, numbers
from chaoskit.stack.monitoring import start_alertmanager, start_prometheus
from tests.generations import GENERATIONS, programs

pytestmark = pytest.mark.stack
ALERTS = 12
SERIES = {"zone": "db", "team": "critical"}


@pytest.mark.parametrize(
    ("suite", "seeds"),
    [
        ("own", range(1)),
        *(pytest.param(name, range(1, 9), marks=[pytest.mark.long, pytest.mark.timeout(900)]) for name in GENERATIONS),
    ],
)
def test_labels_and_receivers_are_those_of_a_live_alertmanager(suite: str, tmp_path: Path, seeds: range) -> None:
    """And what is known before any series is there contradicts none of them."""
    for seed in seeds:
        compare(programs(suite), tmp_path / str(seed), random.Random(seed))


def compare(binaries: Binaries, folder: Path, rng: random.Random) -> None:
    own_steps = numbers(binaries.versions["prometheus"])[:2] >= (2, 51)
    chains = [[*steps(rng, 3), mark(n)] for n in range(4)]
    common = steps(rng, 2)
    rules = [
        {
            "alert": f"A{n}",
            "expr": series(rng),
            "labels": {k: v for k, v in random_labels(rng).items() if k != "alertname"},
        }
        for n in range(ALERTS)
    ]
    routes = alertmanager_text(random_route(rng, group_wait="1h"))
    outer = {name: rng.choice(VALUES[:4]) for name in rng.sample((*NAMES[:5], "cluster"), 3)}
    texts = [
        prometheus(outer, common, each) if own_steps else prometheus(outer, [*common, *each], []) for each in chains
    ]
    written = yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]})
    configs = [load(written, routes, text) for text in texts]
    wanted = {flat(labels): who for config in configs for labels, who in expected(config).values() if labels}
    assert arrived(binaries, folder, written, routes, texts, wanted) == wanted
    assert len(wanted) > len(chains), "too few alerts are left to prove anything"
    for config in configs:
        contradicts_nothing(config)


def expected(config: AlertConfig) -> dict[str, tuple[dict[str, str], frozenset[str]]]:
    """By alert, the labels that it arrives with, and who is told; none where it is dropped."""
    found = {}
    for rule in config.rules:
        labels = alert_labels(config, rule, {name: value for name, value in SERIES.items() if name in rule.expr})
        found[rule.alert] = labels, frozenset(receivers_of(config, labels))
    return found


def contradicts_nothing(config: AlertConfig) -> None:
    context = LintContext(config)
    for alert in context.alerts:
        labels, told = expected(config)[alert.name]
        assert alert.sent in ((Answer.YES, Answer.MAYBE) if labels else (Answer.NO, Answer.MAYBE))
        for name in (*NAMES, "cluster", "made1") if labels else ():
            assert alert.value(name) in (None, labels.get(name, "")), (alert.name, name)
        reached = context.reached(alert)
        assert {each.route.receiver for each in reached} >= told
        assert {each.route.receiver for each in reached if each.certain} <= told


def steps(rng: random.Random, most: int) -> list[dict[str, Any]]:
    return [random_step(rng) for _ in range(rng.randint(0, most))]


def mark(entry: int) -> dict[str, Any]:
    return {"target_label": "entry", "replacement": str(entry)}


def series(rng: random.Random) -> str:
    """A condition that holds, on a series with some labels of its own."""
    text = "vector(1)"
    for name in rng.sample(sorted(SERIES), rng.randint(0, 2)):
        text = f'label_replace({text}, "{name}", "{SERIES[name]}", "", "")'
    return text


def prometheus(outer: dict[str, str], common: list[Any], own: list[Any]) -> str:
    manager = {"static_configs": [{"targets": ["127.0.0.1:1"]}], **({"alert_relabel_configs": own} if own else {})}
    return yaml.safe_dump(
        {
            "global": {"evaluation_interval": "1s", "external_labels": outer},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "none", "static_configs": []}],
            "alerting": {"alert_relabel_configs": common, "alertmanagers": [manager]},
        }
    )


def arrived(
    binaries: Binaries, folder: Path, rules: str, routes: str, texts: list[str], wanted: Sized
) -> dict[str, frozenset[str]]:
    """By labels, the receivers of each alert that Alertmanager shows, once all that are wanted are there."""
    folder.mkdir(parents=True)
    (folder / "alertmanager.yml").write_text(routes, encoding="utf-8")
    (folder / "rules.yml").write_text(rules, encoding="utf-8")
    port, *ports = reserve(1 + len(texts))
    with ExitStack() as running:
        manager = start_alertmanager(binaries, folder / "alertmanager.yml", folder / "am", port, folder / "am.log")
        running.callback(manager.stop)
        for own, text in zip(ports, texts, strict=True):
            file = folder / f"prometheus-{own}.yml"
            file.write_text(text.replace("127.0.0.1:1\n", f"127.0.0.1:{port}\n"), encoding="utf-8")
            flags = ["--rules.alert.resend-delay=1s"]
            data, log = folder / f"{own}", folder / f"{own}.log"
            running.callback(start_prometheus(binaries, file, data, own, log, flags=flags).stop)

        def shown() -> dict[str, frozenset[str]]:
            listed = get(f"http://127.0.0.1:{port}/api/v2/alerts")
            return {flat(one["labels"]): frozenset(each["name"] for each in one["receivers"]) for one in listed}

        eventually(lambda: len(shown()) >= len(wanted))
        return shown()
