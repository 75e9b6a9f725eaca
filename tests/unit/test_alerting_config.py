"""Configurations are read as Prometheus and Alertmanager read them, and every mistake is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from alerting_examples import ALERTMANAGER, PROMETHEUS, RULES, load

from chaoskit.alerting import config as reader
from chaoskit.alerting.config import load_config, load_texts
from chaoskit.alerting.integrations import SEND_RESOLVED
from chaoskit.alerting.model import Integration, ScrapeJob
from chaoskit.alerting.rules import read_rules
from chaoskit.errors import BadInput, Place

ROUTE = "route: {receiver: a}\nreceivers: [{name: a}]\n"


def problems(**texts: str) -> list[str]:
    """What is wrong, and what is not understood, which the programs would have to settle."""
    try:
        config = load(**texts)
    except BadInput as bad:
        return [str(problem) for problem in bad.problems]
    assert config.not_understood
    return [str(each.problem) for each in config.not_understood]


def test_rules_are_read_in_order_with_their_places_and_defaults() -> None:
    config = load(
        """groups:
- name: g
  interval: 30s
  rules:
  - record: job:errors:rate5m
    expr: sum(rate(errors[5m]))
  - alert: Twice
    expr: up == 0
    for: 1m30s
    keep_firing_for: 7m
    labels: {severity: 3}
    annotations: {summary: down}
- name: h
  rules:
  - {alert: Twice, expr: up == 1}
"""
    )
    recorded, first, second = config.rules
    assert (recorded.record, recorded.alert, recorded.interval_s) == ("job:errors:rate5m", "", 30)
    assert (first.for_s, first.keep_firing_for_s, first.labels, first.group) == (90, 420, {"severity": "3"}, "g")
    assert first.place == Place("rules.yml", 7)
    assert (second.for_s, second.interval_s) == (0, 15)
    assert config.alert_rules("Twice") == (first, second)
    assert config.alert_rules("job:errors:rate5m") == ()


def test_scrape_settings_have_the_defaults_of_prometheus() -> None:
    config = load(
        prometheus="""
global: {scrape_timeout: 7s, external_labels: {site: x}}
scrape_configs:
  - {job_name: a, static_configs: [{targets: [x]}], unknown_discovery: {}}
  - {job_name: b, scrape_interval: 5s}
  - {job_name: c, scrape_interval: 2m, scrape_timeout: 1m30s}
"""
    )
    assert config.jobs == (ScrapeJob("a", 60, 7), ScrapeJob("b", 5, 5), ScrapeJob("c", 120, 90))
    assert config.evaluation_interval_s == 60
    assert config.external_labels == {"site": "x"}
    assert load(prometheus="scrape_configs: [{job_name: a}]").jobs == (ScrapeJob("a", 60, 10),)


def test_routes_inherit_what_they_do_not_set() -> None:
    root = load(
        alertmanager="""
route:
  receiver: a
  repeat_interval: 1h
  routes:
    - {matchers: [x=1], receiver: b, group_wait: 10s, continue: true, mute_time_intervals: [night],
       routes: [{matchers: [y=1], group_interval: 2m}]}
receivers: [{name: a}, {name: b}]
time_intervals: [{name: night}]
"""
    ).route
    assert (root.group_wait_s, root.group_interval_s, root.repeat_interval_s, root.group_by) == (30, 300, 3600, ())
    child = root.children[0]
    assert (child.receiver, child.group_wait_s, child.continues, child.muted_in) == ("b", 10, True, ("night",))
    below = child.children[0]
    assert (below.path, below.receiver, below.group_wait_s, below.group_interval_s) == ((0, 0), "b", 10, 120)
    assert (below.continues, below.muted_in, child.active_in) == (False, (), ())


def test_only_some_integrations_tell_of_the_end_unless_told_to() -> None:
    kinds = {"email": "[{to: x@example.com}]", "slack": "[{channel: x}]", "webhook": "[{url: x}]", "pagerduty": "[{}]"}
    written = ", ".join(f"{kind}_configs: {entries}" for kind, entries in kinds.items())
    config = load(
        alertmanager=f"""
route: {{receiver: a}}
receivers:
  - {{name: a, {written}}}
  - name: b
    email_configs:
      - {{to: 'Ops <ops@example.com>, "Night, Shift" <night@example.com>', send_resolved: true}}
      - {{to: '{{{{ .GroupLabels.owner }}}}', send_resolved: no}}
    zulip_configs: [{{}}]
"""
    )
    told = {each.kind: each.send_resolved for each in config.receivers["a"].integrations}
    assert told == {"email": False, "slack": False, "webhook": True, "pagerduty": True}
    assert config.receivers["b"].integrations == (
        Integration("email", 0, True, ("ops@example.com", "night@example.com")),
        Integration("email", 1, False, ("{{ .GroupLabels.owner }}",)),
        Integration("zulip", 0, True),
    )
    assert {kind for kind, told in SEND_RESOLVED.items() if not told} == {"email", "slack", "wechat", "rocketchat"}


def test_every_problem_of_every_file_is_named_at_once_with_its_line() -> None:
    found = problems(
        prometheus="global: {scrape_interval: 15}\nscrape_configs:\n- {job_name: a, scrape_timeout: 2m}\n",
        rules="groups:\n- name: g\n  rules:\n  - {alert: A, expr: up ==, fro: 1m}\n  - {record: r, alert: B}\n",
        alertmanager="route:\n  receiver: aa\n  continue: true\nreceivers:\n- name: a\n  emial_configs: []\n",
        promise="chaoskit: 1\nalerts:\n  AA: {}\n",
    )
    assert [line.partition(": ")[0] for line in found] == [
        "alertmanager.yml:2",
        "alertmanager.yml:3",
        "alertmanager.yml:6",
        "notification_windows.yml:3",
        "prometheus.yml:1",
        "prometheus.yml:3",
        "rules.yml:4",
        "rules.yml:4",
        "rules.yml:5",
        "rules.yml:5",
    ]


@pytest.mark.parametrize(
    ("alertmanager", "expected"),
    [
        ("receivers: [{name: a}]", "no 'route' is given"),
        ("route: {}\nreceivers: [{name: a}]", "the root route has no 'receiver'"),
        ("route: {receiver: a, matchers: [x=1]}\nreceivers: [{name: a}]", "must not have 'matchers'"),
        ("route: {receiver: b}\nreceivers: [{name: a}]", "the receiver 'b' is not defined in receivers"),
        ("route: {receiver: critcal}\nreceivers: [{name: critical}]", "did you mean 'critical'?"),
        ("route: {receiver: a}\nreceivers: [{name: a}, {name: a}]", "defined twice (first on line 2"),
        ("route: {receiver: a, group_by: ['...', x]}\nreceivers: [{name: a}]", "'...' beside other labels"),
        ("route: {receiver: a, group_by: [x, x]}\nreceivers: [{name: a}]", "'x' appears twice in group_by"),
        ("route: {receiver: a, group_interval: 0s}\nreceivers: [{name: a}]", "group_interval cannot be zero"),
        ("route: {receiver: a, group_wait: 30}\nreceivers: [{name: a}]", "'30' is not a duration"),
        ("route: {receiver: a, routes: [{matchers: ['a']}]}\nreceivers: [{name: a}]", "'a' is not a matcher"),
        ("route: {receiver: a, routes: [{matchers: ['a=~\"(\"']}]}\nreceivers: [{name: a}]", "missing )"),
        ("route: {receiver: a, routes: [{match_re: {a: '(?=x)'}}]}\nreceivers: [{name: a}]", "not a regular expr"),
        ("route: {receiver: a, routes: [{match: {1a: x}}]}\nreceivers: [{name: a}]", "'1a' in 'match' is not a label"),
        ("route: {receiver: a, routes: [{mute_time_intervals: [x]}]}\nreceivers: [{name: a}]", "time interval 'x'"),
        (ROUTE + "inhibit_rules: [{source_matcher: [a=b]}]", "did you mean 'source_matchers'?"),
        (ROUTE + "inhibit_rule: []", "did you mean 'inhibit_rules'?"),
        ("route: {receiver: a}\nreceivers: [{name: a, email_configs: [{}]}]", "has no 'to'"),
        ("route: {receiver: a}\nroute: {receiver: a}\nreceivers: [{name: a}]", "the key 'route' appears twice"),
        ("route: [receiver", "is not valid YAML"),
    ],
)
def test_what_alertmanager_would_refuse_is_refused(alertmanager: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(alertmanager=alertmanager))


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("groups: [{name: g, rules: [{alert: A}]}]", "the rule 'A' has no 'expr'"),
        ("groups: [{name: g, rules: [{expr: up}]}]", "neither 'alert' nor 'record'"),
        ("groups: [{name: g, rules: [{record: a b, expr: up}]}]", "'a b' is not a metric name"),
        ("groups: [{name: g, rules: [{record: r, expr: up, for: 1m}]}]", "a recording rule cannot have 'for'"),
        ("groups: [{name: g}, {name: g}]", "the group 'g' is defined twice"),
        ("groups: [{name: g, rules: [{alert: A, expr: up, for: -1m}]}]", "'-1m' is not a duration"),
        ("groups: [{name: g, rules: {}}]", "'rules' is a mapping, expected a list"),
        ("groups: []", "there is no alerting rule"),
    ],
)
def test_what_prometheus_would_refuse_in_a_rule_file_is_refused(rules: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(rules=rules))


@pytest.mark.parametrize(
    ("prometheus", "expected"),
    [
        ("global: {}", "no scrape_configs"),
        ("scrape_configs: [{job_name: a}, {job_name: a}]", "the job 'a' is defined twice"),
        ("scrape_configs: [{}]", "a scrape config has no 'job_name'"),
        ("scrape_config_files: [x]", "scrape_config_files is not followed"),
    ],
)
def test_what_would_leave_rules_without_data_is_refused(prometheus: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(prometheus=prometheus))


def folder(path: Path, **files: str) -> Path:
    texts = {
        "prometheus_config.yml": PROMETHEUS,
        "rules.yml": RULES,
        "alertmanager.yml": ALERTMANAGER,
        "notification_windows.yml": "chaoskit: 1\n",
    }
    for name, text in (texts | files).items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return path


def test_a_folder_is_read_by_the_patterns_that_its_files_name(tmp_path: Path) -> None:
    prometheus = PROMETHEUS.replace("[rules.yml]", "[/etc/prometheus/r*.yml, 'more/*.yml', rules.yml]")
    files = {
        "prometheus_config.yml": prometheus,
        "more/b.yml": RULES.replace("WorkerDown", "Second"),
        "not_named.yml": RULES.replace("WorkerDown", "Third"),
        "alertmanager.yml": ALERTMANAGER + "templates: ['templates/*.tmpl']\n",
        "templates/mail.tmpl": "{{ define }}",
    }
    config = load_config(folder(tmp_path, **files), complete=True)
    assert [rule.alert for rule in config.rules] == ["WorkerDown", "Second"]
    assert sorted(config.sources) == [
        "alertmanager:alertmanager.yml",
        "prometheus:prometheus_config.yml",
        "promise:notification_windows.yml",
        "rules:more/b.yml",
        "rules:rules.yml",
        "template:templates/mail.tmpl",
    ]
    assert load_texts(config.sources) == config


def test_a_folder_may_hold_its_rules_as_kubernetes_keeps_them(tmp_path: Path) -> None:
    """Each manifest of a file is one rule file of the history, and a rule's place is the one in the file."""
    groups = "\n".join(f"  {line}" for line in RULES.splitlines())
    head = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec:\n"
    second = groups.replace("WorkerDown", "Second")
    config = load_config(folder(tmp_path, **{"rules.yml": f"{head}{groups}\n---\n{head}{second}\n"}), complete=True)
    assert [rule.alert for rule in config.rules] == ["WorkerDown", "Second"]
    assert {rule.place.file for rule in config.rules} == {"rules.yml"}
    assert [key for key in config.sources if key.startswith("rules:")] == [
        "rules:rules.yml",
        "rules:rules.yml (document 2)",
    ]
    assert [rule.alert for rule in load_texts(config.sources).rules] == ["WorkerDown", "Second"]


def test_a_pattern_that_leads_to_no_file_is_a_problem_and_so_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"prometheus_config.yml:3: 'gone/\*.yml' leads to no file"):
        load_config(
            folder(tmp_path, **{"prometheus_config.yml": PROMETHEUS.replace("rules.yml", "gone/*.yml")}), complete=True
        )
    (tmp_path / "notification_windows.yml").unlink()
    (tmp_path / "alertmanager.yml").unlink()
    with pytest.raises(BadInput) as caught:
        load_config(tmp_path, complete=True)
    assert len(caught.value.problems) == 2
    with pytest.raises(BadInput, match="is not a folder"):
        load_config(tmp_path / "nowhere", complete=True)


def test_problems_in_a_folder_name_paths_that_can_be_opened(tmp_path: Path) -> None:
    (puzzle,) = load_config(
        folder(tmp_path, **{"rules.yml": RULES.replace("for:", "fro:")}), complete=True
    ).not_understood
    assert puzzle.problem.place == Place(str(tmp_path / "rules.yml"), 7)
    with pytest.raises(BadInput) as caught:
        load_config(folder(tmp_path, **{"alertmanager.yml": ALERTMANAGER + "route: []\n"}), complete=True)
    assert {each.place.file for each in caught.value.problems if each.place} == {str(tmp_path / "alertmanager.yml")}


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for name, text in (("one", PROMETHEUS), ("two", ALERTMANAGER)):
        folder(tmp_path / name, **{"config.yml": text})
    rules = [str(tmp_path / "one" / "rules.yml")]
    one, two = tmp_path / "one" / "config.yml", tmp_path / "two" / "config.yml"
    config = load_config(prometheus=one, alertmanager=two, rules=rules, complete=True)
    assert sorted(config.sources) == [
        f"alertmanager:{tmp_path / 'two' / 'config.yml'}",
        "prometheus:config.yml",
        "rules:rules.yml",
    ]
    with pytest.raises(BadInput, match="cannot be read"):
        load_config(prometheus=tmp_path / "gone.yml", alertmanager=two, complete=True)


def test_texts_without_a_role_or_twice_for_one_are_refused() -> None:
    texts = {"prometheus:a": PROMETHEUS, "prometheus:b": PROMETHEUS, "rule:c": RULES}
    with pytest.raises(BadInput) as caught:
        load_texts(texts)
    said = str(caught.value)
    assert "'rule' is not a role of a file (did you mean 'rules'?)" in said
    assert "no alertmanager configuration" in said
    assert "b: is a second prometheus file" in said


SECRETS = """
global:
  smtp_auth_password: hunter2-a
  slack_api_url: https://hooks.example.com/hunter2-b
  smtp_auth_password_file: /etc/kept
route: {receiver: a, routes: [{match: {token: kept}}]}
receivers:
  - name: a
    pagerduty_configs: [{routing_key: 'hunter2-c', send_resolved: false}]
    slack_configs: [{api_url: https://hunter2-d/, channel: '#kept'}]
    email_configs:
      - to: kept@example.com
        auth_password: |
          hunter2-e
          hunter2-f
        headers: {Subject: kept}
    webhook_configs:
      - url: http://user:hunter2-g@kept.example.com/alerts/critical?token=hunter2-h
        http_config: {authorization: {credentials: "hunter2-i"}, basic_auth: {password: hunter2-j}}
      - url: http://kept.example.com/hunter2abcdefghijkl0
"""


def test_secrets_are_left_out_of_the_sources_and_nothing_else_changes() -> None:
    prometheus = PROMETHEUS + "remote_write: [{url: 'http://u:hunter2@x/', bearer_token: hunter2}]\n"
    config = load(alertmanager=SECRETS, prometheus=prometheus)
    text = config.sources["alertmanager:alertmanager.yml"]
    assert "hunter2" not in "".join(config.sources.values())
    assert text.count("kept") == SECRETS.count("kept")
    assert "/alerts/critical?" in text
    assert text.count("\n") == SECRETS.count("\n")
    again = load_texts(config.sources)
    assert again == config


def test_an_empty_group_by_means_another_thing_to_a_newer_alertmanager() -> None:
    """It inherits up to 0.28 and groups by nothing in 0.33, which only matters below a route that groups."""
    text = "route: {receiver: a, group_by: [x], routes: [{receiver: b, group_by: [], routes: [{receiver: c}]}]}\n"
    receivers = "receivers: [{name: a}, {name: b}, {name: c}]\n"
    (puzzle,) = load(alertmanager=text + receivers).not_understood
    assert (puzzle.of, puzzle.newer) == (("b", "c"), True)
    assert load(alertmanager=text.replace("[x]", "[]") + receivers).not_understood == ()


def test_a_text_that_two_configurations_have_in_common_is_read_once_and_every_place_is_in_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with it as well; as if each had been read alone."""
    rules = (
        RULES
        + """  - name: odd
    rules:
      - {alert: New, expr: "rate(x[5m] anchored)"}
      - {alert: Bad, expr: up ==}
"""
    )
    texts = {
        "prometheus.yml": "rule_files: [r.yml]\nscrape_configs: [{job_name: a}]\n", "r.yml": rules,
        "alertmanager.yml": ROUTE, "notification_windows.yml": "chaoskit: 1\nalerts: {New: {appears: 3m}}\n",
    }  # fmt: skip
    alone, read = list[str](), list[str]()
    for side in ("old", "new"):
        (tmp_path / side).mkdir()
        for name, text in texts.items():
            (tmp_path / side / name).write_text(text)
        alone.append(repr(load_config(tmp_path / side)))
        reader._kept.cache_clear()
        reader._anywhere.cache_clear()
        reader._read.cache_clear()
    monkeypatch.setattr(reader, "read_rules", lambda *given: (read.append(given[2]), read_rules(*given))[1])
    together = [repr(load_config(tmp_path / side)) for side in ("old", "new")]
    assert together == alone
    assert together[0].replace("/old/", "/new/") == together[1] != together[0]
    assert len(read) == 1
