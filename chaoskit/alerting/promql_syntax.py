"""A PromQL expression as a tree whose nodes know where they stand in the source.

The published parser gives no positions, so a rewriting that keeps the author's layout and comments needs a tree of its
own. It is used for finding places only: what it makes of an expression is compared with the published parser's tree
afterwards (promql_lockstep), so a misreading here cannot go unnoticed.

Binding, from loose to tight, as in Prometheus's grammar: or < and unless < comparisons < + - < * / % atan2 < unary
< ^ (to the right) < offset @ [ ].
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from chaoskit.alerting.promql_durations import CannotScale

_PATTERN = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`)
  | (?P<duration>(?:[0-9]+(?:ms|[smhdwy]))+(?![0-9A-Za-z_.]))
  | (?P<number>0[xX][0-9a-fA-F_]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?)
  | (?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
  | (?P<sign>==|!=|=~|!~|<=|>=|[-+*/%^<>=(){}\[\],@:])
    """,
    re.VERBOSE,
)
_IN_BRACKETS = re.compile(r"(?P<sign>:)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Token:
    """One word: what it is (string, duration, number, name, sign, end), its text, and its place in the source."""

    form: str
    text: str
    start: int
    end: int


def words(source: str) -> list[Token]:
    """Every word of the expression, comments and blanks left out, closed by an `end`; raises CannotScale."""
    found: list[Token] = []
    at, brackets = 0, False
    while at < len(source):
        match = (_IN_BRACKETS.match(source, at) if brackets else None) or _PATTERN.match(source, at)
        if match is None:
            raise CannotScale("syntax", f"{source[at : at + 20]!r} is no token of PromQL")
        form = match.lastgroup or ""
        if form != "space":
            found.append(Token(form, match[0], at, match.end()))
        if match[0] in "[]" and form == "sign":
            brackets = match[0] == "["
        at = match.end()
    found.append(Token("end", "", len(source), len(source)))
    return found


def plain_spelling(source: str, strings: dict[str, str]) -> str:
    """The expression with every string replaced by a harmless one, for a parser that misreads some spellings.

    `strings` remembers which text got which substitute, so that two expressions spelt with the same dictionary can be
    compared. Empty strings stay empty: whether a selector selects anything depends on them.
    """
    out: list[str] = []
    for token in words(source):
        text = token.text
        if token.form == "string" and len(text) > 2:
            text = strings.setdefault(text, f'"s{len(strings)}"')
        elif token.form == "string":
            text = '""'
        elif token.form == "number":
            text = text.replace("_", "")
        out.append(text)
    return " ".join(out)


_AGGREGATIONS = "sum avg count min max group stddev stdvar topk bottomk count_values quantile limitk limit_ratio"
AGGREGATIONS = frozenset(_AGGREGATIONS.split())
COMPARISONS = frozenset(["==", "!=", "<=", "<", ">=", ">"])
MIRRORED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
"""The comparison that says the same with both sides exchanged; the others are their own."""
SETS = frozenset(["and", "or", "unless"])
ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "%": math.fmod, "^": math.pow,
}  # fmt: skip
"""By operator, the result for two numbers; raises ArithmeticError or ValueError where Prometheus has Inf or NaN."""
_LEVELS = {"or": 1, "and": 2, "unless": 2, **dict.fromkeys(COMPARISONS, 3), "+": 4, "-": 4}
_LEVELS |= {"*": 5, "/": 5, "%": 5, "atan2": 5, "^": 7}
_UNARY = 6
NO_LIST = "()"
"""Among an operator's modifiers: the `group_left` or `group_right` before it stands there without a list."""
_MODIFIERS = frozenset(["bool", "on", "ignoring", "group_left", "group_right", "fill", "fill_left", "fill_right"])


class Form(Enum):
    """The kinds of node; RANGE, SUBQUERY, OFFSET and AT wrap the node that they follow."""

    NUMBER = "number"
    STRING = "string"
    SELECTOR = "selector"
    RANGE = "range"
    SUBQUERY = "subquery"
    OFFSET = "offset"
    AT = "@"
    PAREN = "parentheses"
    UNARY = "unary operator"
    BINARY = "binary operator"
    CALL = "function"
    AGGREGATE = "aggregation"


@dataclass(frozen=True, slots=True)
class Node:
    """One construct: `name` is the metric, function, aggregation or operator; `lengths` are its duration words.

    `modifiers` are the words beside an operator (`bool`, `on`, ...) or behind an `@`.
    """

    form: Form
    start: int
    end: int
    name: str = ""
    children: tuple[Node, ...] = ()
    lengths: tuple[Token, ...] = ()
    modifiers: tuple[str, ...] = ()


class _Reader:
    """Recursive descent with operator levels over the words of one expression."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.words = words(source)
        self.at = 0

    @property
    def here(self) -> Token:
        return self.words[self.at]

    @property
    def after(self) -> Token:
        return self.words[min(self.at + 1, len(self.words) - 1)]

    def take(self) -> Token:
        token = self.here
        self.at = min(self.at + 1, len(self.words) - 1)
        return token

    def need(self, text: str) -> Token:
        if self.here.text != text:
            raise CannotScale("syntax", f"expected '{text}', found {self.here.text or 'the end'!r}")
        return self.take()

    def expression(self, level: int = 1) -> Node:
        left = self.prefixed()
        while (own := _LEVELS.get(self.here.text.lower(), 0)) >= level and self.here.form in ("sign", "name"):
            operator = self.take().text.lower()
            modifiers = self.matching()
            right = self.expression(own if operator == "^" else own + 1)
            left = Node(Form.BINARY, left.start, right.end, operator, (left, right), modifiers=modifiers)
        return left

    def matching(self) -> tuple[str, ...]:
        found: list[str] = []
        while self.here.text.lower() in _MODIFIERS and self.here.form == "name":
            found.append(self.take().text.lower())
            if found[-1] != "bool" and self.here.text == "(":
                self.skip("(", ")")
            elif found[-1].startswith("group_"):
                found.append(NO_LIST)
        return tuple(found)

    def skip(self, opening: str, closing: str) -> Token:
        """Past a list whose inside does not matter; gives its closing sign."""
        self.need(opening)
        while self.here.text != closing or self.here.form != "sign":
            if self.here.form == "end":
                raise CannotScale("syntax", f"'{closing}' is missing")
            self.take()
        return self.take()

    def prefixed(self) -> Node:
        if self.here.text in ("-", "+"):
            sign = self.take()
            inner = self.expression(_UNARY)
            return Node(Form.UNARY, sign.start, inner.end, sign.text, (inner,))
        return self.suffixed(self.primary())

    def suffixed(self, node: Node) -> Node:
        while True:
            word = self.here.text.lower()
            if word == "[":
                node = self.bracket(node)
            elif word == "offset":
                self.take()
                if self.here.text in ("-", "+"):
                    self.take()  # the sign stays in the source; only the length behind it is replaced
                length = self.length()
                node = Node(Form.OFFSET, node.start, length.end, "offset", (node,), (length,))
            elif word == "@":
                node = self.instant(node)
            else:
                return node

    def bracket(self, node: Node) -> Node:
        self.need("[")
        first = self.length()
        if self.here.text != ":":
            return Node(Form.RANGE, node.start, self.need("]").end, "range", (node,), (first,))
        self.take()
        lengths = (first,) if self.here.text == "]" else (first, self.length())
        return Node(Form.SUBQUERY, node.start, self.need("]").end, "subquery", (node,), lengths)

    def length(self) -> Token:
        if self.here.form not in ("duration", "number"):
            raise CannotScale("syntax", f"expected a duration, found {self.here.text or 'the end'!r}")
        return self.take()

    def instant(self, node: Node) -> Node:
        self.need("@")
        words_of_it = [self.take()]
        if words_of_it[0].text in ("start", "end"):
            words_of_it += [self.need("("), self.need(")")]
        elif words_of_it[0].text in ("-", "+"):
            words_of_it.append(self.take())
        spelt = "".join(word.text for word in words_of_it)
        return Node(Form.AT, node.start, words_of_it[-1].end, "@", (node,), modifiers=(spelt,))

    def primary(self) -> Node:
        token = self.here
        if token.text == "(":
            self.take()
            inner = self.expression()
            return Node(Form.PAREN, token.start, self.need(")").end, children=(inner,))
        if token.text == "{":
            return Node(Form.SELECTOR, token.start, self.skip("{", "}").end, self.quoted_name(token))
        if token.form in ("number", "duration") or token.text.lower() in ("inf", "nan"):
            self.take()
            return Node(Form.NUMBER, token.start, token.end, token.text)
        if token.form == "string":
            self.take()
            return Node(Form.STRING, token.start, token.end)
        if token.form != "name":
            raise CannotScale("syntax", f"expected an expression, found {token.text or 'the end'!r}")
        following = self.after.text.lower()
        if token.text.lower() in AGGREGATIONS and following in ("(", "by", "without"):
            return self.aggregate()
        return self.call() if following == "(" else self.selector()

    def selector(self) -> Node:
        name = self.take()
        end = self.skip("{", "}").end if self.here.text == "{" else name.end
        return Node(Form.SELECTOR, name.start, end, name.text)

    def quoted_name(self, opening: Token) -> str:
        """The metric of `{"name", ...}` or `{__name__="name"}`: known by name only when it is spelt out."""
        inside = [w for w in self.words if opening.end <= w.start < self.words[self.at - 1].start]
        for i, word in enumerate(inside):
            before = inside[i - 1].text if i else ","
            if word.form == "string" and (
                before == "," or [w.text for w in inside[max(i - 2, 0) : i]] == ["__name__", "="]
            ):
                return word.text[1:-1]
        return ""

    def arguments(self) -> tuple[tuple[Node, ...], int]:
        self.need("(")
        found: list[Node] = []
        while self.here.text != ")":
            found.append(self.expression())
            if self.here.text != ")":
                self.need(",")
        return tuple(found), self.take().end

    def call(self) -> Node:
        name = self.take()
        children, end = self.arguments()
        return Node(Form.CALL, name.start, end, name.text, children)

    def aggregate(self) -> Node:
        name = self.take()
        before = self.grouping()
        children, end = self.arguments()
        node = Node(Form.AGGREGATE, name.start, end, name.text.lower(), children)
        after = None if before else self.grouping()
        return replace(node, end=after) if after else node

    def grouping(self) -> int | None:
        if self.here.text.lower() not in ("by", "without"):
            return None
        self.take()
        return self.skip("(", ")").end


def read(source: str) -> Node:
    """The tree of one expression; raises CannotScale with construct `syntax` where it is none."""
    reader = _Reader(source)
    node = reader.expression()
    if reader.here.form != "end":
        raise CannotScale("syntax", f"expected the end, found {reader.here.text!r}")
    return node


# PromQL that is younger than the parser here: known well enough to be told from a slip of the pen.
_ENDS = ("anchored", "smoothed")
_FILLS = ("fill", "fill_left", "fill_right")
_COMPUTED = set("+-*/%^()")
_PLAIN_RANGE = re.compile(r"\[[\w\s.:]*\]")


def newer_construct(expr: str) -> str:
    """The first construct of newer PromQL in an expression, in words; empty where there is none."""
    lower = expr.lower()
    if "[" not in _PLAIN_RANGE.sub("", expr) and not any(word in lower for word in ("offset", "fill", *_ENDS)):
        return ""  # most have none, and to tell their words apart takes twenty times as long
    try:
        found = words(expr)
    except CannotScale:
        return ""
    brackets = braces = 0
    for before, here, after in zip([Token("end", "", 0, 0), *found], found, [*found[1:], found[-1]], strict=False):
        word = here.text.lower()
        if here.form == "sign":
            brackets += (word == "[") - (word == "]")
            braces += (word == "{") - (word == "}")
        if braces:
            continue
        if brackets and ((word in _COMPUTED and before.text != "@") or (here.form == "name" and after.text == "(")):
            return "a computed duration"
        if before.text.lower() == "offset" and (word == "(" or (here.form == "name" and after.text == "(")):
            return "a computed offset"
        if here.form == "name" and word in _ENDS and (before.text in ("]", "}", ")") or before.form == "name"):
            return f"the modifier {word}"
        if here.form == "name" and word in _FILLS and after.text == "(" and before.form in ("sign", "name"):
            return f"the modifier {word}()"
    return ""
