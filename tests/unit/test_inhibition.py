"""An alert mutes another exactly where Alertmanager says so."""

from __future__ import annotations

import itertools
import random

from alerting_examples import NAMES, alertmanager_text, load, muting_rules, random_labels, random_matchers

from chaoskit.alerting.inhibition import parts
from chaoskit.alerting.model import AlertConfig

ROUTE = "route: {receiver: a}\nreceivers: [{name: a}]\n"


def config(*rules: str) -> AlertConfig:
    return load(alertmanager=ROUTE + "inhibit_rules: [" + ", ".join(rules) + "]")


def test_a_source_mutes_the_targets_with_equal_labels_and_no_others() -> None:
    found = config("{source_matchers: [alertname=Many], target_matchers: [alertname=One], equal: [site]}")
    assert (
        muting_rules(found, {"alertname": "Many", "site": "x"}, {"alertname": "One", "site": "x"})
        == found.inhibit_rules
    )
    assert muting_rules(found, {"alertname": "Many", "site": "x"}, {"alertname": "One", "site": "y"}) == ()
    assert muting_rules(found, {"alertname": "One", "site": "x"}, {"alertname": "Many", "site": "x"}) == ()
    assert muting_rules(found, {"alertname": "Other", "site": "x"}, {"alertname": "One", "site": "x"}) == ()


def test_a_label_missing_on_both_sides_or_empty_on_one_is_equal() -> None:
    found = config("{source_match: {alertname: S}, target_match_re: {alertname: T.*}, equal: [site]}")
    assert muting_rules(found, {"alertname": "S"}, {"alertname": "T1"})
    assert muting_rules(found, {"alertname": "S", "site": ""}, {"alertname": "T1"})
    assert not muting_rules(found, {"alertname": "S", "site": "x"}, {"alertname": "T1"})


def test_an_alert_on_both_sides_mutes_neither_itself_nor_its_like() -> None:
    found = config("{source_matchers: [severity=critical], target_matchers: ['severity=~\"critical|warning\"']}")
    critical, other, warning = {"severity": "critical"}, {"severity": "critical", "n": "2"}, {"severity": "warning"}
    assert not muting_rules(found, critical, critical)
    assert not muting_rules(found, critical, other)
    assert muting_rules(found, critical, warning)


def test_a_target_on_both_sides_is_muted_by_a_source_that_is_on_one() -> None:
    found = config("{source_matchers: ['a=~\".+\"'], target_matchers: ['b=~\".+\"']}")
    both, source, target = {"a": "1", "b": "1"}, {"a": "1"}, {"b": "1"}
    assert muting_rules(found, source, both)
    assert muting_rules(found, both, target)
    assert not muting_rules(found, both, both)


def test_an_empty_side_matches_everything() -> None:
    found = config("{source_matchers: [alertname=S]}")
    assert muting_rules(found, {"alertname": "S"}, {"alertname": "T"})
    assert not muting_rules(found, {"alertname": "S"}, {"alertname": "S"})


def test_all_rules_that_mute_are_named_in_order() -> None:
    found = config(
        "{source_match: {a: x}, target_match: {b: y}}",
        "{source_match: {a: z}}",
        "{source_match: {a: x}, target_match: {b: y}, equal: [c]}",
    )
    assert muting_rules(found, {"a": "x"}, {"b": "y"}) == (found.inhibit_rules[0], found.inhibit_rules[2])


def test_parts_meet_exactly_where_one_alert_mutes_another() -> None:
    """Random rules and alerts, many of them on both sides."""
    met = 0
    for seed in range(12):
        rng = random.Random(seed)
        rules = [
            random_matchers(rng, "source_") | random_matchers(rng, "target_") | {"equal": rng.sample(NAMES[:4], 1)}
            for _ in range(4)
        ]
        own = load(alertmanager=alertmanager_text({"receiver": "r0"}, inhibit_rules=rules))
        alerts = [random_labels(rng) for _ in range(12)]
        for source, target in itertools.product(alerts, alerts):
            meets = bool(parts(own, source)[0] & parts(own, target)[1])
            assert meets == bool(muting_rules(own, source, target)), (seed, source, target)
            met += meets
    assert met > 40
