"""Old runs' folders, removed: never one that is not certainly healed, never a live one, never what is not a run's."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chaoskit.safety.survey import noted_folders
from chaoskit.safety.unhealed import JOURNAL, in_use, read_standing
from chaoskit.trust import distrust, real_folder, user

_NAME = re.compile(r"\d{8}-\d{6}-.+")
"""The name of a run's folder: when it began, and what it is."""
_BEGUN_S = 3600.0
"""How long a folder without a journal may be that of a run that is just about to begin one."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """One folder beyond those that are kept."""

    folder: Path
    kept: str
    """Why it is not removed; empty where it is."""


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
            return "a run in it is noted as live, or as not healed"
        journals = sorted(folder.rglob(JOURNAL))
        if not journals and time.time() - found.st_mtime < _BEGUN_S:
            return "it may be about to begin"
        for journal in journals:
            if why := _why_not_healed(journal.parent):
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
