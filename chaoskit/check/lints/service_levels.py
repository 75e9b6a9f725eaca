"""Targets against rules: does each alert about a service level mean the same target, and is it heard of in time?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from chaoskit.alerting.config_fields import root_of
from chaoskit.alerting.expression import Expr, expression, metric_names, walk
from chaoskit.alerting.quantity import constant
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext
from chaoskit.check.service_levels import heard, spelled_out
from chaoskit.errors import Place
from chaoskit.units import format_duration, parse_duration

DAY_S = 86400.0
_USUAL = (0.02, 0.05, 0.10)
"""The shares of a budget at which the long windows of burn rates are said to alert."""
_OFF = 0.10
_LATE = 0.10
_DEFAULT_RETENTION_S = 15 * DAY_S


@lint("sla-burn-objective", Severity.ERROR, "levels", ("targets", "rules"))
def burn_objective(context: LintContext) -> Iterator[Violation]:
    """A burn rate is multiplied by another objective than the target's.

    The alert guards a target that was not promised, and comes too early or too late for the one that was.
    """
    for watch in context.watches:
        wrong = {
            one.objective
            for one in watch.conditions
            if one.factor and not math.isclose(one.objective, watch.level.allowed, rel_tol=1e-6)
        }
        for objective in sorted(wrong):
            place = context.at(watch.rule.place, "expr")
            message = (
                f"{watch.rule.alert} multiplies its burn rate by {objective:g}, and {watch.level.name} at"
                f" {watch.level.place} may lose {watch.level.allowed:g}"
            )
            yield Violation(place, message, f"write {watch.level.allowed:g}, or change the target")


@lint("sla-burn-windows", Severity.WARNING, "levels", ("targets", "rules"))
def burn_windows(context: LintContext) -> Iterator[Violation]:
    """A burn rate over its long window spends another part of a month's budget than the usual 2, 5 or 10 %.

    Rate and window fit together for one length of the window that the budget is for, and a month has 28 to 31 days.
    """
    fits = []
    for watch in context.watches:
        long = max((one for one in watch.conditions if one.factor), key=lambda one: one.window_s, default=None)
        if long is None or not long.window_s:
            continue
        spent = {days: long.factor * long.window_s / (days * DAY_S) for days in (28, 30, 31)}
        nearest = min(_USUAL, key=lambda share: abs(share - spent[30]))
        what = f"{watch.rule.alert} ({long.factor:g} over {format_duration(long.window_s)})"
        if abs(spent[30] - nearest) > _OFF * nearest:
            factor = nearest * 30 * DAY_S / long.window_s
            yield Violation(
                context.at(watch.rule.place, "expr"),
                f"{what} fires when {spent[30]:.2%} of a month of 30 days is spent, which is no usual step",
                f"{factor:g} would be {nearest:.0%} of 30 days, {factor * 31 / 30:.4g} of 31",
            )
        else:
            fits.append((watch, what, spent))
    if fits:
        watch, what, spent = fits[0]
        more = f", and {len(fits) - 1} more like it" if len(fits) > 1 else ""
        yield Violation(
            context.at(watch.rule.place, "expr"),
            f"{what} stands for {spent[30]:.2%} of 30 days: {spent[31]:.2%} of 31 days, {spent[28]:.2%} of 28{more}",
            "leave the rule where months may differ so little; else compute the rates for 31 days",
            Severity.INFO,
        )


@lint("sla-no-alert", Severity.WARNING, "levels", ("targets", "rules"))
def no_alert(context: LintContext) -> Iterator[Violation]:
    """A target is set, and no alert reads the series that it is judged by.

    It is missed without a word, and the report is the first to say so.
    """
    watched = {watch.level.name for watch in context.watches}
    for level in context.levels or ():
        if level.name not in watched:
            message = f"no alert reads {', '.join(level.metrics)}, by which {level.name} is judged"
            yield Violation(level.place, message, "write a burn-rate alert as in the bundle's sla_alerts.yml")


@lint("sla-bucket", Severity.ERROR, "levels", ("targets", "metrics"))
def bucket(context: LintContext) -> Iterator[Violation]:
    """A latency target is no upper bound of its histogram's buckets.

    How many requests were faster is known at the bounds only: elsewhere it is a guess between two of them.
    """
    known = context.metrics.buckets if context.metrics is not None else {}
    for level in context.levels or ():
        bounds = known.get(level.histogram, frozenset())
        if bounds and not any(math.isclose(level.threshold_s, bound) for bound in bounds):
            listed = ", ".join(f"{bound:g}" for bound in sorted(bounds) if math.isfinite(bound))
            message = f"{level.name} asks for {level.threshold_s:g} s, and {level.histogram} has buckets at {listed}"
            nearest = min(bounds, key=lambda bound: abs(bound - level.threshold_s))
            yield Violation(level.place, message, f"aim at {nearest:g}s, or add a bucket of {level.threshold_s:g} s")


@lint("sla-retention", Severity.WARNING, "levels", ("targets", "prometheus"))
def retention(context: LintContext) -> Iterator[Violation]:
    """Prometheus keeps its samples for less than a month.

    Samples that it dropped before `chaoskit sla record` ran are lost, and the month stays unknown.
    """
    root = root_of(context.config.sources, "prometheus")
    written = root.at("storage", "tsdb", "retention", "time")  # Prometheus 3.8 and later read it
    try:
        kept_s = parse_duration(written.raw) if written else _DEFAULT_RETENTION_S
    except ValueError:
        written, kept_s = None, _DEFAULT_RETENTION_S
    if kept_s < 31 * DAY_S:
        within = format_duration(max(kept_s - DAY_S, kept_s / 2))
        flag = "" if written else " (unless the flag --storage.tsdb.retention.time says otherwise)"
        message = f"Prometheus keeps samples for {format_duration(kept_s)}{flag}, and a month has up to 31 days"
        todo = f"run chaoskit sla record at least every {within}, or keep 32d"
        place = written.place if written else Place(root.place.file)
        yield Violation(place, message, todo, None if written else Severity.INFO)


@lint("sla-average-of-averages", Severity.WARNING, "levels", ("targets", "rules"))
def average_of_averages(context: LintContext) -> Iterator[Violation]:
    """An average is taken of ratios or of averages, of series by which a target is judged.

    A quiet hour counts as much as a busy one, and an instance of five minutes as much as one of a month.
    """
    records = {name: expression(rules[0].expr) for name, rules in context.config.recorded.items()}
    metrics = {name for level in context.levels or () for name in level.metrics}
    for rule in context.config.rules:
        for node in walk(expression(rule.expr)):
            inner = _averaged(node)
            if inner is None:
                continue
            spelled = spelled_out(replace_range(inner), records)
            if _is_ratio(spelled) and metrics & metric_names(spelled):
                yield Violation(
                    context.at(rule.place, "expr"),
                    f"{rule.name} averages ratios, which counts a ratio of 10 requests like one of 10,000",
                    "divide the sum of bad events by the sum of all events, over the whole time",
                )
                break


def _averaged(node: Expr) -> Expr | None:
    """The expression that the node averages without weights; None where the node is no average."""
    if node.kind == "aggregate" and node.name == "avg":
        return node.left
    if node.kind == "call" and node.name == "avg_over_time":
        return node.left.left if node.left.kind == "subquery" else node.left
    if node.kind == "binary" and node.name == "/":
        over, under = (next((n for n in walk(side) if n.kind == "call"), None) for side in node.children)
        if over and under and (over.name, under.name) == ("sum_over_time", "count_over_time"):
            return over.left.left if over.left.kind == "subquery" else over.left
    return None


def replace_range(node: Expr) -> Expr:
    """The selector without its range: what a recording rule's name stands for at each instant."""
    return Expr("selector", node.name, matchers=node.matchers) if node.kind == "selector" else node


def _is_ratio(node: Expr) -> bool:
    if node.kind == "call":
        return node.name == "avg_over_time"
    if node.kind == "unary" or (node.kind == "aggregate" and node.name in ("max", "min")):
        return _is_ratio(node.left)
    if node.kind != "binary":
        return False
    if node.name == "/":
        return constant(node.right) is None
    return any(_is_ratio(child) for child in node.children)


@lint("sla-late", Severity.WARNING, "levels", ("targets", "rules", "promise"))
def late(context: LintContext) -> Iterator[Violation]:
    """Of a total outage the first notice comes after more than 10 % of the month's budget is gone.

    Ten such outages miss the target by the wait for the notice alone, before a person can begin to mend them.
    """
    for level in context.levels or ():
        mine = [watch for watch in context.watches if watch.level.name == level.name]
        told = ((one, watch) for watch in mine for one in heard(context.config, watch, 1.0))
        first = min(told, key=lambda pair: pair[0].hi_s, default=None)
        if first is None:
            continue
        one, watch = first
        lo, hi = one.cost(1.0, level.allowed)
        if hi > _LATE:
            yield Violation(
                context.at(watch.rule.place, "for"),
                f"of a total outage of {level.name}, {one.receiver} hears by {watch.rule.alert} after"
                f" {one.lo_s:.0f} to {one.hi_s:.0f} s: {lo:.1%} to {hi:.1%} of the month's budget is gone",
                "shorten its `for` or group_wait, or add an alert on a fast burn",
            )
