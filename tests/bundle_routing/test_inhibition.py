"""Each of the four inhibition rules mutes what it is documented to mute, and nothing is lost without its source.

On a running Alertmanager every case has two targets alike, in two environments, in one group: one where a source
fires, one where none does. The group's notice shows both sides at once: it lists the second and not the first.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from alerting_examples import muting_rules

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig
from chaoskit.stack.binaries import Binaries
from tests.bundle_routing.documented import ALERTS, ways
from tests.live_alertmanager import Live, webhooks_only

K = 200.0
WORKERS = ("WorkerUnhealthy", "MultipleWorkersDown")
RULES = (
    {("MultipleWorkersDown", "WorkerUnhealthy")},
    {("CircuitBreakerOpen", "HighErrorRate")},
    {(source, target) for source in WORKERS for target in ("LowCacheHitRate", "HighCacheEvictionRate")},
    {(source, "DeadLetterQueueGrowing") for source in WORKERS},
)
"""What each rule, in its order, mutes: (source, target) among the alerts of the bundle."""
PAIRS = sorted(set.union(*RULES))
Labels = dict[str, str]


@pytest.mark.parametrize("number", range(len(RULES)))
def test_our_model_mutes_exactly_the_documented_pairs(config: AlertConfig, number: int) -> None:
    assert _pairs(config, number) == RULES[number]


SPOILT = (
    ("MultipleWorkersDown mutes more", 0, "'alertname=\"WorkerUnhealthy\"'", "'component=\"worker\"'"),
    ("an open breaker mutes nothing", 1, "'alertname=\"HighErrorRate\"'", "'alertname=\"HighErrors\"'"),
    ("one dead worker mutes no cache alert", 2, '=~"WorkerUnhealthy|MultipleWorkersDown', '="MultipleWorkersDown'),
    ("all dead letters are muted", 3, "'alertname=\"DeadLetterQueueGrowing\"'", "'component=\"dlq\"'"),
    ("a label that only one side has", 2, "equal: [environment]", "equal: [worker_name]"),
)


@pytest.mark.parametrize(("number", "right", "wrong"), [one[1:] for one in SPOILT], ids=[one[0] for one in SPOILT])
def test_a_wrong_inhibition_would_be_noticed(config: AlertConfig, number: int, right: str, wrong: str) -> None:
    key = "alertmanager:alertmanager.yml"
    text = config.sources[key]
    start = text.index("inhibit_rules:")
    assert right in text[start:]
    changed = load_texts({**config.sources, key: text[:start] + text[start:].replace(right, wrong)})
    assert _pairs(changed, number) != RULES[number]


def test_there_is_no_fifth_rule(config: AlertConfig) -> None:
    assert len(config.inhibit_rules) == len(RULES)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_our_model_mutes_within_one_environment_only(config: AlertConfig, source: str, target: str) -> None:
    here, there = {"environment": "here"}, {"environment": "there"}
    assert muting_rules(config, ALERTS[source] | here, ALERTS[target] | here)
    assert not muting_rules(config, ALERTS[source] | here, ALERTS[target] | there)
    assert not muting_rules(config, ALERTS[source] | here, ALERTS[target])


@pytest.mark.outermost
@pytest.mark.stack
def test_a_running_alertmanager_mutes_with_a_source_and_delivers_without(
    generation: Binaries, bundle: Path, tmp_path: Path
) -> None:
    """Every pair at once, each in its own environment; then the sources end, and what they muted is delivered."""
    cases = {f"case-{number}": pair for number, pair in enumerate(PAIRS)}
    sources = [ALERTS[source] | {"environment": name} for name, (source, _) in cases.items()]
    muted = [ALERTS[target] | {"environment": name} for name, (_, target) in cases.items()]
    control = [ALERTS[target] | {"environment": f"{name}-without"} for name, (_, target) in cases.items()]
    with webhooks_only(generation, bundle / "alertmanager.yml", tmp_path, K, inhibits=True) as live:
        live.send(*sources)
        live.sinks.wait(lambda: _delivered(live, sources), "a notice of every source")
        live.send(*muted, *control)
        live.sinks.wait(lambda: _delivered(live, control), "a notice of every alert without a source")
        assert [labels for labels in muted if _heard(live, labels)] == []
        assert _suppressed_by(live, muted) == [[source] for source in sources]
        assert _suppressed_by(live, [*control, *sources]) == [[]] * (len(control) + len(sources))
        live.send(*sources, ended=True)
        live.sinks.wait(lambda: _delivered(live, muted), "a notice of every muted alert once its source has ended")


@pytest.mark.stack
@pytest.mark.parametrize("rule", RULES)
def test_it_mutes_as_deployed_without_any_environment(
    binaries: Binaries, bundle: Path, tmp_path: Path, rule: set[tuple[str, str]]
) -> None:
    """The label is missing on both sides; a target in another environment is the control."""
    source, target = sorted(rule)[0]
    control = ALERTS[target] | {"environment": "another"}
    with webhooks_only(binaries, bundle / "alertmanager.yml", tmp_path, K, inhibits=True) as live:
        live.send(ALERTS[source])
        live.sinks.wait(lambda: _delivered(live, [ALERTS[source]]), "a notice of the source")
        live.send(ALERTS[target], control)
        live.sinks.wait(lambda: _delivered(live, [control]), "a notice of the control")
        assert not _heard(live, ALERTS[target])
        assert _suppressed_by(live, [ALERTS[target]]) == [[ALERTS[source]]]


def _pairs(config: AlertConfig, number: int) -> set[tuple[str, str]]:
    rule = config.inhibit_rules[number]
    return {(s, t) for s in ALERTS for t in ALERTS if rule in muting_rules(config, ALERTS[s], ALERTS[t])}


def _heard(live: Live, labels: Labels) -> set[str]:
    """The receivers that were told of this alert as firing."""
    return {notice.receiver for notice in list(live.sinks.notices) if labels in notice.labels()}


def _delivered(live: Live, alerts: list[Labels]) -> bool:
    return all(_heard(live, labels) == {way.receiver for way in ways(labels)} for labels in alerts)


def _suppressed_by(live: Live, alerts: list[Labels]) -> list[list[Labels]]:
    listed = live.get("alerts")
    by_fingerprint = {each["fingerprint"]: each["labels"] for each in listed}
    status = {tuple(sorted(each["labels"].items())): each["status"] for each in listed}
    return [
        [by_fingerprint[source] for source in status[tuple(sorted(labels.items()))]["inhibitedBy"]] for labels in alerts
    ]
