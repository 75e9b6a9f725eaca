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

from chaoskit.events import Alter, Invoke, UndoOk, decode
from chaoskit.safety.healbook import BOOK, read_book

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

    @property
    def until(self) -> float:
        """When it should be undone whatever happens."""
        return self.since + self.max_s


@dataclass(slots=True)
class Ledger:
    """Faults by identity, fed line by line."""

    standing: dict[str, Standing]
    damaged: int = 0
    """Whole lines that could not be read: what they said of faults is lost."""

    def feed(self, line: bytes) -> None:
        """Takes one line of a journal, without its newline."""
        try:
            event = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.damaged += 1
            return
        match event:
            case Invoke():
                self.standing[event.fault] = Standing(
                    event.fault, event.kind, tuple(event.targets), event.undo, event.t, event.max_s
                )
            case Alter() if event.fault in self.standing:
                self.standing[event.fault] = replace(self.standing[event.fault], undo=event.undo)
            case UndoOk():
                self.standing.pop(event.fault, None)


def read_standing(folder: Path) -> Ledger:
    """What a run's journal and heal book leave standing, oldest first; raises OSError when no journal can be read.

    A last line without its newline is no line: a fault begins only once its line is whole and on disk.
    """
    ledger = Ledger({})
    for line in (folder / JOURNAL).read_bytes().split(b"\n")[:-1]:
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
            with self._file.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
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
        fd = os.open(folder / JOURNAL, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
