"""The table of a verdict's checks for the documentation, rendered from their list, so that it cannot fall behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chaoskit.marked import between, row, summary
from chaoskit.verify.case import Instance
from chaoskit.verify.checks import CHECKS

BEGIN = "<!-- checks: rendered from their list by python -m chaoskit.verify.docs -->"
END = "<!-- end of checks -->"


def check_rows() -> Iterator[tuple[str, ...]]:
    """Every check in the order of a verdict: its name, what it judges, and what it says of it."""
    for check in CHECKS:
        yield check.name, "each alert" if check.of is Instance else "the run", summary(check.judge)


def rendered(page: str) -> str:
    """The page with the table between the two marks; raises ValueError where a mark is missing."""
    rows = [row("check", "judges", "its rows"), "|---|---|---|", *(row(*cells) for cells in check_rows())]
    return between(page, BEGIN, "\n" + "\n".join(rows) + "\n\n", END)


if __name__ == "__main__":
    file = Path("docs/how-it-judges.md")
    file.write_text(rendered(file.read_text(encoding="utf-8")), encoding="utf-8")
