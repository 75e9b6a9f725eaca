"""How much of a month's budget is gone at the first notification: by the promise, and as runs measured it; pure.

total outage        MetricsEndpointDown heard after 70–100 s     2.7–3.9 % of the 2,592 s that 99.9 % leaves in 30 days
95 % of requests    HighErrorRate heard after 326–356 s          12–13 %; with 15 minutes of repair 46 %: two a month
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chaoskit.alerting.model import AlertConfig
from chaoskit.check.service_levels import MONTH_S, Heard, Level, Watch, heard, watches
from chaoskit.units import format_duration
from chaoskit.verify.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Cost:
    """An alert about a level: when its first receiver hears of it, and what is gone of the budget by then.

    `heard` is None where such a trouble does not raise it, or nothing is promised: `why` says which.
    """

    level: str
    alert: str
    bad: float
    heard: Heard | None
    lo: float
    hi: float
    repaired: float
    """The share that is gone once it is repaired as well."""
    source: str
    """`promise`, or the run that measured it."""
    why: str = ""

    @property
    def affordable(self) -> int | None:
        """How many such incidents a month may hold; None where none is heard of."""
        return None if self.heard is None or self.repaired <= 0 else int(1 / self.repaired)


def promised(config: AlertConfig, levels: Sequence[Level], bad: float, repair_s: float) -> Iterator[Cost]:
    """The cost by the promise: each alert about a level, the one that is heard of first at the top of its level."""
    found = watches(config, levels)
    for level in levels:
        costs = [_promised(config, one, bad, repair_s) for one in found if one.level.name == level.name]
        yield from sorted(costs, key=lambda one: (one.heard is None, one.hi, one.alert))


def _promised(config: AlertConfig, watch: Watch, bad: float, repair_s: float) -> Cost:
    told = heard(config, watch, bad)
    if told:
        return _cost(watch, bad, told[0], repair_s, "promise")
    if not watch.conditions:
        why = "the alert's expression is no share of the level's series"
    elif not any(alert == watch.rule.alert for alert, _ in config.promise.notices):
        why = "the promise has nothing for the alert"
    else:
        worst = max(one.share for one in watch.conditions)
        why = f"the alert needs a bad share of more than {worst:.4g}"
    return Cost(watch.level.name, watch.rule.alert, bad, None, 0.0, 0.0, 0.0, "promise", why)


def measured(
    config: AlertConfig, levels: Sequence[Level], bad: float, repair_s: float, runs: Iterable[tuple[str, Verdict]]
) -> Iterator[Cost]:
    """The cost as runs measured it: of each run and alert the notice that was certainly first."""
    found = watches(config, levels)
    for name, verdict in runs:
        for watch in found:
            spans = [
                (figure.fault_to_notice, figure.to)
                for figure in verdict.figures
                if figure.about.split(" ")[0] == watch.rule.alert and figure.fault_to_notice is not None
            ]
            if spans:
                span, to = min(spans, key=lambda pair: pair[0][1])
                yield _cost(watch, bad, Heard(to, *span), repair_s, name)


def _cost(watch: Watch, bad: float, first: Heard, repair_s: float, source: str) -> Cost:
    lo, hi = first.cost(bad, watch.level.allowed)
    _, repaired = Heard(first.receiver, first.lo_s, first.hi_s + repair_s).cost(bad, watch.level.allowed)
    return Cost(watch.level.name, watch.rule.alert, bad, first, lo, hi, repaired, source)


@dataclass(frozen=True, slots=True)
class Price:
    """The most that a drill may cost one level: seconds in which all may be bad, and their share of the budget."""

    level: str
    lasts_s: float
    share: float
    left: float | None
    """The share of the running month's budget that is left; None where nothing was recorded of it."""

    def __str__(self) -> str:
        left = "the rest is not known" if self.left is None else f"{self.left:.1%} is left"
        return f"{self.level}: at most {self.share:.1%} of the month's budget ({format_duration(self.lasts_s)}); {left}"


def price(level: Level, lasts_s: float, left: float | None, month_s: float = MONTH_S) -> Price:
    """The price where everything is bad for as long as the drill's faults may last."""
    _, share = Heard("", lasts_s, lasts_s).cost(1.0, level.allowed, month_s)
    return Price(level.name, lasts_s, share, left)
