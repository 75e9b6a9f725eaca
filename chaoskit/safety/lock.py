"""One at a time: a lock per target, held by the kernel for the process that holds it, so a dead owner never keeps it.

Each user has a file of their own for it. Its text (owner, since when, which runs) is for people, and for this
user's next owner: when the last one died without giving it back, what its runs left in force is undone before anything
else is broken. Of another user's file only whether it is held counts, and whose it is: that one blocks as well.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

import msgspec

from chaoskit import waiting
from chaoskit.errors import Place, Problem, Refused
from chaoskit.files import SMALL, is_locked, open_regular, read_regular
from chaoskit.json_text import decode_with
from chaoskit.safety.heal import heal
from chaoskit.safety.run_registry import Owner, me, mode_in, state_folder
from chaoskit.safety.unhealed import read_standing
from chaoskit.trust import open_own, read_own, user

_WRITTEN_S = 1.0
_ATTEMPTS = 5
_APART_S = 0.1


class Note(msgspec.Struct, frozen=True):
    """The contents of a lock's file."""

    target: str
    owner: Owner
    since: float
    folders: list[str]
    unhealed: bool = False
    """Whether its runs ended and said that they left something (exit 5): then a person comes first."""

    @property
    def age_s(self) -> float:
        """Real seconds for which the lock has been held."""
        return max(0.0, time.time() - self.since)


_DECODER = msgspec.json.Decoder(Note)


class TargetLock:
    """The lock of one target, from `take` to `release`."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path

    @classmethod
    def take(cls, target: str, folders: Sequence[Path]) -> TargetLock:
        """The lock, at once or never; raises Refused when another run has it, or left faults that cannot be undone."""
        path = lock_file(target)
        fd = _alone(target, path)
        try:
            _settle(target, path, _note(os.pread(fd, SMALL, 0)))
            lock = cls(fd, path)
            lock._write(Note(target, me(), time.time(), [str(folder.resolve()) for folder in folders]))
        except BaseException:
            os.close(fd)
            raise
        return lock

    def _write(self, note: Note) -> None:
        content = msgspec.json.encode(note)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, content, 0)
        os.fsync(self._fd)

    def release(self, *, healed: bool) -> None:
        """Gives the target's lock back; what is not healed stays noted for the next owner. Idempotent."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):
            if healed:
                os.ftruncate(self._fd, 0)
                self._path.unlink()
            elif (note := _note(os.pread(self._fd, SMALL, 0))) is not None:
                self._write(msgspec.structs.replace(note, unhealed=True))
        os.close(self._fd)
        self._fd = -1


def lock_file(target: str) -> Path:
    """The path of this user's lock of a target; removed only by its holder, and looked up again after it was taken."""
    return state_folder("locks") / f"{_key(target)}-{os.geteuid()}.lock"


def locks() -> list[tuple[Note, bool]]:
    """Every lock of this user that says something, and whether it is held; else its owner died with it."""
    return [(note, _held(path)) for path, note in _own()]


def _own() -> Iterator[tuple[Path, Note]]:
    """The files of this user's locks that say something."""
    for path in sorted(state_folder("locks").glob("*.lock")):
        with contextlib.suppress(OSError):
            if path.lstat().st_uid == os.geteuid() and (note := _note(read_own(path, once=True))):
                yield path, note


def forgive() -> list[str]:
    """Lets runs begin again on the targets whose last run left something; the names of those, which are not healed."""
    found = []
    for path, note in _own():
        if note.unhealed and not _held(path):
            with contextlib.suppress(OSError):
                path.unlink()
                found.append(note.target)
    return found


def others_locks() -> list[tuple[Path, str]]:
    """Every lock that another user holds, and which user that is."""
    found = []
    for path in sorted(state_folder("locks").glob("*.lock")):
        with contextlib.suppress(FileNotFoundError):
            if (uid := path.lstat().st_uid) != os.geteuid() and _held(path):
                found.append((path, user(uid)))
    return found


def tidy() -> None:
    """Removes this user's locks that nothing holds and whose runs left nothing standing, as far as can be read.

    A process that is no more is locked by no next run, so what a dead owner said of it would stay.
    """
    for path in state_folder("locks").glob("*.lock"):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            if path.lstat().st_uid != os.geteuid():
                continue
            fd = open_own(path, os.O_RDWR, once=True)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                note = _note(os.pread(fd, SMALL, 0))
                left = [read_standing(Path(folder)) for folder in note.folders] if note else []
                if _is(fd, path) and not any(one.unsettled for one in left):
                    path.unlink()
            finally:
                os.close(fd)


def _key(target: str) -> str:
    return hashlib.sha256(target.encode()).hexdigest()[:16]


def _alone(target: str, path: Path) -> int:
    """This user's lock, taken while no other user holds theirs; raises Refused.

    Two users who look at the same moment see each other, and look again, each after a while of its own.
    """
    for _ in range(_ATTEMPTS):
        fd = _mine(target, path)
        others = [one for one in path.parent.glob(f"{_key(target)}*.lock") if one != path and _held(one)]
        if not others:
            return fd
        os.close(fd)
        time.sleep(random.uniform(0, _APART_S))  # a lock announces nothing
    who = user(others[0].lstat().st_uid) if others[0].exists() else "another user"
    raise Refused(Problem(None, f"{target} is locked by {who} ({others[0]})", "wait until it ends, or ask its user"))


def _mine(target: str, path: Path) -> int:
    """This user's lock, taken; raises Refused where another process of theirs has it."""
    while True:
        fd = _open(path)
        locked = _locked(fd)
        if locked and _is(fd, path):
            return fd
        taken = not locked and _is(fd, path)
        os.close(fd)
        if taken:
            raise Refused(_taken(target, path))
        # Its owner removed it between our opening and our locking it.


def _is(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    """The lock's file, made where there is none; raises Refused where it is not this user's."""
    try:
        try:
            return open_own(path, os.O_RDWR, once=True)
        except FileNotFoundError:
            fd = open_own(path, os.O_RDWR | os.O_CREAT, once=True)
            os.fchmod(fd, mode_in(path.parent))
            return fd
    except OSError as error:
        raise Refused(Problem(Place(str(path)), f"this is no lock of yours: {error.strerror}", "remove it")) from None


def _locked(fd: int) -> bool:
    """Takes the lock; a process that looks whether it is held has it for an instant, so one attempt is not enough."""
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)  # waiting for it by the kernel has no bound
        else:
            return True
    return False


def _held(path: Path) -> bool:
    """Whether a process holds this lock; one that may not be looked at counts as held, what is no file does not."""
    try:
        fd = open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        return error.errno == errno.EACCES
    return is_locked(fd)


def _read(path: Path) -> Note | None:
    try:
        return _note(read_regular(path))
    except FileNotFoundError:
        return None


def _note(content: bytes) -> Note | None:
    try:
        return decode_with(_DECODER, content)
    except msgspec.DecodeError:
        return None


def _taken(target: str, path: Path) -> Problem:
    # Between taking it and saying so there is a moment.
    waiting.await_true(lambda: _read(path) is not None, _WRITTEN_S, 0.01)
    note = _read(path)
    who = f"process {note.owner.pid}, for {note.age_s:.0f} s ({', '.join(note.folders)})" if note else "another process"
    return Problem(None, f"{target} is locked by {who}", "wait for its end, or end it with: chaoskit stop")


def _stands(folder: Path) -> bool:
    """Whether a run's files show something in force, or cannot be read."""
    try:
        return read_standing(folder).unsettled
    except OSError:
        return True


def _settle(target: str, path: Path, before: Note | None) -> None:
    """Undoes what a dead owner left; raises Refused where that is not possible, or its journal is not seen here."""
    if before is None:
        return
    for folder in before.folders:
        if before.unhealed and _stands(Path(folder)):
            raise Refused(
                Problem(
                    None,
                    f"{target} may still be broken by an earlier run, which said so itself ({folder}, exit 5)",
                    f"run: chaoskit heal {quote(folder)}; or, where it is known to be well: chaoskit unlock",
                )
            )
        left = heal(Path(folder), "the next run on this target", "its owner died")
        if not left.ok:
            said = "; ".join([*(f"{u.fault.fault}: {u.detail}" for u in left.faults if not u.ok), *left.trouble])
            raise Refused(
                Problem(
                    None,
                    f"{target} may still be broken by an earlier run: {said}",
                    f"run: chaoskit heal {quote(folder)}; where that run was removed on purpose: "
                    f"truncate -s 0 {quote(str(path))}",
                )
            )
