"""The faults that a run's files show as not undone, read from as much as is left of them.

A history that is to be judged must be whole. Here it is the other way round: a torn or damaged file must not keep
anything from being healed, so every line that can be read counts, and those that cannot are counted.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from chaoskit.events import Header, Invoke, decode
from chaoskit.files import HISTORY, is_locked, open_regular, read_descriptor
from chaoskit.fold import Faults
from chaoskit.safety.healbook import BOOK, read_book
from chaoskit.trust import open_own

JOURNAL = "events.jsonl"
COPIES = "copies.txt"
"""Beside runs that are copies of what other machines played: their faults stand there, and are not undone here."""
_MATTER = (b'"invoke"', b'"alter"', b'"undo-ok"')


@dataclass(slots=True)
class FaultLedger:
    """Faults by identity, fed line by line."""

    faults: Faults = field(default_factory=Faults)
    damaged: int = 0
    """Whole lines that could not be read: what they said of faults is lost."""
    header: Header | None = None

    @property
    def standing(self) -> dict[str, Invoke]:
        """The faults that were not seen undone, oldest first, each with the token that undoes it now."""
        return self.faults.standing

    @property
    def unsettled(self) -> bool:
        """Whether a fault stands, or may stand because a line of the journal is damaged."""
        return bool(self.standing or self.damaged)

    def feed(self, line: bytes) -> None:
        """Takes one line of a journal, without its newline."""
        try:
            event = decode(line)
        except msgspec.DecodeError:
            self.damaged += 1
            return
        if isinstance(event, Header):
            self.header = event
        self.faults.take(event)


def read_standing(folder: Path, *, obeyed: bool = False, most: int = HISTORY) -> FaultLedger:
    """The faults that a run's journal and heal book leave standing, oldest first; raises OSError without a journal.

    It holds at most so many bytes. With `obeyed` raises also where the file is another user's, or a link: what it says
    is going to be done.
    A last line without its newline is no line: a fault begins only once its line is whole and on disk.
    """
    ledger = FaultLedger()
    file = folder / JOURNAL
    fd = open_own(file) if obeyed else open_regular(file)
    for line in read_descriptor(fd, most, file).split(b"\n")[:-1]:
        ledger.feed(line)
    for event in read_book(folder / BOOK).events:
        ledger.faults.take(event)
    return ledger


class Tail:
    """A growing journal, read on from where the last look ended; only what concerns faults is decoded."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / JOURNAL
        self._offset = 0
        self._ledger = FaultLedger()

    def look(self) -> list[Invoke]:
        """The faults that stand now; as before where the file cannot be read."""
        try:
            fd = open_own(self._file)
            try:
                data = os.pread(fd, max(0, os.fstat(fd).st_size - self._offset), self._offset)
            finally:
                os.close(fd)
        except OSError:
            data = b""
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.split(b"\n")[:-1]:
            if any(word in line for word in _MATTER):
                self._ledger.feed(line)
        return list(self._ledger.standing.values())


def is_copy(folder: Path) -> bool:
    """Whether a run's folder is among the copies of a merged gate."""
    return (folder.parent / COPIES).is_file()


def in_use(folder: Path) -> bool:
    """Whether the process that writes the run's journal lives: it holds a lock that the kernel takes from the dead."""
    try:
        fd = open_regular(folder / JOURNAL)
    except OSError:
        return False
    return is_locked(fd)
