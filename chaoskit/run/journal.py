"""The journal: one writer, append-only, one event a line, on disk before anything that matters happens.

A line is written with a single system call and is either whole or taken back: when the disk fills up in the
middle of a line, the file is cut back to its last whole one, and the journal refuses to go on. Earlier lines stay
readable. Faults ask for `sync`, which returns only when the line, and at first the folder, are on disk.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from chaoskit.errors import EquipmentError
from chaoskit.events import Event, encode
from chaoskit.files import HISTORY, sync_folder

E = TypeVar("E", bound=Event)


class Journal:
    """Appends events to a new file; safe to call from several threads, numbered in the order written.

    Raises EquipmentError when the file exists already, cannot be made, or cannot be written any more.
    """

    def __init__(self, path: Path, listener: Callable[[Event], None] | None = None) -> None:
        self.path = path
        self._listener = listener
        self._lock = threading.Lock()
        self._next = 0
        self._size = 0
        self._lost: OSError | None = None
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            # The kernel lets go of it when this process ends: a healing process knows by it that the run is gone.
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            sync_folder(path.parent)
        except OSError as error:
            raise EquipmentError("journal", f"cannot make {path}: {error.strerror}", "choose another --out") from None

    def write(self, event: E, *, sync: bool = False) -> E:
        """Appends the event, numbered and stamped with the observer's clock, and returns it so completed.

        With `sync` it is on disk when this returns. Raises EquipmentError when the disk does not take it.
        """
        with self._lock:
            if self._lost is not None:
                raise self._failure(self._lost)
            stamped = msgspec.structs.replace(event, n=self._next, t=time.time())
            line = encode(stamped) + b"\n"
            try:
                self._append(line)
                if sync:
                    os.fsync(self._fd)
            except OSError as error:
                self._lost = error
                raise self._failure(error) from None
            self._next += 1
            self._size += len(line)
        if self._listener is not None:
            self._listener(stamped)
        return stamped

    def _append(self, line: bytes) -> None:
        if self._size + len(line) > HISTORY:
            raise OSError(errno.EFBIG, f"a history of more than {HISTORY / 2**20:g} MiB is not read again")
        try:
            written = os.write(self._fd, line)
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise

    def _failure(self, error: OSError) -> EquipmentError:
        return EquipmentError("journal", f"cannot write {self.path}: {error.strerror}", "free some disk space")

    @property
    def lost(self) -> bool:
        """Whether a write has failed; nothing can be recorded any more."""
        return self._lost is not None

    def close(self) -> None:
        """Forces what was written to disk and closes the file; idempotent, and never raises: others close after it."""
        with self._lock:
            if self._fd >= 0:
                try:
                    os.fsync(self._fd)
                except OSError as error:
                    self._lost = self._lost or error
                finally:
                    os.close(self._fd)
                    self._fd = -1
                    self._lost = self._lost or OSError(9, "the journal is closed")
