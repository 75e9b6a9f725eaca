"""A run's verdict and its checklist beside its history."""

from __future__ import annotations

from pathlib import Path

import msgspec

from chaoskit.history import read_history
from chaoskit.verify.checklist import Checklist
from chaoskit.verify.verdict import Verdict, to_json
from chaoskit.verify.verify import judge_all

VERDICT = "verdict.json"
CHECKLIST = "checklist.json"


def judge_folder(folder: Path) -> Verdict:
    """Judges the history in a run's folder and writes verdict and checklist beside it."""
    verdict, checklists = judge_all(read_history(folder))
    (folder / VERDICT).write_bytes(to_json(verdict))
    (folder / CHECKLIST).write_bytes(msgspec.json.format(msgspec.json.encode(checklists), indent=1) + b"\n")
    return verdict


def read_checklists(folder: Path) -> list[Checklist]:
    """What `judge_folder` wrote; empty where there is none."""
    file = folder / CHECKLIST
    return msgspec.json.decode(file.read_bytes(), type=list[Checklist]) if file.exists() else []
