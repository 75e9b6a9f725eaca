"""Where nothing happens, a ratio of rates is 0/0: NaN. Does it stay where it does no harm?

NaN is neither above nor below anything, so a comparison drops it and an alert stays silent, as it should. It does
harm where it is stored, where it is summed up with good numbers, and where `!=` takes it for a difference.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.alerting.expression import Expr, expression, walk
from chaoskit.alerting.labels import is_comparison, is_scalar
from chaoskit.check.facts import Facts
from chaoskit.check.findings import Said, Severity, lint
from chaoskit.check.ranges import allowed, comparison, constant

_RATES = {"rate", "irate", "increase"}
_POISONED = {"sum", "avg", "stddev", "stdvar", "quantile"}
_POISONED_OVER_TIME = {"sum_over_time", "avg_over_time", "stddev_over_time", "stdvar_over_time"}
_IGNORES = {"count", "group", "max", "min", "count_over_time", "max_over_time", "min_over_time", "present_over_time"}
_NEVER = {"absent", "absent_over_time", "changes", "clamp_min"}


@lint("unguarded-ratio", Severity.WARNING, "rules", ("rules",))
def unguarded_ratio(facts: Facts) -> Iterator[Said]:
    """A ratio that is 0/0 without traffic is recorded, summed up, averaged or compared with !=.

    NaN spreads: one idle series makes a whole sum or average NaN, and the alert on it silent, or != always true.
    """
    for rule in facts.config.rules:
        tree = expression(rule.expr)
        place = facts.at(rule.place, "expr")
        name = rule.alert or rule.record
        todo = "keep what has traffic: divide by (... > 0)"
        spoilt = next((node for node in walk(tree) if _spoils(facts, node)), None)
        if spoilt is not None:
            how = "compares with !=" if spoilt.kind == "binary" else f"takes {spoilt.name}() of"
            yield Said(place, f"{name} {how} a ratio that is NaN while there is no traffic", todo)
        elif rule.record and _nan(facts, tree, ()):
            yield Said(place, f"{name} records a ratio that is NaN while there is no traffic", todo)


def _spoils(facts: Facts, node: Expr) -> bool:
    """Whether this is where NaN does harm: it makes good numbers NaN as well, or passes as a difference."""
    if node.kind == "aggregate" and node.name in _POISONED:
        return _nan(facts, node.left, ()) and not _single(node.left)
    if node.kind == "call" and node.name in _POISONED_OVER_TIME:
        return _nan(facts, node.left, ())
    return is_comparison(node) and node.name == "!=" and any(_nan(facts, child, ()) for child in node.children)


def _single(node: Expr) -> bool:
    """A value without series beside it: summing it up changes nothing."""
    return node.kind == "binary" and all(c.kind == "aggregate" and not c.mode for c in node.children)


def _nan(facts: Facts, node: Expr, seen: tuple[str, ...]) -> bool:
    """Whether results can be NaN because a ratio in it is 0/0."""
    match node.kind:
        case "selector":
            rules = facts.config.recorded.get(node.name, ()) if node.name not in seen else ()
            return any(_nan(facts, expression(rule.expr), (*seen, node.name)) for rule in rules)
        case "binary" if is_comparison(node):
            return node.name == "!=" and not node.returns_bool and _nan(facts, node.left, seen)
        case "binary" if node.name in ("and", "unless"):
            return _nan(facts, node.left, seen) and not (node.name == "and" and node.right.filters())
        case "binary" if node.name == "/":
            idle = not is_scalar(node.left) and _idle(facts, node.right, seen)
            return idle or _nan(facts, node.left, seen) or _nan(facts, node.right, seen)
        case "call" | "aggregate" if node.name in _IGNORES | _NEVER:
            return False
    return any(_nan(facts, child, seen) for child in node.children)


def _idle(facts: Facts, node: Expr, seen: tuple[str, ...]) -> bool:
    """Whether the value is zero while there is no traffic: a rate, and what is made of rates alone."""
    match node.kind:
        case "selector":
            rules = facts.config.recorded.get(node.name, ()) if node.name not in seen else ()
            return any(_idle(facts, expression(rule.expr), (*seen, node.name)) for rule in rules)
        case "call":
            if node.name in _RATES:
                return True
            floor = constant(node.right) if node.name == "clamp_min" else None
            return floor is None and bool(node.children) and _idle(facts, node.left, seen)
        case "aggregate":
            return node.name not in ("count", "group") and _idle(facts, node.left, seen)
        case "unary" | "subquery":
            return _idle(facts, node.left, seen)
        case "binary":
            return _idle_of_two(facts, node, seen)
    return False


def _idle_of_two(facts: Facts, node: Expr, seen: tuple[str, ...]) -> bool:
    if node.filters():
        compared = comparison(node)
        kept = allowed(compared[1], compared[2]) if compared else None
        drops_zero = compared is not None and (
            (compared[1] == "!=" and compared[2] == 0)
            or (kept is not None and (kept.lo > 0 or (kept.lo == 0 and kept.lo_open)))
        )
        return not drops_zero and _idle(facts, node.left, seen)
    if node.name in ("and", "unless"):
        return not (node.name == "and" and node.right.filters()) and _idle(facts, node.left, seen)
    left, right = (_idle(facts, child, seen) for child in node.children)
    if node.name in ("+", "or"):
        numbers = [constant(child) for child in node.children]
        return not any(numbers) and (left or constant(node.left) == 0) and (right or constant(node.right) == 0)
    return left or (right and node.name == "*")
