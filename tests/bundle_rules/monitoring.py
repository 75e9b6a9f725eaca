"""Alerts about Prometheus, Alertmanager and the way from the CRM to both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.bundle_rules.case import Case, State, timeline
from tests.bundle_rules.threshold import Threshold

CRM = {"instance": "crm:9091", "job": "insa-crm"}
PROMETHEUS = {"instance": "prometheus:9090"}
MANAGER = 'up{instance="manager:9093",job="alertmanager"}'


def target(up: float) -> State:
    return {'up{instance="crm:9091",job="insa-crm"}': up}


def known(managers: float) -> State:
    return {'prometheus_notifications_alertmanagers_discovered{instance="prometheus:9090"}': managers}


def notices(failed: float) -> State:
    return {
        'alertmanager_notifications_failed_total{instance="manager:9093",integration="email"}': failed,
        'alertmanager_notifications_total{instance="manager:9093",integration="email"}': 1000,
        'alertmanager_notifications_failed_total{instance="manager:9093",integration="webhook"}': 0,
        'alertmanager_notifications_total{instance="manager:9093",integration="webhook"}': 10,
    }


ROWS = (
    Threshold(
        "MetricsEndpointDown",
        hold=4,
        over=target(0),
        under=target(1),
        well=target(1),
        said={"$value": "0", "$labels.instance": "crm:9091", "$labels.job": "insa-crm"},
        labels=CRM,
    ),
    Threshold(
        "PrometheusHasNoAlertmanager",
        hold=40,
        over=known(0),
        under=known(1),
        well=known(2),
        said={"$value": "0", "$labels.instance": "prometheus:9090"},
        labels=PROMETHEUS,
    ),
    Threshold(
        "AlertmanagerNotificationsFailing",
        hold=20,
        over=notices(101),
        under=notices(100),
        well=notices(0),
        said={
            "$value | humanizePercentage": "10.1%",
            "$labels.integration": "email",
            "$labels.instance": "manager:9093",
        },
        labels={"instance": "manager:9093", "integration": "email"},
        counters=True,
    ),
)


def failures(alert: str, series: str, labels: Mapping[str, str], said: Mapping[str, str]) -> Iterator[Case]:
    """An alert on failures that go on for 5 minutes; the range of 2 minutes is 8 samples."""

    def case(title: str, *phases: tuple[int, float], fires: list[tuple[int, int]] | None = None) -> Case:
        states = [(samples, {series: grows}) for samples, grows in phases]
        told = said if fires and len(phases) == 2 else None
        lasts = sum(samples for samples, _ in phases)
        return Case(alert, title, timeline({series: 0}, *states), lasts, fires or (), labels, told, slack=1)

    yield case("fires when they go on, and ends when the last has left the range", (30, 1), (40, 0), fires=[(21, 36)])
    yield case("fires when one in 75 s is all there is", *[(1, 15.0), (4, 0.0)] * 7, (20, 0), fires=[(21, 37)])
    yield case("is silent after three minutes of them", (12, 1), (60, 0))
    yield case("is silent after a single one", (1, 1), (60, 0))
    yield case("is silent without any", (60, 0))
    yield Case(alert, "is silent without its series", timeline({"up": 0}, (60, {"up": 0})), 60)
    yield Case(alert, "takes a reset for nothing", {series: "40+0x20 0+0x40"}, 60)


URL = "http://manager:9093/api/v2/alerts"
CASES = (
    *(case for row in ROWS for case in row.cases()),
    Case("Watchdog", "always fires", {MANAGER: "1+0x20"}, 20, [(0, 20)], said={}),
    Case("MetricsEndpointDown", "speaks of the CRM only", {MANAGER: "0+0x60"}, 60),
    Case(
        "MetricsEndpointMissing",
        "fires when the job has no target any more, whatever other jobs have, and ends when one is back",
        {'up{instance="crm:9091",job="insa-crm"}': "1+0x9 stale _x59 1+0x19", MANAGER: "1+0x90"},
        89,
        [(50, 69)],
        {"job": "insa-crm"},
        {"$value": "1", "$labels.job": "insa-crm"},
    ),
    Case(
        "MetricsEndpointMissing",
        "is silent while a start takes less than 10 minutes",
        {'up{instance="crm:9091",job="insa-crm"}': "_x40 1+0x60"},
        100,
    ),
    Case(
        "MetricsEndpointMissing",
        "is silent while the target is down: another alert speaks then",
        timeline(target(0), (60, target(0))),
        60,
    ),
    *failures(
        "PrometheusCannotReachAlertmanager",
        f'prometheus_notifications_errors_total{{instance="prometheus:9090",alertmanager="{URL}"}}',
        {**PROMETHEUS, "alertmanager": URL},
        {"$labels.instance": "prometheus:9090", "$labels.alertmanager": URL, '$value | printf "%.3f"': "0.067"},
    ),
    *failures(
        "PrometheusRuleEvaluationsFailing",
        'prometheus_rule_evaluation_failures_total{instance="prometheus:9090",rule_group="r.yml;insa-crm-api"}',
        {**PROMETHEUS, "rule_group": "r.yml;insa-crm-api"},
        {
            "$labels.instance": "prometheus:9090",
            "$labels.rule_group": "r.yml;insa-crm-api",
            '$value | printf "%.3f"': "0.067",
        },
    ),
)
