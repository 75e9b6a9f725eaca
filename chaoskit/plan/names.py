"""Names that are defined nowhere: said with the nearest one that is."""

from __future__ import annotations

from collections.abc import Iterable

from chaoskit.errors import Place, Problem
from chaoskit.yaml_source import nearest


def undefined(what: str, name: str, known: Iterable[str], place: Place | None) -> Problem:
    """The problem of an unknown name, with the nearest known one or the list of them."""
    names = sorted(known)
    hint = nearest(name, names) or f"there are: {', '.join(names) or 'none'}"
    return Problem(place, f"{what} '{name}' is defined nowhere", hint)
