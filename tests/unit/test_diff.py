"""A difference is what people notice: who hears of what, when, and what keeps them from it; never how it is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from diff_examples import ALERTMANAGER, PROMISE, RULES, config, configurations
from hypothesis import given, settings

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig
from chaoskit.diff.compare import diff
from chaoskit.diff.model import KINDS, Difference
from chaoskit.diff.output import sentence, to_github, to_json, together
from tests.alerting_examples import mutes, notices_of


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


def test_a_bound_to_the_phone_that_a_change_breaks_is_told() -> None:
    promise = PROMISE.replace("WorkerDown: {", "WorkerDown: {phone: {workers: 3m}, ")
    slower = ALERTMANAGER.replace("receiver: workers\n", "receiver: workers\n      group_wait: 5m\n", 1)
    said = [each.message for each in diff(config(promise=promise), config(promise=promise, alertmanager=slower)).broken]
    assert any("WorkerDown is promised the first notice at workers within 3m" in each for each in said)
    eased = diff(config(promise=promise, alertmanager=slower), config(promise=promise.replace("3m", "9m")))
    assert not eased.broken


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
        (
            "localhost/critical",
            "localhost/T0123456789abcdef",
            "url: http://localhost/critical becomes http://localhost/<s",
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


SECRETS = [
    "slack_configs: [{api_url: 'https://chat.example.com/KEY', channel: '#shop'}]",
    "pagerduty_configs: [{routing_key: KEY}]",
    "webhook_configs: [{url: 'http://h/', http_config: {basic_auth: {username: KEY, password: same}}}]",
    "telegram_configs: [{bot_token: same, chat_id: KEY}]",
]


@pytest.mark.parametrize("integration", SECRETS)
def test_a_secret_that_decides_who_hears_is_told_to_be_another_and_not_shown(integration: str) -> None:
    first, same, other = (
        config(alertmanager=ALERTMANAGER.replace("webhook_configs: [{url: http://localhost/critical}]", written))
        for written in (integration, f"{integration} # again", integration.replace("KEY", "CANARY-0123456789"))
    )
    assert diff(first, same).empty
    assert not diff(first, other).empty
    assert any("another one" in line for line in told(diff(first, other))), told(diff(first, other))
    assert "CANARY" not in str(diff(first, other))
    assert "<secret " not in str((diff(first, other), first.sources))


def test_a_password_that_prometheus_needs_is_another_one_of_which_nobody_can_tell() -> None:
    given = "  - job_name: other\n    basic_auth: {username: u, password: KEY}"
    sides = [shown(PROMETHEUS.replace("  - job_name: other", given.replace("KEY", key))) for key in ("one", "CANARY")]
    (doubt,) = diff(*sides).doubts
    assert doubt.message.endswith(", another one")
    assert "CANARY" not in doubt.message
    assert "<secret " not in doubt.message


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
                (receiver, notice.lo_vs, notice.hi_vs, ending is None)
                for receiver, notice, ending in notices_of(config_, rule)
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


@settings(max_examples=40)
@given(configurations())
def test_any_configuration_is_no_different_from_itself(one: AlertConfig) -> None:
    assert diff(one, one).empty


@settings(max_examples=100)
@given(configurations(), configurations())
def test_a_difference_is_empty_exactly_where_receivers_windows_and_mutes_are_equal(
    one: AlertConfig, other: AlertConfig
) -> None:
    assert diff(one, other).empty == (seen(one) == seen(other))


PROMETHEUS = """\
global: {scrape_interval: 15s, evaluation_interval: 15s, external_labels: {site: one}}
rule_files: [r.yml]
alerting:
  alertmanagers:
    - static_configs: [{targets: ['am-1:9093', 'am-2:9093']}]
scrape_configs:
  - job_name: crm
    static_configs: [{targets: ['crm:9091']}]
  - job_name: other
    scrape_interval: 1m
    static_configs: [{targets: ['other:1']}]
"""


def shown(prometheus: str, rules: str = RULES, alertmanager: str = ALERTMANAGER) -> AlertConfig:
    return load_texts({"prometheus:p.yml": prometheus, "rules:r.yml": rules, "alertmanager:a.yml": alertmanager})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (PROMETHEUS[PROMETHEUS.index("alerting:") : PROMETHEUS.index("scrape_configs")], ""),
        ("[{targets: ['am-1:9093', 'am-2:9093']}]", "[]"),
        ("targets: ['am-1:9093', 'am-2:9093']", "targets: []"),
        ("    - static_configs: [{targets: ['am-1:9093', 'am-2:9093']}]", "    - {scheme: https}"),
        ("    - static_configs: [{targets: ['am-1:9093', 'am-2:9093']}]", "    - dns_sd_configs: []"),
    ],
    ids=["no alerting", "no group", "no target", "a section without targets", "an empty discovery"],
)
def test_without_an_alertmanager_nobody_hears_of_anything(old: str, new: str) -> None:
    assert old in PROMETHEUS
    silent = shown(PROMETHEUS.replace(old, new))
    found = diff(shown(PROMETHEUS), silent)
    said = "every alert: no longer sent (Prometheus sends to no Alertmanager)"
    assert told(found) == [said]
    assert [each.message for each in found.broken] == [said]
    back = diff(silent, shown(PROMETHEUS))
    assert told(back) == ["every alert: sent now, not before (Prometheus sent to no Alertmanager)"]
    assert not back.broken


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("'am-2:9093'", "'am-3:9093'", "tells: am-1:9093, am-2:9093 becomes am-1:9093, am-3:9093"),
        ("{site: one}", "{site: two}", "every alert, site: one becomes two (Prometheus adds external_labels"),
        ("{site: one}", "{site: one, env: x}", "every alert, env: none becomes x"),
        ("scrape_interval: 1m", "scrape_interval: 2m", "job other: scraped every: 1m becomes 2m"),
        ("scrape_interval: 1m", "{0}\n    scrape_timeout: 1s", "job other: given up after: 10s becomes 1s"),
        ("evaluation_interval: 15s", "evaluation_interval: 30s", "evaluated every: 15s becomes 30s"),
        ("evaluation_interval: 15s", "{0}, rule_query_offset: 1m", "evaluated in the past by: 0s becomes 1m"),
    ],
)
def test_what_prometheus_itself_decides_is_told(old: str, new: str, said: str) -> None:
    assert old in PROMETHEUS
    found = diff(shown(PROMETHEUS), shown(PROMETHEUS.replace(old, new.replace("{0}", old))))
    assert any(said in line for line in told(found)), told(found)
    assert not found.doubts


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  - job_name: other", "  - job_name: third", "which alerts read what scrape job other brings, which is gone"),
        ("  - job_name: other", "  - job_name: third", "which alerts read what scrape job third brings, which is new"),
        ("['crm:9091']", "['crm:9092']", "scrape job crm static_configs: crm:9091 becomes crm:9092"),
        ("'crm:9091']", "'crm:9091'], labels: {a: b}", 'static_configs: crm:9091 becomes crm:9091 {"a": "b"}'),
        ("  - job_name: crm", "{0}\n    metrics_path: /m", "scrape job crm metrics_path: /metrics becomes /m"),
        ("  - job_name: crm", "{0}\n    honor_labels: true", "scrape job crm honor_labels: false becomes true"),
        ("  - job_name: crm", "{0}\n    relabel_configs: [{action: drop}]", "scrape job crm relabel_configs: nothing"),
        (
            "  - job_name: crm",
            "{0}\n    metric_relabel_configs: [{}]",
            "scrape job crm metric_relabel_configs: nothing",
        ),
        ("  - job_name: crm", "{0}\n    sample_limit: 5", "scrape job crm sample_limit: nothing becomes 5"),
        ("alerting:", "{0}\n  alert_relabel_configs: [{action: drop}]", "alerting alert_relabel_configs: nothing"),
        (
            "    - static_configs",
            "    - scheme: https\n      static_configs",
            "how Prometheus reaches its Alertmanagers",
        ),
        (
            "    - static_configs",
            "    - relabel_configs: [{action: drop}]\n      static_configs",
            "whether alerts arrive",
        ),
        ("scrape_interval: 15s", "{0}, sample_limit: 3", "global sample_limit: nothing becomes 3"),
        ("rule_files:", "remote_read: [{url: 'http://x/'}]\n{0}", "whether alerts see the same remote_read: nothing"),
        ("rule_files:", "storage: {tsdb: {}}\n{0}", "whether alerts see the same storage: nothing"),
    ],
)
def test_what_the_texts_do_not_tell_is_said(old: str, new: str, said: str) -> None:
    """No difference is claimed, and the machines' formats say so too."""
    assert old in PROMETHEUS
    found = diff(shown(PROMETHEUS), shown(PROMETHEUS.replace(old, new.replace("{0}", old), 1)))
    assert any(said in doubt.message for doubt in found.doubts), found.doubts
    assert not found.empty
    assert said in " ".join(each["message"] for each in json.loads(to_json(found))["cannot_tell"])
    assert any(line.startswith("::warning") and "cannot tell" in line for line in to_github(found))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("'am-1:9093', 'am-2:9093'", "'am-2:9093', 'am-1:9093'"),
        ("    - static_configs", "    - scheme: http\n      api_version: v2\n      timeout: 10s\n      static_configs"),
        ("  - job_name: crm", "{0}\n    metrics_path: /metrics\n    scheme: http\n    honor_labels: false"),
        ("  - job_name: crm", "{0}\n    scrape_interval: 15s"),
        ("scrape_interval: 15s", "{0}, query_log_file: /tmp/q"),
        ("rule_files: [r.yml]", "rule_files: ['*.yml']"),
        ("rule_files:", "remote_write: [{url: 'http://x/'}]\ntracing: {endpoint: x}\n{0}"),
        ("  - job_name: other", "  # a comment\n{0}"),
    ],
)
def test_what_prometheus_does_with_or_without_it_is_no_difference(old: str, new: str) -> None:
    assert old in PROMETHEUS
    after = shown(PROMETHEUS.replace(old, new.replace("{0}", old), 1))
    assert diff(shown(PROMETHEUS), after).empty
    if "rule_files: [" in old:
        assert diff(shown(PROMETHEUS), after, rules_given=True).doubts


def test_a_side_without_a_prometheus_configuration_leaves_open_what_it_does() -> None:
    one = shown(PROMETHEUS)
    without = replace(one, sources={key: text for key, text in one.sources.items() if "prometheus" not in key})
    (doubt,) = diff(one, without).doubts
    assert doubt.message == "the new side shows no Prometheus configuration"


def test_a_record_that_only_an_annotation_s_query_reads_is_part_of_the_words() -> None:
    asking = RULES.replace("A worker is down", "'Ratio {{ query \"ratio\" | first | value }}'")
    found = diff(config(asking), config(asking.replace("requests_total[5m]", "requests_total[1h]")))
    assert any(line.startswith("WorkerDown: ratio, which the notice's text asks for, is: ") for line in told(found)), (
        told(found)
    )


def test_a_text_that_only_speaks_of_a_query_asks_for_no_record() -> None:
    speaking = RULES.replace("A worker is down", "'{{ $labels.job }}: the query of its ratio is {{ $value }}'")
    found = diff(config(speaking), config(speaking.replace("requests_total[5m]", "requests_total[1h]")))
    assert not any("WorkerDown" in line for line in told(found))


def test_a_group_s_limit_decides_what_fires() -> None:
    after = RULES.replace("  - name: g\n", "  - name: g\n    limit: 3\n")
    assert any("(limit): none becomes 3" in line for line in told(diff(config(), config(after))))


OPEN_RULES = RULES.replace("count(worker_up == 0) > 0", "worker_up == 0").replace("sum(ratio)", "ratio")
OPEN_RULES = OPEN_RULES.replace("sum(rate(errors_total[5m]))", "rate(errors_total[5m])")


def test_labels_that_must_be_equal_count_where_only_the_series_know_them() -> None:
    def equal(labels: str) -> AlertConfig:
        rule = '    target_matchers: [alertname="Errors"]\n'
        assert rule in ALERTMANAGER
        return config(OPEN_RULES, ALERTMANAGER.replace(rule, f"{rule}    equal: [{labels}]\n"))

    found = told(diff(equal("cluster"), equal("cluster, zone")))
    assert len(found) == 1
    assert "Errors: muted by WorkerDown where cluster is the same for both becomes where cluster is" in found[0]
    assert diff(equal("cluster"), equal("cluster")).empty


def test_routes_that_hang_on_labels_of_the_series_are_no_proof_of_no_difference() -> None:
    def team(name: str, more: str = "") -> AlertConfig:
        last = '    - matchers: [component="worker"]\n'
        assert last in ALERTMANAGER
        return config(OPEN_RULES, ALERTMANAGER.replace(last, f'    - matchers: [team="{name}"{more}]\n'))

    assert diff(team("a"), team("a")).empty
    found = diff(team("a"), team("b"))
    assert {doubt.message.split()[1] for doubt in found.doubts} == {"WorkerDown", "Errors"}
    assert not diff(team("a", ', alertname="DiskLow"'), team("b", ', alertname="DiskLow"')).doubts


def test_every_kind_of_change_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "explain-and-diff.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in text] == []
