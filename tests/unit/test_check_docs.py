"""The documentation's tables of lints and of a verdict's checks are those of their registries."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.check.docs import rendered, table
from chaoskit.check.findings import LINTS
from chaoskit.verify import docs as verify_docs

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"


def test_the_page_is_in_step() -> None:
    """`python -m chaoskit.check.docs` renders it anew."""
    text = PAGE.read_text()
    assert rendered(text) == text


def test_the_page_of_judging_has_every_check_with_a_sentence() -> None:
    """`python -m chaoskit.verify.docs` renders it anew."""
    text = (PAGE.parent / "how-it-judges.md").read_text()
    assert verify_docs.rendered(text) == text
    assert [name for name, _, told in verify_docs.check_rows() if not told.endswith(".")] == []


def test_every_lint_is_in_the_table_once() -> None:
    assert [table().count(f"| `{id_}` |") for id_ in LINTS] == [1] * len(LINTS)


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="does not hold"):
        rendered("# Checks\n")


def test_every_lint_says_what_and_why_in_sentences_and_is_named_in_kebab_case() -> None:
    for lint in LINTS.values():
        assert lint.what.endswith("."), lint.id
        assert lint.why.endswith("."), lint.id
        assert lint.id == lint.id.lower().replace("_", "-"), lint.id
