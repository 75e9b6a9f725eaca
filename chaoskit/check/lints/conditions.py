"""Does the expression state a condition, one that can hold and can fail, about something that exists?

Is each function given the kind of metric, and the length of time, that it is made for? And where nothing happens, a
ratio of rates is 0/0: NaN. It is neither above nor below anything, so a comparison drops it and an alert stays silent,
as it should. It does harm where it is stored, where it is summed up with good numbers, and where `!=` takes it for a
difference.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.alerting.expression import Expr, expression, selectors, walk
from chaoskit.alerting.labels import KEEPS_EACH, is_comparison, is_scalar
from chaoskit.alerting.model import Matcher, Rule
from chaoskit.alerting.quantity import comparison, constant
from chaoskit.alerting.routing import matches, matches_all
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext
from chaoskit.check.metrics import Metrics
from chaoskit.check.ranges import allowed, interval_of
from chaoskit.units import format_duration

_WHERE = {"job", "instance", "environment", "env", "cluster", "namespace", "region"}
_CONDITIONS = {"absent", "absent_over_time"}
# Such a count or presence is compared to say "there are any", although it could not be otherwise.
_PRESENCE = {"count", "group", "count_over_time", "present_over_time", *_CONDITIONS}


@lint("unknown-metric", Severity.ERROR, "rules", ("rules", "metrics"))
def unknown_metric(context: LintContext) -> Iterator[Violation]:
    """A selector names a metric that no rule records and the list of known metrics does not hold; of a live
    Prometheus also a label, or a job, that none of its series has.

    A selector that finds nothing raises no error: the alert stays silent for ever.
    """
    metrics = context.metrics
    if metrics is None:
        return
    known = (*metrics.types, *context.config.recorded)
    for rule in context.config.rules:
        for name in dict.fromkeys(each.name for each in selectors(expression(rule.expr))):
            if name and not metrics.knows(name) and name not in context.config.recorded:
                near = context.near(name, known)
                todo = near or f"correct the name, or add it to {metrics.source}"
                yield Violation(
                    context.at(rule.place, "expr"), f"{rule.name} reads {name}, which nothing exports", todo
                )
        for each in selectors(expression(rule.expr)):
            for matcher, why in _unmatched(metrics, each):
                message = f"{rule.name} reads {each.name}{{{matcher}}}, {why}"
                todo = f"correct the matcher; {metrics.source} was asked"
                yield Violation(context.at(rule.place, "expr"), message, todo)
            patterns = [m for m in each.matchers if m.label == "__name__" and m.op == "=~"]
            for pattern in patterns if not metrics.patterns else ():
                if not any(matches(pattern, {"__name__": name}) for name in known):
                    message = f"{rule.name} selects names like {pattern.value}, and nothing exports one"
                    yield Violation(context.at(rule.place, "expr"), message, "correct the pattern, or add the metrics")


def _unmatched(metrics: Metrics, selector: Expr) -> Iterator[tuple[Matcher, str]]:
    """The matchers that no series of the metric can satisfy, each with the reason."""
    labels, jobs = metrics.labels.get(selector.name), metrics.jobs.get(selector.name, frozenset())
    for one in selector.matchers if labels is not None else ():
        if one.label == "__name__" or matches(one, {}):
            continue
        if labels is not None and one.label not in labels:
            yield one, f"and none of its series carries {one.label}"
        elif one.label == "job" and not any(matches(one, {"job": job}) for job in jobs):
            yield one, f"and its series are of {', '.join(sorted(jobs)) or 'no job'}"


@lint("fires-always", Severity.WARNING, "rules", ("rules",))
def fires_always(context: LintContext) -> Iterator[Violation]:
    """An alert's expression compares nothing, so that any value fires it, 0 included.

    An alert fires for every series that its expression returns, also where the value is 0.
    """
    for alert in context.alerts:
        tree = expression(alert.rule.expr)
        # Without any selector it is meant: a heartbeat such as vector(1).
        if any(selectors(tree)) and not _conditional(context, tree, ()):
            severity = Severity.INFO if _chooses(tree) else None
            if is_comparison(tree) and tree.returns_bool:
                message = f"{alert.name} compares with bool, which gives 0 or 1 and drops nothing"
                todo = "leave bool out, or add == 1"
            else:
                message = f"{alert.name} fires as soon as its series exist, since nothing is compared"
                todo = "add the comparison, such as > 0"
            yield Violation(context.at(alert.rule.place, "expr"), message, todo, severity)


def _chooses(tree: Expr) -> bool:
    """Whether this is a selector by more than where a series comes from: its mere existence may be the condition."""
    return tree.kind == "selector" and any(m.label not in _WHERE for m in tree.matchers)


def _conditional(context: LintContext, node: Expr, seen: tuple[str, ...]) -> bool:
    """Whether results can be missing while the series are there."""
    match node.kind:
        case "selector":
            rules = context.config.recorded.get(node.name, ())
            if node.name in ("ALERTS", "ALERTS_FOR_STATE"):
                return True
            return (
                bool(rules)
                and node.name not in seen
                and all(_conditional(context, expression(rule.expr), (*seen, node.name)) for rule in rules)
            )
        case "binary" if node.name in ("and", "unless"):
            return True
        case "binary" if node.name == "or":
            return all(_conditional(context, child, seen) for child in node.children)
        case "binary" if is_comparison(node):
            return not node.returns_bool
        case "call" if node.name in _CONDITIONS:
            return True
    return any(_conditional(context, child, seen) for child in node.children)


@lint("never-true", Severity.ERROR, "rules", ("rules",))
def never_true(context: LintContext) -> Iterator[Violation]:
    """A comparison can hold for no value: count(x) == 0, rate(x[5m]) < 0, x > 5 and x < 3.

    The alert can never fire. Where nothing is left to count, count() returns nothing at all, and not 0.
    """
    for rule in context.config.rules:
        for node in walk(expression(rule.expr)):
            if reason := _impossible(node):
                counts = "count" in reason or "group" in reason
                todo = "for something that is missing use absent()" if counts else "correct the operator or the number"
                yield Violation(context.at(rule.place, "expr"), f"{rule.name}: {reason}", todo)
                break


def _impossible(node: Expr) -> str:
    if node.kind != "binary":
        return ""
    if node.name == "and" and not node.mode and all(is_comparison(child) for child in node.children):
        first, second = (comparison(child) for child in node.children)
        if first and second and first[0] == second[0]:
            left, right = allowed(first[1], first[2]), allowed(second[1], second[2])
            if left and right and left.meet(right).empty():
                return f"nothing is {first[1]} {first[2]:g} and {second[1]} {second[2]:g} at once"
        return ""
    compared = comparison(node) if is_comparison(node) else None
    if compared is None or constant(compared[0]) is not None:
        return ""
    inner, sign, value = compared
    wanted = allowed(sign, value)
    if wanted is None or not wanted.meet(interval_of(inner)).empty():
        return ""
    what = f"{inner.name}()" if inner.kind in ("call", "aggregate") else "what is compared"
    return f"{what} is never {sign} {value:g}"


@lint("always-true", Severity.WARNING, "rules", ("rules",))
def always_true(context: LintContext) -> Iterator[Violation]:
    """A comparison holds for every value that its left side can have: rate(x[5m]) >= 0.

    A condition that cannot fail is none: the alert fires as soon as its series exist.
    """
    for rule in context.config.rules:
        for node in walk(expression(rule.expr)):
            compared = comparison(node) if is_comparison(node) else None
            if compared is None or constant(compared[0]) is not None or compared[0].name in _PRESENCE:
                continue
            inner, sign, value = compared
            found, wanted = interval_of(inner), allowed(sign, value)
            if found.lo == 0 and wanted is not None and wanted.holds(found):
                message = f"{rule.name}: {inner.name}() is always {sign} {value:g}"
                yield Violation(context.at(rule.place, "expr"), message, "correct the operator or the number")


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


def _uses(context: LintContext, functions: set[str]) -> Iterator[tuple[Rule, str, Expr]]:
    """Each rule with a function of these that is called directly on a range of series, and that selector."""
    for rule in context.config.rules:
        for node in walk(expression(rule.expr)):
            if node.kind == "call" and node.name in functions:
                for child in node.children:
                    if child.kind == "selector" and child.range_s:
                        yield rule, node.name, child


def _type(context: LintContext, name: str) -> str:
    """counter, gauge or "": from the list of metrics, else from the name's ending."""
    known = context.metrics.types.get(name, "") if context.metrics else ""
    if known in ("counter", "gauge"):
        return known
    if name.endswith(_COUNTER_NAMES):
        return "counter"
    return "gauge" if name.endswith(_GAUGE_NAMES) else ""


@lint("rate-over-gauge", Severity.WARNING, "rules", ("rules",))
def rate_over_gauge(context: LintContext) -> Iterator[Violation]:
    """rate, irate, increase or resets is applied to a gauge, or to a recorded sum or rate.

    They take every fall of the value for a restart from zero and add it on: the result is far too large.
    """
    for rule, function, selector in _uses(context, _COUNTER_FUNCTIONS):
        name = selector.name
        recorded = [expression(each.expr) for each in context.config.recorded.get(name, ())]
        if recorded:
            if not any(_falls(tree) for tree in recorded):
                continue
            kind, todo = "a recorded aggregate, which falls when one of its parts restarts", "take rate() first"
        elif _type(context, name) == "gauge":
            kind, todo = "a gauge", f"use {'deriv' if function in ('rate', 'irate') else 'delta or changes'}()"
        else:
            continue
        message = f"{rule.name} takes {function}() of {name}, {kind}"
        yield Violation(context.at(rule.place, "expr"), message, todo)


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
def delta_over_counter(context: LintContext) -> Iterator[Violation]:
    """delta, deriv or predict_linear is applied to a counter.

    They know nothing of restarts: a counter that begins again at zero looks like a steep fall.
    """
    for rule, function, selector in _uses(context, _GAUGE_FUNCTIONS):
        name = selector.name
        if name not in context.config.recorded and _type(context, name) == "counter":
            instead = "rate()" if function in ("deriv", "predict_linear") else "increase()"
            message = f"{rule.name} takes {function}() of {name}, a counter"
            yield Violation(context.at(rule.place, "expr"), message, f"use {instead}")


@lint("short-range", Severity.WARNING, "rules", ("rules", "prometheus"))
def short_range(context: LintContext) -> Iterator[Violation]:
    """A range holds fewer than four scrapes of its metric.

    A rate needs two samples; with fewer than four, one failed scrape leaves it with none, and the alert resolves.
    """
    every: dict[tuple[object, ...], float] = {}
    for rule, function, selector in _uses(context, _RATES | _GAUGE_FUNCTIONS):
        key = (selector.name, *(m for m in selector.matchers if m.label == "job"))
        if key not in every:
            every[key] = _interval(context, selector)
        held = selector.range_s
        if every[key] and held < _FEWEST * every[key]:
            message = (
                f"{rule.name} takes {function}() over {format_duration(held)}, and {selector.name}"
                f" has a new sample every {format_duration(every[key])}"
            )
            enough = format_duration(_FEWEST * every[key])
            yield Violation(context.at(rule.place, "expr"), message, f"make the range {enough} or longer")


def _interval(context: LintContext, selector: Expr) -> float:
    """Seconds between two samples, in the quickest job that may feed the selector."""
    recorded = [rule.interval_s for rule in context.config.recorded.get(selector.name, ())]
    if recorded:
        return min(recorded)
    by_job = [each for each in selector.matchers if each.label == "job"]
    jobs = [job.interval_s for job in context.config.jobs if matches_all(by_job, {"job": job.name})]
    return min(jobs or [job.interval_s for job in context.config.jobs], default=0.0)


_POISONED = {"sum", "avg", "stddev", "stdvar", "quantile"}
_POISONED_OVER_TIME = {"sum_over_time", "avg_over_time", "stddev_over_time", "stdvar_over_time"}
_IGNORES = {"count", "group", "max", "min", "count_over_time", "max_over_time", "min_over_time", "present_over_time"}
_NEVER = {"absent", "absent_over_time", "changes", "clamp_min"}


@lint("unguarded-ratio", Severity.WARNING, "rules", ("rules",))
def unguarded_ratio(context: LintContext) -> Iterator[Violation]:
    """A ratio that is 0/0 without traffic is recorded, summed up, averaged or compared with !=.

    NaN spreads: one idle series makes a whole sum or average NaN, and the alert on it silent, or != always true.
    """
    for rule in context.config.rules:
        tree = expression(rule.expr)
        place = context.at(rule.place, "expr")
        name = rule.name
        todo = "keep only the series with traffic: divide by (... > 0)"
        spoilt = next((node for node in walk(tree) if _spoils(context, node)), None)
        if spoilt is not None:
            how = "compares with !=" if spoilt.kind == "binary" else f"takes {spoilt.name}() of"
            yield Violation(place, f"{name} {how} a ratio that is NaN while there is no traffic", todo)
        elif rule.record and _nan(context, tree, ()):
            yield Violation(place, f"{name} records a ratio that is NaN while there is no traffic", todo)


def _spoils(context: LintContext, node: Expr) -> bool:
    """Whether this is where NaN does harm: it makes good numbers NaN as well, or passes as a difference."""
    if node.kind == "aggregate" and node.name in _POISONED:
        return _nan(context, node.left, ()) and not _single(node.left)
    if node.kind == "call" and node.name in _POISONED_OVER_TIME:
        return _nan(context, node.left, ())
    return is_comparison(node) and node.name == "!=" and any(_nan(context, child, ()) for child in node.children)


def _single(node: Expr) -> bool:
    """A value without series beside it: summing it up changes nothing."""
    return node.kind == "binary" and all(c.kind == "aggregate" and not c.mode for c in node.children)


def _nan(context: LintContext, node: Expr, seen: tuple[str, ...]) -> bool:
    """Whether results can be NaN because a ratio in it is 0/0."""
    match node.kind:
        case "selector":
            rules = context.config.recorded.get(node.name, ()) if node.name not in seen else ()
            return any(_nan(context, expression(rule.expr), (*seen, node.name)) for rule in rules)
        case "binary" if is_comparison(node):
            return node.name == "!=" and not node.returns_bool and _nan(context, node.left, seen)
        case "binary" if node.name in ("and", "unless"):
            return _nan(context, node.left, seen) and not (node.name == "and" and node.right.filters())
        case "binary" if node.name == "/":
            idle = not is_scalar(node.left) and _idle(context, node.right, seen)
            return idle or _nan(context, node.left, seen) or _nan(context, node.right, seen)
        case "call" | "aggregate" if node.name in _IGNORES | _NEVER:
            return False
    return any(_nan(context, child, seen) for child in node.children)


def _idle(context: LintContext, node: Expr, seen: tuple[str, ...]) -> bool:
    """Whether the value is zero while there is no traffic: a rate, and what is made of rates alone."""
    match node.kind:
        case "selector":
            rules = context.config.recorded.get(node.name, ()) if node.name not in seen else ()
            return any(_idle(context, expression(rule.expr), (*seen, node.name)) for rule in rules)
        case "call":
            if node.name in _RATES:
                return True
            floor = constant(node.right) if node.name == "clamp_min" else None
            return floor is None and bool(node.children) and _idle(context, node.left, seen)
        case "aggregate":
            return node.name not in ("count", "group") and _idle(context, node.left, seen)
        case "unary" | "subquery":
            return _idle(context, node.left, seen)
        case "binary":
            return _idle_of_two(context, node, seen)
    return False


def _idle_of_two(context: LintContext, node: Expr, seen: tuple[str, ...]) -> bool:
    if node.filters():
        compared = comparison(node)
        kept = allowed(compared[1], compared[2]) if compared else None
        drops_zero = compared is not None and (
            (compared[1] == "!=" and compared[2] == 0)
            or (kept is not None and (kept.lo > 0 or (kept.lo == 0 and kept.lo_open)))
        )
        return not drops_zero and _idle(context, node.left, seen)
    if node.name in ("and", "unless"):
        return not (node.name == "and" and node.right.filters()) and _idle(context, node.left, seen)
    left, right = (_idle(context, child, seen) for child in node.children)
    if node.name in ("+", "or"):
        numbers = [constant(child) for child in node.children]
        return not any(numbers) and (left or constant(node.left) == 0) and (right or constant(node.right) == 0)
    return left or (right and node.name == "*")
