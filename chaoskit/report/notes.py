"""Notes that people take during a game day: `notes.jsonl` beside a run's history, shown and never judged."""

from __future__ import annotations

from pathlib import Path

import msgspec

from chaoskit import json_text
from chaoskit.files import SMALL, read_regular

NOTES = "notes.jsonl"
LONGEST = 2000
"""The most characters that one note may have."""


class Note(msgspec.Struct, frozen=True):
    """One note: when it was taken (seconds since the epoch), by which user of this machine, and what it says."""

    t: float
    by: str
    text: str


def read_notes(folder: Path) -> list[Note]:
    """The notes of a run by time; none where there are none, and without the lines that are no notes."""
    try:
        lines = read_regular(folder / NOTES, SMALL).splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json_text.decode(line, type=Note))
        except msgspec.DecodeError:
            continue
    return sorted(found, key=lambda note: note.t)
