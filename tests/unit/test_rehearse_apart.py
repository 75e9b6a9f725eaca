"""Groups of a rule's own: routes that several alerts share are divided by name, and nothing else about them changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig, Labels, Route
from chaoskit.alerting.routing import match_routes
from chaoskit.rehearse.apart import MARK, groups_of, with_a_group_of_theirs, with_own_groups
from chaoskit.rehearse.inputs import ASSUMED
from chaoskit.rehearse.waves import foreign_to, make_waves
from tests.rehearse_examples import proven

RULES = """\
groups:
  - name: shop
    rules:
      - {alert: 'A "quoted"', expr: a > 1, labels: {severity: critical}}
      - {alert: B, expr: b > 1, labels: {severity: critical}}
      - {alert: C, expr: c > 1, labels: {severity: info}}
"""
TREE = """\
route:
  receiver: mail
  group_by: [namespace]
  group_wait: 20s
  routes:
    - matchers: [severity="critical"]
      receiver: pager
      group_interval: 7m
      mute_time_intervals: [nights]
      routes:
        - {matchers: [team="db"], receiver: mail}
receivers:
  - {name: mail, webhook_configs: [{url: http://example.com/}]}
  - {name: pager, pagerduty_configs: [{routing_key: k}]}
time_intervals: [{name: nights, time_intervals: [{times: [{start_time: '22:00', end_time: '24:00'}]}]}]
"""
ONE: Labels = {"namespace": "x", "severity": "critical"}


def config(tree: str = TREE) -> AlertConfig:
    return load_texts({"rules:rules.yml": RULES, "alertmanager:am.yml": tree, "prometheus:prometheus.yml": ASSUMED})


def named(*names: str, labels: Labels = ONE) -> dict[str, Sequence[Labels]]:
    return {name: [{**labels, "alertname": name}] for name in names}


def groups(of: AlertConfig, alerts: Mapping[str, Sequence[Labels]]) -> list[int]:
    """How many alerts are in each group."""
    every = [groups_of(of, instances) for instances in alerts.values()]
    return [sum(group in one for one in every) for group in set[object]().union(*every)]


def settings(route: Route) -> tuple[object, ...]:
    found = route.receiver, route.group_by, route.group_wait_s, route.group_interval_s, route.repeat_interval_s
    return *found, route.muted_in, route.active_in, route.place


def each(alerts: Mapping[str, list[Labels]]) -> list[Labels]:
    return [labels for some in alerts.values() for labels in some]


def test_an_alert_that_relabelling_renames_has_a_group_of_its_own_by_the_name_that_it_is_sent_with() -> None:
    alerts = {"A": [{**ONE, "alertname": "Renamed"}], "B": [{**ONE, "alertname": "B"}]}
    assert groups(with_own_groups(config(), each(alerts)), alerts) == [1, 1]


def test_alerts_that_would_be_told_in_one_group_get_one_each_and_nothing_else_changes() -> None:
    alerts = named('A "quoted"', "B")
    before, after = config(), with_own_groups(config(), each(alerts))
    assert (groups(before, alerts), groups(after, alerts)) == ([2], [1, 1])
    for (labels,) in alerts.values():
        (was,), (now,) = match_routes(before.route, labels), match_routes(after.route, labels)
        assert settings(now) == settings(was)
    stranger = {**ONE, "alertname": "C"}
    assert settings(match_routes(after.route, stranger)[0]) == settings(match_routes(before.route, stranger)[0])
    deeper = {**ONE, "alertname": "B", "team": "db"}
    assert match_routes(after.route, deeper)[0].path == match_routes(before.route, deeper)[0].path == (0, 0)


def test_the_text_that_alertmanager_gets_says_the_same_as_what_is_judged_by() -> None:
    alerts = named('A "quoted"', "B")
    after = with_own_groups(config(), each(alerts))
    again = load_texts(after.sources)
    for (labels,) in alerts.values():
        mine, theirs = match_routes(after.route, labels)[0], match_routes(again.route, labels)[0]
        assert (mine.path, mine.matchers, mine.muted_in) == (theirs.path, theirs.matchers, theirs.muted_in)
        assert mine.matchers[1].label == MARK


@pytest.mark.parametrize(
    ("group_by", "shared"),
    [("group_by: [alertname, job]", 0), ("group_by: ['...']", 0), ("", 2), ("group_by: [job]", 2)],
)
def test_only_what_shares_a_group_is_divided(group_by: str, shared: int) -> None:
    own = config(TREE.replace("group_by: [namespace]", group_by))
    alerts = named('A "quoted"', "B")
    assert (with_own_groups(own, each(alerts)) is own) == (not shared)
    assert groups(with_own_groups(own, each(alerts)), alerts) == [1, 1]


def test_below_a_child_that_goes_on_and_takes_another_instance_a_group_stays_shared_and_the_waves_are_two() -> None:
    """A child of its own would tell that instance twice."""
    own = config(TREE.replace("receiver: mail}\nreceivers", "receiver: mail, continue: true}\nreceivers"))
    alerts = {name: [{**one[0]}, {**one[0], "team": "db"}] for name, one in named("B", 'A "quoted"').items()}
    after = with_own_groups(own, each(alerts))
    assert sorted(groups(after, alerts)) == [1, 1, 2], "only that child itself is divided"
    a, b, _ = own.rules
    both = ({"namespace": "x"}, {"namespace": "x", "team": "db"})
    guesses = [replace(proven(rule, n, rule.expr[0]), results=both) for n, rule in enumerate((a, b))]
    assert [len(wave.members) for wave in make_waves(after, {}, guesses)] == [1, 1]


def test_rules_that_share_no_group_any_more_share_a_wave() -> None:
    own = config()
    guesses = [
        proven(rule, n, rule.expr[0], {"namespace": "x", "instance": f"rehearsal-{n}"})
        for n, rule in enumerate(own.rules[:2])
    ]
    assert [len(wave.members) for wave in make_waves(own, {}, guesses)] == [1, 1]
    after = with_own_groups(own, each(named('A "quoted"', "B")))
    assert [len(wave.members) for wave in make_waves(after, {}, guesses)] == [2]


TWO = """\
groups:
  - name: cart
    rules:
      - {alert: Waits, expr: wait > 3, labels: {severity: warning}}
      - {alert: Hangs, expr: wait > 12, labels: {severity: critical}}
      - {alert: Else, expr: 'wait{job="x"} > 12', labels: {severity: critical}}
"""


@pytest.mark.parametrize("group_by", ["[namespace]", "[instance]", "[alertname]"])
def test_an_alert_is_told_apart_from_what_another_rules_series_make_of_it(group_by: str) -> None:
    """What is severe for the one is more than enough for the other, and true at its rest already."""
    texts = {"rules:r.yml": TWO, "alertmanager:am.yml": TREE.replace("[namespace]", group_by)}
    own = load_texts({**texts, "prometheus:prometheus.yml": ASSUMED})
    guesses = [proven(rule, n, "wait") for n, rule in enumerate(own.rules)]
    mine = [{**g.results[0], **g.subject.rule.labels, "alertname": g.subject.rule.alert} for g in guesses]
    foreign = foreign_to(own, {}, guesses)
    assert sorted((one["alertname"], one["instance"]) for one in foreign) == [
        ("Hangs", "rehearsal-0"),
        ("Hangs", "rehearsal-2"),
        ("Waits", "rehearsal-1"),
        ("Waits", "rehearsal-2"),
    ]
    after = with_own_groups(own, mine, foreign)
    for config in (after, load_texts(after.sources)):
        for one in mine:
            others = [other for other in (*mine, *foreign) if other is not one]
            assert not groups_of(config, [one]) & groups_of(config, others), one
    assert len(make_waves(after, {}, guesses)) == 1


def test_what_a_scenario_expects_shares_its_group_with_nothing_else() -> None:
    alerts = named('A "quoted"', "B")
    after = with_a_group_of_theirs(config(), each(alerts))
    stranger = {**ONE, "alertname": "C"}
    for one in (after, load_texts(after.sources)):
        assert groups(one, alerts) == [2], "as it was"
        assert not groups_of(one, [stranger]) & groups_of(one, [labels for (labels,) in alerts.values()])
    assert groups(config(), {**alerts, "C": [stranger]}) == [3]
