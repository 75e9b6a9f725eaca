"""Read foreign files safely: only regular files, at most so many bytes, and no FIFO blocks the reader.

Their owner does not matter here (see trust). A refused file raises an OSError that says why.

Beside that, files of a run are for its own user alone under every umask; a file that the user named gets the usual
mode.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

SMALL = 2**20
"""Bytes that no note, token, record or control file reaches."""
HISTORY = 2**28
"""Bytes that no history is longer than: a run that would write more is ended."""
_CHUNK = 2**20
_OTHERS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_umask: list[int] = []
"""Empty, or what this process was started with."""


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a regular file; raises OSError, without waiting, for anything else that the path names."""
    try:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o600)
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    try:
        kind = stat.S_IFMT(os.fstat(fd).st_mode)
        if kind == stat.S_IFDIR:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if kind != stat.S_IFREG:
            raise OSError(errno.EINVAL, f"it is {_OTHERS.get(kind, 'something else')}, no regular file", str(path))
    except OSError:
        os.close(fd)
        raise
    return fd


def read_descriptor(fd: int, most: int, path: Path) -> bytes:
    """The content of a regular file, which is closed; raises OSError beyond so many bytes, before it has read them."""
    return b"".join(_pieces(fd, most, path))


def _pieces(fd: int, most: int, path: Path) -> Iterator[bytes]:
    """`read_descriptor`, a piece at a time."""
    try:
        left = -1 if os.fstat(fd).st_size > most else most
        while left >= 0 and (piece := os.read(fd, _CHUNK)):
            left -= len(piece)
            yield piece
        if left < 0:
            raise OSError(errno.EFBIG, f"the file holds more than {most / 2**20:g} MiB", str(path))
    finally:
        os.close(fd)


def is_locked(fd: int) -> bool:
    """Whether another process holds the lock (flock) of an open file, which is closed; True where that is not told."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def read_regular(path: Path, most: int = SMALL) -> bytes:
    """The content of a regular file of at most so many bytes, of any owner; raises OSError."""
    return read_descriptor(open_regular(path), most, path)


def stream_regular(path: Path, most: int = SMALL) -> Iterator[bytes]:
    """Reads a regular file a piece at a time, never whole into memory; OSErrors come as the pieces are read."""
    yield from _pieces(open_regular(path), most, path)


def make_private(folder: Path) -> None:
    """Makes a folder, and those above it that are missing, for this user alone; raises OSError."""
    if folder.is_dir():
        return
    make_private(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:  # another process was quicker, or it is no folder
        if not folder.is_dir():
            raise
        return
    folder.chmod(0o700)  # whatever the umask took away


def keep_private() -> None:
    """From here on all that this process and its children write is for their user alone."""
    before = os.umask(0o077)
    if not _umask:
        _umask.append(before)


def users_umask() -> int:
    """The umask that this process was started with, for what is not chaoskit's own; -1 where it is still in force."""
    return _umask[0] if _umask else -1


def as_before() -> None:
    """Restores the file mode mask that `keep_private` changed."""
    if _umask:
        os.umask(_umask.pop())


def sync_folder(folder: Path) -> None:
    """Makes the names of new files in a folder durable, beyond their contents; raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_named(path: Path, content: bytes) -> None:
    """Writes a file that a person named, with the mode that their other files have; raises OSError."""
    before = os.umask(_umask[0]) if _umask else None
    try:
        path.write_bytes(content)
    finally:
        if before is not None:
            os.umask(before)


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that holds a secret: for its owner alone before anything is in it; raises OSError."""
    path.touch(mode=0o600)
    path.write_bytes(content)
