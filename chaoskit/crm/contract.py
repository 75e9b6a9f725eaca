"""The metrics that the CRM exposes: one declaration from which the page and every label set at 0 are made.

Adding a metric here is all it takes; an emitter that names another one fails at once, in its own process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Literal

from chaoskit.crm.physics import AGENTS

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family; `label_sets` exist from the first scrape on."""

    kind: Kind
    name: str
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
    counter, gauge, histogram = (partial(Metric, kind) for kind in ("counter", "gauge", "histogram"))
    agents, per_worker = tuple((agent,) for agent in AGENTS), tuple((worker,) for worker in workers)
    requests = tuple(product(AGENTS, ("success", "error", "timeout")))
    transactions = tuple(product(OPERATIONS, ("success", "error")))
    changes = tuple((BREAKER, *pair) for pair in TRANSITIONS)
    ended = (("success",), ("failure",))
    took = "Duration of interactive agent requests, in virtual seconds."
    waited = "Duration of database transactions, waits for connections and locks included, in virtual seconds."
    healthy = "1: alive and beating; 0: dead, silent, or not yet three heartbeats old."
    return (
        counter("insa_agent_requests_total", "Interactive agent requests by outcome.", ("agent", "status"), requests),
        histogram("insa_agent_request_duration_seconds", took, ("agent",), agents, _AGENT_BUCKETS),
        counter("insa_cache_hits_total", "Report look-ups answered from the cache."),
        counter("insa_cache_misses_total", "Report look-ups that had to compute."),
        counter("insa_cache_evictions_total", "Entries pushed out of the full cache."),
        gauge("insa_circuit_breaker_state", "0 closed, 1 half-open, 2 open.", ("breaker",), ((BREAKER,),)),
        counter(
            "insa_circuit_breaker_transitions_total",
            "Changes of a circuit breaker's state.",
            ("breaker", "from", "to"),
            changes,
        ),
        gauge("insa_dead_letter_queue_size", "Messages given up and kept for a replay."),
        counter("insa_dlq_replays_total", "Replayed dead letters by result.", ("result",), ended),
        counter("insa_retry_attempts_total", "Upstream calls after a request's first, by result.", ("result",), ended),
        counter(
            "insa_database_operations_total",
            "Database transactions by outcome.",
            ("operation", "status"),
            transactions,
        ),
        histogram("insa_database_query_duration_seconds", waited, buckets=_QUERY_BUCKETS),
        gauge("insa_worker_health_status", healthy, ("worker_name",), per_worker),
        gauge("insa_worker_queue_depth", "Messages waiting or in work."),
        counter("insa_worker_restarts_total", "Replacements started.", ("worker_name",), per_worker),
        gauge("insa_system_memory_usage_ratio", "The slice's memory (PSS) over its limit."),
        gauge("insa_system_cpu_usage_ratio", "The slice's CPU time over its share."),
        gauge("insa_system_disk_free_ratio", "Part of the data folder's quota that is free.", initial=1.0),
        gauge("insa_environment_info", "Where this CRM runs.", ("environment",), ((environment,),), initial=1.0),
    )
