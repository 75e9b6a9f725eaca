"""Identifiers keep to the words of docs/glossary.md: none in `chaoskit/` uses one that the page calls retired."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def rows(text: str) -> list[tuple[str, str]]:
    """The tables' rows, without their heads."""
    return [row for row in _ROW.findall(text) if row[0] not in ("Term", "Retired", "---")]


TERMS, RETIRED_ROWS = map(rows, PAGE.split("## Retired words"))
RETIRED = {word: say for words, say in RETIRED_ROWS for word in words.split(", ")}


def identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each name that a module gives or uses, with its line: functions, classes, arguments, attributes, variables."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.Attribute(attr=name) | ast.Name(id=name):
                yield node.lineno, name
            case ast.alias(name=name):
                yield node.lineno, name.rpartition(".")[2]


def retired_in(source: str, name: str) -> Iterator[str]:
    """Each use of a retired word, with its place and the word to use; `name` is the module's path."""
    for line, identifier in [(1, Path(name).stem), *identifiers(ast.parse(source))]:
        for word in {found.lower() for found in _WORD.findall(identifier)} & set(RETIRED):
            yield f"{name}:{line}: {identifier}: the word {word} is retired, say {RETIRED[word]}"


def test_no_identifier_uses_a_retired_word() -> None:
    paths = sorted((ROOT / "chaoskit").rglob("*.py"))
    found = [use for path in paths for use in retired_in(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))]
    assert len(paths) > 300
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source", ["def ask_nursery(): ...", "class Manners: ...", "def f(lookout): ...", "x.people", "from a import LEVER"]
)
def test_a_retired_word_is_found_in_each_kind_of_name(source: str) -> None:
    assert len(list(retired_in(source, "chaoskit/module.py"))) == 1


def test_a_retired_word_is_found_in_the_name_of_a_module_and_not_within_another_word() -> None:
    assert list(retired_in("", "chaoskit/survey.py")) == [
        "chaoskit/survey.py:1: survey: the word survey is retired, say status"
    ]
    assert not list(retired_in("surveyor = bearing = split = peoples", "chaoskit/module.py"))


def test_the_page_explains_each_term_once_and_names_a_word_for_each_that_is_retired() -> None:
    terms = [term.strip("`").lower() for term, _ in TERMS]
    assert len(terms) == len(set(terms)) >= 40
    assert all(len(meaning) > 20 for _, meaning in TERMS)
    assert not set(terms) & set(RETIRED)
    assert len(RETIRED) > 15
