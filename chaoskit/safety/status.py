"""The state of this machine: runs, their leases, faults in force, locks, and whether runs are stopped."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chaoskit.events import Invoke
from chaoskit.files import HISTORY, SMALL
from chaoskit.safety.lock import Note, locks, others_locks
from chaoskit.safety.run_registry import Entry, Noted, notes
from chaoskit.safety.stop_all import blocked
from chaoskit.safety.unhealed import JOURNAL, in_use, is_copy, read_standing
from chaoskit.trust import distrust, real_folder, user


@dataclass(frozen=True, slots=True)
class RunSeen:
    """One run's folder as it looks from outside."""

    folder: Path
    state: str
    """The run's state: running, silent (its lease is over, or nearly so), or gone."""
    beat_s: float | None
    """Seconds since the run's watchdog last heard of the run; None where the registry does not have it."""
    lease_s: float | None
    pid: int | None
    faults: tuple[Invoke, ...]
    trouble: str = ""
    foreign: str = ""
    """Why chaoskit does not obey what the run's files say; empty for a run of this user."""

    @property
    def may_be_broken(self) -> bool:
        """Whether no process works on it any more, and a fault stands or cannot be known."""
        ours = self.pid is not None or not self.foreign
        return ours and self.state == "gone" and bool(self.faults or self.trouble)


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """Everything that `chaoskit status` shows."""

    runs: tuple[RunSeen, ...]
    locks: tuple[tuple[Note, bool], ...]
    blocked: str
    others: tuple[str, ...] = ()
    """The words of other users' notes and locks."""
    unread: tuple[str, ...] = ()
    """Notes of this user's that cannot be read, and why."""

    @property
    def broken(self) -> bool:
        """Whether a fault may stand that no process works on any more."""
        return bool(self.unread) or any(run.may_be_broken for run in self.runs)


def machine_status(out: Path) -> MachineStatus:
    """Every noted run, and of the others in this folder those that have left something here."""
    runs = []
    seen: set[Path] = set()
    others, unread = [], []
    for one in notes():
        if one.owner:
            others.append(_other(one))
        elif one.entry is None:
            unread.append(f"{one.file} {one.trouble}")
        else:
            try:
                beat_s = max(0.0, time.time() - one.file.stat().st_mtime)
            except OSError:
                continue  # it ended just now
            for folder in map(Path, one.entry.folders):
                seen.add(_real(folder))
                runs.append(_seen(folder, one.entry, beat_s))
    for folder in run_folders(out):
        if folder not in seen and not is_copy(folder):
            run = _seen(folder, None, None)
            if run.faults or run.trouble or run.state == "running":
                runs.append(run)
    others += [f"lock {path} is held by {owner}" for path, owner in others_locks()]
    return MachineStatus(tuple(runs), tuple(locks()), blocked(), tuple(others), tuple(unread))


def noted_folders() -> set[Path]:
    """The run folders that notes and locks of this user name."""
    named = [folder for one in notes() if one.entry and not one.owner for folder in one.entry.folders]
    return {_real(Path(folder)) for folder in [*named, *(folder for note, _ in locks() for folder in note.folders)]}


def run_folders(out: Path) -> list[Path]:
    """Every run's folder under this one, those of gates included; a link to one is not another."""
    found: Iterable[Path] = [*out.glob(f"*/{JOURNAL}"), *out.glob(f"*/*/{JOURNAL}")]
    return sorted({_real(file.parent) for file in found})


def _other(one: Noted) -> str:
    said = ""
    if one.entry is not None:
        said = f": process {one.entry.owner.pid} on {one.entry.target} in {', '.join(one.entry.folders)}"
    return f"note {one.file} of {one.owner}{said}"


def _real(folder: Path) -> Path:
    try:
        return folder.resolve()
    except (OSError, RuntimeError):  # links in a circle
        return folder.absolute()


def _seen(folder: Path, entry: Entry | None, beat_s: float | None) -> RunSeen:
    pid = entry.owner.pid if entry else None
    lease_s = entry.lease_s if entry else None
    alive = in_use(folder)
    silent = alive and beat_s is not None and lease_s is not None and beat_s > lease_s
    state = "silent" if silent else "running" if alive else "gone"
    foreign = distrust(folder, JOURNAL)
    try:
        ledger = read_standing(folder, most=16 * SMALL if foreign else HISTORY)
    except OSError as error:
        trouble = f"the run's journal cannot be read: {error.strerror}"
        return RunSeen(folder, state, beat_s, lease_s, pid, (), trouble, foreign)
    trouble = f"{ledger.damaged} lines of the run's journal are damaged" if ledger.damaged else ""
    return RunSeen(folder, state, beat_s, lease_s, pid, tuple(ledger.standing.values()), trouble, foreign)


_NAME = re.compile(r"\d{8}-\d{6}-.+")
"""The name of a run's folder: when it began, and what it is."""
_BEGUN_S = 3600.0
"""How long a folder without a journal may be that of a run that is just about to begin one."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """One folder beyond those that are kept."""

    folder: Path
    kept: str
    """Why the folder is not removed; empty where it is."""


def prune(out: Path, keep: int, *, remove: bool = True) -> Iterator[Pruned]:
    """Removes all but the newest so many of the folders in `out`, one after another, and tells of each.

    Raises OSError where `out` is not to be believed or cannot be read. Nothing is removed without `remove`.
    """
    real = real_folder(out)
    runs = sorted((one for one in real.iterdir() if _NAME.fullmatch(one.name)), key=lambda one: one.name)
    noted = noted_folders()
    for folder in runs[: max(0, len(runs) - keep)]:
        why = _why_kept(folder, noted)
        if not why and remove:
            try:
                shutil.rmtree(folder)
            except OSError as error:
                why = f"{error.filename} cannot be removed: {error.strerror}"
        yield Pruned(folder, why)
    latest = real / "latest"
    if remove and latest.is_symlink() and not latest.exists() and latest.lstat().st_uid == os.geteuid():
        latest.unlink()


def _why_kept(folder: Path, noted: set[Path]) -> str:
    try:
        found = folder.lstat()
        if found.st_uid != os.geteuid():
            return f"it belongs to {user(found.st_uid)}"
        if folder.is_symlink() or not folder.is_dir():
            return "it is no folder"
        if any(folder in (one, *one.parents) for one in noted):
            return "the registry notes a run in it as live, or as not healed"
        journals = sorted(folder.rglob(JOURNAL))
        if not journals and time.time() - found.st_mtime < _BEGUN_S:
            return "its run may be about to begin"
        for journal in journals:
            if not is_copy(journal.parent) and (why := _why_not_healed(journal.parent)):
                return f"{journal}: {why}"
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror}"
    return ""


def _why_not_healed(folder: Path) -> str:
    if why := distrust(folder, JOURNAL):
        return why
    if in_use(folder):
        return "its run is at work"
    ledger = read_standing(folder, obeyed=True)
    if ledger.damaged:
        return f"{ledger.damaged} of its lines are damaged, so it may not be healed"
    return f"not healed: {', '.join(ledger.standing)}" if ledger.standing else ""
