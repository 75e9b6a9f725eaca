"""Is each function given the kind of metric, and the length of time, that it is made for?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chaoskit.alerting.expression import Expr, expression, walk
from chaoskit.alerting.labels import KEEPS_EACH
from chaoskit.alerting.model import Rule
from chaoskit.alerting.routing import matches_all
from chaoskit.check.facts import Facts
from chaoskit.check.findings import Said, Severity, lint
from chaoskit.units import format_duration

_COUNTER_FUNCTIONS = {"rate", "irate", "increase", "resets"}
_GAUGE_FUNCTIONS = {"delta", "idelta", "deriv", "predict_linear", "double_exponential_smoothing", "holt_winters"}
_RATES = {"rate", "irate", "increase"}
_COUNTER_NAMES = ("_total", "_count", "_sum", "_bucket", "_created")
# Endings that name a state or a size, never a running total.
_GAUGE_NAMES = (
    "_ratio", "_percent", "_percentage", "_utilization", "_celsius", "_volts", "_amperes", "_watts", "_info", "_up",
    "_depth", "_length", "_timestamp", "_timestamp_seconds", "_temperature", "_temp", "_free", "_available",
    "_limit", "_capacity",
)  # fmt: skip
_FEWEST = 4


@dataclass(frozen=True, slots=True)
class _Use:
    rule: Rule
    function: str
    selector: Expr


def _uses(facts: Facts, functions: set[str]) -> Iterator[_Use]:
    """Each function of these that is called directly on a range of series."""
    for rule in facts.config.rules:
        for node in walk(expression(rule.expr)):
            if node.kind == "call" and node.name in functions:
                for child in node.children:
                    if child.kind == "selector" and child.range_s:
                        yield _Use(rule, node.name, child)


def _type(facts: Facts, name: str) -> str:
    """counter, gauge or "": from the list of metrics, else from the name's ending."""
    known = facts.metrics.types.get(name, "") if facts.metrics else ""
    if known in ("counter", "gauge"):
        return known
    if name.endswith(_COUNTER_NAMES):
        return "counter"
    return "gauge" if name.endswith(_GAUGE_NAMES) else ""


@lint("rate-over-gauge", Severity.WARNING, "rules", ("rules",))
def rate_over_gauge(facts: Facts) -> Iterator[Said]:
    """rate, irate, increase or resets is applied to a gauge, or to a recorded sum or rate.

    They take every fall of the value for a restart from zero and add it on: the result is far too large.
    """
    for use in _uses(facts, _COUNTER_FUNCTIONS):
        name = use.selector.name
        recorded = [expression(rule.expr) for rule in facts.config.recorded.get(name, ())]
        if recorded:
            if not any(_falls(tree) for tree in recorded):
                continue
            kind, todo = "a recorded aggregate, which falls when one of its parts restarts", "take the rate first"
        elif _type(facts, name) == "gauge":
            kind, todo = "a gauge", f"use {'deriv' if use.function in ('rate', 'irate') else 'delta or changes'}()"
        else:
            continue
        message = f"{_called(use.rule)} takes {use.function}() of {name}, {kind}"
        yield Said(facts.at(use.rule.place, "expr"), message, todo)


def _falls(tree: Expr) -> bool:
    """Whether the recorded value can fall although counters only rise."""
    if tree.kind == "aggregate" and tree.name not in KEEPS_EACH:
        return True
    if tree.kind == "call" and tree.name in _RATES | _GAUGE_FUNCTIONS:
        return True
    if tree.many or tree.name in ("and", "unless"):  # the other side only chooses, or brings labels
        return _falls(tree.right if tree.many == "right" else tree.left)
    if tree.name == "*" and tree.mode:  # the same of a join of one with one
        return all(map(_falls, tree.children))
    return any(map(_falls, tree.children))


@lint("delta-over-counter", Severity.WARNING, "rules", ("rules",))
def delta_over_counter(facts: Facts) -> Iterator[Said]:
    """delta, deriv or predict_linear is applied to a counter.

    They know nothing of restarts: a counter that begins again at zero looks like a steep fall.
    """
    for use in _uses(facts, _GAUGE_FUNCTIONS):
        name = use.selector.name
        if name not in facts.config.recorded and _type(facts, name) == "counter":
            instead = "rate()" if use.function in ("deriv", "predict_linear") else "increase()"
            message = f"{_called(use.rule)} takes {use.function}() of {name}, a counter"
            yield Said(facts.at(use.rule.place, "expr"), message, f"use {instead}")


@lint("short-range", Severity.WARNING, "rules", ("rules", "prometheus"))
def short_range(facts: Facts) -> Iterator[Said]:
    """A range holds fewer than four scrapes of its metric.

    A rate needs two samples; with fewer than four, one failed scrape leaves it with none, and the alert resolves.
    """
    every: dict[tuple[object, ...], float] = {}
    for use in _uses(facts, _RATES | _GAUGE_FUNCTIONS):
        key = (use.selector.name, *(m for m in use.selector.matchers if m.label == "job"))
        if key not in every:
            every[key] = _interval(facts, use.selector)
        held = use.selector.range_s
        if every[key] and held < _FEWEST * every[key]:
            message = (
                f"{_called(use.rule)} takes {use.function}() over {format_duration(held)}, and {use.selector.name}"
                f" has a new sample every {format_duration(every[key])}"
            )
            enough = format_duration(_FEWEST * every[key])
            yield Said(facts.at(use.rule.place, "expr"), message, f"make the range {enough} or longer")


def _interval(facts: Facts, selector: Expr) -> float:
    """Seconds between two samples, in the quickest job that may feed the selector."""
    recorded = [rule.interval_s for rule in facts.config.recorded.get(selector.name, ())]
    if recorded:
        return min(recorded)
    by_job = [each for each in selector.matchers if each.label == "job"]
    jobs = [job.interval_s for job in facts.config.jobs if matches_all(by_job, {"job": job.name})]
    return min(jobs or [job.interval_s for job in facts.config.jobs], default=0.0)


def _called(rule: Rule) -> str:
    return rule.alert or rule.record
