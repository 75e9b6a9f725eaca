"""Alerts on gauges: dead letters, breaker, memory, processor, disk."""

from __future__ import annotations

from tests.bundle_rules.case import Case, State, timeline
from tests.bundle_rules.threshold import Threshold

INSTANCE = {"instance": "crm:9091"}


def gauge(name: str, level: float) -> State:
    return {f'{name}{{instance="crm:9091"}}': level}


def breaker(state: float) -> State:
    return {'insa_circuit_breaker_state{breaker="upstream",instance="crm:9091"}': state}


def row(alert: str, hold: int, metric: str, over: float, under: float, well: float, value: str) -> Threshold:
    said = {"$value": value, "$value | humanizePercentage": value, "$labels.instance": "crm:9091"}
    return Threshold(alert, hold, gauge(metric, over), gauge(metric, under), gauge(metric, well), said, labels=INSTANCE)


BREAKER = {"breaker": "upstream", **INSTANCE}
SAID = {"$labels.breaker": "upstream", "$labels.instance": "crm:9091"}
ROWS = (
    row("DeadLetterQueueGrowing", 40, "insa_dead_letter_queue_size", 51, 50, 0, "51"),
    row("DeadLetterQueueCritical", 20, "insa_dead_letter_queue_size", 201, 200, 0, "201"),
    row("HighMemoryUsage", 20, "insa_system_memory_usage_ratio", 0.901, 0.9, 0.5, "90.1%"),
    row("HighCPUUsage", 40, "insa_system_cpu_usage_ratio", 0.801, 0.8, 0.2, "80.1%"),
    row("DiskSpaceLow", 20, "insa_system_disk_free_ratio", 0.099, 0.1, 0.6, "9.9%"),
    Threshold(
        "CircuitBreakerOpen",
        hold=8,
        over=breaker(1),
        under=breaker(0),
        well=breaker(0),
        said={"$value": "1", **SAID},
        labels=BREAKER,
        kept=28,
    ),
)
FREE = "insa_system_disk_free_ratio"
CASES = (
    *(case for one in ROWS for case in one.cases()),
    Case(
        "CircuitBreakerOpen",
        "goes through its probes: open, half-open for one sample, open again",
        timeline(breaker(0), *[(3, breaker(2)), (1, breaker(1))] * 4, (40, breaker(0))),
        56,
        [(9, 16 + 28)],
        BREAKER,
        {"$value": "2", **SAID},
    ),
    Case(
        "CircuitBreakerOpen",
        "opens again while it is kept: one spell",
        timeline(breaker(0), (12, breaker(2)), (10, breaker(0)), (4, breaker(2)), (40, breaker(0))),
        66,
        [(9, 26 + 28)],
        BREAKER,
    ),
    Case(
        "CircuitBreakerOpen",
        "one of two breakers",
        timeline(
            {},
            (
                20,
                {
                    'insa_circuit_breaker_state{breaker="mail",instance="crm:9091"}': 0,
                    'insa_circuit_breaker_state{breaker="upstream",instance="crm:9091"}': 2,
                },
            ),
        ),
        20,
        [(9, 20)],
        BREAKER,
    ),
    Case(
        "DeadLetterQueueGrowing",
        "fires at 201 as well; the critical one does not silence it",
        timeline(gauge("insa_dead_letter_queue_size", 0), (50, gauge("insa_dead_letter_queue_size", 201))),
        50,
        [(41, 50)],
        INSTANCE,
    ),
    Case(
        "DiskSpaceLow",
        "nothing is left at all",
        timeline(gauge(FREE, 0.0), (30, gauge(FREE, 0.0))),
        30,
        [(20, 30)],
        INSTANCE,
        {"$value | humanizePercentage": "0%", "$labels.instance": "crm:9091"},
    ),
)
