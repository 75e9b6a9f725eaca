"""A difference is what people notice: who hears of what, when, and what keeps them from it; never how it is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from diff_examples import ALERTMANAGER, PROMISE, RULES, config, configurations
from hypothesis import given, settings

from chaoskit.alerting.inhibition import mutes
from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.windows_alert import windows_for
from chaoskit.diff.compare import diff
from chaoskit.diff.model import KINDS, Difference
from chaoskit.diff.output import sentence, to_github, to_json, together


def told(difference: Difference) -> list[str]:
    return [sentence(each) for each in together(difference.changes)]


def changed(old: str, new: str, *, rules: bool = False, promise: str = "") -> Difference:
    """The difference that replacing this text makes."""
    text = RULES if rules else ALERTMANAGER
    assert old in text
    after = text.replace(old, new)
    return diff(config(promise=promise), config(**{"rules" if rules else "alertmanager": after}, promise=promise))


def test_nothing_differs_from_itself() -> None:
    assert diff(config(), config()).empty


def test_reordered_keys_comments_and_other_spellings_make_no_difference() -> None:
    rewritten = """\
# a comment
receivers:
  - email_configs:
      - send_resolved: true
        to: "ops@example.com"
    name: workers
  - {name: critical, webhook_configs: [{url: 'http://localhost/critical'}]}
  - {name: everybody, email_configs: [{send_resolved: true, to: all@example.com}]}
inhibit_rules:
  - target_matchers: ['alertname = "Errors"']
    source_matchers: ['alertname = WorkerDown']
route:
  routes:
    - continue: true
      group_wait: 10s
      receiver: critical
      matchers: ['{severity="critical"}']
    - {receiver: workers, match: {component: worker}, group_wait: 30s}
  group_by: [alertname]
  receiver: everybody
"""
    rules = RULES.replace(
        "count(worker_up == 0) > 0", "|\n          # dead\n          count( worker_up==0 )\n            > 0"
    )
    rules = rules.replace("for: 1m", "for: 60s")
    assert diff(config(), config(rules, rewritten)).empty


def test_a_route_without_continue_hides_the_next_one_and_is_named() -> None:
    found = changed("      continue: true\n", "", promise=PROMISE)
    assert told(found) == [
        "WorkerDown -> workers: 90–132 s becomes never (route 2 is now shadowed by route 1 (a.yml:5))"
    ]
    assert [each.message for each in found.broken] == ["WorkerDown is promised to workers, and goes to critical"]


def test_a_broken_promise_counts_by_the_old_promise_too() -> None:
    after = ALERTMANAGER.replace("      continue: true\n", "")
    found = diff(config(), config(alertmanager=after, promise=PROMISE.replace("workers", "critical")))
    assert "old" in {each.whose for each in found.broken}


def test_what_was_broken_before_is_not_this_changes_doing() -> None:
    broken = config(alertmanager=ALERTMANAGER.replace("      continue: true\n", ""))
    assert diff(broken, broken).empty
    mended = diff(broken, config())
    assert not mended.broken
    assert mended.mended == ("WorkerDown is promised to workers, and goes to critical",)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('alertname="Errors"', 'alertname="DiskLow"', "DiskLow: now muted by WorkerDown"),
        ('alertname="Errors"', 'alertname="DiskLow"', "Errors: no longer muted by WorkerDown"),
        (
            "group_wait: 10s",
            "group_wait: 1m",
            "from fault to phone: 70–112 s becomes 120–162 s (group_wait 10s becomes",
        ),
        ("group_wait: 10s", "group_wait: 10s\n      group_interval: 1m", "where its group has told before: 60–402 s"),
        ("group_wait: 10s", "group_wait: 10s\n      repeat_interval: 1h", "critical: said again every: 4h becomes 1h"),
        (
            "ops@example.com, send",
            "on-call@example.com, send",
            "workers: mails go to: ops@example.com becomes on-call@",
        ),
        ("ops@example.com, send_resolved: true", "ops@example.com", "email tells the all-clear: yes becomes no"),
        (
            "localhost/critical",
            "localhost/other",
            "webhook url: http://localhost/critical becomes http://localhost/oth",
        ),
        ("group_by: [alertname]", "group_by: [severity]", "one notice for each: alertname becomes severity"),
        ('component="worker"', 'component="workers"', "route 2 wants component=\"workers\", and component is 'worker'"),
        ("      receiver: workers", "      receiver: everybody", "no route leads to workers any more"),
    ],
)
def test_a_change_of_routes_or_receivers_is_said_for_people(old: str, new: str, said: str) -> None:
    assert any(said in line for line in told(changed(old, new))), told(changed(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("< 0.1", "< 0.2", "DiskLow: fires on: min(disk_free) < 0.1 becomes min(disk_free) < 0.2"),
        ("for: 5m", "for: 10m", "DiskLow: for: 5m becomes 10m"),
        ("severity: warning", "severity: critical", "DiskLow: severity: warning becomes critical"),
        ("severity: warning", "severity: critical", "DiskLow -> critical: never becomes"),
        ("severity: warning", "severity: critical", "DiskLow -> everybody: 330–372 s becomes never"),
        ("alert: DiskLow", "alert: DiskFull", "DiskLow is now called DiskFull"),
        ("A worker is down", "Wake up", "WorkerDown: summary: A worker is down becomes Wake up"),
        ("errors_total[5m]", "errors_total[10m]", "Errors: ratio, which it reads, is: "),
    ],
)
def test_a_change_of_rules_is_said_for_people(old: str, new: str, said: str) -> None:
    assert any(said in line for line in told(changed(old, new, rules=True))), told(changed(old, new, rules=True))


def test_an_alert_that_comes_and_one_that_goes_are_told_with_who_hears_of_them() -> None:
    before = RULES[: RULES.index("      - alert: Errors")]
    silent = ALERTMANAGER.replace('alertname="Errors"', 'alertname="X"')
    come = diff(config(before, silent, ""), config(RULES, silent, ""))
    assert told(come) == ["Errors is new; it is told to: critical 10–352 s"]
    gone = diff(config(RULES, silent, ""), config(before, silent, ""))
    assert told(gone) == ["Errors is gone; it was told to: critical 10–352 s"]


def test_quiet_times_count_by_what_they_say() -> None:
    def quiet(key: str, when: str) -> AlertConfig:
        text = ALERTMANAGER.replace("      receiver: workers\n", f"      receiver: workers\n      {key}: [n]\n")
        return config(
            alertmanager=f"{text}time_intervals:\n  - name: n\n    time_intervals: [{{weekdays: [{when}]}}]\n"
        )

    mute, active = quiet("mute_time_intervals", "monday"), quiet("active_time_intervals", "monday")
    assert told(diff(config(), mute)) == [
        "WorkerDown -> workers: always told becomes silent in n",
        'time interval n: nothing becomes [{"weekdays": ["monday"]}]',
    ]
    assert told(diff(mute, active)) == ["WorkerDown -> workers: silent in n becomes only in n"]
    assert len(told(diff(mute, quiet("mute_time_intervals", "sunday")))) == 1


def test_the_texts_of_notices_are_what_people_read() -> None:
    before = replace(config(), sources={**config().sources, "template:t.tmpl": "a"})
    after = replace(config(), sources={**config().sources, "template:t.tmpl": "b"})
    assert [each.kind for each in diff(before, after).changes] == ["text"]


def test_alike_changes_of_many_alerts_are_told_once() -> None:
    rules = RULES + "".join(
        f"      - {{alert: More{i}, expr: min(x{i}) > 0, for: 1m, labels: {{severity: critical}}}}\n" for i in range(9)
    )
    after = ALERTMANAGER.replace("group_wait: 10s", "group_wait: 20s")
    assert any(
        line.startswith("WorkerDown, More0, More1 and 7 more -> critical: ")
        for line in told(diff(config(rules), config(rules, after)))
    )


def test_machines_read_the_same() -> None:
    found = changed("      continue: true\n", "", promise=PROMISE)
    read = json.loads(to_json(found))
    assert read["different"]
    assert read["changes"][0]["new"] == "never"
    assert read["broken"][0]["promise"] == "new"
    lines = list(to_github(found))
    assert lines[0].startswith("::error file=w.yml,line=5,title=promise broken::WorkerDown is promised")
    assert lines[1].startswith("::warning file=a.yml,line=9,title=lost::WorkerDown -> workers: 90–132 s becomes never")


def seen(config_: AlertConfig) -> object:
    """Receivers, windows and mutes of every alert, from the exact semantics and without an index."""
    alerts = [rule for rule in config_.rules if rule.alert]
    labels = {rule.alert: {**rule.labels, "alertname": rule.alert} for rule in alerts}
    return [
        (
            rule.alert,
            {
                (each.receiver, d.notify.lo_vs, d.notify.hi_vs, d.all_clear is None)
                for each in windows_for(config_, rule, rule.labels).receivers
                for d in each.deliveries
            },
            {
                source.alert
                for source in alerts
                for inhibition in config_.inhibit_rules
                if mutes(inhibition, labels[source.alert], labels[rule.alert])
            },
        )
        for rule in alerts
    ]


@settings(max_examples=150)
@given(configurations())
def test_any_configuration_is_no_different_from_itself(one: AlertConfig) -> None:
    assert diff(one, one).empty


@settings(max_examples=300)
@given(configurations(), configurations())
def test_a_difference_is_empty_exactly_where_receivers_windows_and_mutes_are_equal(
    one: AlertConfig, other: AlertConfig
) -> None:
    assert diff(one, other).empty == (seen(one) == seen(other))


def test_every_kind_of_change_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "explain-and-diff.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in text] == []
