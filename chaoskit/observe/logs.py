"""Lines of the programs' logs that a verdict rests on: templates that failed with an alert in hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

from chaoskit.events import LogLine

_TELLING: dict[Literal["prometheus", "alertmanager"], str] = {
    "prometheus": "Expanding alert template failed",
    "alertmanager": "template: ",
}


def failed_lines(logs: Path) -> Iterator[LogLine]:
    """The lines, each once but for when it was written; nothing where there are no logs."""
    for source, having in _TELLING.items():
        log = logs / f"{source}.log"
        with log.open(encoding="utf-8", errors="replace") if log.is_file() else nullcontext(()) as lines:
            said = {line.partition("caller=")[2] or line: line for line in lines if having in line}
        yield from (LogLine(source=source, line=line.rstrip("\n")) for line in said.values())
