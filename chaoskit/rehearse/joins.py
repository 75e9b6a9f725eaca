"""Where series of another rule would end an expression with an error: two of them at the one side of a vector match.

`a * on(host) group_left b` fails as a whole where two series of `b` have one `host`, whoever's they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

from chaoskit.faults.scripted import Scripted
from chaoskit.rehearse.tree import children, is_constant, selectors_below

_SETS = frozenset({"and", "or", "unless"})


@dataclass(frozen=True, slots=True)
class OneSide:
    """The metrics of a side that may have one series only for each value of the labels; `on`: of these, else others."""

    metrics: frozenset[str]
    on: bool
    labels: frozenset[str]


def one_sides(expr: str) -> list[OneSide]:
    """The sides of an expression's vector matches at which only one series may stand for another."""
    return [side for node in _matches(promql.parse(expr)) for side in _sides(node)]


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


def _matches(node: Any) -> list[Any]:
    found = [match for child in children(node) for match in _matches(child)]
    own = isinstance(node, promql.BinaryExpr) and str(node.op) not in _SETS
    return [*found, node] if own and not is_constant(node.lhs) and not is_constant(node.rhs) else found


def _sides(node: Any) -> list[OneSide]:
    modifier = node.modifier
    matching = modifier.matching if modifier else None
    on = matching is not None and str(matching.type).endswith("Include")
    labels = frozenset(matching.labels if matching else ())
    card = str(modifier.card) if modifier else ""
    ones = (
        [node.rhs] if card.endswith("ManyToOne") else [node.lhs] if card.endswith("OneToMany") else [node.lhs, node.rhs]
    )
    # What is aggregated has one series for each group, whatever is below.
    plain = [one for one in ones if not isinstance(one, promql.AggregateExpr)]
    return [OneSide(frozenset(str(s.name) for s in selectors_below(one) if s.name), on, labels) for one in plain]
