"""Every lint, by topic; importing this fills the registry."""

from __future__ import annotations

from chaoskit.check.lints import (
    conditions,
    counters,
    coverage,
    inhibitions,
    likeness,
    programs,
    promise,
    promised_receivers,
    ratios,
    routes,
    rules,
    scenarios,
    texts,
)

__all__ = [
    "conditions",
    "counters",
    "coverage",
    "inhibitions",
    "likeness",
    "programs",
    "promise",
    "promised_receivers",
    "ratios",
    "routes",
    "rules",
    "scenarios",
    "texts",
]
