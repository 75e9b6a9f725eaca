"""The metrics that the CRM exposes: one declaration from which the page and every label set at 0 are made.

Adding a metric here is all it takes; an emitter that names another one fails at once, in its own process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chaoskit.crm.physics import AGENTS

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family; `label_sets` exist from the first scrape on."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    label_sets: tuple[tuple[str, ...], ...] = ((),)
    buckets: tuple[float, ...] = ()
    initial: float = 0.0


_AGENT_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 10, 15, 20, 30, 45, 60, 90, 120, 180)
_QUERY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)

BREAKER = "upstream"
STATES = {"closed": 0, "half_open": 1, "open": 2}
TRANSITIONS = (("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed"))
OPERATIONS = ("select", "insert", "update", "audit")


def metrics(workers: tuple[str, ...], environment: str) -> tuple[Metric, ...]:
    """Every metric of a CRM with these worker names, in that environment."""
    per_worker = tuple((worker,) for worker in workers)
    success_failure = (("success",), ("failure",))
    return (
        Metric(
            "insa_agent_requests_total",
            "counter",
            "Interactive agent requests by outcome.",
            ("agent", "status"),
            tuple((agent, status) for agent in AGENTS for status in ("success", "error", "timeout")),
        ),
        Metric(
            "insa_agent_request_duration_seconds",
            "histogram",
            "Duration of interactive agent requests, in virtual seconds.",
            ("agent",),
            tuple((agent,) for agent in AGENTS),
            _AGENT_BUCKETS,
        ),
        Metric("insa_cache_hits_total", "counter", "Report look-ups answered from the cache."),
        Metric("insa_cache_misses_total", "counter", "Report look-ups that had to compute."),
        Metric("insa_cache_evictions_total", "counter", "Entries pushed out of the full cache."),
        Metric("insa_circuit_breaker_state", "gauge", "0 closed, 1 half-open, 2 open.", ("breaker",), ((BREAKER,),)),
        Metric(
            "insa_circuit_breaker_transitions_total",
            "counter",
            "Changes of a circuit breaker's state.",
            ("breaker", "from", "to"),
            tuple((BREAKER, *pair) for pair in TRANSITIONS),
        ),
        Metric("insa_dead_letter_queue_size", "gauge", "Messages given up and kept for a replay."),
        Metric("insa_dlq_replays_total", "counter", "Replayed dead letters by result.", ("result",), success_failure),
        Metric(
            "insa_retry_attempts_total",
            "counter",
            "Upstream calls after a request's first, by result.",
            ("result",),
            success_failure,
        ),
        Metric(
            "insa_database_operations_total",
            "counter",
            "Database transactions by outcome.",
            ("operation", "status"),
            tuple((operation, status) for operation in OPERATIONS for status in ("success", "error")),
        ),
        Metric(
            "insa_database_query_duration_seconds",
            "histogram",
            "Duration of database transactions, waits for connections and locks included, in virtual seconds.",
            buckets=_QUERY_BUCKETS,
        ),
        Metric(
            "insa_worker_health_status",
            "gauge",
            "1: alive and beating; 0: dead, silent, or not yet three heartbeats old.",
            ("worker_name",),
            per_worker,
        ),
        Metric("insa_worker_queue_depth", "gauge", "Messages waiting or in work."),
        Metric("insa_worker_restarts_total", "counter", "Replacements started.", ("worker_name",), per_worker),
        Metric("insa_system_memory_usage_ratio", "gauge", "The slice's memory (PSS) over its limit."),
        Metric("insa_system_cpu_usage_ratio", "gauge", "The slice's CPU time over its share."),
        Metric("insa_system_disk_free_ratio", "gauge", "Part of the data folder's quota that is free.", initial=1.0),
        Metric(
            "insa_environment_info", "gauge", "Where this CRM runs.", ("environment",), ((environment,),), initial=1.0
        ),
    )
