"""Matcher strings of alertmanager.yml, read the way Alertmanager reads them.

Two grammars exist: the classic one (before 0.27) and the UTF-8 one. Where both apply, newer versions keep
the classic meaning, so: classic first, UTF-8 for what classic refuses. Regular expressions must compile in
RE2, the syntax of Go's regexp package.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]

from chaoskit.alerting.model import Matcher

_CLASSIC = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|=|!=|!~)\s*(.*?)\s*", re.DOTALL)
_VALUE = re.compile(r'(?P<text>(?:[^"\\]|\\.|\\\Z)*)(?P<end>"?)', re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}
# The grammar of Alertmanager's matcher/parse package: names and values may be quoted as in Go, braces must pair.
_ESCAPE = re.compile(r'\\(?:[abfnrtv\\"]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})')
_WORD = rf"""(?:"(?:[^"\\\n]|{_ESCAPE.pattern})*"|[^\s{{}}!=~,\\"'`]+)"""
_ONE = rf"\s*{_WORD}\s*(?:=~|!~|!=|=)\s*{_WORD}\s*"
_UTF8 = re.compile(rf"(?P<brace>\{{)?(?P<inside>{_ONE}(?:,{_ONE})*(?:,\s*)?|\s*)(?(brace)\}})")
_PARTS = re.compile(rf"({_WORD})\s*(=~|!~|!=|=)\s*({_WORD})")

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False  # the library would otherwise write to stderr


@lru_cache(maxsize=4096)
def regex(value: str) -> Any:
    """The anchored pattern `^(?:value)$` in RE2; raises ValueError with RE2's reason.

    Python's re would accept look-around and back-references that Go refuses, let `$` match before a last
    newline, and match other alphabets' digits with `\\d`.
    """
    try:
        return re2.compile(f"^(?:{value})$", _OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"'{value}' is not a regular expression that Alertmanager accepts: {said}") from None


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """The matchers of one string: `foo="bar"`, `foo=~bar`, `{a="1", b!~"2|3"}`, `"utf-8 näme"=x`.

    Raises ValueError that says what was found.
    """
    try:
        found = _classic(text)
    except ValueError as classic:
        try:
            found = _utf8(text)
        except ValueError:
            raise classic from None
    for matcher in found:
        if matcher.op in ("=~", "!~"):
            regex(matcher.value)
    return found


def _classic(text: str) -> tuple[Matcher, ...]:
    """pkg/labels.ParseMatchers: braces optional on either side, commas split outside of quotes."""
    text = text.removeprefix("{").removesuffix("}")
    tokens, token = [], ""
    quoted = escaped = False
    for char in text:
        if char == "," and not quoted:
            tokens.append(token)
            token = ""
            continue
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = char == "\\" and not escaped
        token += char
    if token.strip():
        tokens.append(token.strip())
    return tuple(_classic_one(each) for each in tokens)


def _classic_one(text: str) -> Matcher:
    match = _CLASSIC.fullmatch(text)
    if not match:
        raise ValueError(f"'{text}' is not a matcher; write label=\"value\", with =, !=, =~ or !~")
    label, op, raw = match.groups()
    return Matcher(label, op, _unquote_classic(raw))


def _unquote_classic(raw: str) -> str:
    """A value with or without its double quotes; a backslash before anything but n, " and \\ is literal."""
    body = raw.removeprefix('"')
    opened = len(body) < len(raw)
    parts = _VALUE.fullmatch(body)
    if parts is None or (parts["end"] and not opened):
        raise ValueError(f"the matcher value {raw} has an unescaped double quote; put a backslash")
    if opened and not parts["end"]:
        raise ValueError(f"the matcher value {raw} has no closing double quote")
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), parts["text"], flags=re.DOTALL)


def _utf8(text: str) -> tuple[Matcher, ...]:
    whole = _UTF8.fullmatch(text.strip())
    if whole is None:
        raise ValueError(f"'{text}': write both braces, and a comma between matchers")
    return tuple(
        Matcher(_unquoted(label), op, _unquoted(value)) for label, op, value in _PARTS.findall(whole["inside"])
    )


def _unquoted(word: str) -> str:
    if not word.startswith('"'):
        return word
    return _ESCAPE.sub(lambda escape: escape[0].encode().decode("unicode_escape"), word[1:-1])
