"""Recorded histories, and what can be done to them: lose events, double them, move them, tell another truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import msgspec

from chaoskit.events import AlertState, AnyEvent, Event, FaultOk, Interval, Notice, Poll, Suppression, UndoOk, Watch
from chaoskit.history import History, read_history
from chaoskit.verify.verdict import Result, Verdict

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.jsonl")))
SINK_OF = {"email": "mail-sink", "webhook": "webhook-sink"}
Change = Callable[[AnyEvent], AnyEvent | None]


@cache
def recorded(name: str) -> History:
    """The golden history of this name."""
    return read_history(FOLDER / f"{name}.jsonl")


def with_events(history: History, events: Iterable[AnyEvent]) -> History:
    """The history with other events, numbered anew."""
    numbered = tuple(msgspec.structs.replace(event, n=number) for number, event in enumerate(events))
    return replace(history, events=numbered)


def mapped(history: History, change: Change) -> History:
    """Each event changed; None drops it."""
    return with_events(history, [new for event in history.events if (new := change(event)) is not None])


def without(history: History, gone: Callable[[AnyEvent], bool]) -> History:
    """The history as it would be had these events not been written."""
    return mapped(history, lambda event: None if gone(event) else event)


def instant(history: History, state: str) -> float:
    """The first time an alert was seen in this state."""
    return next(event.at for event in history.of(AlertState) if event.state == state)


def source(event: AnyEvent) -> str:
    """Who reported an event: an observer, or the run itself."""
    match event:
        case AlertState():
            return "prometheus"
        case Suppression():
            return "alertmanager"
        case Poll():
            return event.source
        case Watch():
            return event.sink
        case Notice():
            return SINK_OF[event.integration]
        case _:
            return "run"


def results(verdict: Verdict, hop: str, to: str = "") -> set[Result]:
    """What the rows of a hop say."""
    return {row.result for row in verdict.rows if row.hop == hop and to in row.to}


def failed(verdict: Verdict) -> set[tuple[str, str, str]]:
    """What has a FAIL: about, hop, receiver."""
    return {(row.about, row.hop, row.to) for row in verdict.rows if row.result is Result.FAIL}


def passed(verdict: Verdict) -> set[tuple[str, str, str]]:
    """What has nothing but PASS."""
    keys = {(row.about, row.hop, row.to) for row in verdict.rows}
    return keys - {(row.about, row.hop, row.to) for row in verdict.rows if row.result is not Result.PASS}


@dataclass(frozen=True)
class Truth:
    """What happened, in virtual seconds after the fault took effect; doors by receiver and integration."""

    pending_vs: float = 15.0
    held_vs: float = 60.0
    notified_vs: Mapping[tuple[str, str], float] = field(default_factory=lambda: dict.fromkeys(DOORS, 0.0))
    """From firing, on top of what each door is promised at least."""
    undo_vs: float = 115.0
    cleared_vs: float = 40.0
    """From the undo."""
    all_clear_vs: float = 50.0
    """From resolved, at every door."""
    ahead_s: float = 0.0
    """Prometheus's clock before ours, in real seconds."""
    measured: Interval | None = (0.0, 0.0)
    """What each look measured of that."""


DOORS: dict[tuple[str, str], float] = {
    ("critical-alerts", "email"): 10.0,
    ("critical-alerts", "webhook"): 10.0,
    ("worker-alerts", "email"): 30.0,
}
"""Who is promised to hear of a dead worker, and how long after firing at least."""


def told(truth: Truth) -> History:
    """The run in which every promise was kept, told without any noise as if this had happened instead."""
    kept = recorded("kept")
    scale = kept.header.time_scale
    fault = next(kept.of(FaultOk)).effect[0]

    def at(virtual_s: float) -> float:
        return fault + virtual_s / scale

    pending, firing = at(truth.pending_vs), at(truth.pending_vs + truth.held_vs)
    undo, resolved = at(truth.undo_vs), at(truth.undo_vs + truth.cleared_vs)
    instants = {"pending": pending, "firing": firing, "inactive": resolved}

    def tell(event: AnyEvent) -> AnyEvent | None:
        new: Event = event
        match event:
            case FaultOk():
                new = msgspec.structs.replace(event, effect=(fault, fault))
            case UndoOk():
                new = msgspec.structs.replace(event, gone=(undo, undo))
            case AlertState():
                when = instants[event.state] + truth.ahead_s
                begun = pending + truth.ahead_s
                new = msgspec.structs.replace(event, at=when, previous=when - 15.0 / scale, active_at=begun)
            case Poll(source="prometheus"):
                seen = None if event.seen_to is None else event.seen_to + truth.ahead_s
                new = msgspec.structs.replace(event, seen_to=seen, skew=truth.measured)
            case Notice():
                door = (event.receiver, event.integration)
                after = firing + (DOORS[door] + truth.notified_vs[door]) / scale
                when = after if event.status == "firing" else resolved + truth.all_clear_vs / scale
                new = msgspec.structs.replace(event, sent=(when, when))
            case Watch():
                new = msgspec.structs.replace(event, lag_s=0.0)
            case _:
                pass
        return new  # type: ignore[return-value]

    return mapped(kept, tell)
