"""Markdown for comments on pull requests and summaries of jobs: foreign text stays text, and the length is limited.

Punctuation that means something is escaped; behind a sign that a forge links by (@name, #12, !3, ~label, https://)
stands a character without width, so that no person is called and nothing is linked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from chaoskit.printable import clean

MOST = 60_000
"""Characters of one document: a comment on GitHub takes 65,536."""
_PUNCTUATION = re.compile(r"([\\`*_\[\]<>|~])")
_LINKS = re.compile(r"(?<=[@#!~$%&])(?=\w)|(?<=:)(?=[a-z+-][\w+-]*:)|(?<=\bwww)(?=\.)|(?<=://)")
_NOTHING = "\u200b"


def plain(text: str) -> str:
    """Any text as one line that shows what it says."""
    words = clean(" ".join(text.split()))
    parts = (_PUNCTUATION.sub(r"\\\1", part).replace("&", "&amp;") for part in _LINKS.split(words))
    return _NOTHING.join(parts).replace("\\<", "&lt;").replace("\\>", "&gt;")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table whose cells are Markdown already; none without rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *lines, ""] if lines else []


def folded(summary: str, lines: Sequence[str]) -> list[str]:
    """Markdown lines that show once the reader unfolds them; none where there are none to fold."""
    return [f"<details><summary>{summary}</summary>", "", *lines, "", "</details>", ""] if lines else []


def document(head: Sequence[str], parts: Iterable[Sequence[str]], most: int = MOST) -> str:
    """The head, then as many whole parts as fit in `most` characters; the text says how many parts were left out."""
    lines, left, room = list(head), 0, most - 200
    room -= sum(len(line) + 1 for line in lines)
    for part in parts:
        size = sum(len(line) + 1 for line in part)
        if size > room:
            left += 1
            continue
        lines += part
        room -= size
    if left:
        lines += [f"*{left} more parts do not fit here; the report has them.*", ""]
    text = "\n".join(lines).rstrip() + "\n"
    return text if len(text) <= most else text[: most - 2].rpartition("\n")[0] + "\n…\n"
