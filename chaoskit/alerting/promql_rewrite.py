"""Rewrite the text of an expression, node by node, while following what sort of value each node has.

Each visit gives the node's new text and its kind (promql_meaning). A node that turns out to stand beside an instant is
visited again with `as_instant`, so that the metrics in it are taken for instants too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from chaoskit.alerting.promql_durations import CannotScale, Rounding, divide, millis_of
from chaoskit.alerting.promql_lockstep import Inserted
from chaoskit.alerting.promql_meaning import (
    CALENDAR,
    COUNTING,
    COUNTING_AGGREGATIONS,
    FOLLOWING,
    FOLLOWING_AGGREGATIONS,
    INSTANTS,
    PER_SECOND,
    PLAIN_ONLY,
    Kind,
    names_an_instant,
    names_an_own_length,
)
from chaoskit.alerting.promql_operators import Operators
from chaoskit.alerting.promql_syntax import Form, Node
from chaoskit.alerting.promql_text import Seen
from chaoskit.units import format_duration


class Rewriting(Operators):
    """One expression, its scale, and the metrics known to be instants; `visit` raises CannotScale."""

    def __init__(self, source: str, k: Fraction, instants: frozenset[str]) -> None:
        super().__init__(source, k)
        self.instants = instants

    def visit(self, node: Node, *, bare: bool = False, as_instant: bool = False) -> Seen:
        """`bare`: nothing around the node binds, so that an inserted factor needs no parentheses."""
        read: dict[Form, Callable[[Node, bool, bool], Seen]] = {
            Form.NUMBER: self._number,
            Form.STRING: self._string,
            Form.SELECTOR: self._selector,
            Form.RANGE: self._range,
            Form.SUBQUERY: self._subquery,
            Form.OFFSET: self._offset,
            Form.AT: self._at,
            Form.PAREN: self._paren,
            Form.UNARY: self._unary,
            Form.BINARY: self._binary,
            Form.CALL: self._call,
            Form.AGGREGATE: self._aggregate,
        }
        return read[node.form](node, bare, as_instant)

    # Leaves and what follows them ------------------------------------------------------------------------------

    def _number(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        text = node.name.replace("_", "").lower()
        if text[-1] in "smhdwy":
            value = millis_of(text, text) / 1000
        else:
            value = float(int(text, 16)) if text.startswith("0x") else float(text)
        return Seen(node.name, Kind.CONSTANT, value=value)

    def _string(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        return Seen(self.said(node), Kind.PLAIN)

    def _selector(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        metric, text = node.name, self.said(node)
        if names_an_own_length(metric):
            if as_instant:
                raise CannotScale(metric, "it is a length in real seconds and stands where an instant is needed")
            return self.multiplied(Seen(text, Kind.PLAIN), node, bare)
        if as_instant or metric in self.instants or names_an_instant(metric):
            return Seen(text, Kind.INSTANT)
        return Seen(text, Kind.OPEN)

    def _wrapped(self, node: Node, as_instant: bool, roundings: list[Rounding]) -> Seen:
        """A range, subquery or offset: its inside, then its lengths."""
        child = node.children[0]
        if names_an_own_length(child.name) and child.form is Form.SELECTOR and node.form is not Form.SUBQUERY:
            raise CannotScale(
                child.name, f"it is measured in real seconds, and a {node.form.value} of it is not followed"
            )
        inner = self.visit(child, as_instant=as_instant)
        parts = [(child.start, child.end, inner.text)]
        for token, rounding in zip(node.lengths, roundings, strict=False):
            construct = f"{node.form.value} {token.text}"
            millis = self.millis(token.text, construct)
            if millis:
                scaled = divide(millis, self.k, rounding, construct)
                parts.append((token.start, token.end, format_duration(scaled / 1000)))
        return replace(inner, text=self.joined(node, parts))

    def millis(self, text: str, construct: str) -> int:
        """A duration word, or the bare number of seconds that Prometheus 3 takes for one."""
        if text[-1] in "smhdwy" and not text.lower().startswith("0x"):
            return millis_of(text, construct)
        exact = (
            Fraction(text.replace("_", "")) * 1000
            if not text.lower().startswith("0x")
            else Fraction(int(text, 16) * 1000)
        )
        if exact.denominator != 1:
            raise CannotScale(construct, "it is no whole number of milliseconds")
        return int(exact)

    def _range(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        return self._wrapped(node, as_instant, [Rounding.WINDOW])

    def _subquery(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        return self._wrapped(node, as_instant, [Rounding.WINDOW, Rounding.PERIOD])

    def _offset(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        return self._wrapped(node, as_instant, [Rounding.SHIFT])

    def _at(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        if node.modifiers[0] not in ("start()", "end()"):
            raise CannotScale(f"@ {node.modifiers[0]}", "a fixed instant has no counterpart in virtual time")
        return self._wrapped(node, as_instant, [])

    def _paren(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        inner = self.visit(node.children[0], bare=True, as_instant=as_instant)
        return replace(inner, text=self.joined(node, [(node.children[0].start, node.children[0].end, inner.text)]))

    # Functions and aggregations --------------------------------------------------------------------------------

    def _call(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        name = node.name
        if name == "predict_linear":
            return self.forecast(node)
        vector = 1 if name == "quantile_over_time" else 0
        follow = as_instant and name in FOLLOWING
        children = [
            self.raw(child)
            if name in COUNTING or name == "timestamp"
            else self.visit(child, bare=True, as_instant=follow and i == vector)
            for i, child in enumerate(node.children)
        ]
        if name in INSTANTS:
            return self.built(node, children, Kind.INSTANT, unit=Fraction(1))
        if name in CALENDAR:
            if not children or any(seen.kind is not Kind.CONSTANT for seen in children):
                raise CannotScale(f"{name}()", "virtual time has no time of day and no date")
            return self.built(node, children, Kind.PLAIN)
        if name in FOLLOWING:
            if len(children) <= vector:
                raise CannotScale("syntax", f"{name}() lacks an argument")
            followed = children[vector]
            return self.built(node, children, followed.kind, unit=followed.unit, value=followed.value)
        if name in COUNTING:
            return self.built(node, children, Kind.PLAIN)
        if name not in PLAIN_ONLY and name not in PER_SECOND:
            raise CannotScale(f"{name}()", "nothing is known of what this function does with time")
        if any(seen.kind is Kind.INSTANT for seen in children):
            raise CannotScale(f"{name}()", "it is applied to instants of the real clock, which do not scale through it")
        seen = self.built(node, children, Kind.PLAIN)
        if name in PER_SECOND:
            return replace(self.divided(seen, node, bare, Inserted(per_second=1)), inexact=True)
        return seen

    def raw(self, node: Node) -> Seen:
        """An argument of which only the presence or the time counts: a metric by itself stays as it is.

        absent() takes labels from a plain selector, timestamp() the sample's own time: neither survives a factor.
        """
        return Seen(self.said(node), Kind.OPEN) if node.form is Form.SELECTOR else self.visit(node, bare=True)

    def forecast(self, node: Node) -> Seen:
        """`predict_linear(v, t)` is the last value plus slope times t: with a slope k times as steep, t is 1/k."""
        if len(node.children) != 2:
            raise CannotScale("predict_linear()", "it takes a range and a number of seconds")
        series = self.visit(node.children[0], bare=True)
        horizon = self.visit(node.children[1], bare=True)
        if Kind.INSTANT in (series.kind, horizon.kind):
            raise CannotScale("predict_linear()", "it is applied to instants of the real clock")
        horizon = self.divided(horizon, node.children[1], True, Inserted(horizons=1))
        return self.built(node, [series, horizon], Kind.PLAIN)

    def _aggregate(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        name = node.name
        follow = as_instant and name in FOLLOWING_AGGREGATIONS
        last = len(node.children) - 1
        children = [
            self.visit(child, bare=True, as_instant=follow and i == last) for i, child in enumerate(node.children)
        ]
        kind = children[last].kind if children else Kind.PLAIN
        if name == "count_values" and (children[last].inexact or kind is Kind.INSTANT):
            raise CannotScale(
                "count_values", "its labels would spell numbers that compression changes in the last digit"
            )
        if name in COUNTING_AGGREGATIONS:
            return self.built(node, children, Kind.PLAIN)
        if name in FOLLOWING_AGGREGATIONS:
            kind = Kind.OPEN if kind is Kind.CONSTANT else kind
            return self.built(node, children, kind, unit=children[last].unit)
        if any(seen.kind is Kind.INSTANT for seen in children):
            raise CannotScale(
                name, "instants of the real clock have an order and a distance, but no sum or spread; use max or min"
            )
        return self.built(node, children, Kind.PLAIN)
