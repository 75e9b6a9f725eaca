"""`chaoskit stop`: every run on this machine ends and is healed, and none begins until `chaoskit unlock`.

The block is put down first and the runs are looked up afterwards; a run notes itself first and looks for the block
afterwards. So whichever came first, no run slips through.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

from chaoskit import waiting
from chaoskit.errors import Place, Problem, Refused
from chaoskit.faults import processes
from chaoskit.faults.base import FaultError
from chaoskit.files import SMALL, open_regular, read_descriptor
from chaoskit.safety.heal import Healed, heal, remove_scratch
from chaoskit.safety.lock import tidy
from chaoskit.safety.run_registry import Entry, entries, state_folder, write_whole
from chaoskit.safety.unhealed import in_use
from chaoskit.trust import user

_BLOCK = "stopped"
_END_S = 5.0


@dataclass(frozen=True, slots=True)
class Ended:
    """One run that was told to stop."""

    entry: Entry
    forced: bool
    """Whether the run did not end by itself and was killed; its holders and its watchdog healed."""
    results: tuple[Healed, ...]


def block(reason: str) -> None:
    """Keeps every run from beginning from now on, until `unblock`."""
    try:
        write_whole(state_folder() / _BLOCK, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {reason}\n".encode())
    except Refused:
        if not blocked():  # by another user, whose word is not ours to replace, and does as well
            raise


def blocked() -> str:
    """Since when, why and by which other user no run may begin; empty when it may.

    Every user's word counts here: to break nothing is always safe. Where it is a link, whose content may be for
    its reader alone, none of it is told.
    """
    file = state_folder() / _BLOCK
    try:
        uid = file.lstat().st_uid
    except OSError:
        return ""
    try:
        said = read_descriptor(open_regular(file, os.O_NOFOLLOW), SMALL, file).decode(errors="replace").strip()
    except OSError as error:
        said = f"{file} cannot be read: {error.strerror}"
    return (said or "stopped") + ("" if uid == os.geteuid() else f" (by {user(uid)})")


def unblock() -> bool:
    """Lets runs begin again.

    Returns whether they had been blocked. Raises Refused where another user's word cannot be taken back.
    """
    was, file = blocked(), state_folder() / _BLOCK
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise Refused(Problem(Place(str(file)), f"cannot be removed: {error.strerror} ({was})", "ask them")) from None
    return bool(was)


def refuse_if_blocked() -> None:
    """Raises Refused while runs are stopped on this machine."""
    if said := blocked():
        raise Refused(Problem(None, f"runs are stopped on this machine since {said}", "allow them: chaoskit unlock"))


def stop_all(grace_s: float) -> list[Ended]:
    """Ends every noted run: asked first, killed after the grace; then undoes every fault that one left."""
    noted = list(entries())
    running = [(entry, process) for _, entry in noted if (process := entry.owner.process)]
    for _, process in running:
        with contextlib.suppress(FaultError):
            processes.send(process, signal.SIGTERM)
    waiting.await_true(lambda: not any(entry.owner.process for entry, _ in running), grace_s, 0.05)
    forced = set()
    for entry, process in running:
        if entry.owner.process:
            forced.add(entry.owner)
            with contextlib.suppress(FaultError):
                processes.send(process, signal.SIGKILL)
    waiting.await_true(lambda: not any(entry.owner.process for entry, _ in running), _END_S)
    return [
        Ended(entry, entry.owner in forced, _settle(file, entry, "stop", "chaoskit stop was called"))
        for file, entry in noted
        if entry.owner.gone
    ]


def sweep(by: str) -> list[Healed]:
    """Undoes what dead runs left, as every command that begins something does first.

    Runs that live are let be, and those of which that cannot be told.
    """
    found: list[Healed] = []
    for file, entry in entries():
        if entry.owner.gone:
            found += _settle(file, entry, by, "its run is gone")
    tidy()
    return found


def _settle(file: Path, entry: Entry, by: str, reason: str) -> tuple[Healed, ...]:
    """Heals a dead run's folders; with nothing left, its note and its scratch go as well.

    A folder that is not seen from here (another namespace, a disk that is not mounted) keeps its note.
    """
    results = tuple(heal(folder, by, reason) for folder in map(Path, entry.folders) if not in_use(folder))
    if len(results) == len(entry.folders) and all(one.ok for one in results):
        remove_scratch(entry.scratch, entry.folders)
        file.unlink(missing_ok=True)
        return results
    kept = f"the run is noted in {file}; where its folder was removed on purpose, remove that file too"
    return tuple(one if one.ok or one.faults else replace(one, trouble=(*one.trouble, kept)) for one in results)
