"""A table of a registry within a page, between two marks, and the words for a row: the docs cannot fall behind."""

from __future__ import annotations

import inspect


def summary(kind: object) -> str:
    """The first line of what a class or a function says of itself."""
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def row(*cells: str) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def between(page: str, begin: str, table: str, end: str) -> str:
    """The page with the part between the two marks replaced; raises ValueError where a mark is missing."""
    before, _, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not closed:
        raise ValueError(f"the page does not hold {begin} and {end}")
    return f"{before}{begin}\n{table}{end}{after}"
