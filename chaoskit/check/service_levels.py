"""Service levels as lints see them: what each may lose, and what every alert makes of the same series.

The one idea: an alert about a service level says "more than so much was bad over so long". Its expression, with
recording rules put in place of their names, is read as such conditions, and everything else follows from them: how much
of the budget is gone before a phone rings, and how a whole month can be missed without any of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chaoskit.alerting.expression import Expr, expression, walk
from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.alerting.quantity import comparison, constant
from chaoskit.alerting.routing import matches_all
from chaoskit.alerting.windows import up
from chaoskit.alerting.windows_expression import feeding_jobs, recording_delay
from chaoskit.errors import Place

MONTH_S = 30 * 86400.0
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Level:
    """One target: `allowed` is the share that may be bad, `metrics` are the series that it is judged by.

    `time` tells a level of up and down time from one of events. A level of latency has its `histogram` and
    `threshold_s`: what takes longer is bad.
    """

    name: str
    allowed: float
    metrics: tuple[str, ...]
    place: Place
    time: bool = False
    histogram: str = ""
    threshold_s: float = 0.0
    match: Mapping[str, str] = field(default_factory=dict)
    """Label matchers that all series of this level meet."""

    def read_by(self, node: Expr) -> bool:
        """Whether this selects series of the level."""
        wanted = (each for each in node.matchers if each.label in self.match)
        return node.kind == "selector" and node.name in self.metrics and matches_all(wanted, self.match)


@dataclass(frozen=True, slots=True)
class Condition:
    """More than `share` of what a range of `window_s` holds is bad; a window of 0 is the last sample.

    With `reached` so much is enough. `factor` and `objective` are set where the rule writes its limit as their
    product, as burn rates do.
    """

    window_s: float
    share: float
    factor: float = 0.0
    objective: float = 0.0
    reached: bool = False
    reads: tuple[Expr, ...] = ()
    """The selectors of the level's series."""


@dataclass(frozen=True, slots=True)
class Watch:
    """An alerting rule that is about a level: it is true where all its conditions are."""

    rule: Rule
    level: Level
    conditions: tuple[Condition, ...]
    """Empty where the rule reads the level's series, and not as a share of them that is bad."""


def watches(config: AlertConfig, levels: Sequence[Level]) -> list[Watch]:
    """Every alert that reads a level's series, in the order of the rules."""
    records: dict[str, Expr] = {}
    for rule in config.rules:
        if rule.record:
            records.setdefault(rule.record, expression(rule.expr))
    found = []
    for rule in config.rules:
        if rule.alert:
            tree = spelled_out(expression(rule.expr), records)
            for level in levels:
                if _reads(tree, level):
                    found.append(Watch(rule, level, tuple(_conditions(tree, level))))
    return found


def spelled_out(node: Expr, records: Mapping[str, Expr], depth: int = 0) -> Expr:
    """The expression with every recording rule in place of its name."""
    if node.kind == "selector" and node.name in records and not node.range_s and depth < _DEEPEST:
        return spelled_out(records[node.name], records, depth + 1)
    return replace(node, children=tuple(spelled_out(child, records, depth) for child in node.children))


def _conditions(node: Expr, level: Level) -> Iterator[Condition]:
    """The conditions that must all hold; none where one of them is not understood: the rest would hold more often."""
    parts = list(_joined(node))
    found = [_condition(part, level) for part in parts if _reads(part, level)]
    if None not in found:
        yield from (one for one in found if one is not None)


def _joined(node: Expr) -> Iterator[Expr]:
    if node.kind == "binary" and node.name == "and":
        yield from _joined(node.left)
        yield from _joined(node.right)
    elif node.kind == "binary" and node.name == "unless":
        yield from _joined(node.left)
    else:
        yield node


def _reads(node: Expr, level: Level) -> bool:
    """Whether it is about the level's series; what is only divided by them is about something else."""
    if node.kind == "binary" and node.name == "/" and constant(node.right) is None:
        return _reads(node.left, level)
    return level.read_by(node) or any(_reads(child, level) for child in node.children)


def _condition(node: Expr, level: Level) -> Condition | None:
    compared = comparison(node) if node.filters() else None
    if compared is None:
        return None
    inner, sign, limit = compared
    window_s = max((n.range_s for n in walk(inner) if n.kind in ("selector", "subquery") and n.range_s), default=0.0)
    reads = tuple(filter(level.read_by, walk(inner)))
    quantile = next((n for n in walk(inner) if n.kind == "call" and n.name == "histogram_quantile"), None)
    if quantile is not None:
        rank = constant(quantile.left)
        if rank is None or sign not in (">", ">="):
            return None
        # A rule about a longer time than the target's: as many must take that long.
        return Condition(window_s, 1 - rank, reads=reads)
    if level.histogram:
        return None
    if sign == "==" and limit == 0 and level.time:
        return Condition(window_s, 1.0, reached=True, reads=reads)
    share = limit if sign in (">", ">=") else 1 - limit if sign in ("<", "<=") else math.nan
    if not 0 <= share <= 1:
        return None
    factor, objective = _product(node)
    return Condition(window_s, share, factor, objective, "=" in sign, reads)


def _product(node: Expr) -> tuple[float, float]:
    """Burn rate and objective where the limit is written so; 0 and 0 otherwise."""
    for side in node.children:
        if side.kind == "binary" and side.name == "*":
            values = [constant(child) for child in side.children]
            if None not in values:
                low, high = sorted(value for value in values if value is not None)
                return high, low
    return 0.0, 0.0


@dataclass(frozen=True, slots=True)
class Heard:
    """When an alert is heard of at `receiver` after its trouble began, in seconds at the earliest and latest."""

    receiver: str
    lo_s: float
    hi_s: float

    def cost(self, bad: float, allowed: float, month_s: float = MONTH_S) -> tuple[float, float]:
        """The shares of the month's budget that are gone by then where `bad` of everything is."""
        budget_s = allowed * month_s
        return (bad * self.lo_s / budget_s, bad * self.hi_s / budget_s) if budget_s else (math.inf, math.inf)


def heard(config: AlertConfig, watch: Watch, bad: float) -> list[Heard]:
    """The earliest promised notice of a trouble that makes this share bad, one a receiver, the first one first.

    Steady traffic is assumed, and a month that was clean before. Empty where it never fires, where nothing is promised,
    or where its conditions are not understood.
    """
    scrape_s = max((job.interval_s for job in feeding_jobs(config, watch.rule)), default=watch.rule.interval_s)
    begins = [_true_after(one, watch.level, bad, scrape_s) for one in watch.conditions]
    known = [one for one in begins if one is not None]
    if not begins or len(known) < len(begins):
        return []
    lo_s, hi_s = max(lo for lo, _ in known), max(hi for _, hi in known)
    # A recording rule of the same group that stands before its reader adds nothing.
    hi_s += watch.rule.interval_s + recording_delay(config, watch.rule)
    found = []
    for notice in config.promise.notices.values():
        if notice.alert == watch.rule.alert:
            waits_s = up(notice.for_s, watch.rule.interval_s) + notice.group_wait_s
            found.append(Heard(notice.receiver, lo_s + waits_s, hi_s + waits_s))
    return sorted(found, key=lambda one: (one.hi_s, one.receiver))


def _true_after(one: Condition, level: Level, bad: float, scrape_s: float) -> tuple[float, float] | None:
    """Seconds after which it is true at the earliest and latest, as scraped; None where it never is."""
    if one.window_s and (one.share > bad or (one.share == bad and not one.reached)):
        return None
    if not level.time:
        after_s = one.window_s * one.share / bad if bad else math.inf
        return (after_s, after_s + scrape_s)
    if not one.window_s:
        return (0.0, scrape_s)
    # So many failed scrapes are more than the share of the range.
    enough = round(one.share / bad * one.window_s / scrape_s, 9)
    failed = math.ceil(enough) if one.reached else math.floor(enough) + 1
    return ((failed - 1) * scrape_s, failed * scrape_s)
