"""What a run's files show as not undone, read from whatever is left of them.

A history that is to be judged must be whole. Here it is the other way round: a torn or damaged file must not keep
anything from being healed, so every line that can be read counts, and those that cannot are counted.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from chaoskit.events import Alter, Header, Invoke, UndoOk, decode
from chaoskit.files import HISTORY, open_regular, read_descriptor
from chaoskit.safety.healbook import BOOK, read_book
from chaoskit.trust import open_own

JOURNAL = "events.jsonl"
_MATTER = (b'"invoke"', b'"alter"', b'"undo-ok"')


@dataclass(frozen=True, slots=True)
class Standing:
    """A fault that nobody has seen undone."""

    fault: str
    kind: str
    targets: tuple[str, ...]
    undo: dict[str, Any]
    since: float
    """When it was about to take effect, in seconds since the epoch."""
    max_s: float
    invoke: Invoke | None = None
    """The event that began it."""


@dataclass(slots=True)
class Ledger:
    """Faults by identity, fed line by line."""

    standing: dict[str, Standing]
    damaged: int = 0
    """Whole lines that could not be read: what they said of faults is lost."""
    header: Header | None = None

    def feed(self, line: bytes) -> None:
        """Takes one line of a journal, without its newline."""
        try:
            event = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.damaged += 1
            return
        match event:
            case Header():
                self.header = event
            case Invoke():
                self.standing[event.fault] = Standing(
                    event.fault, event.kind, tuple(event.targets), event.undo, event.t, event.max_s, event
                )
            case Alter() if event.fault in self.standing:
                self.standing[event.fault] = replace(self.standing[event.fault], undo=event.undo)
            case UndoOk():
                self.standing.pop(event.fault, None)


def read_standing(folder: Path, *, obeyed: bool = False, most: int = HISTORY) -> Ledger:
    """What a run's journal and heal book leave standing, oldest first; raises OSError when no journal can be read.

    It holds at most so many bytes. With `obeyed` raises also where the file is another user's, or a link: what it says
    is going to be done.
    A last line without its newline is no line: a fault begins only once its line is whole and on disk.
    """
    ledger = Ledger({})
    file = folder / JOURNAL
    fd = open_own(file) if obeyed else open_regular(file)
    for line in read_descriptor(fd, most, file).split(b"\n")[:-1]:
        ledger.feed(line)
    for fault in read_book(folder / BOOK).undone:
        ledger.standing.pop(fault, None)
    return ledger


class Tail:
    """A growing journal, read on from where the last look ended; only what concerns faults is decoded."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / JOURNAL
        self._offset = 0
        self._ledger = Ledger({})

    def look(self) -> list[Standing]:
        """What stands now; as before where the file cannot be read."""
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


def in_use(folder: Path) -> bool:
    """Whether the process that writes the run's journal lives: it holds a lock that the kernel takes from the dead."""
    try:
        fd = open_regular(folder / JOURNAL)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
