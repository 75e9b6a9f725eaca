"""Routing, group keys and inhibition are those of the real amtool and Alertmanager."""

from __future__ import annotations

import json
import random
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from alerting_examples import alertmanager_text, load, muting_rules, random_labels, random_matchers, random_route

from chaoskit.alerting.model import AlertConfig, InhibitRule
from chaoskit.alerting.routing import group_key, group_labels, match_routes, matches_all
from chaoskit.host.ports import reserve
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.monitoring import start_alertmanager
from tests.http_stub import Handler, serving

pytestmark = pytest.mark.stack


@pytest.fixture(scope="session")
def binaries(generation: Binaries) -> Binaries:
    """Each Debian generation's programs in turn, in place of this machine's own."""
    return generation


Labels = dict[str, str]


@pytest.mark.parametrize(
    ("trees", "first_seed"), [(40, 0), pytest.param(400, 1000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def test_receivers_are_those_of_amtool_on_random_trees(
    binaries: Binaries, tmp_path: Path, trees: int, first_seed: int
) -> None:
    """Five label sets on each tree: the same receivers in the same order, repeats included."""
    wrong: list[str] = []
    several = 0
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(
            lambda seed: disagreements(binaries, tmp_path, seed), range(first_seed, first_seed + trees)
        ):
            wrong += found[0]
            several += found[1]
    assert wrong == []
    assert several > trees / 2, "too few cases have several receivers to prove anything about `continue`"


def disagreements(binaries: Binaries, folder: Path, seed: int, pairs: int = 5) -> tuple[list[str], int]:
    rng = random.Random(seed)
    text = alertmanager_text(random_route(rng))
    file = folder / f"{seed}.yml"
    file.write_text(text)
    config = load(alertmanager=text)
    wrong, several = [], 0
    for _ in range(pairs):
        labels = random_labels(rng)
        ours = ",".join(route.receiver for route in match_routes(config.route, labels))
        written = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()]
        argv = [binaries.amtool, "config", "routes", "test", f"--config.file={file}", *written]
        said = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
        several += "," in ours
        if said.stdout.strip() != ours:
            wrong.append(f"seed {seed}, {labels}: amtool {said.stdout.strip()}, ours {ours}\n{text}")
    return wrong, several


@pytest.mark.outermost
def test_group_keys_are_those_in_the_webhooks_of_a_live_alertmanager(binaries: Binaries, tmp_path: Path) -> None:
    """Six random trees with ten alerts each: what arrives at each receiver carries exactly the keys computed."""
    keys, by_name = 0, version(binaries) >= (0, 28)
    with webhooks() as (url, received):
        for seed in range(6):
            received.clear()
            rng = random.Random(seed)
            text = alertmanager_text(grouped(random_route(rng, group_wait="0s", group_interval="1h"), binaries), url)
            alerts = [random_labels(rng) for _ in range(10)]
            config = load(alertmanager=text)
            handled = [(labels, route) for labels in alerts for route in match_routes(config.route, labels)]
            expected = {
                (route.receiver, group_key(config.route, route, labels, by_name=by_name)) for labels, route in handled
            }
            groups = {(route.receiver, flat(group_labels(route, labels))) for labels, route in handled}
            with alertmanager(binaries, tmp_path / str(seed), text) as api:
                post(api, alerts)
                eventually(lambda expected=expected: seen(received) >= expected)
                listed = get(f"{api}/alerts/groups")
            assert seen(received) == expected
            assert {(each["receiver"]["name"], flat(each["labels"])) for each in listed} == groups
            keys += len(expected)
    assert keys >= 40


def grouped(route: dict[str, Any], binaries: Binaries) -> dict[str, Any]:
    """The route as it means the same to this version: an empty group_by no longer inherits in 0.33."""
    kept = {key: value for key, value in route.items() if value != [] or version(binaries) < (0, 29)}
    return kept | {"routes": [grouped(child, binaries) for child in route.get("routes") or []]}


INHIBITING = """
route: {receiver: a, group_wait: 0s}
receivers: [{name: a}]
inhibit_rules:
  - {source_matchers: [alertname=Many], target_matchers: [alertname=One], equal: [site, zone]}
  - {source_matchers: [severity=critical], target_matchers: ['severity=~"critical|warning"'], equal: [both]}
"""


@pytest.mark.outermost
def test_a_live_alertmanager_mutes_the_same_alerts(binaries: Binaries, tmp_path: Path) -> None:
    """Missing labels in `equal`, and alerts on both sides of a rule; each beside a control that is muted."""
    source = {"alertname": "Many", "site": "x"}
    muted: list[Labels] = [
        {"alertname": "One", "site": "x"},
        {"alertname": "One", "site": "x", "other": "1"},
        {"alertname": "C", "severity": "warning", "both": "1"},
    ]
    heard: list[Labels] = [
        {"alertname": "One", "site": "y"},
        {"alertname": "One", "site": "x", "zone": "z"},
        {"alertname": "One"},
        {"alertname": "A", "severity": "critical", "both": "1"},
        {"alertname": "B", "severity": "critical", "both": "1"},
        {"alertname": "D", "severity": "warning", "both": "2"},
        source,
    ]
    found = inhibited(binaries, tmp_path, INHIBITING, muted + heard, control=muted)
    assert {flat(labels) for labels in muted} == set(found)
    assert_same(load(alertmanager=INHIBITING), muted + heard, found)


@pytest.mark.outermost
def test_random_inhibitions_are_those_of_a_live_alertmanager(binaries: Binaries, tmp_path: Path) -> None:
    """Eight configurations of six random rules, sixteen random alerts each, every pair compared."""
    muted = 0
    for seed in range(8):
        rng = random.Random(seed)
        rules = [
            random_matchers(rng, "source_")
            | random_matchers(rng, "target_")
            | {"equal": rng.sample(("severity", "zone", "team"), rng.randint(0, 2))}
            for _ in range(6)
        ]
        text = alertmanager_text({"receiver": "r0", "group_wait": "1h"}, inhibit_rules=rules)
        alerts = list({flat(labels): labels for labels in (random_labels(rng) for _ in range(16))}.values())
        config = load(alertmanager=text)
        control = [target for target in alerts if any(muting_rules(config, source, target) for source in alerts)]
        if version(binaries) >= (0, 29):
            control = [one for one in control if not any(two_sided(rule, one) for rule in config.inhibit_rules)]
        every = alerts
        found = inhibited(binaries, tmp_path / str(seed), text, alerts, control)
        if version(binaries) >= (0, 29):  # there an alert on both sides of a rule is muted or not by what came last
            alerts = [one for one in alerts if not any(two_sided(rule, one) for rule in config.inhibit_rules)]
        assert_same(config, alerts, found, sources=every)
        muted += len(found)
    assert 20 <= muted <= 108, "muting must be neither the rule nor the exception for this to prove anything"


def two_sided(rule: InhibitRule, labels: Labels) -> bool:
    return matches_all(rule.source, labels) and matches_all(rule.target, labels)


def assert_same(
    config: AlertConfig, alerts: list[Labels], found: dict[str, set[str]], sources: list[Labels] | None = None
) -> None:
    """Each alert is muted iff computed, and by sources that are computed (0.25 names the first it finds)."""
    for target in alerts:
        ours = {flat(source) for source in sources or alerts if muting_rules(config, source, target)}
        theirs = found.get(flat(target), set())
        assert bool(theirs) == bool(ours), f"{target} by {ours or 'nothing'}, Alertmanager says {theirs or 'nothing'}"
        assert theirs <= ours


def inhibited(
    binaries: Binaries, folder: Path, text: str, alerts: list[Labels], control: list[Labels]
) -> dict[str, set[str]]:
    """Which alerts a live Alertmanager shows as inhibited, and by which; waits until `control` is."""
    with alertmanager(binaries, folder, text) as api:
        post(api, alerts)

        def status() -> dict[str, set[str]]:
            listed = get(f"{api}/alerts")
            labels = {each["fingerprint"]: flat(each["labels"]) for each in listed}
            muted = {labels[each["fingerprint"]]: each["status"]["inhibitedBy"] for each in listed}
            return {name: {labels[by] for by in sources} for name, sources in muted.items() if sources}

        eventually(lambda: len(get(f"{api}/alerts")) == len(alerts))
        eventually(lambda: set(status()) >= {flat(labels) for labels in control})
        return status()


def version(binaries: Binaries) -> tuple[int, int]:
    said = subprocess.run([binaries.amtool, "--version"], capture_output=True, text=True, timeout=30, check=True)
    number = re.search(r"version (\d+)\.(\d+)", said.stdout + said.stderr)
    assert number, said
    return int(number[1]), int(number[2])


@contextmanager
def alertmanager(binaries: Binaries, folder: Path, text: str) -> Iterator[str]:
    """A running Alertmanager with this configuration; yields the address of its API."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "alertmanager.yml"
    file.write_text(text)
    (port,) = reserve(1)
    child = start_alertmanager(binaries, file, folder / "data", port, folder / "log")
    try:
        yield f"http://127.0.0.1:{port}/api/v2"
    finally:
        child.stop()


@contextmanager
def webhooks() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A listener for notifications; yields its address and the bodies received so far."""
    received: list[dict[str, Any]] = []

    class Hook(Handler):
        def do_POST(self) -> None:
            received.append(json.loads(self.read()))
            self.answer()

    with serving(Hook) as server:
        yield f"{server.url}/", received


def seen(received: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(body["receiver"], body["groupKey"]) for body in list(received)}


def flat(labels: Labels) -> str:
    return json.dumps({name: value for name, value in labels.items() if value}, sort_keys=True)


def post(api: str, alerts: list[Labels]) -> None:
    requests.post(f"{api}/alerts", json=[{"labels": labels} for labels in alerts], timeout=10).raise_for_status()


def get(url: str) -> list[dict[str, Any]]:
    answer = requests.get(url, timeout=10)
    answer.raise_for_status()
    return list(answer.json())


def eventually(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Return as soon as the condition holds, or at the end of the time: the caller's assertion then tells."""
    end = time.monotonic() + timeout_s
    pause = threading.Event()
    while not holds() and time.monotonic() < end:
        pause.wait(0.05)
