"""Compress the queries that annotations and labels run: `{{ query "rate(x[5m])" }}` and its variations.

A query is compressed where its text stands in the template as a literal, by itself or as the format of a `printf`
whose verbs stand inside PromQL strings (or are a whole one, `%q`). A query that the template puts together in another
way while it runs cannot be known beforehand and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from functools import partial

from chaoskit.alerting.promql import scale
from chaoskit.alerting.promql_durations import CannotScale

_ACTION = re.compile(
    r"""\{\{-?\s*/\*.*?\*/\s*-?\}\}|\{\{(?:"(?:\\.|[^"\\])*"|`[^`]*`|'(?:\\.|[^'\\])*'|(?!\}\}).)*\}\}""", re.DOTALL
)
_WORD = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<other>'(?:\\.|[^'\\])*'|[.$]?[A-Za-z_][\w.]*|:=|[^\s\w])"""
)
_VERB = re.compile(r"%[-+# 0]*[0-9]*(?:\.[0-9]+)?[A-Za-z%]")
_MARK = re.compile('\x00([0-9]+)\x00|"\x01([0-9]+)\x01"')
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def scale_template(template: str, k: Fraction, instants: Collection[str] = ()) -> str:
    """The template with every query in it compressed; raises CannotScale for a query that cannot be."""
    if "query" not in template:
        return template
    return _ACTION.sub(lambda action: _scale_action(action[0], k, instants), template)


def queries_of(template: str, labels: Mapping[str, str]) -> Iterator[str]:
    """The queries that a template runs for an alert with these labels, but for one that it puts together meanwhile."""
    for action in _ACTION.findall(template) if "query" in template else ():
        words = [] if action.lstrip("{- \t\n").startswith("/*") else [word[0] for word in _WORD.finditer(action)]
        for at in (i for i, word in enumerate(words) if word == "query"):
            try:
                literal, formatted = _query_text(words, at)
                text = words[literal][1:-1]
                text = text if words[literal][0] == "`" else _unescaped(text)
            except CannotScale:
                continue
            given = iter(words[literal + 1 :])
            yield _VERB.sub(partial(_filled, given, labels), text) if formatted else text


def _filled(given: Iterator[str], labels: Mapping[str, str], verb: re.Match[str]) -> str:
    if verb[0] == "%%":
        return "%"
    value = labels.get(next(given, "").rpartition(".")[2], "")
    return f'"{value}"' if verb[0] == "%q" else value


def _scale_action(action: str, k: Fraction, instants: Collection[str]) -> str:
    if action.lstrip("{- \t\n").startswith("/*"):
        return action
    words = list(_WORD.finditer(action))
    texts = [word[0] for word in words]
    replaced: dict[int, str] = {}
    for i, text in enumerate(texts):
        if text == "query":
            literal, formatted = _query_text(texts, i)
            replaced[literal] = _scale_literal(texts[literal], formatted, k, instants)
    out, at = "", 0
    for i, new in sorted(replaced.items()):
        out += action[at : words[i].start()] + new
        at = words[i].end()
    return out + action[at:]


def _query_text(words: list[str], at: int) -> tuple[int, bool]:
    """Where the text of the query called at word `at` stands, and whether it is the format of a printf."""
    following = [*words[at + 1 : at + 4], "", "", ""]
    if _is_string(following[0]):
        return at + 1, False
    if following[:2] == ["(", "printf"] and _is_string(following[2]):
        return at + 3, True
    if at >= 2 and words[at - 1] == "|":
        first = at - 1
        while first > 0 and words[first - 1] not in ("{", "(", ":=", "|", "=", "-", "with", "range", "if"):
            first -= 1
        if _is_string(words[first]) and first == at - 2:
            return first, False
        if words[first] == "printf" and _is_string(words[first + 1]):
            return first + 1, True
    raise CannotScale("query in a template", "its expression is put together while the template runs")


def _is_string(word: str) -> bool:
    return word[:1] in ('"', "`") and bool(word)


def _scale_literal(literal: str, formatted: bool, k: Fraction, instants: Collection[str]) -> str:
    text = literal[1:-1] if literal[0] == "`" else _unescaped(literal[1:-1])
    scaled = _scale_format(text, k, instants) if formatted else scale(text, k, instants=instants)
    if literal[0] == "`":
        return f"`{scaled}`"
    for escape, char in (("\\", "\\"), ('"', '"'), ("n", "\n"), ("t", "\t"), ("r", "\r")):
        scaled = scaled.replace(char, f"\\{escape}")
    return f'"{scaled}"'


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            raise CannotScale("query in a template", f"the escape {match[0]!r} in it is not followed")
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", one, text, flags=re.DOTALL)


def _scale_format(text: str, k: Fraction, instants: Collection[str]) -> str:
    """A printf format: its verbs are set aside, and accepted only where the PromQL parser sees a string."""
    verbs: list[str] = []

    def aside(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        verbs.append(match[0])
        return f'"\x01{len(verbs) - 1}\x01"' if match[0] == "%q" else f"\x00{len(verbs) - 1}\x00"

    scaled = scale(_VERB.sub(aside, text), k, instants=instants).replace("%", "%%")
    return _MARK.sub(lambda mark: verbs[int(mark[1] or mark[2])], scaled)
