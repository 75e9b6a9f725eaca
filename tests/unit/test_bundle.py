"""The shipped alert configuration says what is documented, and no file of it lacks its counterpart in another."""

from __future__ import annotations

from pathlib import Path

import pytest
from alerting_examples import muting_rules

from chaoskit.alerting.config import load_config
from chaoskit.alerting.promise_text import DECIDED, DOCUMENTED, figures, reasons
from chaoskit.alerting.routing import alert_labels, match_routes, receivers_of
from chaoskit.alerting.windows import to_all_clear, to_phone
from chaoskit.bundle import folder
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.model import Inject, Undo, Wait
from chaoskit.yaml_source import read
from tests.bundle_rules.case import parsed
from tests.bundle_rules.documented import DOCUMENTED_RULES

PROMISE = (folder() / "notification_windows.yml").read_text()
PROJECT = Path(__file__).parents[2]
CONFIG = load_config(folder(), complete=True)
RULES = {rule.alert: rule for rule in CONFIG.rules if rule.alert}

RECEIVER_OF = {
    "worker": "worker-alerts",
    "database": "database-alerts",
    "circuit_breaker": "circuit-breaker-alerts",
    "dlq": "dlq-alerts",
    "system": "infrastructure-alerts",
    "api": "default-receiver",
    "cache": "default-receiver",
    "retry": "default-receiver",
}
DOCUMENTED_RECEIVERS = {
    alert: {RECEIVER_OF[component], *(["critical-alerts"] if severity == "critical" else [])}
    for alert, (component, _, severity) in DOCUMENTED_RULES.items()
}
DOCUMENTED_WINDOWS = {
    ("WorkerUnhealthy", "worker-alerts"): ("1m", "30s", "2h"),
    ("MultipleWorkersDown", "critical-alerts"): ("2m", "10s", "1h"),
    ("CircuitBreakerOpen", "circuit-breaker-alerts"): ("2m", "1m", "3h"),
    ("HighErrorRate", "critical-alerts"): ("5m", "10s", "1h"),
    ("HighTimeoutRate", "critical-alerts"): ("5m", "10s", "1h"),
    ("DeadLetterQueueGrowing", "dlq-alerts"): ("10m", "2m", "6h"),
    ("LowCacheHitRate", "default-receiver"): ("15m", "30s", "4h"),
    ("HighLatencyP95", "default-receiver"): ("10m", "30s", "4h"),
}
BY_NAME = ["alertname", "severity", "component"]
DOCUMENTED_ROUTES = [
    (['severity="critical"'], "critical-alerts", BY_NAME, "10s", "2m", "1h", True),
    (['component="worker"'], "worker-alerts", ["alertname", "worker_name"], "30s", "5m", "2h", False),
    (['component="database"'], "database-alerts", BY_NAME, "30s", "5m", "1h", False),
    (['component="circuit_breaker"'], "circuit-breaker-alerts", BY_NAME, "1m", "5m", "3h", False),
    (['component="dlq"'], "dlq-alerts", BY_NAME, "2m", "5m", "6h", False),
    (['component="system"'], "infrastructure-alerts", BY_NAME, "5m", "5m", "12h", False),
    (['component=~"api|cache|retry"'], "default-receiver", BY_NAME, "30s", "5m", "4h", False),
]


def test_the_folder_holds_all_files_of_the_bundle() -> None:
    names = {path.relative_to(folder()).as_posix() for path in folder().rglob("*") if path.is_file()}
    assert names >= {
        "prometheus_alerts.yml",
        "alertmanager.yml",
        "prometheus_config.yml",
        "notification_windows.yml",
        "templates/email.tmpl",
    }


def test_a_scrape_and_an_evaluation_every_15_seconds() -> None:
    config = parsed("prometheus_config.yml")
    assert config["global"] == {
        "scrape_interval": "15s",
        "scrape_timeout": "10s",
        "evaluation_interval": "15s",
    }
    assert config["rule_files"] == ["prometheus_alerts.yml"]
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert jobs == {"insa-crm": ["localhost:9091"], "prometheus": ["localhost:9090"]}
    assert config["alerting"]["alertmanagers"] == [
        {"api_version": "v2", "static_configs": [{"targets": ["localhost:9093"]}]}
    ]


def test_the_routing_table_is_the_documented_one_in_its_order() -> None:
    root = parsed("alertmanager.yml")["route"]
    found = [
        (
            route["matchers"],
            route["receiver"],
            route.get("group_by", root["group_by"]),
            route["group_wait"],
            route["group_interval"],
            route["repeat_interval"],
            route.get("continue", False),
        )
        for route in root.pop("routes")
    ]
    assert found == DOCUMENTED_ROUTES
    assert root == {
        "receiver": "default-receiver",
        "group_by": BY_NAME,
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": "4h",
    }


def test_each_of_the_seven_receivers_mails_beginning_and_end_in_our_layout() -> None:
    receivers = parsed("alertmanager.yml")["receivers"]
    assert [r["name"] for r in receivers] == list(CONFIG.promise.receivers)
    assert len(receivers) == 7
    for receiver in receivers:
        assert receiver["email_configs"] == [
            {
                "to": "w.aroca@insaing.com",
                "send_resolved": True,
                "headers": {"Subject": '{{ template "insa.subject" . }}'},
                "html": '{{ template "insa.html" . }}',
                "text": '{{ template "insa.text" . }}',
            }
        ]


def test_only_critical_alerts_are_posted_to_the_webhook_and_slack_is_off() -> None:
    receivers = parsed("alertmanager.yml")["receivers"]
    hooks = {r["name"]: r["webhook_configs"] for r in receivers if "webhook_configs" in r}
    assert hooks == {"critical-alerts": [{"url": "http://localhost:8080/alerts/critical", "send_resolved": True}]}
    assert {key for r in receivers for key in r} == {"name", "email_configs", "webhook_configs"}


def test_mail_goes_through_the_local_relay_without_tls() -> None:
    assert parsed("alertmanager.yml")["global"] == {
        "smtp_smarthost": "localhost:25",
        "smtp_from": "insa-crm-alerts@insaing.com",
        "smtp_require_tls": False,
    }


@pytest.mark.parametrize("alert", RULES)
def test_the_promise_names_exactly_the_receivers_that_the_routes_reach(alert: str) -> None:
    reached = set(receivers_of(CONFIG, alert_labels(CONFIG, RULES[alert], {"worker_name": "worker-2"})))
    promised = {receiver for name, receiver in CONFIG.promise.notices if name == alert}
    assert promised == reached == DOCUMENTED_RECEIVERS[alert]


@pytest.mark.parametrize("alert", RULES)
def test_the_promise_is_what_the_configuration_implies(alert: str) -> None:
    labels = alert_labels(CONFIG, RULES[alert], {"worker_name": "worker-2"})
    routes = {route.receiver: route for route in match_routes(CONFIG.route, labels)}
    for (name, receiver), notice in CONFIG.promise.notices.items():
        if name == alert:
            route = routes[receiver]
            implied = (RULES[alert].for_s, route.group_wait_s, route.repeat_interval_s)
            assert (notice.for_s, notice.group_wait_s, notice.repeat_s) == implied


def test_the_promise_holds_the_documented_matrix_as_it_stands() -> None:
    written = parsed("notification_windows.yml")["alerts"]
    for (alert, receiver), (hold, wait, repeat) in DOCUMENTED_WINDOWS.items():
        notice = written[alert]["notices"][receiver]
        assert [notice[key] for key in ("for", "group_wait", "repeat")] == [hold, wait, repeat]


def test_the_promise_speaks_of_every_alert_and_of_the_same_recipients_as_the_mails() -> None:
    assert list(parsed("notification_windows.yml")["alerts"]) == list(RULES)
    for name, promised in CONFIG.promise.receivers.items():
        mails = [i for i in CONFIG.receivers[name].integrations if i.kind == "email"]
        assert [mail.to for mail in mails] == [promised.recipients]
        assert promised.resolved
        assert all(integration.send_resolved for integration in CONFIG.receivers[name].integrations)


WORKER = {
    "alertname": "WorkerUnhealthy",
    "component": "worker",
    "severity": "critical",
    "worker_name": "worker-2",
}
WORKERS = {"alertname": "MultipleWorkersDown", "component": "worker", "severity": "critical"}
BREAKER = {"alertname": "CircuitBreakerOpen", "component": "circuit_breaker", "severity": "critical"}
CACHE = {"alertname": "LowCacheHitRate", "component": "cache", "severity": "warning"}
GROWING = {"alertname": "DeadLetterQueueGrowing", "component": "dlq", "severity": "warning"}
LETTERS = {"alertname": "DeadLetterQueueCritical", "component": "dlq", "severity": "critical"}
ERRORS = {"alertname": "HighErrorRate", "component": "api", "severity": "critical"}
TIMEOUTS = {"alertname": "HighTimeoutRate", "component": "api", "severity": "critical"}
ALL = (WORKER, WORKERS, BREAKER, CACHE, GROWING, LETTERS, ERRORS, TIMEOUTS)
MUTED = [
    (WORKERS, WORKER),
    (BREAKER, ERRORS),
    *((down, t) for down in (WORKER, WORKERS) for t in (CACHE, GROWING)),
]


def test_exactly_the_documented_pairs_are_muted() -> None:
    found = [(source, target) for source in ALL for target in ALL if muting_rules(CONFIG, source, target)]
    assert sorted(map(str, found)) == sorted(map(str, MUTED))


@pytest.mark.parametrize(("source", "target"), MUTED)
def test_one_environment_does_not_mute_another(source: dict[str, str], target: dict[str, str]) -> None:
    staging, production = {"environment": "staging"}, {"environment": "production"}
    assert muting_rules(CONFIG, source | staging, target | staging)
    assert not muting_rules(CONFIG, source | staging, target | production)


def test_the_scenario_kills_one_worker_and_expects_both_receivers_to_hear_of_it() -> None:
    scenario = load_scenario_file(PROJECT / "scenarios/worker-unhealthy.yml")
    kill, settled, recovery, resolved = scenario.steps
    assert isinstance(kill, Inject)
    assert isinstance(recovery, Undo)
    assert isinstance(settled, Wait)
    assert isinstance(resolved, Wait)
    assert (settled.settled, resolved.settled) == (True, True)
    assert [(f.kind, f.target, f.settings) for f in kill.faults] == [
        ("process.kill", {"role": "worker", "count": 1}, {"hold": True})
    ]
    (expectation,) = scenario.expect
    assert (expectation.alert, expectation.from_step, expectation.until_step) == (
        "WorkerUnhealthy",
        kill.name,
        recovery.name,
    )
    assert set(expectation.notifies or ()) == DOCUMENTED_RECEIVERS["WorkerUnhealthy"]
    assert [allowed.alert for allowed in scenario.allow] == ["WorkerHighQueueDepth"]
    assert (folder() / "runbooks" / f"{scenario.runbook}.md").is_file()


@pytest.mark.parametrize("prefix", ["", "#monitoring ", "#sla "])
def test_each_promised_figure_says_in_which_table_it_is_documented_or_why_it_was_decided(prefix: str) -> None:
    """Of the optional parts too, which begin their lines with a prefix."""
    text = "\n".join(line.removeprefix(prefix) for line in PROMISE.split("\n"))
    found = list(figures(read(text, "promise")))
    assert len(found) > 150
    said = reasons(text.split("\n"))
    unsaid = {keys: place.line for keys, place in found if said[place.line - 1] not in (DOCUMENTED, DECIDED)}
    assert unsaid == {}


def test_everything_that_can_be_promised_is_promised_of_every_alert() -> None:
    """Levels are read where they are written, and proved elsewhere."""
    promise = CONFIG.promise
    for alert in DOCUMENTED_RULES:
        told = {receiver for name, receiver in promise.notices if name == alert}
        beside = promise.alerts[alert]
        assert set(beside.phone) == set(beside.all_clear) == told
        assert {*beside.labels} == {"severity", "component"}
        assert (beside.muted_by is not None, beside.hours) == (True, "always")
    assert all(notice.grouped_by and notice.group_interval_s for notice in promise.notices.values())
    assert set(promise.groups) == {rule.group for rule in CONFIG.rules}
    assert set(promise.jobs) == {job.name for job in CONFIG.jobs}
    assert all(receiver.at for receiver in promise.receivers.values())
    assert {day: str(volume) for day, volume in promise.volume.items()} == {
        "healthy": "0..1/day", "degraded": "2..5/day", "incident": "5..10/day",
    }  # fmt: skip


def test_a_bound_to_the_phone_is_what_the_settings_come_to_and_no_more_than_an_evaluation() -> None:
    promise = CONFIG.promise
    for (alert, receiver), _ in promise.notices.items():
        (rule,) = CONFIG.alert_rules(alert)
        route = next(r for r in match_routes(CONFIG.route, alert_labels(CONFIG, rule, {})) if r.receiver == receiver)
        for bound, way in ((promise.alerts[alert].phone, to_phone), (promise.alerts[alert].all_clear, to_all_clear)):
            assert 0 <= bound[receiver].seconds - way(CONFIG, rule, route)[1] < rule.interval_s
