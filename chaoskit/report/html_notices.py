"""The notices of a run, up to a limit, each in a frame in which no script runs and nothing loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import escape

from chaoskit.events import Notice
from chaoskit.report.html_axis import Axis
from chaoskit.report.text import clean_lines, seconds, shortened

_MOST = 300
_BODIES = 300_000
"""Characters of all bodies together, as the page holds them: `<` takes four."""
_ONE_BODY = 60_000
_NOTHING_LOADS = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "style-src 'unsafe-inline'; img-src data:\">"
)


@dataclass(frozen=True, slots=True)
class Told:
    """One notice as the page shows it; `frame` is a document of its own, to be shown in a sandbox."""

    notice: Notice
    at: str
    text: str
    frame: str
    left_out: bool
    """Whether the notice's body was too much for the page and is left out."""

    @property
    def alerts(self) -> list[str]:
        """The first of its alerts, each with its labels."""
        return [
            shortened(f"{one.status}: {', '.join(f'{k}={v}' for k, v in sorted(one.labels.items()))}", 500)
            for one in self.notice.alerts[:10]
        ]


def told(notices: Sequence[Notice], axis: Axis) -> tuple[list[Told], int]:
    """The first notices in the order of their arrival, and how many were left out."""
    found, spent = [], 0
    for notice in notices[:_MOST]:
        text, frame = notice.text or _annotations(notice), notice.html
        size = len(escape(frame)) + len(escape(text))
        fits = size <= _ONE_BODY and spent + size <= _BODIES
        spent += size if fits else 0
        frame = f"{_NOTHING_LOADS}{clean_lines(frame)}" if fits and frame else ""
        found.append(Told(notice, seconds(axis.vs(notice.sent[1])), text if fits else "", frame, not fits))
    return found, max(0, len(notices) - _MOST)


def _annotations(notice: Notice) -> str:
    """The annotations of a webhook's alerts, one a paragraph, shown in place of a mail's text."""
    return "\n\n".join(
        f"{name}: {value}" for one in notice.alerts for name, value in sorted(one.annotations.items()) if value
    )
