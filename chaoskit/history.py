"""A history: what a run wrote, read back whole or refused.

A run that died leaves at most one torn last line, which is dropped and said. Anything else that is not a whole,
known event in its place (a hole in the numbers, a broken line in the middle, an unknown type) is refused: a
verdict over half the evidence would be worse than none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.events import SCHEMA, AnyEvent, Event, Header, decode
from chaoskit.files import HISTORY, read_regular

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class History:
    """The events of one run in the order written; `torn` says that a half-written last line was dropped."""

    header: Header
    events: tuple[AnyEvent, ...]
    torn: bool

    def of(self, kind: type[E]) -> Iterator[E]:
        """All events of one type, in order."""
        return (event for event in self.events if isinstance(event, kind))

    @property
    def last_t(self) -> float:
        """The instant of the last event."""
        return self.events[-1].t


def read_history(path: Path) -> History:
    """The history in a file, or in a run's folder; raises BadInput saying where it cannot be trusted."""
    file = path / "events.jsonl" if path.is_dir() else path
    try:
        data = read_regular(file, HISTORY)
    except OSError as error:
        raise BadInput(Problem(Place(str(file)), f"cannot be read: {error.strerror}")) from None
    return parse_history(data, str(file))


def parse_history(data: bytes, file: str) -> History:
    """As `read_history`, from the file's bytes."""
    lines = data.split(b"\n")
    tail = lines.pop()
    torn = bool(tail)
    events: list[AnyEvent] = []
    for number, line in enumerate(lines):
        events.append(_event(line, number, Place(file, number + 1)))
    if not events or not isinstance(events[0], Header):
        raise BadInput(Problem(Place(file, 1), "no run's history: it does not begin with a header event"))
    header = events[0]
    if header.schema != SCHEMA:
        raise BadInput(
            Problem(Place(file, 1), f"schema {header.schema} is not known", f"this chaoskit reads schema {SCHEMA}")
        )
    return History(header, tuple(events), torn)


def readable_part(path: Path) -> History | None:
    """What stands before the damage in a history that `read_history` refuses: to look at, never to judge.

    None where not even its header can be read.
    """
    file = path / "events.jsonl" if path.is_dir() else path
    events: list[AnyEvent] = []
    try:
        for number, line in enumerate(read_regular(file, HISTORY).split(b"\n")[:-1]):
            events.append(_event(line, number, Place(str(file), number + 1)))
    except (OSError, BadInput):
        pass
    if not events or not isinstance(events[0], Header) or events[0].schema != SCHEMA:
        return None
    return History(events[0], tuple(events), torn=True)


def _event(line: bytes, number: int, place: Place) -> AnyEvent:
    try:
        event = decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(Problem(place, f"not an event: {error}", "the history is damaged; run again")) from None
    if event.n != number:
        raise BadInput(Problem(place, f"event {number} is missing, {event.n} stands here", "the history has a hole"))
    return event
