"""Mutants that certainly change nothing for people, and why.

    0  the same reading: never generated (mutate/source.py)
    1  the same after rounding: `for` in whole evaluations, a setting equal to the one that is inherited
    2  no reachable label set is told otherwise: `diff` is empty, only routes or inhibitions changed, and no `equal`

An empty `diff` by itself proves nothing: it does not see what only annotations' queries read, nor what Prometheus is
told to do, nor an `equal` label of which the configuration does not tell which alerts carry it.
"""

from __future__ import annotations

import math
from dataclasses import replace

from chaoskit.alerting.model import AlertConfig, Route, Rule
from chaoskit.diff.compare import diff
from chaoskit.errors import Place
from chaoskit.mutate.model import Mutant

_NOWHERE = Place("")
_ROUTING = frozenset(("route", "inhibit_rules"))


def equivalent(old: AlertConfig, new: AlertConfig, mutant: Mutant, sections: frozenset[str]) -> str:
    """Why the mutant changes nothing for people; empty where that is not certain.

    `sections` are the keys at the top of the file in which its edits stand.
    """
    routing = mutant.role == "alertmanager" and sections <= _ROUTING
    if old.not_understood or new.not_understood or not (routing or mutant.role == "rules"):
        return ""
    if _rounded(old) == _rounded(new):
        return "the same as inherited" if routing else "the same in whole evaluations"
    same_equal = sorted(each.equal for each in old.inhibit_rules) == sorted(each.equal for each in new.inhibit_rules)
    if routing and same_equal and any(rule.alert for rule in old.rules) and diff(old, new).empty:
        return "every alert is told as before"
    return ""


def _rounded(config: AlertConfig) -> object:
    """All that decides who is told when, without places, times as evaluations see them."""
    rules = tuple(_evaluated(rule) for rule in config.rules)
    inhibitions = tuple(replace(each, place=_NOWHERE) for each in config.inhibit_rules)
    receivers = {name: replace(each, place=_NOWHERE) for name, each in config.receivers.items()}
    return rules, _route(config.route), inhibitions, receivers


def _evaluated(rule: Rule) -> Rule:
    whole = {name: math.ceil(getattr(rule, name) / rule.interval_s) for name in ("for_s", "keep_firing_for_s")}
    return replace(rule, place=_NOWHERE, **whole)


def _route(route: Route) -> Route:
    return replace(route, place=_NOWHERE, children=tuple(map(_route, route.children)))
