"""What every shipped alert must do, as tables; tests/stack/test_bundle_rules.py gives them to promtool."""

from __future__ import annotations

from tests.bundle_rules import burn_rates, counts, latencies, levels, monitoring, ratios
from tests.bundle_rules.case import Case

CASES: tuple[Case, ...] = (
    *ratios.CASES,
    *latencies.CASES,
    *levels.CASES,
    *counts.CASES,
    *monitoring.CASES,
    *burn_rates.CASES,
)
