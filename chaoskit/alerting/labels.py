"""Which labels the results of an expression can carry, as Prometheus's engine hands them on.

The one idea: a set of labels is either known name by name, or everything except some. Scraped series may carry
anything; every aggregation and every vector match narrows it. An alert is bound to what a fault hit only where its rule
still tells that apart: `health == 0` keeps `worker_name`, `count(health == 0)` does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chaoskit.alerting.expression import Expr, expression
from chaoskit.alerting.model import Rule
from chaoskit.alerting.promql_syntax import COMPARISONS, SETS

KEEPS_EACH = {"topk", "bottomk", "limitk", "limit_ratio"}
_LOSES_ALL = {"scalar", "vector", "time", "pi"}
_ABSENT = {"absent", "absent_over_time"}


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels that may be there: exactly `only`, or, where that is None, any but `never`."""

    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()

    def may_have(self, label: str) -> bool:
        return label not in self.never if self.only is None else label in self.only

    def keep(self, labels: frozenset[str]) -> LabelSet:
        if self.only is not None:
            return LabelSet(self.only & labels)
        return LabelSet(labels - self.never)

    def drop(self, labels: frozenset[str]) -> LabelSet:
        if self.only is not None:
            return LabelSet(self.only - labels)
        return LabelSet(None, self.never | labels)

    def add(self, labels: frozenset[str]) -> LabelSet:
        if self.only is not None:
            return LabelSet(self.only | labels)
        return LabelSet(None, self.never - labels)

    def either(self, other: LabelSet) -> LabelSet:
        """The labels that may occur where both kinds of results do, or where both sides' labels are joined."""
        if self.only is not None and other.only is not None:
            return LabelSet(self.only | other.only)
        if self.only is not None:
            return LabelSet(None, other.never - self.only)
        if other.only is not None:
            return LabelSet(None, self.never - other.only)
        return LabelSet(None, self.never & other.never)


Made = Callable[[str], LabelSet]
"""The labels that series of a name can carry: anything, unless rules record them."""
ANY = LabelSet()
NONE = LabelSet(frozenset())


def _scraped(name: str) -> LabelSet:
    return ANY


def labels_of(node: Expr, made: Made = _scraped) -> LabelSet:
    """The labels that results of this expression can carry, the metric's name left aside; `made` tells of records."""
    match node.kind:
        case "selector":
            return made(node.name).drop(frozenset(m.label for m in node.matchers if m.op == "=" and not m.value))
        case "subquery" | "unary":
            return labels_of(node.left, made)
        case "call":
            return _called(node, made)
        case "aggregate":
            return _aggregated(node, made)
        case "binary":
            return _combined(node, made)
    return NONE


def _called(node: Expr, made: Made) -> LabelSet:
    if node.name in _LOSES_ALL or not node.children:
        return NONE
    if node.name in _ABSENT:
        # absent() makes its labels up from the matchers that name one value.
        named = node.left.matchers
        written = [each.label for each in named]
        return LabelSet(frozenset(m.label for m in named if m.op == "=" and m.value and written.count(m.label) == 1))
    if node.name == "info":
        return ANY
    found = next(
        (labels_of(child, made) for child in node.children if child.kind != "string" and not is_scalar(child)), NONE
    )
    if node.name in ("label_replace", "label_join"):
        return found.add(frozenset((node.children[1].text,)))
    return found.drop(frozenset(("le",))) if node.name in ("histogram_quantile", "histogram_fraction") else found


def _aggregated(node: Expr, made: Made) -> LabelSet:
    inner = labels_of(node.left, made)
    if node.name in KEEPS_EACH:
        return inner
    if node.mode == "by":
        found = inner.keep(node.labels)
    elif node.mode == "without":
        found = inner.drop(node.labels)
    else:
        found = NONE
    if node.name == "count_values":
        found = found.add(frozenset(each.text for each in node.children[1:]))
    return found


def _combined(node: Expr, made: Made) -> LabelSet:
    left, right = labels_of(node.left, made), labels_of(node.right, made)
    if node.name == "unless":
        return left
    if node.name == "and":
        return _matching(left, right, node)
    if node.name == "or":
        return left.either(right)
    if is_scalar(node.right):
        return left
    if is_scalar(node.left):
        return right
    if node.many:
        many, one = (left, right) if node.many == "left" else (right, left)
        carried = frozenset(label for label in node.included if one.may_have(label))
        return _matching(many, one, node).drop(node.included - carried).add(carried)
    found = _matching(left, right, node)
    return found.keep(node.labels) if node.mode == "on" else found.drop(node.labels)


def is_scalar(node: Expr) -> bool:
    """Whether the expression is a single number, without labels and never missing."""
    if node.kind == "unary":
        return is_scalar(node.left)
    if node.kind == "binary":
        return node.name not in SETS and is_scalar(node.left) and is_scalar(node.right)
    return node.kind == "number" or (node.kind == "call" and node.name in ("scalar", "time", "pi"))


def _matching(side: LabelSet, other: LabelSet, node: Expr) -> LabelSet:
    """This side's labels in a match; a label that must agree is dropped if the other side cannot have it."""
    if node.mode == "on":
        return side.drop(frozenset(label for label in node.labels if not other.may_have(label)))
    if other.only is not None:
        return side.keep(other.only | node.labels)
    return side.drop(other.never - node.labels)


def is_comparison(node: Expr) -> bool:
    """Whether the outermost operator compares, with or without `bool`."""
    return node.kind == "binary" and node.name in COMPARISONS


def through_records(recorded: Mapping[str, tuple[Rule, ...]]) -> Made:
    """The labels of series by name, those of recording rules followed at any depth."""
    known: dict[str, LabelSet] = {}

    def made(name: str) -> LabelSet:
        if name not in recorded:
            return ANY
        if name not in known:
            known[name] = ANY  # of one that reads itself nothing is known
            found = NONE
            for rule in recorded[name]:
                found = found.either(labels_of(expression(rule.expr), made).add(frozenset(rule.labels)))
            known[name] = found
        return known[name]

    return made
