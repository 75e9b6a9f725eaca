"""Each alert of the bundle goes where it is documented to go: in our model, with amtool, on a running Alertmanager."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig, Route
from chaoskit.alerting.routing import group_key, group_labels, match_routes, receivers_of
from chaoskit.bundle import folder
from chaoskit.stack.binaries import Binaries
from tests.bundle_routing.documented import ALERTS, WAYS, Way, ways
from tests.live_alertmanager import Live, Notice, webhooks_only

WAITS_K = 40.0
REPEATS_K = 5000.0
# A notice is never early; how late it may be on a busy machine, in real seconds.
LATE_S = 1.0


def test_every_documented_component_has_an_alert_and_no_other_component_exists() -> None:
    assert {labels["component"] for labels in ALERTS.values()} == set(WAYS)


@pytest.mark.parametrize("alert", ALERTS)
def test_our_model_names_exactly_the_documented_receivers_and_times(config: AlertConfig, alert: str) -> None:
    assert _ways(config, ALERTS[alert]) == ways(ALERTS[alert])


SPOILT = {
    "critical alerts stop at the first route": ("      continue: true\n", ""),
    "a critical alert waits longer": (
        "group_wait: 10s\n      group_interval: 2m",
        "group_wait: 15s\n      group_interval: 2m",
    ),
    "a resolve waits longer": ("group_interval: 2m", "group_interval: 5m"),
    "dead letters are repeated as often as others": ("repeat_interval: 6h", "repeat_interval: 4h"),
    "dead workers share a group": ("      group_by: [alertname, worker_name]\n", ""),
    "the cache is forgotten": ("api|cache|retry", "api|caches|retry"),
    "the watchdog is mailed": ('alertname="Watchdog"', 'alertname="Watchdogs"'),
    "service levels wake people": ("repeat_interval: 1d", "repeat_interval: 4h"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_wrong_route_would_be_noticed(config: AlertConfig, spoilt: str) -> None:
    right, wrong = SPOILT[spoilt]
    key = "alertmanager:alertmanager.yml"
    text = config.sources[key]
    assert right in text
    changed = load_texts({**config.sources, key: text.replace(right, wrong)})
    assert any(_ways(changed, labels) != ways(labels) for labels in ALERTS.values())


@pytest.mark.stack
@pytest.mark.outermost
@pytest.mark.parametrize("alert", ALERTS)
def test_amtool_names_exactly_the_documented_receivers(generation: Binaries, bundle: Path, alert: str) -> None:
    assert amtool_route(generation, bundle, ALERTS[alert]) == [way.receiver for way in ways(ALERTS[alert])]


@pytest.mark.stack
@pytest.mark.parametrize("alert", [name for name, labels in ALERTS.items() if labels["component"] in list(WAYS)[:8]])
def test_the_optional_parts_change_nothing_for_the_others(binaries: Binaries, config: AlertConfig, alert: str) -> None:
    assert tuple(amtool_route(binaries, folder(), ALERTS[alert])) == receivers_of(config, ALERTS[alert])


@pytest.mark.outermost
@pytest.mark.stack
def test_groups_waits_and_repeats_of_a_running_alertmanager_are_the_documented_ones(
    generation: Binaries, bundle: Path, config: AlertConfig, tmp_path: Path
) -> None:
    """Every alert once, and once more from another source as soon as a group of it has spoken; beside it a second
    Alertmanager, whose notices come again at the first tick after repeat_interval, and not before."""
    expected = {_group(config, generation, way, route, labels): way for way, route, labels in _handled(config)}
    member = {_group(config, generation, way, route, labels): labels for way, route, labels in _handled(config)}
    file = bundle / "alertmanager.yml"
    with (
        webhooks_only(generation, file, tmp_path / "repeats", REPEATS_K, inhibits=False) as repeating,
        webhooks_only(generation, file, tmp_path / "waits", WAITS_K, inhibits=False) as live,
    ):
        repeating.send(*ALERTS.values())
        began = live.send(*ALERTS.values())
        quiet = set(expected)

        def new() -> set[tuple[str, str]]:
            return quiet & _by_group(live).keys()

        while quiet:
            live.sinks.wait(lambda: bool(new()), "a notice of every group")
            spoken = new()
            live.send(*(member[group] | {"instance": f"another:{len(quiet)}{n}"} for n, group in enumerate(spoken)))
            quiet -= spoken
        live.sinks.wait(lambda: all(len(two) > 1 for two in _by_group(live).values()), "a second notice of every group")
        listed = {
            (group["receiver"]["name"], tuple(sorted(group["labels"].items()))) for group in live.get("alerts/groups")
        }
        repeating.sinks.wait(
            lambda: (
                len(_by_group(repeating)) == len(expected)
                and all(len(two) > 1 for two in _by_group(repeating).values())
            ),
            "a repeat in every group",
        )
    assert listed == {
        (way.receiver, tuple(group_labels(route, labels).items())) for way, route, labels in _handled(config)
    }
    notices = _by_group(live)
    assert set(notices) == set(expected)
    for group, way in expected.items():
        first, second, *_ = notices[group]
        waited_s, wait_s = first.at - began, way.group_wait_s / WAITS_K
        assert wait_s <= waited_s <= wait_s + LATE_S, f"{group}: {waited_s:.3f} s, not {wait_s:g} s"
        between_s, tick_s = second.at - first.at, way.group_interval_s / WAITS_K
        assert tick_s - LATE_S <= between_s <= tick_s + LATE_S, f"{group}: {between_s:.3f} s, not {tick_s:g} s"

    for group, (first, second, *_) in _by_group(repeating).items():
        way, between_s = expected[group], second.at - first.at
        tick_s, repeat_s = way.group_interval_s / REPEATS_K, way.repeat_interval_s / REPEATS_K
        assert repeat_s - LATE_S / 2 <= between_s <= repeat_s + tick_s + LATE_S, f"{group}: {between_s:.3f} s"


def amtool_route(programs: Binaries, bundle: Path, labels: dict[str, str]) -> list[str]:
    """The receivers that amtool finds for an alert."""
    written = [f"{name}={value}" for name, value in labels.items()]
    file = f"--config.file={bundle / 'alertmanager.yml'}"
    said = subprocess.run(
        [programs.amtool, "config", "routes", "test", file, *written],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return said.stdout.strip().split(",")


def _handled(config: AlertConfig) -> list[tuple[Way, Route, dict[str, str]]]:
    return [
        (way, route, labels)
        for labels in ALERTS.values()
        for way, route in zip(ways(labels), match_routes(config.route, labels), strict=True)
    ]


def _group(config: AlertConfig, programs: Binaries, way: Way, route: Route, labels: dict[str, str]) -> tuple[str, str]:
    major, minor = programs.versions["alertmanager"].split(".")[:2]
    by_name = (int(major), int(minor)) >= (0, 28)
    return way.receiver, group_key(config.route, route, labels, by_name=by_name)


def _by_group(live: Live) -> dict[tuple[str, str], list[Notice]]:
    found: dict[tuple[str, str], list[Notice]] = {}
    for notice in list(live.sinks.notices):
        found.setdefault((notice.receiver, notice.key), []).append(notice)
    return found


def _ways(config: AlertConfig, labels: dict[str, str]) -> tuple[Way, ...]:
    """As our model has it; an alert that no route but the root takes has none, for it was forgotten."""
    return tuple(_way(route) for route in match_routes(config.route, labels) if route.path)


def _way(route: Route) -> Way:
    assert route.group_by is not None
    return Way(route.receiver, route.group_wait_s, route.group_interval_s, route.repeat_interval_s, route.group_by)
