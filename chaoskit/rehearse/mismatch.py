"""Why an expression is never true: two sides that both have results, whose labels never agree.

`a{state="current"} / (a{state="current"} + a{state="available"})` has no result, whatever the series say, for the sum
matches no pair. promtool accepts such a rule, and it sleeps for ever. The engine is asked for both sides and for the
whole at an instant at which the series are there; where both sides answer and the whole does not, that is the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser as promql

from chaoskit.rehearse.tree import children, is_constant, promql_text

_MATCHING = frozenset({"+", "-", "*", "/", "%", "^", "and"})


def pairs(expr: str) -> list[tuple[str, str, str]]:
    """The operations of an expression that match two vectors, innermost first: left, right, the whole, as texts."""
    return [(str(node.lhs), str(node.rhs), str(node)) for node in _operations(promql.parse(expr))]


def _operations(node: Any) -> Iterator[Any]:
    for child in children(node):
        yield from _operations(child)
    matching = isinstance(node, promql.BinaryExpr) and str(node.op) in _MATCHING
    if matching and not is_constant(node.lhs) and not is_constant(node.rhs):
        yield node


def queries(expr: str) -> dict[str, str]:
    """What is to be asked, by the word under which the answer is known."""
    found: dict[str, str] = {}
    for number, (left, right, whole) in enumerate(pairs(expr)):
        found |= {f"left{number}": left, f"right{number}": right, f"whole{number}": whole}
    return found


def reason(expr: str, answers: Mapping[str, str]) -> str:
    """Why the expression had no result, by the answers to `queries`; empty where they do not tell."""
    for number, (_, _, whole) in enumerate(pairs(expr)):
        left, right = answers.get(f"left{number}", ""), answers.get(f"right{number}", "")
        if left and right and not answers.get(f"whole{number}"):
            if left.startswith("error ") or right.startswith("error "):
                continue
            text = _shown(whole)
            return (
                f"with the series that were tried, both sides of '{text}' have results, but their labels do not match: "
                f"{_labels(left)} and {_labels(right)}"
            )
    return ""


def _shown(text: str) -> str:
    try:
        return promql_text(promql.parse(text))
    except ValueError:  # the parser writes some subqueries as it does not read them
        return " ".join(text.split())[:80]


def _labels(answer: str) -> str:
    text = answer.removeprefix("got:").strip()
    shown = re.sub(r'__name__="[^"]*",? ?', "", text[: text.index("}") + 1]) if "}" in text else "{}"
    return "none" if shown == "{}" else shown
