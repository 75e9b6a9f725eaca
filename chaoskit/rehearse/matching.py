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

from chaoskit.alerting.expression import Expr, expression, metric_names
from chaoskit.alerting.promql_syntax import SETS
from chaoskit.faults.series import Scripted
from chaoskit.rehearse.tree import is_constant, promql_text

_MATCHING = frozenset({"+", "-", "*", "/", "%", "^", "and"})


def _matches(node: Expr) -> list[Expr]:
    """The operations of two vectors, innermost first."""
    found = [match for child in node.children for match in _matches(child)]
    own = node.kind == "binary" and not any(map(is_constant, node.children))
    return [*found, node] if own else found


def _never_matching(expr: str) -> list[Expr]:
    """Those whose sides may have results of which none agree."""
    return [node for node in _matches(expression(expr)) if node.name in _MATCHING]


def queries(expr: str) -> dict[str, str]:
    """Both sides of each match and the whole, as they are to be asked for, by the word of the answer."""
    found: dict[str, str] = {}
    for number, node in enumerate(_never_matching(expr)):
        sides = node.left.written(), node.right.written(), node.written()
        found |= dict(zip((f"left{number}", f"right{number}", f"whole{number}"), sides, strict=True))
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
    return [side for node in _matches(expression(expr)) if node.name not in SETS for side in _sides(node)]


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


def _sides(node: Expr) -> list[OneSide]:
    ones = {"left": node.children[1:], "right": node.children[:1]}.get(node.many, node.children)
    # An aggregation has one series for each group, with any series below it.
    plain = [one for one in ones if one.kind != "aggregate"]
    return [OneSide(metric_names(one), node.mode == "on", node.labels) for one in plain]
