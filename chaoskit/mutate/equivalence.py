"""Mutants that certainly change nothing for people, and why.

    0  the same reading: never generated (mutate/source.py)
    1  the same after rounding: `for` in whole evaluations, a setting equal to the one that is inherited, a matcher that
       the other side of an operator has as well
    2  no reachable label set is told otherwise: `diff` is empty, only routes or inhibitions changed, and no `equal`

An empty `diff` by itself proves nothing: it does not see what only annotations' queries read, nor what Prometheus is
told to do, nor an `equal` label of which the configuration does not tell which alerts carry it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from chaoskit.alerting.expression import Expr, expression
from chaoskit.alerting.model import AlertConfig, Matcher, Route, Rule
from chaoskit.diff.compare import diff
from chaoskit.errors import Place
from chaoskit.mutate.model import Mutant

_NOWHERE = Place("")
_ROUTING = frozenset(("route", "inhibit_rules"))
_KEEPING = frozenset((
    "rate", "irate", "increase", "delta", "idelta", "deriv", "resets", "changes", "floor", "ceil", "round", "abs",
    "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time", "last_over_time",
))  # fmt: skip
"""Functions whose results have the labels of their first argument."""


def equivalent(old: AlertConfig, new: AlertConfig, mutant: Mutant, sections: frozenset[str]) -> str:
    """Why the mutant changes nothing for people; empty where that is not certain.

    `sections` are the keys at the top of the file in which its edits stand.
    """
    routing = mutant.role == "alertmanager" and sections <= _ROUTING
    if old.not_understood or new.not_understood or not (routing or mutant.role == "rules"):
        return ""
    if _rounded(old) == _rounded(new):
        if routing:
            return "the same as inherited"
        written = [rule.expr for rule in old.rules] == [rule.expr for rule in new.rules]
        return "the same in whole evaluations" if written else "the other side of the operator asks for the same labels"
    same_equal = sorted(each.equal for each in old.inhibit_rules) == sorted(each.equal for each in new.inhibit_rules)
    if routing and same_equal and any(rule.alert for rule in old.rules) and diff(old, new).empty:
        return "every alert reaches the same receivers at the same times as before"
    return ""


def _rounded(config: AlertConfig) -> object:
    """All that decides who is told when, without places, times as evaluations see them."""
    rules = tuple(_evaluated(rule) for rule in config.rules)
    inhibitions = tuple(replace(each, place=_NOWHERE) for each in config.inhibit_rules)
    receivers = {name: replace(each, place=_NOWHERE) for name, each in config.receivers.items()}
    return rules, _route(config.route), inhibitions, receivers


def _evaluated(rule: Rule) -> tuple[Rule, Expr | str]:
    whole = {name: math.ceil(getattr(rule, name) / rule.interval_s) for name in ("for_s", "keep_firing_for_s")}
    return replace(rule, place=_NOWHERE, expr="", **whole), _asked(rule.expr)


@lru_cache(maxsize=8192)
def _asked(expr: str) -> Expr | str:
    """The expression with each matcher in all places where it leaves out nothing more; the text where it is none."""
    try:
        return narrowed(expression(expr), frozenset())
    except ValueError:
        return expr


def narrowed(node: Expr, to: frozenset[Matcher]) -> Expr:
    """The expression asked for no more than what can be in its result, where all but `to` is left out behind it.

    An operator without `on` and `ignoring` compares series of the same labels on both sides, so that either side's
    matchers may stand on the other side too.
    """
    if node.kind == "selector" and node.name and not node.text:
        return replace(node, matchers=tuple(sorted({*node.matchers, *to}, key=repr)))
    if _keeps(node):
        return replace(node, children=(narrowed(node.left, to), *node.children[1:]))
    if not _by_all_labels(node):
        return replace(node, children=tuple(narrowed(each, frozenset()) for each in node.children))
    left = to if node.name in ("unless", "or") else to | _met(node.right)
    right = to if node.name == "or" else to | _met(node.left)
    return replace(node, children=(narrowed(node.left, left), narrowed(node.right, right)))


def _met(node: Expr) -> frozenset[Matcher]:
    """The matchers that every result certainly meets."""
    if node.kind == "selector" and not node.text:
        return frozenset(each for each in node.matchers if each.label != "__name__")
    if _keeps(node):
        return _met(node.left)
    if not _by_all_labels(node):
        return frozenset()
    left, right = _met(node.left), _met(node.right)
    return left if node.name == "unless" else left & right if node.name == "or" else left | right


def _keeps(node: Expr) -> bool:
    """Whether the results have the labels of what is below, or of the first of it."""
    return node.kind == "unary" or (node.kind == "call" and node.name in _KEEPING)


def _by_all_labels(node: Expr) -> bool:
    return node.kind == "binary" and not (node.mode or node.many or node.text)


def _route(route: Route) -> Route:
    return replace(route, place=_NOWHERE, children=tuple(map(_route, route.children)))
