"""Service levels: six burn rates over two windows each, two latencies, the cache.

`up` between 0 and 1 stands for many targets of which a part is down; the rule counts their samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.bundle_rules.case import RESET, Case, State, timeline
from tests.bundle_rules.latencies import agents
from tests.bundle_rules.threshold import Threshold

PERCENT = "$value | humanizePercentage"


def down(part: float) -> State:
    return {'up{instance="crm:9091",job="insa-crm"}': 1 - part}


def failing(part: float) -> State:
    """Of a million requests a sample: half of the failures are errors, half time-outs."""
    name, half = "insa_agent_requests_total", round(500_000 * part)
    return {
        f'{name}{{agent="lead-scorer",status="error"}}': half,
        f'{name}{{agent="lead-scorer",status="timeout"}}': half,
        f'{name}{{agent="meeting-planner",status="success"}}': 1_000_000 - 2 * half,
    }


def burn(
    alert: str, at: Callable[[float], State], limit: float, long: int, short: int, step_s: int, beyond: str
) -> Iterator[Case]:
    """`long` and `short` are the windows in samples of `step_s`; `beyond` is how a share just over `limit` is shown."""
    first = 0 if at is down else 1  # a rate needs two samples
    over, under, well = at(limit * 1.01), at(limit * 0.99), at(0)

    def case(title: str, *phases: tuple[int, State], start: State = well, **more: object) -> Case:
        lasts = sum(samples for samples, _ in phases)
        return Case(alert, title, timeline(start, *phases), lasts, step_s=step_s, **more)  # type: ignore[arg-type]

    yield case(
        "fires just beyond the rate and ends with it",
        (10, over),
        (20, well),
        start=over,
        fires=[(first, 10)],
        said={PERCENT: beyond},
    )
    yield case("is silent just below the rate", (long + 20, under), start=under)
    yield case("is silent in health", (60, well))
    yield case("is silent without its series", (60, {"other": 0}), start={"other": 0})
    # Half as fast again as allowed: the short window is over at once, the long one after two thirds of it.
    worse = at(limit * 1.5)
    yield case(
        "waits for the long window, and ends with the short one",
        (long, well),
        (long, worse),
        (long, well),
        probes={
            long + short + 1: False,
            long + long * 6 // 10: False,
            long + long * 7 // 10 + 1: True,
            2 * long: True,
            2 * long + short: False,  # the long window still is over
        },
    )
    if at is failing:
        yield case("is silent without traffic", (10, at(0)), (60, dict.fromkeys(at(0), 0.0)))
        yield case("takes no reset for failures", (30, at(0)), (1, RESET), (30, at(0)))
        yield case("goes on through a reset", (10, over), (1, RESET), (10, over), start=over, fires=[(1, 21)])
    else:
        yield case(
            "ends when the target is gone",
            (10, over),
            (short + 9, dict.fromkeys(over, None)),
            start=over,
            probes={10: True, 10 + short + 2: False},
        )


ROWS = (
    Threshold(
        "SLALatencyP95",
        hold=5,
        over=agents(("lead-scorer", {"le_3": 930, "le_5": 949, "le_8": 1000, "le_inf": 1000})),  # 5.059 s
        under=agents(("lead-scorer", {"le_3": 930, "le_5": 951, "le_8": 1000, "le_inf": 1000})),  # 4.905 s
        well=agents(("lead-scorer", {"le_3": 1000, "le_5": 1000, "le_8": 1000, "le_inf": 1000})),
        said={'$value | printf "%.1f"': "5.1"},
        counters=True,
        step_s=60,
    ),
    Threshold(
        "SLALatencyP99",
        hold=5,
        over=agents(("lead-scorer", {"le_10": 9500, "le_15": 9899, "le_20": 10000, "le_inf": 10000})),  # 15.050 s
        under=agents(("lead-scorer", {"le_10": 9500, "le_15": 9901, "le_20": 10000, "le_inf": 10000})),  # 14.988 s
        well=agents(("lead-scorer", {"le_10": 10000, "le_15": 10000, "le_20": 10000, "le_inf": 10000})),
        said={'$value | printf "%.1f"': "15.0"},
        counters=True,
        step_s=60,
    ),
    Threshold(
        "SLACacheHitRate",
        hold=5,
        over={"insa_cache_hits_total": 799, "insa_cache_misses_total": 201},
        under={"insa_cache_hits_total": 801, "insa_cache_misses_total": 199},
        well={"insa_cache_hits_total": 950, "insa_cache_misses_total": 50},
        said={PERCENT: "79.9%"},
        counters=True,
        step_s=60,
    ),
)
RUNNING = 'chaoskit_sla_running{span="month",window="2026-11"}'
LEFT = 'chaoskit_sla_budget_left_ratio{basis="contract",sla="uptime",span="month",window="2026-11"}'
LAST = 'chaoskit_sla_budget_left_ratio{basis="contract",sla="uptime",span="month",window="2026-10"}'
BUDGETS = (
    Threshold(
        "SLABudgetLow",
        hold=0,
        over={LEFT: 0.24, LAST: 0.1, RUNNING: 1},
        under={LEFT: 0.25, LAST: 0.1, RUNNING: 1},
        well={LEFT: 0.9, LAST: 0.1, RUNNING: 1},
        said={PERCENT: "24%", "$labels.window": "2026-11", "$labels.sla": "uptime"},
        labels={"basis": "contract", "sla": "uptime", "span": "month", "window": "2026-11"},
        step_s=60,
    ),
    Threshold(
        "SLABudgetGone",
        hold=0,
        over={LEFT: -0.03, LAST: -1, RUNNING: 1},
        under={LEFT: 0.001, LAST: -1, RUNNING: 1},
        well={LEFT: 0.9, LAST: -1, RUNNING: 1},
        said={PERCENT: "-3%", "$labels.window": "2026-11", "$labels.sla": "uptime"},
        labels={"basis": "contract", "sla": "uptime", "span": "month", "window": "2026-11"},
        step_s=60,
    ),
    Threshold(
        "SLAEvidenceLate",
        hold=0,
        over={"chaoskit_sla_evidence_age_seconds": 172801},
        under={"chaoskit_sla_evidence_age_seconds": 172800},
        well={"chaoskit_sla_evidence_age_seconds": 900},
        said={"$value | humanizeDuration": "2d 0h 0m 1s"},
        step_s=60,
    ),
)
CASES = (
    *(case for row in BUDGETS for case in row.cases()),
    *(case for row in ROWS for case in row.cases()),
    *burn("SLAUptimeFastBurn", down, 0.0144, long=60, short=5, step_s=60, beyond="1.454%"),
    *burn("SLAUptimeMediumBurn", down, 0.006, long=360, short=30, step_s=60, beyond="0.606%"),
    *burn("SLAUptimeSlowBurn", down, 0.001, long=288, short=24, step_s=900, beyond="0.101%"),
    *burn("SLAErrorBudgetFastBurn", failing, 0.0144, long=60, short=5, step_s=60, beyond="1.454%"),
    *burn("SLAErrorBudgetMediumBurn", failing, 0.006, long=360, short=30, step_s=60, beyond="0.606%"),
    *burn("SLAErrorBudgetSlowBurn", failing, 0.001, long=288, short=24, step_s=900, beyond="0.101%"),
)
