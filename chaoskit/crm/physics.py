"""The numbers that decide how the CRM behaves under a fault; virtual seconds unless the name says otherwise.

They are constants rather than settings: the alerts' drills are built on them.
"""

from __future__ import annotations

from typing import Any

HEARTBEAT_VS = 6.0
HEARTBEAT_FLOOR_S = 0.05
"""At high scales a heartbeat still takes this long, which also is what a fault has to catch a replacement."""
HEALTHY_AFTER_BEATS = 3
SILENCE_VS = 30.0
SILENCE_FLOOR_S = 0.5
"""A worker that the scheduler starved for less is not reported down, however compressed the time is."""
RESTART_SPACING_S = 0.1
"""Least real time between two starts of one process: a child that dies at birth must not become a fork bomb."""

AGENTS: dict[str, float] = {
    "lead-scorer": 8.0,
    "email-drafter": 8.0,
    "deal-forecaster": 120.0,
    "account-researcher": 120.0,
    "meeting-planner": 120.0,
}
"""Agent -> deadline of one request, retries included. With even traffic 40 % of the calls have the short one:
one time-out in ten of those is 4 % of all requests, one slow answer in ten of the others is 6 %, so a fault on
either group crosses its own alert's threshold (2 % and 5 %) clearly, with nothing exactly on it."""

UPSTREAM_ATTEMPTS = 3
RETRY_WAIT_VS = 1.0
RETRY_WAIT_MAX_VS = 4.0
RETRY_JITTER_VS = 0.5

BREAKER_WINDOW = 40
BREAKER_FAILURES = 20
"""The circuit breaker opens when this many of the last BREAKER_WINDOW counted calls failed: a half."""
BREAKER_RECOVERY_VS = 60.0
BREAKER_PROBE_VS = 10.0

LEASE_VS = 30.0
TASK_ATTEMPTS = 3
TASK_BACKOFF_VS = 10.0
QUEUE_POLL_VS = 20.0
QUEUE_POLL_FLOOR_S = 0.05
MAIL_PACE_VS = 1.0
"""A campaign sends one mail per so many virtual seconds: the mail provider's rate limit."""

DATABASE_BUSY_VS = 30.0
DATABASE_BUSY_FLOOR_S = 0.5
"""How long a statement waits for a lock that another connection holds before it fails."""
DATABASE_LOOK_VS = 0.05
DATABASE_LOOK_MAX_VS = 0.8
"""A statement that finds the lock taken looks again after so long, then after twice as long, up to the second."""

WARM_REPORTS = 40
"""Reports 1 to 40 are computed at start, so that an empty cache is not mistaken for a bad one."""

CACHE_ENTRIES = 64
MEMORY_BYTES = 168 << 20
CPU_SHARE = 0.5
"""Processor cores that the CRM's slice may use."""
DISK_BYTES = 256 << 20
"""The slice's limits: the denominators of the system metrics."""


# What healthy customers do: the requests behind each name that a load's mix may use. The CRM tells these with its
# addresses. Several requests under one name take turns; an unusual one is made only by a mix that names it.
REQUESTS: dict[str, list[dict[str, Any]]] = {
    "leads": [
        {"method": "GET", "path": "/leads?limit=10"},
        {"method": "POST", "path": "/leads", "json": {"name": "Lead {n}", "email": "lead{n}@example.com"}},
    ],
    "opportunities": [
        {"method": "GET", "path": "/opportunities?limit=10"},
        {"method": "POST", "path": "/opportunities", "json": {"lead_id": 1, "title": "Deal {n}", "amount": 100}},
    ],
    "reports": [{"method": "GET", "path": "/reports/{n%40}"}],
    "agent-requests": [
        {"method": "POST", "path": "/agent-requests", "json": {"agent": agent, "lead_id": 1}} for agent in AGENTS
    ],
    "cold-reports": [{"method": "GET", "path": "/reports/cold-{n}", "unusual": True}],
    "background-tasks": [
        {
            "method": "POST",
            "path": "/agent-requests",
            "json": {"agent": "meeting-planner", "lead_id": 1, "mode": "background"},
            "unusual": True,
        }
    ],
}
