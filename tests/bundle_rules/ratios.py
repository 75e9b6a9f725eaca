"""Alerts on ratios of counters: errors, time-outs, cache, replays, retries, database."""

from __future__ import annotations

from tests.bundle_rules.case import RESET, Case, State, labelled, timeline
from tests.bundle_rules.threshold import Threshold


def requests(error: float, timeout: float = 0) -> State:
    """1000 agent requests a sample; one agent of two has all that fail among its 200."""
    name = "insa_agent_requests_total"
    return {
        f'{name}{{agent="lead-scorer",status="error"}}': error,
        f'{name}{{agent="lead-scorer",status="timeout"}}': timeout,
        f'{name}{{agent="lead-scorer",status="success"}}': 200 - error - timeout,
        f'{name}{{agent="meeting-planner",status="error"}}': 0,
        f'{name}{{agent="meeting-planner",status="timeout"}}': 0,
        f'{name}{{agent="meeting-planner",status="success"}}': 800,
    }


def cache(hits: float, evictions: float) -> State:
    """1000 look-ups a sample."""
    return {
        "insa_cache_hits_total": hits,
        "insa_cache_misses_total": 1000 - hits,
        "insa_cache_evictions_total": evictions,
    }


def replays(failure: float) -> State:
    return {
        'insa_dlq_replays_total{result="failure"}': failure,
        'insa_dlq_replays_total{result="success"}': 100 - failure,
    }


def retries(success: float, failure: float) -> State:
    """Beside 1000 requests a sample."""
    return {
        'insa_retry_attempts_total{result="success"}': success,
        'insa_retry_attempts_total{result="failure"}': failure,
        **requests(0),
    }


def operations(error: float) -> State:
    """10,000 operations a sample, 1000 of them audit records, which have all the errors."""
    return {
        'insa_database_operations_total{operation="audit",status="error"}': error,
        'insa_database_operations_total{operation="audit",status="success"}': 1000 - error,
        'insa_database_operations_total{operation="select",status="error"}': 0,
        'insa_database_operations_total{operation="select",status="success"}': 9000,
    }


PERCENT = "$value | humanizePercentage"
ROWS = (
    Threshold(
        "HighErrorRate",
        hold=20,
        over=requests(51),
        under=requests(50, timeout=100),
        well=requests(0),
        said={PERCENT: "5.1%", "range": "\n- lead-scorer 25.5%"},
        counters=True,
    ),
    Threshold(
        "HighTimeoutRate",
        hold=20,
        over=requests(0, timeout=21),
        under=requests(100, timeout=20),
        well=requests(0),
        said={PERCENT: "2.1%", "range": "\n- lead-scorer 10.5%"},
        counters=True,
    ),
    Threshold(
        "LowCacheHitRate",
        hold=60,
        over=cache(699, 0),
        under=cache(700, 0),
        well=cache(900, 0),
        said={PERCENT: "69.9%"},
        counters=True,
    ),
    Threshold(
        "HighCacheEvictionRate",
        hold=40,
        over=cache(800, 101),
        under=cache(800, 100),
        well=cache(800, 0),
        said={'$value | printf "%.2f"': "0.10"},
        counters=True,
    ),
    Threshold(
        "HighDLQReplayFailureRate",
        hold=60,
        over=replays(51),
        under=replays(50),
        well=replays(0),
        said={PERCENT: "51%"},
        counters=True,
    ),
    Threshold(
        "LowRetrySuccessRate",
        hold=80,
        over=retries(49, 51),
        under=retries(50, 50),
        well=retries(90, 10),
        said={PERCENT: "49%"},
        counters=True,
    ),
    Threshold(
        "ExcessiveRetryAttempts",
        hold=40,
        over=retries(101, 100),
        under=retries(100, 100),
        well=retries(10, 10),
        said={'$value | printf "%.2f"': "0.20"},
        counters=True,
    ),
    Threshold(
        "HighDatabaseErrorRate",
        hold=20,
        over=operations(101),
        under=operations(99),
        well=operations(0),
        said={PERCENT: "1.01%", "range": "\n- audit 10.1%"},
        counters=True,
    ),
)

STAGING = labelled(requests(51), environment="staging")
PRODUCTION = labelled(requests(0), environment="production") | {
    'insa_agent_requests_total{agent="meeting-planner",status="error",environment="production"}': 30
}
CASES = (
    *(case for row in ROWS for case in row.cases()),
    Case(
        "HighErrorRate",
        "one agent that fails always is under 5 % where it has a small part of the requests",
        timeline(
            {},
            (
                60,
                {
                    'insa_agent_requests_total{agent="lead-scorer",status="error"}': 4,
                    'insa_agent_requests_total{agent="meeting-planner",status="success"}': 96,
                },
            ),
        ),
        60,
    ),
    Case(
        "HighErrorRate",
        "all requests fail, and no other status was ever seen",
        timeline(
            {'insa_agent_requests_total{agent="lead-scorer",status="error"}': 0},
            (25, {'insa_agent_requests_total{agent="lead-scorer",status="error"}': 3}),
        ),
        25,
        [(21, 25)],
    ),
    Case(
        "HighErrorRate",
        "an error series that appears with a value above 0 has not increased",
        timeline(
            {'insa_agent_requests_total{agent="lead-scorer",status="success"}': 0},
            (20, {'insa_agent_requests_total{agent="lead-scorer",status="success"}': 10}),
            (
                40,
                {
                    'insa_agent_requests_total{agent="lead-scorer",status="success"}': 10,
                    'insa_agent_requests_total{agent="lead-scorer",status="error"}': 0,
                },
            ),
        ),
        60,
    ),
    Case(
        "HighErrorRate",
        "lists the agents of its own environment, and no others",
        timeline(STAGING | PRODUCTION, (25, STAGING | PRODUCTION)),
        25,
        [(21, 25)],
        {"environment": "staging"},
        {PERCENT: "5.1%", "range": "\n- lead-scorer 25.5%"},
    ),
    Case(
        "HighDatabaseErrorRate",
        "the operations that fail are listed, the others are not",
        timeline(operations(0), (20, operations(0)), (1, RESET), (45, operations(1000))),
        66,
        [(43, 66)],
        said={PERCENT: "10%", "range": "\n- audit 100%"},
    ),
)
