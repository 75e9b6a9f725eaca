"""From a condition to the series that make it true: the syntax tree is walked from the comparison to the leaves.

`truth` asks that a node has a result at rest, during the fault, both or neither; `invert` asks that it has a value.
Each step turns what is wanted of a node into what is wanted of its operands: half a ratio becomes a numerator of half
the denominator, a rate a slope, an increase a slope over its range, a count so many series, a quantile a histogram
with everything in one bucket. Where an operand is decided already, its level is taken as given. The result is a guess
by construction: `proof` asks the real engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chaoskit.alerting.expression import Expr, expression, selectors
from chaoskit.alerting.model import Matcher, Rule
from chaoskit.alerting.promql_meaning import CALENDAR, COUNTING_AGGREGATIONS, PER_SECOND
from chaoskit.alerting.promql_syntax import COMPARISONS, MIRRORED
from chaoskit.alerting.routing import matches_all
from chaoskit.rehearse import tree
from chaoskit.rehearse.inverse import FUNCTIONS, LEFT, RIGHT, each, holds, level, operation
from chaoskit.rehearse.script import CannotDerive, Leaf, Pair, Script
from chaoskit.rehearse.tree import is_constant, label_values, matchers_of, metric_of, promql_text

_MOST_SERIES = 200


@dataclass(frozen=True, slots=True)
class Choices:
    """One way of deriving, among several that are tried in turn."""

    generosity: int = 0
    shared: bool = True
    """Every series of the rule carries the labels that any selector of it asks for, so that vectors match."""
    expand: bool = True
    """Recording rules are followed to their sources; otherwise their results are scripted themselves."""
    denominator_first: bool = True
    guards_stay: bool = False
    """Both sides of `and` hold at rest as well, except the first."""
    alternative: int = 0
    """The side of an `or` that this attempt makes true."""


@dataclass(slots=True)
class Solver:
    """One derivation, from the wish that a condition holds to the series of `script`."""

    records: Mapping[str, Rule]
    labels: Mapping[str, str]
    """The labels of every series where its selector leaves the choice."""
    mark: str
    interval_s: float
    choices: Choices
    shared: Mapping[str, str] = field(default_factory=dict)
    script: Script = field(default_factory=Script)
    copy: int = 0
    clocked: bool = False
    extra: tuple[Matcher, ...] = ()
    depth: int = 0
    summing: bool = False
    instants: frozenset[str] = frozenset()
    """Records whose value is a point on the clock."""
    apart: frozenset[str] = frozenset({"instance"})
    """The labels in which the series of one metric differ where several are wanted."""
    pinned: Mapping[str, Pair] = field(default_factory=dict)
    """By comparison, as text: the values of what it compares, at rest and during the fault, in place of chosen ones."""

    # -- truth

    def truth(self, node: Expr, down: bool, up: bool) -> None:
        """Decides series so that the node has a result at rest (`down`) and during the fault (`up`), or none."""
        match node.kind:
            case "aggregate" | "subquery" | "unary":
                self.truth(node.left, down, up)
            case "binary" if node.filters():
                self._compare(node, down, up)
            case "binary" if node.name == "and":
                self.truth(node.left, down, up)
                stays = self.choices.guards_stay or self._decided(node.right)
                self.truth(node.right, down or stays, up)
            case "binary" if node.name == "or":
                self.truth(self._taken(node), down, up)
            case "binary" if node.name == "unless":
                self.truth(node.left, down, up)
            case "binary":  # arithmetic has a result while both sides have one
                for side in (side for side in node.children if not is_constant(side)):
                    self.truth(side, down, up)
            case "call":
                self._call_truth(node, down, up)
            case "selector":
                self._presence(node, down, up)
            case _:
                raise CannotDerive("the expression has a result for every value of its series: the alert always fires")

    def _taken(self, node: Expr) -> Expr:
        """The side of `or` that is to have the result."""
        return node.children[self.choices.alternative % 2]

    def _call_truth(self, node: Expr, down: bool, up: bool) -> None:
        name = node.name
        if name in ("absent", "absent_over_time"):
            self.truth(node.left, not down, not up)
            return
        if name in CALENDAR or name == "time":
            raise CannotDerive(f"{name}() depends on the time of day, which no series can set")
        if name in ("changes", "resets", "rate", "irate", "increase", "delta", "idelta", "deriv"):
            self.invert(node, (1.0, 1.0))
            return
        self.truth(tree.first_open(node.children), down, up)

    def _compare(self, node: Expr, down: bool, up: bool) -> None:
        with self._for_now(clocked=self.clocked or tree.reads_clock(node, self.instants)):
            left, right, op = node.left, node.right, node.name
            if pinned := self.pinned and self.pinned.get(node.written()):
                self.invert(right if is_constant(left) else left, pinned)
                return
            threshold = self.known(right)
            if threshold is None and (threshold := self.known(left)) is not None:
                left, right, op = right, left, MIRRORED.get(op, op)
            if threshold is None:
                base = tree.base_for(right)
                self.invert(right, (base, base))
                threshold = self.known(right) or (base, base)
            if not self.clocked and self._clock_only(left):
                return  # a time stamp near now is beyond any fixed number
            given = self.known(left)
            if given is not None and self._decided(left):
                wrong = [g for g, t, w in zip(given, threshold, (down, up), strict=True) if holds(op, g, t) != w]
                if not wrong or not is_constant(right):
                    return
            choice = self.choices.generosity
            self.invert(left, (level(op, threshold[0], down, choice), level(op, threshold[1], up, choice)))

    @contextmanager
    def _for_now(self, **state: Any) -> Iterator[None]:
        """Within it, these fields have other values."""
        before = {name: getattr(self, name) for name in state}
        for name, value in state.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    # -- values

    def invert(self, node: Expr, want: Pair) -> None:
        """Decides series so that the node has these values at rest and during the fault."""
        match node.kind:
            case "unary":
                self.invert(node.left, (-want[0], -want[1]))
            case "selector":
                self._place(node, "value", want)
            case "binary" if node.name in COMPARISONS:
                self._filtered(node, want)
            case "binary" if node.name in ("and", "unless"):
                self.invert(node.left, want)
                if node.name == "and" and not self._decided(node.right):
                    self.truth(node.right, True, True)
            case "binary" if node.name == "or":
                self.invert(self._taken(node), want)
            case "binary":
                self._arithmetic(node, want)
            case "aggregate":
                self._aggregate(node, want)
            case "call":
                self.call(node, want)
            case "number":
                return
            case _:
                raise CannotDerive(f"chaoskit knows no way to give '{promql_text(node)}' a value")

    def _filtered(self, node: Expr, want: Pair) -> None:
        if node.returns_bool:
            self._compare(node, want[0] > 0, want[1] > 0)
            return
        threshold = self.known(node.right)
        if threshold is not None:
            passing = zip(want, threshold, strict=True)
            if all(holds(node.name, value, bound) for value, bound in passing):
                self.invert(node.left, want)
                return
        self._compare(node, True, True)

    def _arithmetic(self, node: Expr, want: Pair) -> None:
        with self._for_now(clocked=self.clocked or tree.reads_clock(node, self.instants)):
            left, right = self.known(node.left), self.known(node.right)
            if left is None and right is None:
                first = node.right if self.choices.denominator_first else node.left
                base = tree.base_for(first)
                self.invert(first, (base, base))
                left, right = self.known(node.left), self.known(node.right)
            if right is not None and (left is None or is_constant(node.right)):
                self.invert(node.left, each(operation(node.name, LEFT), want, right))
            elif left is not None:
                self.invert(node.right, each(operation(node.name, RIGHT), want, left))
            else:
                raise CannotDerive(f"neither side of '{node.name}' could be decided")

    def _aggregate(self, node: Expr, want: Pair) -> None:
        op = node.name
        if op in COUNTING_AGGREGATIONS or op == "count_values":
            self._count(node.left, want)
        elif op in ("stddev", "stdvar"):
            spread = want if op == "stddev" else each(lambda w, _: math.sqrt(max(w, 0.0)), want, want)
            middle = 10 * max(abs(spread[0]), abs(spread[1]), 1.0)
            for copy, sign in ((1, 1.0), (2, -1.0)):
                with self._for_now(copy=copy):
                    self.invert(node.left, (middle + sign * spread[0], middle + sign * spread[1]))
        elif op in tree.THROUGH:
            if op == "sum" and tree.counts_matches(node.left):
                self._count(node.left, want)
                return
            with self._for_now(summing=op == "sum"):
                self.invert(node.left, want)
        else:
            raise CannotDerive(f"chaoskit knows no way to give {op}() a value")

    def _count(self, node: Expr, want: Pair) -> None:
        numbers = tuple(math.ceil(w - 1e-9) for w in want)
        there = max((len(self.script.of(name)) for name in tree.metrics_below(node)), default=0)
        most = max(*numbers, there)
        if most > _MOST_SERIES:
            raise CannotDerive(f"the expression counts {most} series, more than {_MOST_SERIES}")
        for copy in range(1, most + 1):
            with self._for_now(copy=copy):
                self.truth(node, copy <= numbers[0], copy <= numbers[1])

    # -- functions

    def call(self, node: Expr, want: Pair) -> None:
        name, args = node.name, node.children
        if name in PER_SECOND or name in ("increase", "delta", "idelta"):
            inner = args[0]
            if inner.kind != "selector":
                raise CannotDerive(f"{name}() of a subquery has no course that could be computed backwards")
            if name in tree.COUNTERS and min(want) < 0:
                raise CannotDerive(f"{name}() of a counter is never below zero")
            per = {"increase": inner.range_s, "delta": inner.range_s, "idelta": self.interval_s}.get(name, 1.0)
            self._place(inner, "slope", (want[0] / per, want[1] / per))
        elif name in ("changes", "resets"):
            self._place(tree.only_selector(args[0]), "toggle", (float(want[0] >= 1), float(want[1] >= 1)))
        elif name == "histogram_quantile":
            self._histogram(args[1], want, self.known(args[0]) if self.pinned else None)
        elif name == "predict_linear":
            self._predict(node, want)
        elif name in ("stddev_over_time", "stdvar_over_time"):
            self._place(tree.only_selector(args[0]), "toggle", (float(want[0] > 0), float(want[1] > 0)))
        elif name == "sum_over_time":
            samples = max(1.0, args[0].range_s / self.interval_s)
            self._inner(args[0], (want[0] / samples, want[1] / samples))
        elif name in ("count_over_time", "present_over_time", "absent", "absent_over_time"):
            self._call_truth(node, want[0] > 0, want[1] > 0)
        elif name in tree.LIKE_INNER:
            self._inner(tree.first_open(args), want)
        elif name in FUNCTIONS:
            self.invert(args[0], each(lambda w, _: FUNCTIONS[name](w), want, want))
        elif name == "timestamp":
            raise CannotDerive("timestamp() is the instant of a sample, which a scrape sets and no value can")
        elif name in CALENDAR:
            raise CannotDerive(f"{name}() depends on the time of day, which no series can set")
        else:
            raise CannotDerive(f"chaoskit knows no way to give {name}() a value")

    def _inner(self, node: Expr, want: Pair) -> None:
        self.invert(node.left if node.kind == "subquery" else node, want)

    def _predict(self, node: Expr, want: Pair) -> None:
        horizon = self.known(node.right)
        if horizon is None:
            raise CannotDerive("the horizon of predict_linear() is not a number")
        selector = tree.only_selector(node.left)
        labels = self.labels_for(selector)
        leaf = self.script.get(selector.name, labels)
        if leaf is None or leaf.shape == "present":
            start = max(abs(want[0]), abs(want[1]), tree.BASE)
            leaf = self._put(selector, "value", (start if want[0] >= 0 else want[0], start))
        ahead = horizon[1]
        leaf.drift = 1.5 * (want[1] - leaf.levels[1]) / ahead if ahead else 0.0

    def _histogram(self, node: Expr, want: Pair, rank: Pair | None) -> None:
        """Everything in one bucket at rest, in another during the fault; with a `rank`, its quantile has exactly the
        value, in buckets that both share."""
        inner = tree.only_selector(node)
        low, high = sorted(want)
        high = high if high > 0 else 1.0
        low = low if 0 < low < high else high / 10
        edges: tuple[float, ...] = (0.9 * low, 1.1 * low, 0.9 * high, 1.1 * high, math.inf)
        if edges[1] >= edges[2]:
            edges = (edges[0], math.sqrt(low * high), math.sqrt(low * high), edges[3], math.inf)
        counts = {low: (0.0, 1.0, 1.0, 1.0, 1.0), high: (0.0, 0.0, 0.0, 1.0, 1.0)}
        down: tuple[float, ...] = counts[low] if want[0] <= want[1] else counts[high]
        up: tuple[float, ...] = counts[high] if want[0] <= want[1] else counts[low]
        if rank is not None:
            first, last = low / 2, high * (1 + 1 / rank[1])
            edges = (first, last, math.inf)
            down, up = ((max(0.0, _share_below(w, first, last, rank[1])), 1.0, 1.0) for w in (want[0] or low, want[1]))
        shape = "slope" if tree.calls(node, PER_SECOND | {"increase"}) else "value"
        for edge, at_rest, during in zip(edges, down, up, strict=True):
            le = "+Inf" if math.isinf(edge) else f"{edge:.9g}"
            self._put(inner, shape, (tree.BASE * at_rest, tree.BASE * during), {"le": le})

    # -- series

    def _presence(self, selector: Expr, down: bool, up: bool) -> None:
        if (record := self.record_of(selector)) is not None:
            self.through(record, selector, lambda inner: self.truth(inner, down, up))
        elif down or up:
            self._put(selector, "present", (float(down), float(up)))

    def _place(self, selector: Expr, shape: str, want: Pair) -> None:
        record = self.record_of(selector)
        if record is not None and shape == "value":
            self.through(record, selector, lambda inner: self.invert(inner, want))
            return
        if selector.lengths[2]:
            raise CannotDerive("a value in the past cannot be set apart from the present one")
        self._put(selector, shape, want)

    def _put(self, selector: Expr, shape: Any, want: Pair, more: Mapping[str, str] | None = None) -> Leaf:
        labels = {**self.labels_for(selector), **(more or {})}
        name = metric_of(selector)
        if name in ("ALERTS", "ALERTS_FOR_STATE"):
            raise CannotDerive("the expression reads the state of other alerts")
        if not all(map(math.isfinite, want)):
            raise CannotDerive(f"{name} would need a value without bound")
        leaf = Leaf(name, labels, shape, want, self.summing, self.clocked and shape == "value")
        there = self.script.get(name, labels)
        if there is None and self.summing:
            self._make_room(leaf)
        return self.script.put(leaf)

    def _make_room(self, leaf: Leaf) -> None:
        """A sum over all statuses contains that over one: what the part takes, the whole gives."""
        for other in self.script.of(leaf.name):
            left = each(lambda a, b: a - b, other.levels, leaf.levels)
            if other.summed and other.shape == leaf.shape and min(left) >= 0:
                other.levels = left

    def labels_for(self, selector: Expr) -> dict[str, str]:
        """The labels of a series that the selector picks; raises CannotDerive where none satisfy its matchers."""
        wanted = dict(self.labels)
        if self.copy:
            wanted |= {label: f"{wanted.get(label, self.mark)}-{self.copy}" for label in self.apart}
        if self.choices.shared:
            wanted |= self.shared
        found = label_values((*matchers_of(selector), *self.extra), wanted, self.mark)
        if found is None:
            raise CannotDerive(f"no labels satisfy all matchers of '{promql_text(selector)}'")
        return found

    def record_of(self, selector: Expr) -> Rule | None:
        """The recording rule behind a selector, where such rules are followed."""
        if not self.choices.expand or self.depth > 8:
            return None
        return self.records.get(selector.name)

    def through(self, record: Rule, selector: Expr, go: Callable[[Expr], None]) -> None:
        """Goes on into a recording rule's expression; raises CannotDerive where its own labels are not asked for."""
        kept = [m for m in matchers_of(selector) if m.label not in record.labels]
        fixed = [m for m in matchers_of(selector) if m.label in record.labels]
        if not matches_all(fixed, record.labels):
            raise CannotDerive(f"the recording rule {record.record} has other labels than its reader asks for")
        with self._for_now(extra=(*self.extra, *kept), depth=self.depth + 1):
            go(expression(record.expr))

    # -- values that are decided already

    def _decided(self, node: Expr) -> bool:
        """Whether every series below the node has been decided."""
        return self.known(node) is not None and not is_constant(node)

    def _clock_only(self, node: Expr) -> bool:
        """Whether the node reads time stamps that were decided as distances from now."""
        leaves = [self.script.get(metric_of(one), self.labels_for(one)) for one in selectors(node)]
        return bool(leaves) and all(leaf is not None and leaf.clock for leaf in leaves)

    def known(self, node: Expr) -> Pair | None:
        """The node's values, where its series are decided or it has none; None where they are still open."""
        match node.kind:
            case "number":
                return (node.value, node.value)
            case "unary":
                inner = self.known(node.left)
                return inner and (-inner[0], -inner[1])
            case "binary" if node.name in ("and", "unless") or node.name in COMPARISONS:
                return None if node.returns_bool else self.known(node.left)
            case "binary":
                left, right = self.known(node.left), self.known(node.right)
                return None if left is None or right is None else each(operation(node.name), left, right)
            case "aggregate" if node.name in tree.THROUGH:
                return self._known_sum(node)
            case "aggregate" if node.name in COUNTING_AGGREGATIONS:
                leaves = [leaf for name in tree.metrics_below(node.left) for leaf in self.script.of(name)]
                plain = node.left.kind == "selector"
                return (float(len(leaves)), float(len(leaves))) if leaves and plain else None
            case "call":
                return self._known_call(node)
            case "selector":
                return self._known_leaf(node, "value")
        return None

    def _known_sum(self, node: Expr) -> Pair | None:
        inner = self.known(node.left)
        if inner is None or node.name != "sum":
            return inner
        read = list(selectors(node.left))
        if len(read) != 1:
            return inner
        matchers = matchers_of(read[0])
        leaves = [leaf for leaf in self.script.of(metric_of(read[0])) if matches_all(matchers, leaf.labels)]
        factor = self._known_leaf(read[0], leaves[0].shape) if leaves else None
        if factor is None or not all(factor):
            return inner
        total = (sum(leaf.levels[0] for leaf in leaves), sum(leaf.levels[1] for leaf in leaves))
        return (inner[0] / factor[0] * total[0], inner[1] / factor[1] * total[1])

    def _known_call(self, node: Expr) -> Pair | None:
        name, args = node.name, node.children
        if name == "time":
            return (0.0, 0.0)
        if name in PER_SECOND or name == "increase":
            if args[0].kind != "selector":
                return None
            found = self._known_leaf(args[0], "slope")
            per = args[0].range_s if name == "increase" else 1.0
            return found and (found[0] * per, found[1] * per)
        if name in tree.LIKE_INNER:
            return self.known(next((a for a in args if not is_constant(a)), args[0]))
        return None

    def _known_leaf(self, selector: Expr, shape: str) -> Pair | None:
        if (record := self.record_of(selector)) is not None and shape == "value":
            found: list[Pair | None] = []
            self.through(record, selector, lambda inner: found.append(self.known(inner)))
            return found[0]
        leaf = self.script.get(metric_of(selector), self.labels_for(selector))
        if leaf is None or leaf.shape != shape:
            return None
        return (leaf.levels[0], leaf.levels[0]) if selector.lengths[2] else leaf.levels


def _share_below(value: float, first: float, last: float, rank: float) -> float:
    """The share of observations in the bucket up to `first` for which the quantile of this rank, between the edges, is
    the value."""
    along = (value - first) / (last - first)
    return (rank - along) / (1 - along)
