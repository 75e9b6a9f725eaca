"""What a request's headers say of who sent it, and that the documentation lists where every kind carries its word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import chaoskit
from chaoskit.alerting.integrations import KINDS
from chaoskit.observe.web_pages import JSON, carries_token, oddity

PROGRAM = {"host": "127.0.0.1:8080", "content-type": f"{JSON}; charset=utf-8"}


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost", "LOCALHOST:9", "[::1]:9", "127.1.2.3"])
def test_a_program_that_names_loopback_is_nothing_odd(host: str) -> None:
    assert oddity("POST", {**PROGRAM, "host": host}) == ""


@pytest.mark.parametrize(
    ("method", "headers", "said"),
    [
        ("GET", {"host": "evil.example"}, "another host"),
        ("GET", {"host": "127.0.0.1.evil.example"}, "another host"),
        ("GET", {"host": "evil.example:127"}, "another host"),
        ("GET", {}, "another host"),
        ("GET", {**PROGRAM, "origin": ""}, "web page"),
        ("POST", {"host": "localhost"}, "missing"),
        ("PUT", {**PROGRAM, "content-type": "text/plain;application/json"}, "text/plain"),
        ("GET", {**PROGRAM, "sec-fetch-site": "cross-site"}, "elsewhere"),
    ],
)
def test_what_a_web_page_cannot_hide_is_said(method: str, headers: dict[str, str], said: str) -> None:
    assert said in oddity(method, headers)


def test_a_name_of_ours_besides_loopback_is_known_with_and_without_its_port() -> None:
    assert not oddity("POST", {**PROGRAM, "host": "here.example:80"}, host="here.example")
    assert oddity("POST", {**PROGRAM, "host": "there.example:80"}, host="here.example")


def test_a_word_counts_in_the_schemes_that_are_asked_for() -> None:
    assert carries_token("GenieKey word", "word", "bearer", "geniekey")
    assert not carries_token("GenieKey word", "word")
    assert not carries_token("Bearer wor", "word")
    assert not carries_token("", "word")


def test_the_documentation_lists_every_kind_that_carries_its_word_elsewhere_or_not_at_all() -> None:
    text = (Path(chaoskit.__file__).parents[1] / "docs" / "safety.md").read_text()
    table = text.partition("## Whose word is evidence")[2].partition("## ")[0]
    usual = KINDS["webhook"].word_at
    others = {kind: one.word_at for kind, one in KINDS.items() if one.word_at != usual and not one.no_address}
    named = {"mail": "email", "Opsgenie": "opsgenie", "incident.io": "incidentio", "SNS": "sns"}
    assert set(others) == set(named.values())
    for name, kind in named.items():
        (cell,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", table, re.MULTILINE)
        assert cell.startswith(f"`{others[kind][-1]}`" if others[kind] else "nowhere"), cell
    assert ": ".join(usual) in table
