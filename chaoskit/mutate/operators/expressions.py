"""Changes of what a rule asks: thresholds, comparisons, ranges, aggregations, guards, selectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite

from chaoskit.alerting.promql_syntax import COMPARISONS, MIRRORED, SETS, Form, Node, Token
from chaoskit.mutate.model import operator
from chaoskit.mutate.source import Bundle, RuleSite, Spot, of_each
from chaoskit.units import format_duration, parse_duration

_FLIPPED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "!=", "!=": "=="}
_EDGES = {">": ">=", ">=": ">", "<": "<=", "<=": "<", "==": ">=", "!=": ">"}
_AGGREGATES = {"sum": "max", "max": "min", "min": "max", "avg": "max", "count": "sum", "topk": "bottomk",
               "bottomk": "topk", "stddev": "avg", "stdvar": "avg", "group": "sum"}  # fmt: skip
_FUNCTIONS = {
    "rate": "irate", "irate": "rate", "increase": "rate", "delta": "idelta", "deriv": "delta", "floor": "ceil",
    "ceil": "floor", "resets": "changes", "changes": "resets", "max_over_time": "min_over_time",
    "min_over_time": "max_over_time", "avg_over_time": "max_over_time", "sum_over_time": "avg_over_time",
    "count_over_time": "sum_over_time", "last_over_time": "max_over_time",
    "clamp_min": "clamp_max", "clamp_max": "clamp_min", "histogram_avg": "histogram_sum",
}  # fmt: skip
_ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "^": "*"}
_SETS = {"and": "unless", "or": "and", "unless": "and"}
_QUANTILES = ("histogram_quantile", "quantile_over_time", "quantile")
NEGATED = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
"""By the sign of a matcher, the one that takes what it leaves."""


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A comparison of an expression: `guards` where it keeps what has no traffic out, rather than decide."""

    node: Node
    sign: Token
    guards: bool
    number: Node | None = None
    """The side that is a number."""
    value: float = 0.0


def _comparisons(rule: RuleSite) -> Iterator[_Comparison]:
    """Comparisons, a record's own filter and `> 0` within a calculation being guards."""
    left = [(rule.tree, not rule.is_alert)] if rule.tree else []
    while left:
        node, within = left.pop()
        children = [within] * len(node.children)
        if node.form is Form.BINARY:
            sign = _sign(rule, node)
            if node.name in COMPARISONS:
                number = next((each for each in node.children if _number(each) is not None), None)
                value = _number(number) if number else None
                idle = value == 0 and node.name in (">", ">=", "!=")
                yield _Comparison(node, sign, within and idle, number, value or 0.0)
            elif node.name == "unless":
                children = [within, True]
            elif node.name not in SETS:
                children = [True, True]
        left += reversed(list(zip(node.children, children, strict=True)))


def _sign(rule: RuleSite, node: Node) -> Token:
    return next(each for each in rule.words if each.start >= node.children[0].end)


def _number(node: Node) -> float | None:
    """The side's value; None where it is no number, or none that could be another."""
    sign, inner = 1.0, node
    while inner.form is Form.UNARY:
        sign, inner = (-sign if inner.name == "-" else sign), inner.children[0]
    try:
        value = sign * float(inner.name) if inner.form is Form.NUMBER else inf
    except ValueError:
        return None
    return value if isfinite(value) else None


def _beyond(value: float, sign: str, up: bool) -> float:
    if sign in ("==", "!=") or (value == int(value) and abs(value) < 10):
        return value + (1 if up else -1)
    if not up:
        return value / 2
    return value * 2 if not 0 < value < 1 or value * 2 < 1 else (1 + value) / 2


def _rules(bundle: Bundle) -> list[RuleSite]:
    return bundle.rules


def _threshold(rule: RuleSite, *, easier: bool) -> Iterator[Spot]:
    for each in _comparisons(rule):
        if each.number is not None and not each.guards:
            # A number on the left is reached from the other side.
            sign = each.node.name if each.number is each.node.children[1] else MIRRORED.get(each.node.name, "==")
            new = _beyond(each.value, sign, easier is (sign in ("<", "<=", "==", "!=")))
            yield rule.changed((each.number.start, each.number.end, f"{new:.12g}"))


operator(
    "threshold-easier", "rules", "detect, clear",
    "The threshold is reached sooner: half, double, or one beside it.", "People are called for what is usual.",
)(of_each(_rules, partial(_threshold, easier=True)))  # fmt: skip
operator(
    "threshold-harder", "rules", "detect",
    "The threshold is reached later: double, half, or one beside it.", "The alert stays silent where it is needed.",
)(of_each(_rules, partial(_threshold, easier=False)))  # fmt: skip


def _comparator(rule: RuleSite, change: Callable[[RuleSite, _Comparison], Spot], guards: bool) -> Iterator[Spot]:
    yield from (change(rule, each) for each in _comparisons(rule) if each.guards is guards)


def _other_sign(signs: dict[str, str], rule: RuleSite, each: _Comparison) -> Spot:
    return rule.changed((each.sign.start, each.sign.end, signs[each.sign.text]))


def _without_comparison(rule: RuleSite, each: _Comparison) -> Spot:
    first, second = each.node.children
    if each.number is first:
        return rule.changed((each.node.start, second.start, ""))
    return rule.changed((first.end, each.node.end, ""))


for _id, _change, _guards, _hop, _what, _why in (
    ("comparator-edge", partial(_other_sign, _EDGES), False, "detect, at the threshold itself",
     "`>` becomes `>=`, and the other way round.", "At the threshold itself the alert says the opposite."),
    ("comparator-flipped", partial(_other_sign, _FLIPPED), False, "steady, detect",
     "`>` becomes `<`.", "It fires in health, and falls silent when it matters."),
    ("comparison-dropped", _without_comparison, False, "steady",
     "The comparison is gone.", "Every series that has a value fires."),
    ("guard-flipped", partial(_other_sign, _FLIPPED), True, "detect",
     "A guard such as `> 0` lets through what it kept out.", "With traffic nothing is left to compare."),
    ("guard-dropped", _without_comparison, True, "finding, without traffic",
     "A guard such as `> 0` is gone.", "Without traffic the value is NaN, which passes or hides every comparison."),
):  # fmt: skip
    operator(_id, "rules", _hop, _what, _why)(of_each(_rules, partial(_comparator, change=_change, guards=_guards)))


def _swap(rule: RuleSite, names: dict[str, str], forms: tuple[Form, ...]) -> Iterator[Spot]:
    for node in rule.nodes():
        if node.form in forms and names.get(node.name):
            end = node.start + len(node.name)
            word = _sign(rule, node) if node.form is Form.BINARY else Token("name", node.name, node.start, end)
            yield rule.changed((word.start, word.end, names[node.name]))


for _id, _names, _forms, _hop, _what, _why in (
    ("aggregation", _AGGREGATES, (Form.AGGREGATE,), "detect, with several series",
     "`sum` becomes `max`, `count` becomes `sum`, and so on.", "With more than one series the value is another."),
    ("function", _FUNCTIONS, (Form.CALL,), "detect, clear",
     "`rate` becomes `irate`, `max_over_time` becomes `min_over_time`, and so on.", "The value is another one."),
    ("arithmetic", _ARITHMETIC, (Form.BINARY,), "detect",
     "`/` becomes `*`, `+` becomes `-`.", "A ratio is a ratio no more."),
    ("set-operator", _SETS, (Form.BINARY,), "detect, after a reset",
     "`unless` becomes `and`, `or` becomes `and`.", "Series that were left out are kept, and the other way round."),
):  # fmt: skip
    operator(_id, "rules", _hop, _what, _why)(of_each(_rules, partial(_swap, names=_names, forms=_forms)))


def _ranges(rule: RuleSite, factor: float) -> Iterator[Spot]:
    for node in rule.nodes():
        if node.form in (Form.RANGE, Form.SUBQUERY) and node.lengths[0].form == "duration":
            word = node.lengths[0]
            yield rule.changed((word.start, word.end, format_duration(parse_duration(word.text) * factor)))


operator(
    "range-longer", "rules", "detect, clear", "`[5m]` becomes `[10m]`.", "The alert comes, and goes, later."
)(of_each(_rules, partial(_ranges, factor=2)))  # fmt: skip
operator(
    "range-shorter", "rules", "detect, clear", "`[5m]` becomes `[2m30s]`.", "A single bad moment is enough."
)(of_each(_rules, partial(_ranges, factor=0.5)))  # fmt: skip


@operator(
    "group-label-dropped", "rules", "detect, with two environments",
    "A label in `by`, `without`, `on` or `ignoring` is gone.", "Series that were counted apart are counted together.",
)  # fmt: skip
def group_label_dropped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each label in a `by`, `without`, `on` or `ignoring`."""
    for rule in bundle.rules:
        for lead, opening in zip(rule.words, rule.words[1:], strict=False):
            if lead.text.lower() in ("by", "without", "on", "ignoring") and opening.text == "(":
                names = _list(rule, opening)
                for number, name in enumerate(names):
                    end = names[number + 1].start if number + 1 < len(names) else name.end
                    start = names[number - 1].end if number and number + 1 == len(names) else name.start
                    yield rule.changed((start, end, ""))


def _list(rule: RuleSite, opening: Token) -> list[Token]:
    found = []
    for word in rule.words[rule.words.index(opening) + 1 :]:
        if word.text == ")":
            break
        if word.form in ("name", "string", "duration"):
            found.append(word)
    return found


@operator(
    "quantile", "rules", "detect",
    "Another quantile: the median, and one nearer to 1.", "The alert is about other requests than it says.",
)  # fmt: skip
def quantile(bundle: Bundle) -> Iterator[Spot]:
    """Two spots for each quantile that is written as a number."""
    for rule in bundle.rules:
        for node in rule.nodes():
            if node.name in _QUANTILES and node.children and (value := _number(node.children[0])) is not None:
                first = node.children[0]
                for new in (0.5, 1 - (1 - value) / 5):
                    yield rule.changed((first.start, first.end, f"{new:.6g}"))


@operator(
    "metric-misspelt", "rules", "detect", "A selector names a metric that is not there.", "It never finds anything."
)
def metric_misspelt(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each selector with its metric's name in front."""
    for rule in bundle.rules:
        for node in rule.nodes():
            if node.form is Form.SELECTOR and node.name and rule.expr.startswith(node.name, node.start):
                end = node.start + len(node.name)
                yield rule.changed((end, end, "x"))


_Matcher = tuple[RuleSite, Node, list[tuple[Token, Token, Token]], int]
"""A rule, its selector, the matchers of that as label, sign and value, and which of them it is about."""


def _matchers(bundle: Bundle) -> Iterator[_Matcher]:
    for rule in bundle.rules:
        for node in rule.nodes():
            if node.form is Form.SELECTOR:
                inside = [each for each in rule.words if node.start <= each.start < node.end]
                found = [
                    three
                    for three in zip(inside, inside[1:], inside[2:], strict=False)
                    if three[1].text in NEGATED and three[2].form == "string" and three[0].form in ("name", "string")
                ]
                for number in range(len(found)):
                    yield rule, node, found, number


def _misspelt(each: _Matcher) -> Iterator[Spot]:
    rule, _, found, number = each
    end = found[number][2].end - 1
    yield rule.changed((end, end, "x"))


def _negated(each: _Matcher) -> Iterator[Spot]:
    rule, _, found, number = each
    sign = found[number][1]
    yield rule.changed((sign.start, sign.end, NEGATED[sign.text]))


def _dropped(each: _Matcher) -> Iterator[Spot]:
    rule, node, found, number = each
    if len(found) == 1:
        brace = rule.expr.index("{", node.start)
        if node.name and brace > node.start:
            yield rule.changed((brace, node.end, ""))
    elif number + 1 < len(found):
        yield rule.changed((found[number][0].start, found[number + 1][0].start, ""))
    else:
        yield rule.changed((found[number - 1][2].end, found[number][2].end, ""))


for _id, _said, _what, _why in (
    ("matcher-misspelt", _misspelt, '`status="error"` becomes `status="errorx"`.', "It never finds anything."),
    ("matcher-negated", _negated, '`status="error"` becomes `status!="error"`.', "It counts all the others."),
    ("matcher-dropped", _dropped, '`status="error"` is gone.', "Everything counts."),
):
    operator(_id, "rules", "detect, steady", _what, _why)(of_each(_matchers, _said))
