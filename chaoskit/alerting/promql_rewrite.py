"""Rewrite the text of an expression, node by node, while following what sort of value each node has.

Each visit gives the node's new text and its kind (promql_meaning). A node that turns out to stand beside an instant is
visited again with `as_instant`, so that the metrics in it are taken for instants too. Of two instants the difference
is a length, which is multiplied by k, and the order is kept; an instant and a constant length make another instant, for
which the length is divided by k. Everything else with instants is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import inf, isfinite

from chaoskit.alerting import promql_meaning as meaning
from chaoskit.alerting.promql_durations import CannotScale, Rounding, as_fraction, divide, millis_of, spell
from chaoskit.alerting.promql_lockstep import Inserted
from chaoskit.alerting.promql_meaning import PER_SECOND, Kind, names_an_instant, names_an_own_length
from chaoskit.alerting.promql_syntax import ARITHMETIC, COMPARISONS, NO_LIST, SETS, Form, Node
from chaoskit.units import format_duration


@dataclass(frozen=True, slots=True)
class Seen:
    """The result of a visit: the new text, its kind, and the value of a constant.

    `unit` is how many of it make a second (1000 for milliseconds) when that is known of an instant. `inexact` marks a
    value that passed through an inserted factor.
    """

    text: str
    kind: Kind
    value: float = 0.0
    unit: Fraction | None = None
    inserted: Inserted = field(default_factory=Inserted)
    inexact: bool = False


LONGEST_LENGTH_VS = 3e8
"""A constant beside an instant above this (ten years) is taken for a fixed instant, not for a length."""
_ROUNDINGS = {
    Form.RANGE: (Rounding.WINDOW,),
    Form.SUBQUERY: (Rounding.WINDOW, Rounding.PERIOD),
    Form.OFFSET: (Rounding.SHIFT,),
    Form.AT: (),
}


class Rewriting:
    """One expression, its scale, and the metrics known to be instants; `visit` raises CannotScale."""

    def __init__(self, source: str, k: Fraction, instants: frozenset[str]) -> None:
        self.source, self.k, self.instants = source, k, instants

    def visit(self, node: Node, *, bare: bool = False, as_instant: bool = False) -> Seen:
        """Rewrites a node; `bare`: nothing around the node binds, so that an inserted factor needs no parentheses."""
        form = Form.RANGE if node.form in _ROUNDINGS else node.form
        visited: Seen = getattr(self, f"_{form.name.lower()}")(node, bare, as_instant)
        return visited

    # The text put together again --------------------------------------------------------------------------------

    def said(self, node: Node) -> str:
        return self.source[node.start : node.end]

    def joined(self, node: Node, parts: list[tuple[int, int, str]]) -> str:
        """The node's own text with the given stretches of it replaced."""
        out, at = "", node.start
        for start, end, text in sorted(parts):
            out += self.source[at:start] + text
            at = end
        return out + self.source[at : node.end]

    def built(self, node: Node, children: list[Seen], kind: Kind, **more: object) -> Seen:
        """The node with its children's rewritten texts, and the sum of all divisions in them."""
        texts = [seen.text for seen in children]
        if node.modifiers[-1:] == (NO_LIST,) and texts[-1].startswith("("):
            texts[-1] = f"() {texts[-1]}"  # else what is in the parentheses would be read as the missing list
        spans = zip(node.children, texts, strict=True)
        return Seen(
            self.joined(node, [(child.start, child.end, text) for child, text in spans]),
            kind,
            inserted=sum((seen.inserted for seen in children), Inserted()),
            inexact=any(seen.inexact for seen in children),
            **more,  # type: ignore[arg-type]
        )

    def factor(self, text: str, by: Fraction, bare: bool) -> str:
        """`text` times `by`, spelt as a division or multiplication by plain decimals."""
        times, over = spell(by), spell(1 / by)
        if by > 1 and times is not None:
            out = f"{text} * {times}"
        elif over is not None:
            out = f"{text} / {over}"
        elif times is not None:
            out = f"{text} * {times}"
        else:
            out = f"{text} * {by.numerator} / {by.denominator}"
        return out if bare else f"({out})"

    def divided(self, seen: Seen, node: Node, bare: bool, inserted: Inserted) -> Seen:
        atomic = node.form in (Form.NUMBER, Form.CALL, Form.PAREN, Form.SELECTOR)
        text = self.factor(seen.text if atomic else f"({seen.text})", 1 / self.k, bare)
        return replace(seen, text=text, inserted=seen.inserted + inserted)

    def multiplied(self, seen: Seen, node: Node, bare: bool) -> Seen:
        text = seen.text if node.form is Form.SELECTOR else f"({seen.text})"
        text = self.factor(text, self.k, bare)
        return replace(seen, text=text, kind=Kind.PLAIN, inserted=seen.inserted + Inserted(distances=1), inexact=True)

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
                raise CannotScale(metric, "the metric is a length in real seconds, where an instant is needed")
            return self.multiplied(Seen(text, Kind.PLAIN), node, bare)
        if as_instant or metric in self.instants or names_an_instant(metric):
            return Seen(text, Kind.INSTANT)
        return Seen(text, Kind.OPEN)

    def _range(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        """A range, subquery, offset or instant: its inside, then its lengths."""
        if node.form is Form.AT and node.modifiers[0] not in ("start()", "end()"):
            raise CannotScale(f"@ {node.modifiers[0]}", "virtual time has no such fixed instant; use time()")
        child = node.children[0]
        if names_an_own_length(child.name) and child.form is Form.SELECTOR and node.form is not Form.SUBQUERY:
            raise CannotScale(child.name, f"the metric counts real seconds; its {node.form.value} is not followed")
        inner = self.visit(child, as_instant=as_instant)
        parts = [(child.start, child.end, inner.text)]
        for token, rounding in zip(node.lengths, _ROUNDINGS[node.form], strict=False):
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
        number = text.replace("_", "").lower()
        exact = (Fraction(int(number, 16)) if number.startswith("0x") else Fraction(number)) * 1000
        if exact.denominator != 1:
            raise CannotScale(construct, "the number is no whole number of milliseconds")
        return int(exact)

    def _paren(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        inner = self.visit(node.children[0], bare=True, as_instant=as_instant)
        return replace(inner, text=self.joined(node, [(node.children[0].start, node.children[0].end, inner.text)]))

    # Operators: which of them an instant survives ------------------------------------------------------------------

    def _unary(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        inner = self.visit(node.children[0], as_instant=as_instant)
        if node.name == "+":
            return self.built(node, [inner], inner.kind, unit=inner.unit, value=inner.value)
        if inner.kind is Kind.INSTANT:
            raise CannotScale("unary -", "the minus negates an instant of the real clock")
        kind = Kind.CONSTANT if inner.kind is Kind.CONSTANT else Kind.PLAIN
        return self.built(node, [inner], kind, value=-inner.value)

    def _binary(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        right_too = as_instant and node.name not in ("and", "unless")
        sides = [
            self.visit(node.children[0], as_instant=as_instant),
            self.visit(node.children[1], as_instant=right_too),
        ]
        if node.name in ("and", "unless"):
            return self.built(node, sides, sides[0].kind, unit=sides[0].unit)
        if Kind.INSTANT not in (sides[0].kind, sides[1].kind):
            kind, value = _folded(node, *sides)
            return self.built(node, sides, kind, value=value)
        for i in (0, 1):
            if sides[i].kind is Kind.OPEN and node.name not in ("*", "/", "%", "^", "atan2"):
                sides[i] = self.visit(node.children[i], as_instant=True)
        if node.name in COMPARISONS or node.name in SETS:
            return self.ordered(node, sides)
        if node.name in ("+", "-"):
            return self.shifted(node, sides, bare)
        return self.converted(node, sides)

    def ordered(self, node: Node, sides: list[Seen]) -> Seen:
        """Rewrites instants compared or joined with each other, or with 0, by which exporters say "never"."""
        for side, child in zip(sides, node.children, strict=True):
            if side.kind is not Kind.INSTANT and not (side.kind is Kind.CONSTANT and side.value == 0):
                raise CannotScale(
                    f"operator {node.name}",
                    f"it puts {self.said(child)!r}, which is {side.kind.value}, beside an instant of the real clock",
                )
        self.same_unit(node, sides)
        kind = Kind.PLAIN if "bool" in node.modifiers else Kind.INSTANT
        return self.built(node, sides, kind, unit=sides[0].unit or sides[1].unit)

    def same_unit(self, node: Node, sides: list[Seen]) -> None:
        units = {side.unit for side in sides if side.kind is Kind.INSTANT and side.unit is not None}
        if len(units) > 1:
            raise CannotScale(f"operator {node.name}", "the operator's two sides count the clock in different units")

    def shifted(self, node: Node, sides: list[Seen], bare: bool) -> Seen:
        """A distance between two instants, or an instant some constant length away from another."""
        left, right = sides
        if node.name == "-" and left.kind is right.kind is Kind.INSTANT:
            self.same_unit(node, sides)
            return self.multiplied(self.built(node, sides, Kind.PLAIN), node, bare)
        constant = next((i for i in (0, 1) if sides[i].kind is Kind.CONSTANT), None)
        if constant is None or (node.name == "-" and constant == 0):
            other = next((i for i in (0, 1) if sides[i].kind is not Kind.INSTANT), 1)
            raise CannotScale(
                f"operator {node.name}",
                f"{self.said(node.children[other])!r} is {sides[other].kind.value}; beside an instant of the real "
                "clock only another instant can be subtracted, or a constant length added or taken away",
            )
        instant = sides[1 - constant]
        if abs(sides[constant].value) / float(instant.unit or 1) >= LONGEST_LENGTH_VS:
            raise CannotScale(self.said(node.children[constant]), "virtual time has no such fixed instant; use time()")
        if sides[constant].value:
            sides[constant] = self.divided(sides[constant], node.children[constant], False, Inserted(lengths=1))
        return self.built(node, sides, Kind.INSTANT, unit=instant.unit)

    def converted(self, node: Node, sides: list[Seen]) -> Seen:
        """An instant counted in another unit, such as milliseconds: times or divided by a positive constant."""
        left, right = sides
        other, instant = (right, left) if left.kind is Kind.INSTANT else (left, right)
        if (
            node.name not in ("*", "/")
            or other.kind is not Kind.CONSTANT
            or not 0 < other.value < inf
            or (node.name == "/" and instant is right)
        ):
            raise CannotScale(
                f"operator {node.name}",
                "of an instant of the real clock only differences, comparisons and conversions by a constant scale",
            )
        by = as_fraction(other.value) if node.name == "*" else 1 / as_fraction(other.value)
        return self.built(node, sides, Kind.INSTANT, unit=instant.unit * by if instant.unit else None)

    # Functions and aggregations --------------------------------------------------------------------------------

    def _call(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        name = node.name
        if name == "predict_linear":
            return self.forecast(node)
        vector = 1 if name == "quantile_over_time" else 0
        follow = as_instant and name in meaning.FOLLOWING
        children = [
            self.raw(child)
            if name in meaning.COUNTING or name == "timestamp"
            else self.visit(child, bare=True, as_instant=follow and i == vector)
            for i, child in enumerate(node.children)
        ]
        if name in meaning.INSTANTS:
            return self.built(node, children, Kind.INSTANT, unit=Fraction(1))
        if name in meaning.CALENDAR:
            if not children or any(seen.kind is not Kind.CONSTANT for seen in children):
                raise CannotScale(f"{name}()", "virtual time has no time of day and no date")
            return self.built(node, children, Kind.PLAIN)
        if name in meaning.FOLLOWING:
            if len(children) <= vector:
                raise CannotScale("syntax", f"{name}() lacks an argument")
            followed = children[vector]
            return self.built(node, children, followed.kind, unit=followed.unit, value=followed.value)
        if name in meaning.COUNTING:
            return self.built(node, children, Kind.PLAIN)
        if name not in meaning.PLAIN_ONLY and name not in PER_SECOND:
            raise CannotScale(f"{name}()", "chaoskit does not know how this function depends on time")
        if any(seen.kind is Kind.INSTANT for seen in children):
            raise CannotScale(f"{name}()", "the function takes instants of the real clock, which it does not scale")
        seen = self.built(node, children, Kind.PLAIN)
        if name in PER_SECOND:
            return replace(self.divided(seen, node, bare, Inserted(per_second=1)), inexact=True)
        return seen

    def raw(self, node: Node) -> Seen:
        """An argument of which only the presence or the time counts: a plain selector stays unchanged.

        absent() takes labels from a plain selector, timestamp() the sample's own time: neither survives a factor.
        """
        return Seen(self.said(node), Kind.OPEN) if node.form is Form.SELECTOR else self.visit(node, bare=True)

    def forecast(self, node: Node) -> Seen:
        """`predict_linear(v, t)` is the last value plus slope times t: with a slope k times as steep, t is 1/k."""
        if len(node.children) != 2:
            raise CannotScale("predict_linear()", "the function takes a range and a number of seconds")
        series = self.visit(node.children[0], bare=True)
        horizon = self.visit(node.children[1], bare=True)
        if Kind.INSTANT in (series.kind, horizon.kind):
            raise CannotScale("predict_linear()", "the function takes instants of the real clock")
        horizon = self.divided(horizon, node.children[1], True, Inserted(horizons=1))
        return self.built(node, [series, horizon], Kind.PLAIN)

    def _aggregate(self, node: Node, bare: bool, as_instant: bool) -> Seen:
        name = node.name
        follow = as_instant and name in meaning.FOLLOWING_AGGREGATIONS
        last = len(node.children) - 1
        children = [
            self.visit(child, bare=True, as_instant=follow and i == last) for i, child in enumerate(node.children)
        ]
        kind = children[last].kind if children else Kind.PLAIN
        if name == "count_values" and (children[last].inexact or kind is Kind.INSTANT):
            raise CannotScale(
                "count_values", "the labels would spell numbers that compression changes in the last digit"
            )
        if name in meaning.COUNTING_AGGREGATIONS:
            return self.built(node, children, Kind.PLAIN)
        if name in meaning.FOLLOWING_AGGREGATIONS:
            kind = Kind.OPEN if kind is Kind.CONSTANT else kind
            return self.built(node, children, kind, unit=children[last].unit)
        if any(seen.kind is Kind.INSTANT for seen in children):
            raise CannotScale(
                name, "instants of the real clock have an order and a distance, but no sum or spread; use max or min"
            )
        return self.built(node, children, Kind.PLAIN)


def _folded(node: Node, left: Seen, right: Seen) -> tuple[Kind, float]:
    """Kind, and value if constant, of an operator with no instant on either side."""
    kinds = {left.kind, right.kind}
    if kinds == {Kind.CONSTANT} and node.name in ARITHMETIC:
        try:
            value = ARITHMETIC[node.name](left.value, right.value)
        except (ArithmeticError, ValueError):
            return Kind.PLAIN, 0.0  # such as 0/0: a number for Prometheus, and the same at every scale
        return (Kind.CONSTANT, value) if isfinite(value) else (Kind.PLAIN, 0.0)
    if kinds == {Kind.OPEN} and (node.name == "or" or _filters(node)):
        return Kind.OPEN, 0.0
    if kinds == {Kind.OPEN, Kind.CONSTANT} and (node.name in ("or", "+", "*") or _filters(node)):
        return Kind.OPEN, 0.0
    if left.kind is Kind.OPEN and (_filters(node) or (right.kind is Kind.CONSTANT and node.name in ("-", "/"))):
        return Kind.OPEN, 0.0
    return Kind.PLAIN, 0.0


def _filters(node: Node) -> bool:
    return node.name in COMPARISONS and "bool" not in node.modifiers
