"""What is documented of every alert: component, `for`, severity; and how far its expression looks back."""

from __future__ import annotations

import re

DOCUMENTED_RULES = {
    "WorkerUnhealthy": ("worker", "1m", "critical"),
    "MultipleWorkersDown": ("worker", "2m", "critical"),
    "WorkerHighQueueDepth": ("worker", "5m", "warning"),
    "WorkerFrequentRestarts": ("worker", "0s", "warning"),
    "HighErrorRate": ("api", "5m", "critical"),
    "HighTimeoutRate": ("api", "5m", "critical"),
    "HighLatencyP95": ("api", "10m", "warning"),
    "HighLatencyP99": ("api", "10m", "critical"),
    "LowCacheHitRate": ("cache", "15m", "warning"),
    "HighCacheEvictionRate": ("cache", "10m", "warning"),
    "CircuitBreakerOpen": ("circuit_breaker", "2m", "critical"),
    "CircuitBreakerFlapping": ("circuit_breaker", "0s", "warning"),
    "DeadLetterQueueGrowing": ("dlq", "10m", "warning"),
    "DeadLetterQueueCritical": ("dlq", "5m", "critical"),
    "HighDLQReplayFailureRate": ("dlq", "15m", "warning"),
    "LowRetrySuccessRate": ("retry", "20m", "warning"),
    "ExcessiveRetryAttempts": ("retry", "10m", "warning"),
    "HighDatabaseErrorRate": ("database", "5m", "critical"),
    "SlowDatabaseQueries": ("database", "10m", "warning"),
    "HighMemoryUsage": ("system", "5m", "critical"),
    "HighCPUUsage": ("system", "10m", "warning"),
    "DiskSpaceLow": ("system", "5m", "critical"),
}
LOOKS_BACK = {
    alert: {"api": 300, "cache": 300, "retry": 300, "database": 300}.get(component, 0)
    for alert, (component, _, _) in DOCUMENTED_RULES.items()
} | {"WorkerFrequentRestarts": 900, "CircuitBreakerFlapping": 600, "HighDLQReplayFailureRate": 300}


def kebab(alert: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", alert).lower()
