"""Alerts on quantiles of histograms."""

from __future__ import annotations

from tests.bundle_rules.case import Case, State, timeline
from tests.bundle_rules.threshold import Threshold


def buckets(metric: str, labels: str, **counts: float) -> State:
    """Cumulative buckets: `le_10=949` is what a sample adds to le="10"."""
    return {
        f'{metric}_bucket{{{labels}le="{name.removeprefix("le_").replace("_", ".").replace("inf", "+Inf")}"}}': count
        for name, count in counts.items()
    }


def agents(*pairs: tuple[str, dict[str, float]]) -> State:
    return {
        name: value
        for agent, counts in pairs
        for name, value in buckets("insa_agent_request_duration_seconds", f'agent="{agent}",', **counts).items()
    }


def queries(**counts: float) -> State:
    return buckets("insa_database_query_duration_seconds", "", **counts)


QUICK_800 = ("email-drafter", {"le_8": 800.0, "le_10": 800.0, "le_15": 800.0, "le_inf": 800.0})
QUICK_8000 = ("email-drafter", {"le_20": 8000.0, "le_30": 8000.0, "le_45": 8000.0, "le_inf": 8000.0})
SLOW = "deal-forecaster"

ROWS = (
    Threshold(
        "HighLatencyP95",
        hold=40,
        over=agents(QUICK_800, (SLOW, {"le_8": 130, "le_10": 149, "le_15": 200, "le_inf": 200})),  # 10.098 s
        under=agents(QUICK_800, (SLOW, {"le_8": 130, "le_10": 151, "le_15": 200, "le_inf": 200})),  # 9.905 s
        well=agents(QUICK_800, (SLOW, {"le_8": 200, "le_10": 200, "le_15": 200, "le_inf": 200})),
        said={'$value | printf "%.1f"': "10.1", "range": "\n- deal-forecaster 14.0 s\n- email-drafter 7.6 s"},
        counters=True,
    ),
    Threshold(
        "HighLatencyP99",
        hold=40,
        over=agents(QUICK_8000, (SLOW, {"le_20": 1500, "le_30": 1899, "le_45": 2000, "le_inf": 2000})),  # 30.149 s
        under=agents(QUICK_8000, (SLOW, {"le_20": 1500, "le_30": 1901, "le_45": 2000, "le_inf": 2000})),  # 29.975 s
        well=agents(QUICK_8000, (SLOW, {"le_20": 2000, "le_30": 2000, "le_45": 2000, "le_inf": 2000})),
        said={'$value | printf "%.1f"': "30.1", "range": "\n- deal-forecaster 42.0 s\n- email-drafter 19.8 s"},
        counters=True,
    ),
    Threshold(
        "SlowDatabaseQueries",
        hold=40,
        over=queries(le_0_75=930, le_1=949, le_1_5=1000, le_inf=1000),  # 1.010 s
        under=queries(le_0_75=930, le_1=951, le_1_5=1000, le_inf=1000),  # 0.988 s
        well=queries(le_0_75=1000, le_1=1000, le_1_5=1000, le_inf=1000),
        said={'$value | printf "%.2f"': "1.01"},
        counters=True,
    ),
)


def spelt_anew(state: State) -> State:
    """As Prometheus 3 stores it: le="10.0"."""
    return {name.replace('le="10"', 'le="10.0"').replace('le="1"', 'le="1.0"'): value for name, value in state.items()}


CASES = (
    *(case for row in ROWS for case in row.cases()),
    *(
        Case(
            row.alert,
            'reads le="10.0" as it reads le="10"',
            timeline(spelt_anew(row.well), (45, spelt_anew(row.over)), (10, spelt_anew(row.well))),
            55,
            [(41, 45)],
        )
        for row in ROWS
    ),
    Case(
        "HighLatencyP95",
        "one slow agent with few requests does not raise it",
        timeline({}, (80, agents(QUICK_800, (SLOW, {"le_8": 0, "le_10": 0, "le_15": 40, "le_inf": 40})))),
        80,
    ),
    Case(
        "HighLatencyP99",
        "knows no more than the largest bucket, and fires with it",
        timeline({}, (45, agents((SLOW, {"le_20": 900, "le_30": 900, "le_180": 900, "le_inf": 1000})))),
        45,
        [(42, 45)],
        said={'$value | printf "%.1f"': "180.0", "range": "\n- deal-forecaster 180.0 s"},
    ),
)
