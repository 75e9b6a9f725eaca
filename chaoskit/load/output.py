"""What a load's processes print, kept in a file that never grows beyond a bound: its beginning and its end.

Somebody's locustfile may print each answer. The processes write to a pipe, one thread of ours reads it and writes the
file, so neither memory nor disk grows with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
from pathlib import Path
from types import TracebackType

MOST_BYTES = 20_000_000
_BEGINNING = 0.4
"""The share of the bound that is kept of the beginning for good."""
_END = 0.3
"""The share that is left of the rest whenever the bound is reached."""
_BLOCK = 1 << 20
"""What is read at once, and what may be printed before it is read."""
_LAST_S = 1.0


class BoundedOutput:
    """Open until `close`; give `fd` to processes as their output. As a context manager it closes itself."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        """Appends to `path`; raises OSError where it cannot be written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = _open(path)
        self._lock = threading.Lock()
        self._most = most_bytes
        self._size = os.fstat(self._file).st_size
        self._left_out = 0
        self._note = b""
        read, self.fd = os.pipe()
        with contextlib.suppress(AttributeError, OSError):  # Linux has it; those who print wait less for us
            fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, _BLOCK)
        self._thread = threading.Thread(target=self._read, args=(read,), name="load-output", daemon=True)
        self._thread.start()

    def __enter__(self) -> BoundedOutput:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.started()
        self.close()

    def started(self) -> None:
        """The last process that is to write has the pipe: it ends with them."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def move_to(self, path: Path) -> None:
        """Goes on at the end of another file, with all that was written so far; raises OSError as at first."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, open(_open(path), "ab") as file, self._path.open("rb") as before:
            shutil.copyfileobj(before, file)
            file.flush()
            if self._file >= 0:
                os.dup2(file.fileno(), self._file, inheritable=False)
                self._size = os.fstat(self._file).st_size
            self._path = path

    def close(self) -> None:
        """Waits until all is written that ended processes printed; briefly, for others may still hold the pipe."""
        self._thread.join(_LAST_S)

    def _read(self, read: int) -> None:
        with contextlib.suppress(OSError):
            while block := os.read(read, min(_BLOCK, self._most // 10)):
                with self._lock, contextlib.suppress(OSError):  # a full disk must not stop those who print
                    self._write(block)
        os.close(read)
        with self._lock:
            os.close(self._file)
            self._file = -1

    def _write(self, block: bytes) -> None:
        if self._size + len(block) > self._most:
            self._leave_out()
        self._size += os.write(self._file, block)

    def _leave_out(self) -> None:
        """Leaves out the middle, and says so there."""
        beginning, kept = int(self._most * _BEGINNING), int(self._most * _END)
        rest = max(beginning + len(self._note), self._size - kept)
        end = os.pread(self._file, self._size - rest, rest)
        whole_lines = end[end.find(b"\n") + 1 :]
        self._left_out += self._size - beginning - len(self._note) - len(whole_lines)
        self._note = b"\n[%d bytes of output are left out here]\n" % self._left_out
        os.ftruncate(self._file, beginning)
        self._size = beginning + os.write(self._file, self._note + whole_lines)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
