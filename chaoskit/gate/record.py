"""The record of earlier gates: when each scenario last passed, how long it took, and which failed last.

Each time scale has a record of its own: what takes half a minute at 60x takes half an hour in real time.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from chaoskit import json_text
from chaoskit.errors import BadInput, ExitCode, Place, Problem
from chaoskit.files import SMALL, read_regular
from chaoskit.surroundings import leave

FILE = "gates.json"
STACK_CORES = 0.36
"""The cores that a stack takes, start and judgement included, until a gate has measured it: 0.26 to 0.4 were seen."""
MOST = 8 * SMALL


class Known(msgspec.Struct, kw_only=True):
    """The last that is known of one scenario."""

    exit_code: int
    at: float
    """Seconds since the epoch."""
    took_s: float
    passed_at: float | None = None
    run: str = ""


class AtScale(msgspec.Struct, kw_only=True):
    """The record of one time scale, by scenario."""

    scenarios: dict[str, Known] = {}
    cores: float | None = None
    """How many a stack took on this machine in the last gate; None if unknown."""

    @property
    def stack_cores(self) -> float:
        """The cores that a stack takes, as far as it is known."""
        return self.cores or STACK_CORES

    def note(self, name: str, exit_code: int, at: float, took_s: float, run: str) -> None:
        """Takes in how a scenario ended; one that was broken off keeps what it took before, which the plan goes by."""
        before = self.scenarios.get(name)
        passed = at if exit_code == 0 else (before.passed_at if before else None)
        whole = exit_code not in (ExitCode.ABORTED, ExitCode.BUG)
        took = took_s if whole and took_s else (before.took_s if before else 0.0)
        self.scenarios[name] = Known(exit_code=exit_code, at=at, took_s=took, passed_at=passed, run=run)

    def took_s(self, name: str) -> float | None:
        """Real seconds that the scenario took last time; None if unknown."""
        known = self.scenarios.get(name)
        return known.took_s if known and known.took_s > 0 else None

    def failed_last(self) -> set[str]:
        """Scenarios whose last end was no PASS."""
        return {name for name, known in self.scenarios.items() if known.exit_code != 0}


class Record(msgspec.Struct, kw_only=True):
    """How long scenarios took, by time scale.

    Kept beside the runs, replaced whole. Records of older versions, without a scale, are not read.
    """

    scales: dict[str, AtScale] = {}

    def at(self, time_scale: float) -> AtScale:
        """The record of one time scale, to be read and written."""
        return self.scales.setdefault(f"{time_scale:g}", AtScale())


def load_record(out: Path) -> Record:
    """The record of a folder of runs; an empty one where there is none, or none that can be read."""
    with contextlib.suppress(BadInput):
        return read_record(out / FILE)
    return Record()


def read_record(file: Path) -> Record:
    """The record in a file that was named; raises BadInput where it is none."""
    try:
        return json_text.decode(read_regular(file, MOST), type=Record)
    except (OSError, msgspec.DecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else f"it is no record of gates: {error}"
        hint = f"name the {FILE} that a gate or `gate merge` left beside its runs"
        raise BadInput(Problem(Place(str(file)), f"cannot be read: {said}", hint)) from None


def save_record(out: Path, record: Record) -> None:
    """Replaces the record at once and whole; where it cannot be written the old one stays."""
    fresh = out / f".{FILE}-{os.getpid()}"
    leave(fresh, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    with contextlib.suppress(OSError):
        fresh.replace(out / FILE)
