"""The words of a PromQL expression and where they stand.

Only what the rewriting needs: strings in their three spellings, comments, numbers, durations, names and signs. The
rules are those of Prometheus's own lexer; inside square brackets a colon is a sign, outside it belongs to a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
            raise CannotScale("syntax", f"{source[at : at + 20]!r} is no PromQL word")
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
