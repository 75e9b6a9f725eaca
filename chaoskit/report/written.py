"""A run's verdict beside its history."""

from __future__ import annotations

from pathlib import Path

from chaoskit.history import read_history
from chaoskit.verify.verdict import Verdict, to_json
from chaoskit.verify.verify import verify

VERDICT = "verdict.json"


def judge_folder(folder: Path) -> Verdict:
    """Judges the history in a run's folder and writes the verdict beside it."""
    verdict = verify(read_history(folder))
    (folder / VERDICT).write_bytes(to_json(verdict))
    return verdict
