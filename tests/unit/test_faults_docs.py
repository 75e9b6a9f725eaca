"""The page on faults is what the registry says, and says something of every kind and setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.faults.docs import render
from chaoskit.faults.registry import known, known_actions

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


def test_the_page_is_what_the_registry_renders() -> None:
    """Renew it with `python -m chaoskit.faults.docs > docs/faults.md`."""
    assert PAGE.read_text(encoding="utf-8") == render()


@pytest.mark.parametrize("kind", [*known().values(), *known_actions().values()], ids=lambda kind: kind.kind)
def test_every_kind_and_setting_is_described(kind: type) -> None:
    assert kind.__doc__
    assert [key for key, field in kind.settings.model_fields.items() if not field.description] == []  # type: ignore[attr-defined]
