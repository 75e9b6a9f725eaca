"""Matcher strings mean here what they mean to Alertmanager."""

from __future__ import annotations

import pytest

from chaoskit.alerting.config_matchers import parse_matchers, regex
from chaoskit.alerting.model import Matcher


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('foo="bar"', [("foo", "=", "bar")]),
        ("foo=bar", [("foo", "=", "bar")]),
        (" foo  =~ bar|baz ", [("foo", "=~", "bar|baz")]),
        ('{a="1", b!~"2|3"}', [("a", "=", "1"), ("b", "!~", "2|3")]),
        ('a="1",b!="2",', [("a", "=", "1"), ("b", "!=", "2")]),
        ('a="x,y"', [("a", "=", "x,y")]),
        (r'a="q\"uote\\ \n \d"', [("a", "=", 'q"uote\\ \n \\d')]),
        ("a=", [("a", "=", "")]),
        ("{}", []),
        # What classic refuses is read by the UTF-8 grammar.
        ('"utf-8 näme"="x"', [("utf-8 näme", "=", "x")]),
        ("näme=~wert", [("näme", "=~", "wert")]),
        (r'{"a\u00e9"="\x41\t"}', [("aé", "=", "A\t")]),
    ],
)
def test_every_form_of_matchers_is_read(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert parse_matchers(text) == tuple(Matcher(*each) for each in expected)


@pytest.mark.parametrize(
    "text", ["foo", "=bar", 'a="b', 'a="b"c"', '{"ä"="x"', '"ä"="x"}', '"ä"="\\q"', '"ä" "x"', '"ä"=~"(?=x)"']
)
def test_what_alertmanager_refuses_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"matcher|'"):
        parse_matchers(text)


def test_regular_expressions_are_those_of_go_and_not_of_python() -> None:
    assert regex("a|b").match("b")
    assert not regex("a|b").match("b\n")
    assert not regex(r"\d").match("٣")
    assert regex("x{,3}").match("x{,3}")
    assert regex("[[:alpha:]]+(?i)Z").match("abz")
    for refused in ("(?=x)", r"(a)\1", "a*+", r"a\Z", "a{1001}"):
        with pytest.raises(ValueError, match="Alertmanager accepts"):
            regex(refused)
