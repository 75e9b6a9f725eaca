"""What is going on on this machine: runs, their leases, faults in force, locks, and whether runs are stopped."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chaoskit.safety.lever import blocked
from chaoskit.safety.lock import Note, locks
from chaoskit.safety.standing import JOURNAL, Standing, in_use, read_standing
from chaoskit.safety.state import Entry, entries


@dataclass(frozen=True, slots=True)
class RunSeen:
    """One run's folder as it looks from outside."""

    folder: Path
    state: str
    """running, silent (its lease is over, or nearly so), or gone."""
    beat_s: float | None
    """For how long its watchdog has not heard of it; None where it is not noted."""
    lease_s: float | None
    pid: int | None
    faults: tuple[Standing, ...]
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that `chaoskit status` shows."""

    runs: tuple[RunSeen, ...]
    locks: tuple[tuple[Note, bool], ...]
    blocked: str

    @property
    def broken(self) -> bool:
        """Whether a fault stands that nobody is at work on any more."""
        return any(run.faults and run.state == "gone" for run in self.runs)


def survey(out: Path) -> Survey:
    """Every noted run, and of the others in this folder those that have left something."""
    runs = []
    noted = set()
    for file, entry in entries():
        try:
            beat_s = max(0.0, time.time() - file.stat().st_mtime)
        except OSError:
            continue  # it ended just now
        for folder in map(Path, entry.folders):
            noted.add(folder.resolve())
            runs.append(_seen(folder, entry, beat_s))
    for folder in run_folders(out):
        if folder.resolve() not in noted:
            one = _seen(folder, None, None)
            if one.faults or one.trouble or one.state == "running":
                runs.append(one)
    return Survey(tuple(runs), tuple(locks()), blocked())


def run_folders(out: Path) -> list[Path]:
    """Every run's folder under this one, those of gates included; a link to one is not another."""
    found: Iterable[Path] = [*out.glob(f"*/{JOURNAL}"), *out.glob(f"*/*/{JOURNAL}")]
    return sorted({file.parent.resolve() for file in found})


def _seen(folder: Path, entry: Entry | None, beat_s: float | None) -> RunSeen:
    pid = entry.owner.pid if entry else None
    lease_s = entry.lease_s if entry else None
    alive = in_use(folder)
    silent = alive and beat_s is not None and lease_s is not None and beat_s > lease_s
    state = "silent" if silent else "running" if alive else "gone"
    try:
        ledger = read_standing(folder)
    except OSError as error:
        return RunSeen(folder, state, beat_s, lease_s, pid, (), f"its journal cannot be read: {error.strerror}")
    trouble = f"{ledger.damaged} lines of its journal are damaged" if ledger.damaged else ""
    return RunSeen(folder, state, beat_s, lease_s, pid, tuple(ledger.standing.values()), trouble)
