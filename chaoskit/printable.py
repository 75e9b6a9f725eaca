"""Nothing that a label, a name or a file says can move a cursor, ring a bell, or begin a line of its own."""

from __future__ import annotations

import unicodedata


def clean(text: str) -> str:
    """The text with control characters made visible: an alert's label may contain anything."""
    return "".join(c if c == "\t" or unicodedata.category(c)[0] != "C" else f"\\x{ord(c):02x}" for c in text)


def clean_lines(text: str) -> str:
    """The text as `clean` makes it, but lines stay lines, those that end in CR LF too."""
    if text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line if line.isprintable() else clean(line) for line in lines)


def plain(value: object, most: int = 160) -> str:
    """Any value as one short line that can be counted and written as UTF-8; never raises."""
    try:
        text = " ".join(str(value).split())
    except Exception:  # a foreign __str__
        text = f"({type(value).__name__})"
    text = clean(text.encode("utf-8", "replace").decode())
    return text if len(text) <= most else f"{text[: most - 1]}…"
