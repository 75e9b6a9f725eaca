"""heal.jsonl, beside a run's journal: what was undone by a process other than the run, and by which.

One writer at a time: who opens it for writing holds a lock on it. That it exists at all tells a run that it has lost
its lease. A disk that takes no line does not stop the healing: the book is then lost, and that is said elsewhere.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chaoskit.events import Event, UndoBegin, UndoFail, UndoOk, encode
from chaoskit.files import HISTORY, sync_folder
from chaoskit.json_text import decode_with
from chaoskit.trust import open_own, read_own

BOOK = "heal.jsonl"


class HealBegin(Event, frozen=True, kw_only=True, tag="heal-begin"):
    """A process begins to undo what the run left."""

    by: str
    """watchdog, heal, or the command that came next."""
    reason: str
    pid: int


class HealEnd(Event, frozen=True, kw_only=True, tag="heal-end"):
    """Whether nothing is left, and else what."""

    healed: bool
    left: list[str]


AnyHeal = HealBegin | UndoBegin | UndoOk | UndoFail | HealEnd
_DECODER: msgspec.json.Decoder[AnyHeal] = msgspec.json.Decoder(AnyHeal)


class Busy(Exception):
    """Another process is healing this run right now."""


@dataclass(frozen=True, slots=True)
class Book:
    """The contents of a heal book; lines that cannot be read prove nothing and are left out."""

    events: tuple[AnyHeal, ...] = ()

    @property
    def healed(self) -> bool | None:
        """Whether the last healing succeeded; None while there was none."""
        ends = [event.healed for event in self.events if isinstance(event, HealEnd)]
        return ends[-1] if ends else None


def read_book(path: Path) -> Book:
    """The book in this file; empty where there is none, or none to be believed: another user's, or a link."""
    try:
        lines = read_own(path, HISTORY).split(b"\n")[:-1]
    except OSError:
        return Book()
    events = []
    for line in lines:
        try:
            events.append(decode_with(_DECODER, line))
        except msgspec.DecodeError:
            continue
    return Book(tuple(events))


class HealBook:
    """The book open for writing; raises Busy while another process writes it. Safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        self.lost = ""
        """Why nothing can be noted; empty as long as it can."""
        self._lock = threading.Lock()
        self._fd = -1
        self._next = 0
        try:
            self._fd = open_own(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            os.fchmod(self._fd, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._mend(path)
        except BlockingIOError:
            os.close(self._fd)
            raise Busy from None
        except OSError as error:
            self.lost = f"cannot write {path}: {error.strerror}"

    def write(self, event: Event) -> None:
        """Appends the event, on disk when this returns, unless the disk does not take it."""
        with self._lock:
            if self.lost or self._fd < 0:
                return
            line = encode(msgspec.structs.replace(event, n=self._next, t=time.time())) + b"\n"
            size = os.fstat(self._fd).st_size
            try:
                if os.write(self._fd, line) < len(line):
                    os.ftruncate(self._fd, size)
                    raise OSError(28, "the disk took only a part of a line; free some space")
                os.fsync(self._fd)
            except OSError as error:
                self.lost = f"cannot write the heal book: {error.strerror}"
                return
            self._next += 1

    def close(self) -> None:
        """Gives the book to the next who heals; idempotent."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _mend(self, path: Path) -> None:
        """Cuts off the half line of a healer that died, and goes on counting; makes the file's name durable."""
        data = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._fd, whole)
        self._next = data.count(b"\n")
        sync_folder(path.parent)
