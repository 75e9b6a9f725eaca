"""Compress a PromQL expression: the result means for one second what the original means for k seconds.

The setting: every duration of Prometheus and Alertmanager is divided by k, so that one real second is k virtual
seconds. The target goes k times as fast and keeps its values; lengths that it reports are virtual seconds. Then

=========================================  =======================================================================
construct                                  what becomes of it
=========================================  =======================================================================
`[5m]`, `[30m:1m]`, `offset 1h`            divided by k (promql_durations says how they may be rounded)
`[30m:]`                                   the range is divided; the step is the global evaluation interval, which
                                           the scaled prometheus.yml divides
`@ start()`, `@ end()`                     kept: in a rule both are the evaluation itself
`@ 1600000000`                             refused: a fixed instant has no virtual counterpart
`rate`, `irate`, `deriv`                   `(rate(x[5s]) / 60)`, wherever they stand
`predict_linear(x[1h], 3600)`              `predict_linear(x[1m], 3600 / 60)`: the slope is k times, the way 1/k
`increase`, `delta`, `changes`, `*_over_time`, quantiles, aggregations, set operators, labels: kept
`time() - x`, `timestamp(a) - timestamp(b)`   `((time() - x) * 60)`: the distance of two instants, in virtual seconds
`time() - 3600 > x`, `x + 3600 < time()`   `(3600 / 60)`: a length beside an instant
`time() > x`, `max(timestamp(x))`          kept: the order of instants does not change
`hour()`, `time() % 86400`                 refused: there is no virtual time of day
`scrape_duration_seconds`                  `(scrape_duration_seconds * 60)`: Prometheus measures itself in real seconds
=========================================  =======================================================================

`time() - x` needs an assumption, which is reported: x is stamped from the real clock while the run goes on, so every
distance from now counts k-fold (a certificate with a real day left has k virtual days left).

Floating point: `rate() / 60` agrees with the uncompressed rate to about 1e-15 of itself, no better; a threshold met
exactly is a matter of chance with or without compression.

The text is rewritten in place (layout and comments stay) and then compared, construct by construct, with the original
by a second, independent parser: a difference that is not expected raises CannotScale, so that a slip of the rewriting
cannot pass for a result.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from fractions import Fraction
from typing import Any

from chaoskit.alerting.expression import expression, metric_names, selectors
from chaoskit.alerting.promql_durations import CannotScale, Scale, as_fraction
from chaoskit.alerting.promql_lockstep import accepted, compare
from chaoskit.alerting.promql_meaning import Kind
from chaoskit.alerting.promql_rewrite import Rewriting
from chaoskit.alerting.promql_syntax import read
from chaoskit.alerting.routing import matches_all

__all__ = ["CannotScale", "is_instant", "metrics", "reads_alert", "scale"]


def scale(expr: str, k: Scale, *, instants: Collection[str] = ()) -> str:
    """The expression for k virtual seconds a second; k = 1 gives it back byte for byte.

    `instants` names further metrics whose value is a point on the real clock (recording rules of `time()`, say).
    Raises CannotScale, which names the construct.
    """
    factor = as_fraction(k)
    if factor == 1:
        return expr
    try:
        tree = read(expr)
        seen = Rewriting(expr, factor, frozenset(instants)).visit(tree, bare=True)
        text = expr[: tree.start] + seen.text + expr[tree.end :]
        found = compare(expr, text, factor)
    except RecursionError:
        raise CannotScale("nesting", "the expression is nested too deeply to be followed") from None
    if found != seen.inserted:
        raise CannotScale("expression", f"chaoskit compressed it wrongly: inserted {found}, expected {seen.inserted}")
    return text


def is_instant(expr: str, instants: Collection[str] = ()) -> bool:
    """Whether the expression's value is a point on the real clock; no for what cannot be read or compressed."""
    try:
        seen = Rewriting(expr, as_fraction(1), frozenset(instants)).visit(read(expr))
    except (CannotScale, RecursionError):
        return False
    return seen.kind is Kind.INSTANT


def metrics(expr: str) -> frozenset[str]:
    """The names of all metrics that the expression reads by name; raises CannotScale where it is no PromQL."""
    return metric_names(accepted(expr))


def reads_alert(expr: str, alert: str) -> bool:
    """Whether the expression reads the state of that alert through ALERTS or ALERTS_FOR_STATE; raises CannotScale."""
    read = (each for each in selectors(accepted(expr)) if each.name in ("ALERTS", "ALERTS_FOR_STATE"))
    return any(matches_all((m for m in each.matchers if m.label == "alertname"), {"alertname": alert}) for each in read)


def at_scale(query: str, time_scale: float) -> str:
    """The query as it is asked at a time scale; raises ValueError with the reason where it cannot be."""
    try:
        if expression(query).kind == "string":
            raise ValueError("the query's answer is a text: write a query for series or a number")
        return scale(query, Fraction(time_scale).limit_denominator(1000))
    except CannotScale as error:
        raise ValueError(str(error)) from None


def unaskable(query: str, time_scale: float) -> str:
    """Why a query cannot be asked at this scale; empty where it can."""
    try:
        at_scale(query, time_scale)
    except ValueError as error:
        return str(error)
    return ""


def says_yes(data: dict[str, Any]) -> bool:
    """Whether an answer holds a series, or a number but 0 and NaN; KeyError, TypeError, ValueError if malformed."""
    kind, result = data["resultType"], data["result"]
    if kind == "string":
        return False
    if kind == "scalar":
        value = float(result[1])
        return value != 0 and not math.isnan(value)
    return bool(result)
