"""A run's verdict and its page beside its history."""

from __future__ import annotations

from pathlib import Path

from chaoskit.errors import BadInput
from chaoskit.history import read_history, readable_part
from chaoskit.report.html import page
from chaoskit.verify.verdict import Verdict, to_json
from chaoskit.verify.verify import verify

VERDICT = "verdict.json"
PAGE = "report.html"


def judge_folder(folder: Path) -> Verdict:
    """Judges the history in a run's folder and writes the verdict and the page beside it."""
    history = read_history(folder)
    verdict = verify(history)
    (folder / VERDICT).write_bytes(to_json(verdict))
    (folder / PAGE).write_bytes(page(history, verdict))
    return verdict


def judge(path: Path, html: Path | None = None) -> Verdict:
    """The verdict on a stored history, which may be a run's folder; `html` is where its page goes.

    Raises BadInput for a history that cannot be trusted; its page is written all the same, says why, and shows what
    can be read.
    """
    try:
        history = read_history(path)
        verdict = verify(history)
    except BadInput as error:
        if html is not None:
            html.write_bytes(page(readable_part(path), None, [str(problem) for problem in error.problems]))
        raise
    if html is not None:
        html.write_bytes(page(history, verdict))
    return verdict
