"""Where this machine's runs are known: one small file a run, read by status, stop, heal and whoever comes next.

The folder is $CHAOSKIT_STATE, else chaoskit under $XDG_STATE_HOME (~/.local/state). It belongs to one user;
several users who share a target point CHAOSKIT_STATE at a folder that all of them may write.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from chaoskit import identity
from chaoskit.errors import Place, Problem, Refused
from chaoskit.identity import Fate

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
        """The very process, while it is known to live."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid) if self._fate is Fate.LIVES else None
        return None

    @property
    def gone(self) -> bool:
        """Whether it certainly has ended; one that cannot be seen from here, in another PID namespace say, has not."""
        return self._fate is Fate.ENDED

    @property
    def _fate(self) -> Fate:
        return identity.fate(msgspec.structs.asdict(self))


class Entry(msgspec.Struct, frozen=True):
    """What is known of a run from outside."""

    owner: Owner
    target: str
    """What it acts on, as the lock names it; `local` for a target that lives and dies with the run."""
    folders: list[str]
    """Where its journals are."""
    scratch: list[str]
    """Folders that only the running stack needs; whoever heals after its death removes them."""
    since: float
    lease_s: float


def me() -> Owner:
    """This process; raises Refused where /proc does not tell which one it is."""
    try:
        return Owner(**identity.token(os.getpid()))
    except OSError as error:
        hint = "mount /proc: processes are recognised by it"
        raise Refused(Problem(Place("/proc"), f"it does not show this process: {error}", hint)) from None


def state_folder(*parts: str) -> Path:
    """The state folder, or one inside it, made when it is missing; raises Refused where that is not possible."""
    given = os.environ.get(FOLDER_VARIABLE)
    base = os.environ.get("XDG_STATE_HOME")
    try:
        root = Path(given) if given else (Path(base) if base else Path.home() / ".local" / "state") / "chaoskit"
        folder = root.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        place = Place(given or str(base or "~/.local/state"))
        hint = f"let {FOLDER_VARIABLE} name a folder that can be written"
        raise Refused(Problem(place, f"running runs cannot be noted here: {reason}", hint)) from None
    return folder


def register(target: str, folders: list[Path], scratch: list[Path], lease_s: float) -> Path:
    """Notes a run of this process, whole or not at all, and returns the note's file; raises Refused."""
    entry = Entry(me(), target, [str(f) for f in folders], [str(f) for f in scratch], time.time(), lease_s)
    file = state_folder("runs") / f"{os.getpid()}-{secrets.token_hex(4)}.json"
    write_whole(file, msgspec.json.encode(entry))
    return file


def entries() -> Iterator[tuple[Path, Entry]]:
    """Every run that is noted, oldest first; a note that cannot be read is left alone."""
    found = []
    for file in state_folder("runs").glob("*.json"):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            found.append((file, msgspec.json.decode(file.read_bytes(), type=Entry)))
    yield from sorted(found, key=lambda pair: pair[1].since)


def write_whole(file: Path, content: bytes) -> None:
    """Replaces a small file in one stroke; raises Refused where the disk does not take it."""
    fresh = file.with_name(f".{file.name}-{os.getpid()}-{secrets.token_hex(2)}")
    try:
        fresh.write_bytes(content)
        fresh.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise Refused(
            Problem(Place(str(file)), f"cannot be written: {error.strerror}", "free some disk space")
        ) from None
