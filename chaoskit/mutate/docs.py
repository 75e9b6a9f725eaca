"""The table of all operators for the documentation, rendered from the registry, so that it cannot fall behind."""

from __future__ import annotations

import chaoskit.mutate.operators  # noqa: F401 - fills the registry
from chaoskit.marked import between, row
from chaoskit.mutate.model import OPERATORS

BEGIN = "<!-- operators: rendered from the registry by python -m chaoskit.mutate.docs -->"
END = "<!-- end of operators -->"


def table() -> str:
    """The table of every mutation operator: the file that it changes, what it does, why that does harm, and which hop
    should notice.
    """
    rows = [
        "",
        "| operator | file | what it changes | why that does harm | hop that should notice |",
        "|---|---|---|---|---|",
    ]
    for each in OPERATORS.values():
        rows.append(row(f"`{each.id}`", each.role, each.what, each.why, each.hop))
    return "\n".join([*rows, "", ""])


def rendered(page: str) -> str:
    """The page with the part between the two marks replaced; raises ValueError where a mark is missing."""
    return between(page, BEGIN, table(), END)


if __name__ == "__main__":
    from pathlib import Path

    file = Path("docs/mutate.md")
    file.write_text(rendered(file.read_text()))
