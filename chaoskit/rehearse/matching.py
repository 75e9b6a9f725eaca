"""Vector matches of an expression: why two sides never agree, and where another rule's series would make one fail.

`a{state="current"} / (a{state="current"} + a{state="available"})` has no result for any series, because the sum
matches no pair. promtool accepts such a rule, and it never fires. The engine is asked for both sides and for the
whole at an instant at which the series are there; where both sides answer and the whole does not, that is the reason.

`a * on(host) group_left b` fails as a whole where two series of `b` have one `host`, whichever rule they belong to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

from chaoskit.alerting.promql_syntax import SETS
from chaoskit.faults.series import Scripted
from chaoskit.rehearse.tree import children, is_constant, promql_text, selectors_below

_MATCHING = frozenset({"+", "-", "*", "/", "%", "^", "and"})


def _matches(node: Any) -> list[Any]:
    """The operations of two vectors, innermost first."""
    found = [match for child in children(node) for match in _matches(child)]
    own = isinstance(node, promql.BinaryExpr) and not is_constant(node.lhs) and not is_constant(node.rhs)
    return [*found, node] if own else found


def _never_matching(expr: str) -> list[Any]:
    """Those whose sides may have results of which none agree."""
    return [node for node in _matches(promql.parse(expr)) if str(node.op) in _MATCHING]


def queries(expr: str) -> dict[str, str]:
    """Both sides of each match and the whole, as they are to be asked for, by the word of the answer."""
    found: dict[str, str] = {}
    for number, node in enumerate(_never_matching(expr)):
        found |= {f"left{number}": str(node.lhs), f"right{number}": str(node.rhs), f"whole{number}": str(node)}
    return found


def reason(expr: str, answers: Mapping[str, str]) -> str:
    """Why the expression had no result, by the answers to `queries`; empty where they do not tell."""
    for number, node in enumerate(_never_matching(expr)):
        left, right = answers.get(f"left{number}", ""), answers.get(f"right{number}", "")
        if left and right and not answers.get(f"whole{number}"):
            if left.startswith("error ") or right.startswith("error "):
                continue
            return (
                f"with the series that were tried, both sides of '{promql_text(node)}' have results, but their labels "
                f"do not match: {_labels(left)} and {_labels(right)}"
            )
    return ""


def _labels(answer: str) -> str:
    text = answer.removeprefix("got:").strip()
    shown = re.sub(r'__name__="[^"]*",? ?', "", text[: text.index("}") + 1]) if "}" in text else "{}"
    return "none" if shown == "{}" else shown


@dataclass(frozen=True, slots=True)
class OneSide:
    """The metrics of a side that may have one series only for each value of the labels; `on`: of these, else others."""

    metrics: frozenset[str]
    on: bool
    labels: frozenset[str]


def one_sides(expr: str) -> list[OneSide]:
    """The sides of an expression's vector matches at which only one series may stand for another."""
    return [side for node in _matches(promql.parse(expr)) if str(node.op) not in SETS for side in _sides(node)]


def ambiguous(sides: Iterable[OneSide], series: Sequence[Scripted]) -> bool:
    """Whether two of these series would stand at one place of such a side."""
    for side in sides:
        seen: set[object] = set()
        for one in (one for one in series if one.name in side.metrics):
            place = (one.name, tuple((k, v) for k, v in one.labels if (k in side.labels) == side.on))
            if place in seen:
                return True
            seen.add(place)
    return False


def _sides(node: Any) -> list[OneSide]:
    matching = node.modifier.matching if node.modifier else None
    on = matching is not None and str(matching.type).endswith("Include")
    labels = frozenset(matching.labels if matching else ())
    card = str(node.modifier.card) if node.modifier else ""
    ones = [node.rhs] if card.endswith("ManyToOne") else [node.lhs] if card.endswith("OneToMany") else children(node)
    # An aggregation has one series for each group, with any series below it.
    plain = [one for one in ones if not isinstance(one, promql.AggregateExpr)]
    return [OneSide(frozenset(str(s.name) for s in selectors_below(one) if s.name), on, labels) for one in plain]
