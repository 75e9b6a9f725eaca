"""The one kind of table that is printed: a row on a line where there is room, folded where there is none, never cut."""

from __future__ import annotations

from collections.abc import Collection

from rich.table import Table


def table(*titles: str, right: Collection[str] = (), title: str | None = None, header: bool = True) -> Table:
    """An empty table with these columns, those in `right` aligned to the right; `title` stands above it."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title=title, title_justify="left", show_header=header)
    for name in titles:
        made.add_column(name, header_style="dim", overflow="fold", justify="right" if name in right else "left")
    return made
