"""Means that a machine lacks (disk, descriptors, threads, loopback, /proc), as errors with a reason and a code.

Python says such things with errors of many kinds, from anywhere. Here, and nowhere else, they become ours: exit 2 for
a path that cannot be used, exit 3 for a machine that gives too little.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import sys
from pathlib import Path

from chaoskit.errors import BadInput, ChaoskitError, EquipmentError, Place, Problem
from chaoskit.files import write_named
from chaoskit.printable import clean

_log = logging.getLogger(__name__)
_MACHINE = "this machine"
_LACKING = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some disk space, or ask for a larger quota",
    errno.EIO: "see whether the disk or the terminal is still there",
    errno.EMFILE: "raise `ulimit -n`",
    errno.ENFILE: "close other programs' files",
    errno.EAGAIN: "raise `ulimit -u`, or end other programs of this user",
    errno.ENOMEM: "free some memory, or raise `ulimit -v`",
    errno.EADDRNOTAVAIL: "bring loopback up: ip link set lo up",
    errno.ENETUNREACH: "bring loopback up: ip link set lo up",
    errno.ENETDOWN: "bring loopback up: ip link set lo up",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_PROC = Path("/proc/self/stat")


def lacking(error: BaseException) -> ChaoskitError | None:
    """The ChaoskitError that says what the machine or a path lacks; None for an error of another kind."""
    if isinstance(error, ChaoskitError):
        return error
    if sys.platform.startswith("linux") and not _PROC.exists():
        return EquipmentError(_MACHINE, "/proc is not mounted", "mount -t proc proc /proc")
    if isinstance(error, MemoryError):
        return EquipmentError(_MACHINE, "no memory is left", _LACKING[errno.ENOMEM])
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return EquipmentError(_MACHINE, "no thread can be started", _LACKING[errno.EAGAIN])
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return BadInput(Problem(None, f"a name is not UTF-8: {error.object!r}", "rename it"))
    if not isinstance(error, OSError) or error.errno is None:
        return None
    if error.errno == errno.ENOENT and _nowhere():
        return BadInput(Problem(None, "the folder in which chaoskit was started is gone", "cd to a folder that exists"))
    where, said = error.filename, error.strerror or str(error)
    if error.errno in _LACKING:
        named = f"{said}: {where}" if isinstance(where, str) else said
        return EquipmentError(_MACHINE, named, _LACKING[error.errno])
    if isinstance(where, str):
        return BadInput(Problem(Place(where), f"cannot be used: {said}"))
    return None


def _nowhere() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def leave(file: Path, result: bytes, *, named: bool = False) -> None:
    """Write a result to its file; a failure is logged and changes no verdict.

    One that a person `named` gets the mode that their own files have.
    """
    try:
        write_named(file, result) if named else file.write_bytes(result)
    except OSError as error:
        _log.warning("%s: cannot be written: %s", clean(str(file)), error.strerror)
        if error.errno in _FULL and file.is_file():
            with contextlib.suppress(OSError):
                file.unlink()  # no half of it
