"""The one protocol by which a process and its children talk: whole lines over two pipes.

    parent -> stdin     what the child is to be, then orders; the end: the parent is gone, or lets it go
    stdout -> parent    hello, once the child is up, then answers and reports; the end: the child is gone

Both ends are a `Lines`, so a child has what its parent has: `Lines(1, 0)`. The death of either is the end of a pipe,
which the kernel closes however the process died. Half a line is what a killed process leaves; it is told by its missing
newline. A process that stands still reads nothing, and its pipe fills: a line then waits for room as long as it may,
and is dropped whole. Readiness is asked of the kernel before each read and write, so the pipes stay blocking, which
their other holders would find changed, and a greenlet of gevent waits without holding up the others.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Iterator

_ATOMIC = select.PIPE_BUF
"""So many bytes are written whole where poll finds room."""
_BLOCK = 65536
_STANDARD = 2
ROOM_S = 20.0
"""Real seconds that a line waits for room in a pipe, unless told otherwise."""


class Lines:
    """One end: lines go out by the descriptor `out` and come in by `into`, which are its own. For any threads."""

    def __init__(self, out: int, into: int) -> None:
        self._out, self._in, self._rest = out, into, b""
        self._sending, self._hearing, self._closed = threading.Lock(), threading.Lock(), False

    def send(self, line: bytes, within_s: float | None = ROOM_S) -> bool:
        """Sends a line, with or without its newline; False where the other end is closed.

        One that finds no room within so many real seconds (None: for ever) is dropped. If that happens in its middle,
        what was written is no line, and this end is closed.
        """
        rest = whole = line.removesuffix(b"\n") + b"\n"
        with self._sending:
            end_s = None if within_s is None else time.monotonic() + within_s
            while rest and self._out >= 0:
                if not _ready(self._out, select.POLLOUT, end_s):
                    if rest is not whole:
                        self._end_out()
                    break
                try:
                    rest = rest[os.write(self._out, rest[:_ATOMIC]) :]
                except OSError:
                    self._end_out()
            return self._out >= 0

    def hear(self, within_s: float | None = None) -> bytes:
        """The next line with its newline; without one what was left of it at the end; empty at the end.

        Raises TimeoutError where none came within so many real seconds (None: waits for ever).
        """
        end_s = None if within_s is None else time.monotonic() + within_s
        with self._hearing:
            while b"\n" not in self._rest and not self._closed:
                if not _ready(self._in, select.POLLIN, end_s):
                    raise TimeoutError
                if not (block := os.read(self._in, _BLOCK)):
                    break
                self._rest += block
            line, newline, self._rest = self._rest.partition(b"\n")
            if self._closed:
                self._end_in()
            return line + newline

    def __iter__(self) -> Iterator[bytes]:
        """Every line until the end, as `hear` gives them."""
        return iter(self.hear, b"")

    def let_go(self) -> None:
        """Closes the way to the child: the other end finds its input ended.

        Its last lines can still be heard. Idempotent.
        """
        with self._sending:
            self._end_out()

    def close(self) -> None:
        """Lets go and hears nothing more; idempotent. A thread that is hearing just now ends with the other end."""
        self.let_go()
        self._closed = True
        if self._hearing.acquire(blocking=False):
            self._end_in()
            self._hearing.release()

    def _end_out(self) -> None:
        self._out = _closed(self._out)

    def _end_in(self) -> None:
        self._in = _closed(self._in)


@contextlib.contextmanager
def pipes() -> Iterator[tuple[Lines, int, int]]:
    """Our end, and the child's input and output to start it with, which are closed here afterwards."""
    told, out = os.pipe()
    into, says = os.pipe()
    lines = Lines(out, into)
    try:
        yield lines, told, says
    except BaseException:
        lines.close()
        raise
    finally:
        os.close(told)
        os.close(says)


def _closed(fd: int) -> int:
    """No descriptor any more; a standard stream stays open, for its number must not come to another file."""
    if fd > _STANDARD:
        os.close(fd)
    return -1


def _ready(fd: int, what: int, end_s: float | None) -> bool:
    """Whether the descriptor can be read or written by then; one whose other end is closed can."""
    poll = select.poll()
    poll.register(fd, what)
    return bool(poll.poll(None if end_s is None else max(0.0, end_s - time.monotonic()) * 1000))
