"""One at a time: a lock per target, held by the kernel for the process that holds it, so a dead owner never keeps it.

What its file says (owner, since when, which runs) is for people, and for the next owner: when the last one died
without giving it back, what its runs left in force is undone before anything else is broken.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from chaoskit import waiting
from chaoskit.errors import Problem, Refused
from chaoskit.safety.heal import heal
from chaoskit.safety.standing import JOURNAL
from chaoskit.safety.state import Owner, me, state_folder

_WRITTEN_S = 1.0
_ATTEMPTS = 5


class Note(msgspec.Struct, frozen=True):
    """What a lock's file says."""

    target: str
    owner: Owner
    since: float
    folders: list[str]

    @property
    def age_s(self) -> float:
        """For how long it has been held."""
        return max(0.0, time.time() - self.since)


class TargetLock:
    """The lock of one target, from `take` to `release`."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path

    @classmethod
    def take(cls, target: str, folders: Sequence[Path]) -> TargetLock:
        """The lock, at once or never; raises Refused when somebody has it, or left something that cannot be undone."""
        path = lock_file(target)
        fd = _open(path)
        try:
            while not _locked(fd) or not _is(fd, path):
                if _is(fd, path):
                    raise Refused(_taken(target, path))
                os.close(fd)  # its owner removed it between our opening and our locking it
                fd = _open(path)
            _settle(target, _note(os.pread(fd, 1 << 20, 0)))
            note = Note(target, me(), time.time(), [str(folder.resolve()) for folder in folders])
            content = msgspec.json.encode(note)
            os.ftruncate(fd, 0)
            os.pwrite(fd, content, 0)
            os.fsync(fd)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, path)

    def release(self, *, healed: bool) -> None:
        """Gives it back; what is not healed stays noted for the next owner. Idempotent."""
        if self._fd < 0:
            return
        if healed:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
                self._path.unlink()
        os.close(self._fd)
        self._fd = -1


def lock_file(target: str) -> Path:
    """Where a target's lock lies; removed only by its holder, and looked for again by whoever was just taking it."""
    return state_folder("locks") / f"{hashlib.sha256(target.encode()).hexdigest()[:16]}.lock"


def locks() -> list[tuple[Note, bool]]:
    """Every lock that says something, and whether it is held; one that is not was left by an owner that died."""
    found = []
    for path in sorted(state_folder("locks").glob("*.lock")):
        with contextlib.suppress(OSError):
            if note := _note(path.read_bytes()):
                found.append((note, _held(path)))
    return found


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _locked(fd: int) -> bool:
    """Takes the lock; whoever only looks whether it is held has it for an instant, so one attempt is not enough."""
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)  # waiting for it by the kernel has no bound
        else:
            return True
    return False


def _held(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _read(path: Path) -> Note | None:
    try:
        return _note(path.read_bytes())
    except FileNotFoundError:
        return None


def _note(content: bytes) -> Note | None:
    try:
        return msgspec.json.decode(content, type=Note)
    except msgspec.DecodeError:
        return None


def _taken(target: str, path: Path) -> Problem:
    # Between taking it and saying so there is a moment.
    waiting.await_true(lambda: _read(path) is not None, _WRITTEN_S, 0.01)
    note = _read(path)
    who = f"process {note.owner.pid}, for {note.age_s:.0f} s ({', '.join(note.folders)})" if note else "somebody"
    return Problem(None, f"{target} is locked by {who}", "wait for its end, or end it with: chaoskit stop")


def _settle(target: str, before: Note | None) -> None:
    """Undoes what a dead owner left; raises Refused where that is not possible."""
    for folder in before.folders if before else []:
        if not (Path(folder) / JOURNAL).exists():
            continue
        left = heal(Path(folder), "the next run on this target", "its owner died")
        if not left.ok:
            said = "; ".join([*(f"{u.fault.fault}: {u.detail}" for u in left.faults if not u.ok), *left.trouble])
            raise Refused(
                Problem(None, f"{target} may still be broken by an earlier run: {said}", f"run: chaoskit heal {folder}")
            )
