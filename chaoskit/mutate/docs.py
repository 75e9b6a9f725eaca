"""The table of all operators for the documentation, rendered from the registry, so that it cannot fall behind."""

from __future__ import annotations

import chaoskit.mutate.operators  # noqa: F401 - fills the registry
from chaoskit.mutate.model import OPERATORS

BEGIN = "<!-- operators: rendered from the registry by python -m chaoskit.mutate.docs -->"
END = "<!-- end of operators -->"


def table() -> str:
    """Every operator: the file that it changes, what it does, why that does harm, and which hop should notice."""
    rows = [
        "",
        "| operator | file | what it changes | why that does harm | hop that should notice |",
        "|---|---|---|---|---|",
    ]
    for each in OPERATORS.values():
        cells = (f"`{each.id}`", each.role, each.what, each.why, each.hop)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*rows, "", ""])


def rendered(page: str) -> str:
    """The page with the part between the two marks replaced; raises ValueError where a mark is missing."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page does not hold {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table()}{END}{after}"


if __name__ == "__main__":
    from pathlib import Path

    file = Path("docs/mutate.md")
    file.write_text(rendered(file.read_text()))
