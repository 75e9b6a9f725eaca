"""From a condition to the series that make it true: the syntax tree is walked from the comparison to the leaves.

`truth` asks that a node has a result at rest, during the fault, both or neither; `invert` asks that it has a value.
Each step turns what is wanted of a node into what is wanted of its operands: half a ratio becomes a numerator of half
the denominator, a rate a slope, an increase a slope over its range, a count so many series, a quantile a histogram
with everything in one bucket. Where an operand is decided already, its level is taken as given. The result is a guess
by construction: `proof` asks the real engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import promql_parser as promql

from chaoskit.alerting.model import Matcher, Rule
from chaoskit.alerting.routing import matches_all
from chaoskit.rehearse.levels import flipped, level
from chaoskit.rehearse.script import CannotDerive, Leaf, Pair, Script
from chaoskit.rehearse.selectors import label_values

COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
_OPS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
_COUNTS = frozenset({"count", "group"})
_THROUGH = frozenset({"sum", "avg", "min", "max", "topk", "bottomk", "quantile", "limitk"})
_LIKE_INNER = frozenset(
    ["abs", "ceil", "floor", "round", "sort", "sort_desc", "sort_by_label", "sort_by_label_desc", "vector", "scalar", "label_replace", "label_join", "clamp", "clamp_max", "clamp_min", "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "quantile_over_time", "first_over_time"]
)
_SLOPES = frozenset({"rate", "irate", "deriv"})
_CALENDAR = frozenset(["hour", "minute", "month", "year", "day_of_week", "day_of_month", "day_of_year", "days_in_month"])
_INVERSES: Mapping[str, Callable[[float], float]] = {
    "sqrt": lambda v: v * v,
    "exp": lambda v: math.log(v) if v > 0 else -50.0,
    "ln": math.exp,
    "log2": lambda v: 2.0**v,
    "log10": lambda v: 10.0**v,
}
_BASE, _FEW = 100.0, 4.0
_MOST_SERIES = 60


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
    """Which side of `or` is taken."""


@dataclass(slots=True)
class Solver:
    """One derivation; `script` holds its series afterwards."""

    records: Mapping[str, Rule]
    labels: Mapping[str, str]
    """What every series carries where its selector leaves the choice."""
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

    # -- truth

    def truth(self, node: Any, down: bool, up: bool) -> None:
        """Decides series so that the node has a result at rest (`down`) and during the fault (`up`), or none."""
        match node:
            case promql.ParenExpr():
                self.truth(node.expr, down, up)
            case promql.BinaryExpr() if str(node.op) in COMPARISONS and not _bool(node):
                self._compare(node, down, up)
            case promql.BinaryExpr() if str(node.op) == "and":
                self.truth(node.lhs, down, up)
                stays = self.choices.guards_stay or self._decided(node.rhs)
                self.truth(node.rhs, down or stays, up)
            case promql.BinaryExpr() if str(node.op) == "or":
                sides = (node.lhs, node.rhs) if self.choices.alternative % 2 == 0 else (node.rhs, node.lhs)
                self.truth(sides[0], down, up)
            case promql.BinaryExpr() if str(node.op) == "unless":
                self.truth(node.lhs, down, up)
            case promql.BinaryExpr():
                self._either(node, down, up)
            case promql.AggregateExpr():
                self.truth(node.expr, down, up)
            case promql.Call():
                self._call_truth(node, down, up)
            case promql.VectorSelector() | promql.MatrixSelector():
                self._presence(node, down, up)
            case promql.SubqueryExpr() | promql.UnaryExpr():
                self.truth(node.expr, down, up)
            case _:
                raise CannotDerive("it has a result whatever the series say: it always fires")

    def _either(self, node: Any, down: bool, up: bool) -> None:
        """Arithmetic has a result while both sides have one."""
        for side in (node.lhs, node.rhs):
            if not _constant(side):
                self.truth(side, down, up)

    def _call_truth(self, node: Any, down: bool, up: bool) -> None:
        name = node.func.name
        if name in ("absent", "absent_over_time"):
            self.truth(node.args[0], not down, not up)
            return
        if name in _CALENDAR or name == "time":
            raise CannotDerive(f"{name}() depends on the time of day, which no series can set")
        if name in ("vector", "scalar") and _constant(node.args[0]):
            raise CannotDerive("it has a result whatever the series say: it always fires")
        if name in ("changes", "resets", "rate", "irate", "increase", "delta", "idelta", "deriv"):
            self.invert(node, (1.0, 1.0))
            return
        self.truth(next(a for a in node.args if not _constant(a)), down, up)

    def _compare(self, node: Any, down: bool, up: bool) -> None:
        before = self.clocked
        self.clocked = before or _reads_clock(node)
        try:
            left, right, op = node.lhs, node.rhs, str(node.op)
            threshold = self.known(right)
            if threshold is None and (threshold := self.known(left)) is not None:
                left, right, op = right, left, flipped(op)
            if threshold is None:
                base = _base(right)
                self.invert(right, (base, base))
                threshold = self.known(right) or (base, base)
            if not self.clocked and self._clock_only(left):
                return  # a time stamp near now is beyond any fixed number
            given = self.known(left)
            if given is not None and self._decided(left):
                wrong = [g for g, t, w in zip(given, threshold, (down, up), strict=True) if _holds(op, g, t) != w]
                if not wrong or not _constant(right):
                    return
            self.invert(left, self._beyond(op, threshold, down, up))
        finally:
            self.clocked = before

    def _beyond(self, op: str, threshold: Pair, down: bool, up: bool) -> Pair:
        choice = self.choices.generosity
        return (level(op, threshold[0], down, choice), level(op, threshold[1], up, choice))

    # -- values

    def invert(self, node: Any, want: Pair) -> None:
        """Decides series so that the node has these values at rest and during the fault."""
        match node:
            case promql.ParenExpr():
                self.invert(node.expr, want)
            case promql.UnaryExpr():
                self.invert(node.expr, (-want[0], -want[1]))
            case promql.VectorSelector():
                self._place(node, "value", want)
            case promql.BinaryExpr() if str(node.op) in COMPARISONS:
                self._filtered(node, want)
            case promql.BinaryExpr() if str(node.op) in ("and", "unless"):
                self.invert(node.lhs, want)
                if str(node.op) == "and" and not self._decided(node.rhs):
                    self.truth(node.rhs, True, True)
            case promql.BinaryExpr() if str(node.op) == "or":
                self.invert(node.lhs if self.choices.alternative % 2 == 0 else node.rhs, want)
            case promql.BinaryExpr():
                self._arithmetic(node, want)
            case promql.AggregateExpr():
                self._aggregate(node, want)
            case promql.Call():
                self._call(node, want)
            case promql.NumberLiteral():
                return
            case _:
                raise CannotDerive(f"no way is known to give '{promql_text(node)}' a value")

    def _filtered(self, node: Any, want: Pair) -> None:
        if _bool(node):
            self._compare(node, want[0] > 0, want[1] > 0)
            return
        threshold = self.known(node.rhs)
        if threshold is not None:
            passing = zip(want, threshold, strict=True)
            if all(_holds(str(node.op), value, bound) for value, bound in passing):
                self.invert(node.lhs, want)
                return
        self._compare(node, True, True)

    def _arithmetic(self, node: Any, want: Pair) -> None:
        left, right = self.known(node.lhs), self.known(node.rhs)
        if left is None and right is None:
            first = node.rhs if self.choices.denominator_first else node.lhs
            base = _base(first)
            self.invert(first, (base, base))
            left, right = self.known(node.lhs), self.known(node.rhs)
        if right is not None and (left is None or _constant(node.rhs)):
            self.invert(node.lhs, _each(lambda w, r: _left(str(node.op), w, r), want, right))
        elif left is not None:
            self.invert(node.rhs, _each(lambda w, v: _right(str(node.op), w, v), want, left))
        else:
            raise CannotDerive(f"neither side of '{node.op}' could be decided")

    def _aggregate(self, node: Any, want: Pair) -> None:
        op = str(node.op)
        if op in _COUNTS or op == "count_values":
            self._count(node.expr, want)
        elif op in ("stddev", "stdvar"):
            spread = want if op == "stddev" else _each(lambda w, _: math.sqrt(max(w, 0.0)), want, want)
            middle = 10 * max(abs(spread[0]), abs(spread[1]), 1.0)
            for copy, sign in ((1, 1.0), (2, -1.0)):
                self._copied(copy, node.expr, _each(lambda w, _, s=sign: middle + s * w, spread, spread))  # type: ignore[misc]
        elif op in _THROUGH:
            if op == "sum" and _counts(node.expr):
                self._count(node.expr, want)
                return
            before, self.summing = self.summing, op == "sum"
            try:
                self.invert(node.expr, want)
            finally:
                self.summing = before
        else:
            raise CannotDerive(f"no way is known to give {op}() a value")

    def _copied(self, copy: int, node: Any, want: Pair) -> None:
        before, self.copy = self.copy, copy
        try:
            self.invert(node, want)
        finally:
            self.copy = before

    def _count(self, node: Any, want: Pair) -> None:
        numbers = tuple(math.ceil(w - 1e-9) for w in want)
        there = max((len(self.script.of(name)) for name in _metrics(node)), default=0)
        most = max(*numbers, there)
        if most > _MOST_SERIES:
            raise CannotDerive(f"it counts {most} series, more than {_MOST_SERIES}")
        before = self.copy
        try:
            for copy in range(1, most + 1):
                self.copy = copy
                self.truth(node, copy <= numbers[0], copy <= numbers[1])
        finally:
            self.copy = before

    def _call(self, node: Any, want: Pair) -> None:
        name, args = node.func.name, node.args
        if name in _SLOPES or name in ("increase", "delta", "idelta"):
            inner = args[0]
            if not isinstance(inner, promql.MatrixSelector):
                raise CannotDerive(f"{name}() of a subquery has no course that could be computed backwards")
            span = inner.range.total_seconds()
            per = {"increase": span, "delta": span, "idelta": self.interval_s}.get(name, 1.0)
            self._place(inner.vector_selector, "slope", (want[0] / per, want[1] / per))
        elif name in ("changes", "resets"):
            self._place(_inner_selector(args[0]), "toggle", (float(want[0] >= 1), float(want[1] >= 1)))
        elif name == "histogram_quantile":
            self._histogram(args[1], want)
        elif name == "predict_linear":
            self._predict(node, want)
        elif name in ("stddev_over_time", "stdvar_over_time"):
            self._place(_inner_selector(args[0]), "toggle", (float(want[0] > 0), float(want[1] > 0)))
        elif name == "sum_over_time":
            samples = max(1.0, _span_s(args[0]) / self.interval_s)
            self._inner(args[0], (want[0] / samples, want[1] / samples))
        elif name in ("count_over_time", "present_over_time", "absent", "absent_over_time"):
            self._call_truth(node, want[0] > 0, want[1] > 0)
        elif name in _LIKE_INNER:
            self._inner(next(a for a in args if not _constant(a)), want)
        elif name in _INVERSES:
            self.invert(args[0], _each(lambda w, _: _INVERSES[name](w), want, want))
        elif name == "timestamp":
            raise CannotDerive("timestamp() is the instant of a sample, which a scrape sets and no value can")
        elif name in _CALENDAR:
            raise CannotDerive(f"{name}() depends on the time of day, which no series can set")
        else:
            raise CannotDerive(f"no way is known to give {name}() a value")

    def _inner(self, node: Any, want: Pair) -> None:
        match node:
            case promql.MatrixSelector():
                self._place(node.vector_selector, "value", want)
            case promql.SubqueryExpr():
                self.invert(node.expr, want)
            case _:
                self.invert(node, want)

    def _predict(self, node: Any, want: Pair) -> None:
        horizon = self.known(node.args[1])
        if horizon is None:
            raise CannotDerive("the horizon of predict_linear() is not a number")
        selector = _inner_selector(node.args[0])
        labels = self._labels(selector)
        leaf = self.script.get(selector.name or "", labels)
        if leaf is None or leaf.shape == "present":
            start = max(abs(want[0]), abs(want[1]), _BASE)
            leaf = self._put(selector, "value", (start if want[0] >= 0 else want[0], start))
        ahead = horizon[1]
        leaf.drift = 1.5 * (want[1] - leaf.levels[1]) / ahead if ahead else 0.0

    def _histogram(self, node: Any, want: Pair) -> None:
        inner = _inner_selector(node)
        low, high = sorted(want)
        high = high if high > 0 else 1.0
        low = low if 0 < low < high else high / 10
        edges = (0.9 * low, 1.1 * low, 0.9 * high, 1.1 * high, math.inf)
        if edges[1] >= edges[2]:
            edges = (edges[0], math.sqrt(low * high), math.sqrt(low * high), edges[3], math.inf)
        counts = {low: (0.0, 1.0, 1.0, 1.0, 1.0), high: (0.0, 0.0, 0.0, 1.0, 1.0)}
        down = counts[low] if want[0] <= want[1] else counts[high]
        up = counts[high] if want[0] <= want[1] else counts[low]
        shape = "slope" if _has_call(node, _SLOPES | {"increase"}) else "value"
        for edge, at_rest, during in zip(edges, down, up, strict=True):
            le = "+Inf" if math.isinf(edge) else f"{edge:.9g}"
            self._put(inner, shape, (_BASE * at_rest, _BASE * during), {"le": le})

    # -- leaves

    def _presence(self, node: Any, down: bool, up: bool) -> None:
        selector = node.vector_selector if isinstance(node, promql.MatrixSelector) else node
        if (record := self._record(selector)) is not None:
            self._through(record, selector, lambda inner: self.truth(inner, down, up))
        elif down or up:
            self._put(selector, "present", (float(down), float(up)))

    def _place(self, selector: Any, shape: str, want: Pair) -> None:
        record = self._record(selector)
        if record is not None and shape == "value":
            self._through(record, selector, lambda inner: self.invert(inner, want))
            return
        if selector.offset:
            raise CannotDerive("a value in the past cannot be set apart from the present one")
        self._put(selector, shape, want)

    def _put(self, selector: Any, shape: Any, want: Pair, more: Mapping[str, str] | None = None) -> Leaf:
        labels = {**self._labels(selector), **(more or {})}
        name = _name(selector)
        if name in ("ALERTS", "ALERTS_FOR_STATE"):
            raise CannotDerive("it reads the state of other alerts")
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
            left = _each(lambda a, b: a - b, other.levels, leaf.levels)
            if other.summed and other.shape == leaf.shape and min(left) >= 0:
                other.levels = left

    def _labels(self, selector: Any) -> dict[str, str]:
        wanted = dict(self.labels)
        if self.copy:
            wanted["instance"] = f"{wanted.get('instance', self.mark)}-{self.copy}"
        if self.choices.shared:
            wanted |= self.shared
        found = label_values((*matchers_of(selector), *self.extra), wanted, self.mark)
        if found is None:
            raise CannotDerive(f"no labels satisfy all matchers of '{promql_text(selector)}'")
        return found

    def _record(self, selector: Any) -> Rule | None:
        if not self.choices.expand or self.depth > 8:
            return None
        return self.records.get(selector.name or "")

    def _through(self, record: Rule, selector: Any, go: Callable[[Any], None]) -> None:
        kept = [m for m in matchers_of(selector) if m.label not in record.labels]
        fixed = [m for m in matchers_of(selector) if m.label in record.labels]
        if not matches_all(fixed, record.labels):
            raise CannotDerive(f"the recording rule {record.record} has other labels than are asked for")
        before, self.extra, self.depth = self.extra, (*self.extra, *kept), self.depth + 1
        try:
            go(promql.parse(record.expr))
        finally:
            self.extra, self.depth = before, self.depth - 1

    # -- what is known already

    def _decided(self, node: Any) -> bool:
        """Whether every series below the node has been decided."""
        return self.known(node) is not None and not _constant(node)

    def _clock_only(self, node: Any) -> bool:
        """Whether the node reads time stamps that were decided as distances from now."""
        leaves = [self.script.get(_name(one), self._labels(one)) for one in _selectors(node)]
        return bool(leaves) and all(leaf is not None and leaf.clock for leaf in leaves)

    def known(self, node: Any) -> Pair | None:
        """The node's values, where its series are decided or it has none; None where it still is open."""
        match node:
            case promql.NumberLiteral():
                return (node.val, node.val)
            case promql.ParenExpr():
                return self.known(node.expr)
            case promql.UnaryExpr():
                inner = self.known(node.expr)
                return inner and (-inner[0], -inner[1])
            case promql.BinaryExpr() if str(node.op) in ("and", "unless") or str(node.op) in COMPARISONS:
                return None if _bool(node) else self.known(node.lhs)
            case promql.BinaryExpr():
                left, right = self.known(node.lhs), self.known(node.rhs)
                return None if left is None or right is None else _each(_result(str(node.op)), left, right)
            case promql.AggregateExpr() if str(node.op) in _THROUGH:
                return self._known_sum(node)
            case promql.AggregateExpr() if str(node.op) in _COUNTS:
                metrics = _metrics(node.expr)
                leaves = [leaf for name in metrics for leaf in self.script.of(name)]
                plain = isinstance(node.expr, promql.VectorSelector)
                return (float(len(leaves)), float(len(leaves))) if leaves and plain else None
            case promql.Call():
                return self._known_call(node)
            case promql.VectorSelector():
                return self._known_leaf(node, "value")
        return None

    def _known_sum(self, node: Any) -> Pair | None:
        inner = self.known(node.expr)
        if inner is None or str(node.op) != "sum":
            return inner
        selectors = [s for s in _selectors(node.expr)]
        if len(selectors) != 1:
            return inner
        matchers = matchers_of(selectors[0])
        leaves = [leaf for leaf in self.script.of(_name(selectors[0])) if matches_all(matchers, leaf.labels)]
        factor = self._known_leaf(selectors[0], leaves[0].shape) if leaves else None
        if factor is None or not all(factor):
            return inner
        total = (sum(leaf.levels[0] for leaf in leaves), sum(leaf.levels[1] for leaf in leaves))
        return (inner[0] / factor[0] * total[0], inner[1] / factor[1] * total[1])

    def _known_call(self, node: Any) -> Pair | None:
        name, args = node.func.name, node.args
        if name == "time":
            return (0.0, 0.0)
        if name in _SLOPES or name == "increase":
            if not isinstance(args[0], promql.MatrixSelector):
                return None
            found = self._known_leaf(args[0].vector_selector, "slope")
            per = args[0].range.total_seconds() if name == "increase" else 1.0
            return found and (found[0] * per, found[1] * per)
        if name in _LIKE_INNER:
            inner = next((a for a in args if not _constant(a)), args[0])
            return self.known(inner.vector_selector if isinstance(inner, promql.MatrixSelector) else inner)
        return None

    def _known_leaf(self, selector: Any, shape: str) -> Pair | None:
        if (record := self._record(selector)) is not None and shape == "value":
            found: list[Pair | None] = []
            self._through(record, selector, lambda inner: found.append(self.known(inner)))
            return found[0]
        leaf = self.script.get(_name(selector), self._labels(selector))
        if leaf is None or leaf.shape != shape:
            return None
        return (leaf.levels[0], leaf.levels[0]) if selector.offset else leaf.levels


def matchers_of(selector: Any) -> tuple[Matcher, ...]:
    """The matchers of a selector, without its name."""
    return tuple(
        Matcher(m.name, _OPS[str(m.op).rpartition(".")[2]], m.value)
        for m in selector.matchers.matchers
        if m.name != "__name__"
    )


def promql_text(node: Any) -> str:
    """The node as text, on one line and not too long."""
    text = " ".join(str(node.prettify()).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _name(selector: Any) -> str:
    if selector.name:
        return str(selector.name)
    for matcher in selector.matchers.matchers:
        if matcher.name == "__name__":
            values = label_values([Matcher("n", _OPS[str(matcher.op).rpartition(".")[2]], matcher.value)], {}, "any")
            if values and values.get("n"):
                return values["n"]
    raise CannotDerive("a selector names no metric")


def children(node: Any) -> tuple[Any, ...]:
    """The operands of a node."""
    match node:
        case promql.BinaryExpr():
            return (node.lhs, node.rhs)
        case promql.Call():
            return tuple(node.args)
        case promql.AggregateExpr():
            return (node.expr,) if node.param is None else (node.expr, node.param)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return (node.expr,)
        case promql.MatrixSelector():
            return (node.vector_selector,)
    return ()


def _selectors(node: Any) -> list[Any]:
    own = [node] if isinstance(node, promql.VectorSelector) else []
    return own + [found for child in children(node) for found in _selectors(child)]


def _metrics(node: Any) -> list[str]:
    return list(dict.fromkeys(_name(selector) for selector in _selectors(node)))


def _inner_selector(node: Any) -> Any:
    found = _selectors(node)
    if len(found) != 1:
        raise CannotDerive(f"'{promql_text(node)}' reads {len(found)} series where one can be scripted")
    return found[0]


def _constant(node: Any) -> bool:
    return (not _selectors(node) and not isinstance(node, promql.StringLiteral)) or isinstance(node, promql.StringLiteral)


def _reads_clock(node: Any) -> bool:
    if isinstance(node, promql.Call) and node.func.name == "time":
        return True
    return any(map(_reads_clock, children(node)))


def _has_call(node: Any, names: frozenset[str]) -> bool:
    if isinstance(node, promql.Call) and node.func.name in names:
        return True
    return any(_has_call(child, names) for child in children(node))


def _counts(node: Any) -> bool:
    """Whether a sum over the node counts how often a condition holds."""
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    return isinstance(node, promql.BinaryExpr) and str(node.op) in COMPARISONS and _bool(node)


def _base(node: Any) -> float:
    counting = isinstance(node, promql.AggregateExpr) and str(node.op) in _COUNTS
    return _FEW if counting or any(_base(child) == _FEW for child in children(node)) else _BASE


def _bool(node: Any) -> bool:
    return bool(node.modifier and node.modifier.return_bool)


def _span_s(node: Any) -> float:
    return float(node.range.total_seconds())


def _each(function: Callable[[float, float], float], a: Pair, b: Pair) -> Pair:
    try:
        return (function(a[0], b[0]), function(a[1], b[1]))
    except (OverflowError, ZeroDivisionError, ValueError):
        raise CannotDerive("its arithmetic has no inverse at these values") from None


def _holds(op: str, value: float, bound: float) -> bool:
    return {
        ">": value > bound, "<": value < bound, ">=": value >= bound,
        "<=": value <= bound, "==": value == bound, "!=": value != bound,
    }[op]  # fmt: skip


def _result(op: str) -> Callable[[float, float], float]:
    functions: Mapping[str, Callable[[float, float], float]] = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "%": math.fmod,
        "^": math.pow,
    }
    if op not in functions:
        raise CannotDerive(f"no way is known through '{op}'")
    return functions[op]


def _left(op: str, want: float, right: float) -> float:
    """The left operand for which `left op right` is `want`."""
    match op:
        case "+":
            return want - right
        case "-":
            return want + right
        case "*":
            return want / right
        case "/":
            return want * right
        case "^":
            return math.pow(want, 1 / right)
        case "%":
            return want
    raise CannotDerive(f"no way is known through '{op}'")


def _right(op: str, want: float, left: float) -> float:
    """The right operand for which `left op right` is `want`."""
    match op:
        case "+":
            return want - left
        case "-":
            return left - want
        case "*":
            return want / left
        case "/":
            return left / want
    raise CannotDerive(f"no way is known through '{op}'")
