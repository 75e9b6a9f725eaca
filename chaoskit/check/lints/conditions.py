"""Does the expression state a condition, one that can hold and can fail, about something that exists?"""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.alerting.expression import Expr, expression, selectors, walk
from chaoskit.alerting.labels import is_comparison
from chaoskit.alerting.model import Rule
from chaoskit.alerting.routing import matches
from chaoskit.check.facts import Facts
from chaoskit.check.findings import Said, Severity, lint
from chaoskit.check.ranges import allowed, comparison, constant, interval_of

_WHERE = {"job", "instance", "environment", "env", "cluster", "namespace", "region"}
_CONDITIONS = {"absent", "absent_over_time"}
# Such a count or presence is compared to say "there are any", although it could not be otherwise.
_PRESENCE = {"count", "group", "count_over_time", "present_over_time", *_CONDITIONS}


@lint("unknown-metric", Severity.ERROR, "rules", ("rules", "metrics"))
def unknown_metric(facts: Facts) -> Iterator[Said]:
    """A selector names a metric that no rule records and the list of known metrics does not hold.

    A selector that finds nothing raises no error: the alert stays silent for ever.
    """
    metrics = facts.metrics
    if metrics is None:
        return
    known = (*metrics.types, *facts.config.recorded)
    for rule in facts.config.rules:
        for name in dict.fromkeys(each.name for each in selectors(expression(rule.expr))):
            if name and not metrics.knows(name) and name not in facts.config.recorded:
                near = facts.near(name, known)
                todo = near or f"correct the name, or add it to {metrics.source}"
                yield Said(facts.at(rule.place, "expr"), f"{_called(rule)} reads {name}, which nothing exports", todo)
        for each in selectors(expression(rule.expr)):
            patterns = [m for m in each.matchers if m.label == "__name__" and m.op == "=~"]
            for pattern in patterns if not metrics.patterns else ():
                if not any(matches(pattern, {"__name__": name}) for name in known):
                    message = f"{_called(rule)} selects names like {pattern.value}, and nothing exports one"
                    yield Said(facts.at(rule.place, "expr"), message, "correct the pattern, or add the metrics")


@lint("fires-always", Severity.WARNING, "rules", ("rules",))
def fires_always(facts: Facts) -> Iterator[Said]:
    """An alert's expression compares nothing, so that any value fires it, 0 included.

    An alert fires for every series that its expression returns, whatever the value.
    """
    for alert in facts.alerts:
        tree = expression(alert.rule.expr)
        # Without any selector it is meant: a heartbeat such as vector(1).
        if any(selectors(tree)) and not _conditional(facts, tree, ()):
            severity = Severity.INFO if _chooses(tree) else None
            if is_comparison(tree) and tree.returns_bool:
                message = f"{alert.name} compares with bool, which gives 0 or 1 and drops nothing"
                todo = "leave bool out, or add == 1"
            else:
                message = f"{alert.name} fires as soon as its series exist, since nothing is compared"
                todo = "add the comparison, such as > 0"
            yield Said(facts.at(alert.rule.place, "expr"), message, todo, severity)


def _chooses(tree: Expr) -> bool:
    """Whether this only selects series by what they are: that one exists, such as an invalid index, may be meant."""
    return tree.kind == "selector" and any(m.label not in _WHERE for m in tree.matchers)


def _conditional(facts: Facts, node: Expr, seen: tuple[str, ...]) -> bool:
    """Whether results can be missing while the series are there."""
    match node.kind:
        case "selector":
            rules = facts.config.recorded.get(node.name, ())
            if node.name in ("ALERTS", "ALERTS_FOR_STATE"):
                return True
            return (
                bool(rules)
                and node.name not in seen
                and all(_conditional(facts, expression(rule.expr), (*seen, node.name)) for rule in rules)
            )
        case "binary" if node.name in ("and", "unless"):
            return True
        case "binary" if node.name == "or":
            return all(_conditional(facts, child, seen) for child in node.children)
        case "binary" if is_comparison(node):
            return not node.returns_bool
        case "call" if node.name in _CONDITIONS:
            return True
    return any(_conditional(facts, child, seen) for child in node.children)


@lint("never-true", Severity.ERROR, "rules", ("rules",))
def never_true(facts: Facts) -> Iterator[Said]:
    """A comparison can hold for no value: count(x) == 0, rate(x[5m]) < 0, x > 5 and x < 3.

    The alert can never fire. Where nothing is left to count, count() returns nothing at all, and not 0.
    """
    for rule in facts.config.rules:
        for node in walk(expression(rule.expr)):
            if reason := _impossible(node):
                counts = "count" in reason or "group" in reason
                todo = "for something that is missing use absent()" if counts else "correct the operator or the number"
                yield Said(facts.at(rule.place, "expr"), f"{_called(rule)}: {reason}", todo)
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
def always_true(facts: Facts) -> Iterator[Said]:
    """A comparison holds for every value that its left side can have: rate(x[5m]) >= 0.

    A condition that cannot fail is none: the alert fires as soon as its series exist.
    """
    for rule in facts.config.rules:
        for node in walk(expression(rule.expr)):
            compared = comparison(node) if is_comparison(node) else None
            if compared is None or constant(compared[0]) is not None or compared[0].name in _PRESENCE:
                continue
            inner, sign, value = compared
            found, wanted = interval_of(inner), allowed(sign, value)
            if found.lo == 0 and wanted is not None and wanted.holds(found):
                message = f"{_called(rule)}: {inner.name}() is always {sign} {value:g}"
                yield Said(facts.at(rule.place, "expr"), message, "correct the operator or the number")


def _called(rule: Rule) -> str:
    return rule.alert or rule.record
