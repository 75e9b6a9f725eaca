"""A history: what a run wrote, read back whole or refused.

A run that died leaves at most one torn last line, which is dropped and said. Anything else that is not a whole,
known event in its place (a hole in the numbers, a broken line in the middle, an unknown type) is refused: a
verdict over half the evidence would be worse than none. Additions of a later chaoskit are kept and not read: further
fields, and events of further types that say `optional: true`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from chaoskit.collector import gc_pause
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.events import SCHEMAS, AnyEvent, Event, Header, Later, decode_all, decode_lines
from chaoskit.files import HISTORY, stream_regular

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class History:
    """The events of one run in the order written; `torn` says that a half-written last line was dropped."""

    header: Header
    events: tuple[AnyEvent, ...]
    torn: bool
    unread: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """Fields of events that this chaoskit does not know, by the event's number."""

    def of(self, kind: type[E]) -> Iterator[E]:
        """All events of one type, in order."""
        return iter(cast(list[E], self._by_type.get(kind, [])))

    @cached_property
    def _by_type(self) -> dict[type[Event], list[Event]]:
        found: dict[type[Event], list[Event]] = {}
        for event in self.events:
            found.setdefault(type(event), []).append(event)
        return found

    @property
    def later(self) -> list[str]:
        """Fields and events of a later chaoskit that this one does not read, by name: `notice.priority`, `event x`."""
        kinds = {number: self.events[number].__struct_config__.tag for number in self.unread}
        fields = {f"{kinds[number]}.{name}": None for number, added in self.unread.items() for name in added}
        return [*fields, *dict.fromkeys(f"event {event.fields['type']}" for event in self.of(Later))]

    @property
    def last_t(self) -> float:
        """The instant of the last event."""
        return self.events[-1].t


def read_history(path: Path) -> History:
    """The history in a file, or in a run's folder; raises BadInput saying where it cannot be trusted."""
    file = _file(path)
    try:
        return _parse(stream_regular(file, HISTORY), str(file))
    except OSError as error:
        raise BadInput(Problem(Place(str(file)), f"cannot be read: {error.strerror}", "name a run's folder")) from None


def parse_history(data: bytes, file: str) -> History:
    """The history that `read_history` gives, from the file's bytes."""
    return _parse([data], file)


def _parse(pieces: Iterable[bytes], file: str) -> History:
    events: list[AnyEvent] = []
    unread: dict[int, dict[str, Any]] = {}
    torn = _take(pieces, file, events, unread)
    if not events or not isinstance(events[0], Header):
        raise BadInput(Problem(Place(file, 1), "no run's history: line 1 is no header event; give an events.jsonl"))
    header = events[0]
    if header.schema not in SCHEMAS:
        reads = f"this chaoskit reads schemas {' and '.join(map(str, SCHEMAS))}; judge it with the one that wrote it"
        raise BadInput(Problem(Place(file, 1), f"schema {header.schema} is not known", reads))
    return History(header, tuple(events), torn, unread)


def readable_part(path: Path) -> History | None:
    """The events before the damage in a history that `read_history` refuses: to look at, never to judge.

    None where not even its header can be read.
    """
    file = _file(path)
    events: list[AnyEvent] = []
    with contextlib.suppress(OSError, BadInput):
        _take(stream_regular(file, HISTORY), str(file), events, {})
    if not events or not isinstance(events[0], Header) or events[0].schema not in SCHEMAS:
        return None
    return History(events[0], tuple(events), torn=True)


def _file(path: Path) -> Path:
    return path / "events.jsonl" if path.is_dir() else path


@gc_pause()
def _take(pieces: Iterable[bytes], file: str, events: list[AnyEvent], unread: dict[int, dict[str, Any]]) -> bool:
    """Adds the events of a file as its pieces come; gives whether its last line is torn. Raises at the first damage."""
    rest: list[bytes] = []
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if not end:
            rest.append(piece)
            continue
        lines, rest, first = b"".join([*rest, piece[:end]]), [piece[end:]], len(events)
        found = decode_lines(lines)
        if found and found[0].n == first and all(b.n - a.n == 1 for a, b in itertools.pairwise(found)):
            events += found
            continue
        for number, line in enumerate(lines[:-1].split(b"\n"), first):
            event, added = _event(line, number, Place(file, number + 1))
            events.append(event)
            if added:
                unread[number] = added
    return any(rest)


def _event(line: bytes, number: int, place: Place) -> tuple[AnyEvent, dict[str, Any]]:
    try:
        event, added = decode_all(line)
    except msgspec.DecodeError as error:
        raise BadInput(Problem(place, f"not an event: {error}", "damaged history; run the drill again")) from None
    if event.n != number:
        raise BadInput(Problem(place, f"event {number} is missing, {event.n} is here", "a hole: run the drill again"))
    return event, added
