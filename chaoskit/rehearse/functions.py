"""PromQL functions backwards: from a wanted value of a call to the course of the series that it reads."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import promql_parser as promql

from chaoskit.rehearse.inverse import FUNCTIONS, each
from chaoskit.rehearse.known import Knowing
from chaoskit.rehearse.script import CannotDerive, Pair
from chaoskit.rehearse.tree import (
    BASE,
    CALENDAR,
    COUNTERS,
    LIKE_INNER,
    SLOPES,
    calls,
    first_open,
    only_selector,
    span_s,
)


class Functions(Knowing):
    """A derivation that knows functions; operators and truth are a solver's."""

    __slots__ = ()

    @abstractmethod
    def invert(self, node: Any, want: Pair) -> None:
        """Decides series so that the node has these values at rest and during the fault."""

    @abstractmethod
    def call_truth(self, node: Any, down: bool, up: bool) -> None:
        """Decides series so that the call has a result at rest, during the fault, both or neither."""

    def call(self, node: Any, want: Pair) -> None:
        name, args = node.func.name, node.args
        if name in SLOPES or name in ("increase", "delta", "idelta"):
            inner = args[0]
            if not isinstance(inner, promql.MatrixSelector):
                raise CannotDerive(f"{name}() of a subquery has no course that could be computed backwards")
            if name in COUNTERS and min(want) < 0:
                raise CannotDerive(f"{name}() of a counter is never below zero")
            span = inner.range.total_seconds()
            per = {"increase": span, "delta": span, "idelta": self.interval_s}.get(name, 1.0)
            self._place(inner.vector_selector, "slope", (want[0] / per, want[1] / per))
        elif name in ("changes", "resets"):
            self._place(only_selector(args[0]), "toggle", (float(want[0] >= 1), float(want[1] >= 1)))
        elif name == "histogram_quantile":
            self._histogram(args[1], want)
        elif name == "predict_linear":
            self._predict(node, want)
        elif name in ("stddev_over_time", "stdvar_over_time"):
            self._place(only_selector(args[0]), "toggle", (float(want[0] > 0), float(want[1] > 0)))
        elif name == "sum_over_time":
            samples = max(1.0, span_s(args[0]) / self.interval_s)
            self._inner(args[0], (want[0] / samples, want[1] / samples))
        elif name in ("count_over_time", "present_over_time", "absent", "absent_over_time"):
            self.call_truth(node, want[0] > 0, want[1] > 0)
        elif name in LIKE_INNER:
            self._inner(first_open(args), want)
        elif name in FUNCTIONS:
            self.invert(args[0], each(lambda w, _: FUNCTIONS[name](w), want, want))
        elif name == "timestamp":
            raise CannotDerive("timestamp() is the instant of a sample, which a scrape sets and no value can")
        elif name in CALENDAR:
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
        selector = only_selector(node.args[0])
        labels = self.labels_for(selector)
        leaf = self.script.get(selector.name or "", labels)
        if leaf is None or leaf.shape == "present":
            start = max(abs(want[0]), abs(want[1]), BASE)
            leaf = self._put(selector, "value", (start if want[0] >= 0 else want[0], start))
        ahead = horizon[1]
        leaf.drift = 1.5 * (want[1] - leaf.levels[1]) / ahead if ahead else 0.0

    def _histogram(self, node: Any, want: Pair) -> None:
        inner = only_selector(node)
        low, high = sorted(want)
        high = high if high > 0 else 1.0
        low = low if 0 < low < high else high / 10
        edges = (0.9 * low, 1.1 * low, 0.9 * high, 1.1 * high, math.inf)
        if edges[1] >= edges[2]:
            edges = (edges[0], math.sqrt(low * high), math.sqrt(low * high), edges[3], math.inf)
        counts = {low: (0.0, 1.0, 1.0, 1.0, 1.0), high: (0.0, 0.0, 0.0, 1.0, 1.0)}
        down = counts[low] if want[0] <= want[1] else counts[high]
        up = counts[high] if want[0] <= want[1] else counts[low]
        shape = "slope" if calls(node, SLOPES | {"increase"}) else "value"
        for edge, at_rest, during in zip(edges, down, up, strict=True):
            le = "+Inf" if math.isinf(edge) else f"{edge:.9g}"
            self._put(inner, shape, (BASE * at_rest, BASE * during), {"le": le})

    def _place(self, selector: Any, shape: str, want: Pair) -> None:
        record = self.record_of(selector)
        if record is not None and shape == "value":
            self.through(record, selector, lambda inner: self.invert(inner, want))
            return
        if selector.offset:
            raise CannotDerive("a value in the past cannot be set apart from the present one")
        self._put(selector, shape, want)
