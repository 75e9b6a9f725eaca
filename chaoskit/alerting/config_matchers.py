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
_OPERATOR = re.compile(r"=~|!~|!=|=")
_RESERVED = "{}!=~,\\\"'`"
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}
# strconv.Unquote, double-quoted strings.
_GO_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    '"': '"',
}
_GO_DIGITS = {"x": 2, "u": 4, "U": 8}

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
            found = _Utf8(text).parse()
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
    open_quote = len(body) < len(raw)
    value, at = "", 0
    while at < len(body):
        char = body[at]
        if char == "\\" and at + 1 < len(body):
            at += 1
            value += _ESCAPES.get(body[at], "\\" + body[at])
        elif char == '"':
            if not open_quote or at + 1 < len(body):
                raise ValueError(f"the matcher value {raw} has an unescaped double quote; put a backslash")
            open_quote = False
        else:
            value += char
        at += 1
    if open_quote:
        raise ValueError(f"the matcher value {raw} has no closing double quote")
    return value


class _Utf8:
    """The grammar of Alertmanager's matcher/parse package: names may be quoted, braces must pair."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def parse(self) -> tuple[Matcher, ...]:
        found = []
        braced = self._take("{")
        while not self._ended() and self._peek() != "}":
            label = self._word("a label name")
            operator = _OPERATOR.match(self.text, self.at)
            if not operator:
                raise ValueError(f"'{self.text}': expected =, !=, =~ or !~ after '{label}'")
            self.at = operator.end()
            found.append(Matcher(label, operator[0], self._word("a value")))
            if not self._take(","):
                break
        if self._take("}") != braced or not self._ended():
            raise ValueError(f"'{self.text}': write both braces, and a comma between matchers")
        return tuple(found)

    def _peek(self) -> str:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def _ended(self) -> bool:
        return not self._peek()

    def _take(self, char: str) -> bool:
        found = self._peek() == char
        self.at += found
        return found

    def _word(self, what: str) -> str:
        if self._peek() == '"':
            return self._quoted()
        begin = self.at
        while self.at < len(self.text) and not (self.text[self.at] in _RESERVED or self.text[self.at].isspace()):
            self.at += 1
        word = self.text[begin : self.at]
        if not word:
            raise ValueError(f"'{self.text}': expected {what}")
        self._peek()
        return word

    def _quoted(self) -> str:
        value = ""
        self.at += 1
        while (char := self.text[self.at : self.at + 1]) != '"':
            self.at += 1
            if not char or char == "\n":
                raise ValueError(f"'{self.text}': close the double quote")
            value += self._escape() if char == "\\" else char
        self.at += 1
        self._peek()
        return value

    def _escape(self) -> str:
        char = self.text[self.at : self.at + 1]
        self.at += 1
        if char in _GO_ESCAPES:
            return _GO_ESCAPES[char]
        digits = self.text[self.at : self.at + _GO_DIGITS.get(char, 0)]
        self.at += len(digits)
        try:
            if char in _GO_DIGITS and len(digits) == _GO_DIGITS[char] and digits.isalnum():
                return chr(int(digits, 16))
        except (ValueError, OverflowError):
            pass
        raise ValueError(f"'{self.text}': \\{char} is not an escape sequence")
