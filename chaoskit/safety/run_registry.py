"""Where this machine's runs are known: one small file a run, read by status, stop, heal and the next run.

The folder is $CHAOSKIT_STATE, else chaoskit under $XDG_STATE_HOME (~/.local/state). It belongs to one user, and so
do its files. Several users who share a target point CHAOSKIT_STATE at a folder of mode 1777 that is root's:
each obeys their own notes there, and sees those of others.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from chaoskit import identity
from chaoskit.errors import Place, Problem, Refused
from chaoskit.files import SMALL, make_private, open_regular, read_descriptor
from chaoskit.identity import Fate
from chaoskit.json_text import decode_with
from chaoskit.trust import read_own, real_folder, user

FOLDER_VARIABLE = "CHAOSKIT_STATE"


class Owner(msgspec.Struct, frozen=True):
    """A process as data, as chaoskit.identity knows it, so that no stranger is ever taken for it."""

    pid: int
    boot: str
    ticks: int | None = None
    space: int = 0
    created: float | None = None
    """In notes of older versions, for the ticks."""

    @property
    def process(self) -> psutil.Process | None:
        """The owner's process, while it is known to live; else None."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid) if self._fate is Fate.LIVES else None
        return None

    @property
    def gone(self) -> bool:
        """Whether the owner certainly has ended.

        One that cannot be seen from here, in another PID namespace say, has not.
        """
        return self._fate is Fate.ENDED

    @property
    def _fate(self) -> Fate:
        return identity.fate(msgspec.structs.asdict(self))


class Entry(msgspec.Struct, frozen=True):
    """A run as the machine's registry knows it."""

    owner: Owner
    target: str
    """The target's name, as the lock has it; `local` for a target that lives and dies with the run."""
    folders: list[str]
    """The folders of the run's journals."""
    scratch: list[str]
    """Folders that only the running stack needs; healing after its death removes them."""
    since: float
    lease_s: float


_DECODER = msgspec.json.Decoder(Entry)


def me() -> Owner:
    """This process as an owner; raises Refused where /proc does not tell its identity."""
    try:
        return Owner(**identity.token(os.getpid()))
    except OSError as error:
        hint = "mount /proc: chaoskit recognises processes by it"
        raise Refused(Problem(Place("/proc"), f"/proc does not show this process: {error}", hint)) from None


@dataclass(frozen=True, slots=True)
class Noted:
    """A note's file as it lies there: of this user and to be obeyed, or with why it is left alone."""

    file: Path
    entry: Entry | None
    """The note's contents, of another user's only to be shown; None where the note cannot be read."""
    owner: str = ""
    """The other user who owns the note; empty for a note of this user."""
    trouble: str = ""
    """Why one of this user is not obeyed."""


def state_folder(*parts: str) -> Path:
    """The state folder, or one inside it, made when it is missing; raises Refused where that is not possible.

    In a shared one the folders inside are shared as well, by whichever user they were made.
    """
    given = os.environ.get(FOLDER_VARIABLE)
    base = os.environ.get("XDG_STATE_HOME")
    place = given or str(base or "~/.local/state")
    try:
        root = Path(given) if given else (Path(base) if base else Path.home() / ".local" / "state") / "chaoskit"
        make_private(root)
        found = real_folder(root)
        shared = bool(found.stat().st_mode & stat.S_IWOTH)
        for part in parts:
            found /= part
            place = str(found)
            (_share if shared else make_private)(found)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = f"let {FOLDER_VARIABLE} name a folder that can be written: one of yours, or a shared one of root's"
        raise Refused(Problem(Place(place), f"chaoskit cannot note its runs here: {reason}", hint)) from None
    return root.joinpath(*parts)


def _share(folder: Path) -> None:
    """Makes a folder in which every user may put files, and none take away another's; raises OSError."""
    before = os.umask(0)
    try:
        folder.mkdir(mode=0o1777)
    except FileExistsError:
        mode, uid = (found := folder.lstat()).st_mode, found.st_uid
        if not stat.S_ISDIR(mode):
            raise OSError(20, "it is no folder") from None
        if mode & 0o1777 != 0o1777:
            if uid != os.geteuid():
                raise OSError(1, f"{user(uid)} keeps this folder to themselves; ask that user for chmod 1777") from None
            folder.chmod(0o1777)
    finally:
        os.umask(before)


def register(target: str, folders: list[Path], scratch: list[Path], lease_s: float) -> Path:
    """Notes a run of this process, whole or not at all, and returns the note's file; raises Refused."""
    entry = Entry(me(), target, [str(f) for f in folders], [str(f) for f in scratch], time.time(), lease_s)
    file = state_folder("runs") / f"{os.getpid()}-{secrets.token_hex(4)}.json"
    write_whole(file, msgspec.json.encode(entry))
    return file


def notes() -> Iterator[Noted]:
    """Every note there is, of each user and also the unreadable ones, by name."""
    for file in sorted(state_folder("runs").glob("*.json")):
        try:
            uid = file.lstat().st_uid
            if uid == os.geteuid():
                yield Noted(file, _decode(read_own(file, once=True)))
            else:
                # Root's notes are no order to others either: they could not carry them out.
                said = read_descriptor(open_regular(file, os.O_RDONLY | os.O_NOFOLLOW), SMALL, file)
                yield Noted(file, _decode(said), user(uid))
        except FileNotFoundError:
            continue  # its run ended just now
        except (OSError, ValueError) as error:
            owner = "" if uid == os.geteuid() else user(uid)
            yield Noted(file, None, owner, f"cannot be read: {getattr(error, 'strerror', None) or error}")


def _decode(said: bytes) -> Entry:
    """Raises ValueError, of which msgspec's errors are kinds, also for paths that none can be."""
    entry = decode_with(_DECODER, said)
    if any("\0" in path for path in (*entry.folders, *entry.scratch)) or not 0 < entry.owner.pid < 2**31:
        raise ValueError("the entry names no valid path or no valid process")
    return entry


def entries() -> Iterator[tuple[Path, Entry]]:
    """Every run that this user has noted, oldest first; other users' notes are none of these."""
    found = [(one.file, one.entry) for one in notes() if one.entry is not None and not one.owner]
    yield from sorted(found, key=lambda pair: pair[1].since)


def mode_in(folder: Path) -> int:
    """The mode of a small file in a state folder: in a shared one all may read it, so it holds no secret."""
    return 0o644 if folder.stat().st_mode & stat.S_IWOTH else 0o600


def write_whole(file: Path, content: bytes) -> None:
    """Replaces a small file in one stroke; raises Refused where the disk does not take it."""
    fresh = file.with_name(f".{file.name}-{os.getpid()}-{secrets.token_hex(2)}")
    try:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as opened:
            os.fchmod(fd, mode_in(file.parent))
            opened.write(content)
        fresh.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise Refused(
            Problem(Place(str(file)), f"cannot be written: {error.strerror}", "free some disk space")
        ) from None
