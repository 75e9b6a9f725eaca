"""CircuitBreakerFlapping: five transitions between closed and not closed in 10 minutes, not four.

10 minutes are 40 samples. A spell ends when its first transition has left the range. (WorkerFrequentRestarts, the
other alert on a count, is in worker.yml.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.bundle_rules.case import Case, labelled, timeline

_NAME = "insa_circuit_breaker_transitions_total"
UPSTREAM = {"breaker": "upstream", "instance": "crm:9091"}


def _series(before: str, after: str, breaker: str = "upstream") -> str:
    return f'{_NAME}{{breaker="{breaker}",instance="crm:9091",from="{before}",to="{after}"}}'


OPENINGS, CLOSINGS = _series("closed", "open"), _series("half_open", "closed")
PROBES, FAILED_PROBES = _series("open", "half_open"), _series("half_open", "open")


def written(steps: Iterable[int], lasts: int, start: int = 0, reset_at: int = 0) -> str:
    """A counter that grows by one at each of these samples (twice there, if named twice) and may begin anew."""
    found, at, value = list(steps), [], start
    for sample in range(lasts + 1):
        value = 0 if reset_at and sample == reset_at else value
        value += found.count(sample)
        at.append(str(value))
    return " ".join(at)


def case(
    title: str,
    openings: Sequence[int],
    closings: Sequence[int],
    fires: Sequence[tuple[int, int]] = (),
    *,
    lasts: int = 90,
    start: int = 0,
    reset_at: int = 0,
    value: str = "",
    others: Mapping[str, str] | None = None,
) -> Case:
    series = {
        OPENINGS: written(openings, lasts, start, reset_at),
        CLOSINGS: written(closings, lasts, start, reset_at),
        PROBES: written([], lasts),
        FAILED_PROBES: written([], lasts),
        **(others or {}),
    }
    said = {"$value": value, "$labels.breaker": "upstream", "$labels.instance": "crm:9091"} if value else None
    return Case("CircuitBreakerFlapping", title, series, lasts, fires, UPSTREAM, said, slack=1)


CASES = (
    case(
        "fires at the fifth transition, until the first is out of the range",
        [4, 12, 20],
        [8, 16],
        [(20, 42)],
        value="5",
    ),
    case("is silent with four", [4, 12], [8, 16]),
    case("counts every one of a burst between two scrapes", [5, 5, 5], [5, 5], [(5, 43)], value="5"),
    case("takes no four of a burst for five", [5, 5], [5, 5]),
    case("counts five that are spread over the whole range", [4, 22, 40], [13, 31], [(40, 42)]),
    case("is silent for five in eleven minutes", [4, 26, 48], [15, 37]),
    case(
        "is not raised by the probes of a dependency that stays dead",
        [4],
        [],
        others={PROBES: written(range(8, 90, 4), 90), FAILED_PROBES: written(range(9, 90, 4), 90)},
    ),
    case("takes a counter that began anew for no transition", [], [], start=40, reset_at=20),
    case("adds up five around a reset", [4, 20, 24], [8, 22], [(24, 42)], start=10, reset_at=12),
    case("takes no four around a reset for five", [4, 20], [8, 22], start=10, reset_at=12),
    case(
        "does not add up two breakers",
        [4, 12],
        [8],
        others={
            _series("closed", "open", "mail"): written([5, 13], 90),
            _series("half_open", "closed", "mail"): written([9], 90),
        },
    ),
    Case(
        "CircuitBreakerFlapping",
        "takes a first value above 0 for no transition",
        {OPENINGS: "_x20 7+0x60", CLOSINGS: "_x20 6+0x60"},
        80,
    ),
    Case("CircuitBreakerFlapping", "is silent without its series", timeline({"up": 1}, (60, {"up": 1})), 60),
    Case(
        "CircuitBreakerFlapping",
        "keeps environments apart",
        {
            name: written([4, 12] if environment == "staging" else [6], 60)
            for environment in ("staging", "production")
            for name in labelled({OPENINGS: 0, CLOSINGS: 0}, environment=environment)
        },
        60,
    ),
)
