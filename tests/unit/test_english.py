"""Docs, docstrings and messages name the actor, and no commit makes them worse."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from tests import english
from tests.english import Figures, Text


@cache
def measured() -> dict[str, Figures]:
    return english.measure()


@pytest.mark.parametrize("kind", english.KINDS)
def test_texts_meet_the_goals_and_no_commit_raises_a_figure(kind: str) -> None:
    assert not (found := english.trouble(kind, measured()[kind], english.read_ratchet()[kind])), found


@pytest.mark.parametrize("kind", english.KINDS)
def test_the_ratchet_is_lowered_when_the_texts_are_better(kind: str) -> None:
    assert not (found := english.slack(kind, measured()[kind], english.read_ratchet()[kind])), found


def test_each_kind_of_text_is_found() -> None:
    assert all(len(figures.sentences) > 1000 for figures in measured().values())


PAGE = """# A heading here

What is nameless? Who comes next is nameless.

```
nobody counts in a block
```

| nobody | counts | in a table |
Then `nobody
in code` counts, but someone
does.
    nobody in an example

Whatever comes last.
"""
MODULE = '''"""What a module says of itself.

It names no one in particular: who is small begins no sentence."""

LIMIT = 3
"""Somebody set this limit."""
TEXT = "whom it may concern, " f"and {LIMIT} of everybody else"
SHORT = "nobody there"
'''


def counted(texts: list[Text]) -> Iterator[tuple[str, bool, int]]:
    for text in texts:
        yield from ((one.place, one.nameless, one.pronouns) for one in english.sentences(text))


def test_a_page_is_counted_without_its_code_and_tables_and_each_sentence_has_its_line() -> None:
    found = [one for one in counted([english.read_page(PAGE, "a.md")]) if one[1] or one[2]]
    assert found == [("a.md:3", True, 0), ("a.md:11", False, 1), ("a.md:15", True, 1)]


def test_a_module_is_counted_by_its_docstrings_and_its_longer_strings() -> None:
    docstrings, messages = english.read_module(MODULE, "a.py")
    assert list(counted(docstrings)) == [("a.py:1", True, 0), ("a.py:3", False, 1), ("a.py:6", False, 1)]
    assert list(counted(messages)) == [("a.py:7", False, 1), ("a.py:7", False, 1)]


def bad(count: int, plain: int) -> Figures:
    text = "Whoever comes is told. " * count + "The sink answers at once. " * plain
    return Figures(tuple(english.sentences(Text("a.py", 1, 1, text))))


def test_one_more_than_the_ratchet_fails_with_the_place_of_the_sentence() -> None:
    limits = {"nameless": 1, "pronouns": 1}
    assert not english.trouble("docs", bad(1, 999), limits)
    found = english.trouble("docs", bad(2, 9999), limits)
    assert "docs: 2 nameless, where tests/english.json allows 1" in found
    assert "a.py:1: Whoever comes is told." in found


def test_a_rate_above_its_goal_fails_even_where_the_ratchet_allows_it() -> None:
    found = english.trouble("docs", bad(2, 98), {"nameless": 2, "pronouns": 2})
    assert "docs: nameless 2.00, where the goal is 1" in found
    assert "docs: pronouns 4.02, where the goal is 0.5" in found


def test_a_ratchet_that_is_loose_by_the_margin_is_named_with_the_command_that_lowers_it() -> None:
    near, loose = ({"nameless": 1 + more, "pronouns": 1} for more in (english.MARGIN - 1, english.MARGIN))
    assert not english.slack("docs", bad(1, 9), near)
    assert "python -m tests.english --lower" in english.slack("docs", bad(1, 9), loose)
