"""Earlier runs, as their folders tell: a list, their files, and two of them beside each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.files import HISTORY, read_regular
from chaoskit.report.changes import changes
from chaoskit.report.judge_run import PAGE, VERDICT, read_verdict
from chaoskit.safety.status import run_folders

_MOST = 200
_KINDS = {
    PAGE: "text/html; charset=utf-8",
    VERDICT: "application/json",
    "checklist.json": "application/json",
    "events.jsonl": "application/x-ndjson",
    "notes.jsonl": "application/x-ndjson",
}
_TABLE = re.compile(r"load_[a-z_]+\.csv")


@dataclass(frozen=True, slots=True)
class Kept:
    """One earlier run, as its folder tells; without a verdict its result says so."""

    name: str
    """The run's folder, relative to the folder of all runs."""
    scenario: str
    title: str
    result: str
    exit_code: int | None
    has_page: bool


def runs(out: Path) -> list[Kept]:
    """The runs below a folder, the newest first, at most two hundred of them."""
    found = sorted(run_folders(out), key=lambda folder: folder.name, reverse=True)[:_MOST]
    base = out.resolve()
    return [_kept(folder, str(folder.relative_to(base))) for folder in found if folder.is_relative_to(base)]


def _kept(folder: Path, name: str) -> Kept:
    try:
        at = (folder / VERDICT).stat().st_mtime_ns
    except OSError:
        return Kept(name, "", "", "no verdict", None, (folder / PAGE).exists())
    scenario, title, result, code = _judged(folder, at)
    return Kept(name, scenario, title, result, code, (folder / PAGE).exists())


@lru_cache(_MOST)
def _judged(folder: Path, _changed: int) -> tuple[str, str, str, int | None]:
    verdict = read_verdict(folder)
    if verdict is None:
        return "", "", "no verdict", None
    return verdict.scenario, verdict.title, str(verdict.result), verdict.exit_code


def file(out: Path, path: str) -> tuple[bytes, str]:
    """A file of a run's folder and its media type; raises BadInput for a file that is no result of a run."""
    name, _, wanted = path.rpartition("/")
    kind = _KINDS.get(wanted) or ("text/csv; charset=utf-8" if _TABLE.fullmatch(wanted) else "")
    if not kind:
        raise BadInput(Problem(Place(wanted), "no run leaves a result of this name", "see the run's page"))
    try:
        return read_regular(_folder(out, name) / wanted, HISTORY), kind
    except OSError as error:
        raise BadInput(Problem(Place(path), f"cannot be read: {error.strerror}")) from None


def _folder(out: Path, name: str) -> Path:
    """The folder of a run; raises BadInput for one that is none."""
    base = out.resolve()
    for folder in run_folders(out):
        if folder.is_relative_to(base) and str(folder.relative_to(base)) == name:
            return folder
    raise BadInput(Problem(Place(name), "no run is kept under this name", "see the list of runs"))


def compared(out: Path, old: str, new: str) -> Mapping[str, Any]:
    """Two runs' verdicts, and what differs between them; raises BadInput where one of them has none."""
    verdicts = []
    for name in (old, new):
        verdict = read_verdict(_folder(out, name))
        if verdict is None:
            raise BadInput(Problem(Place(name), "this run has no verdict", f"chaoskit verify {name}"))
        verdicts.append(verdict)
    return {"names": (old, new), "verdicts": verdicts, "changes": changes(*verdicts)}
