"""The outcomes of each name of request, phase by phase, for one track's history: made of the load's windows.

A slice holds some seconds of one phase; a window in which a phase begins is one of its own, which belongs to neither.
Windows are told a second late, and kept for one more, so that every request that ended within one is known by then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from chaoskit.events import Event, LoadNames, NameCounts, Notice, Phase
from chaoskit.load.messages import ByName, LoadWindow, add_names

_SLICE_S = 2.0
"""Real seconds after which a slice is written, so that who watches sees each name meanwhile."""
_SLICE_PER_NAME_S = 0.1
"""Or so many for each name, where that is more: with many of them the history would grow too fast."""
_MOST_CUTS = 20
"""All-clears of a tail that begin a slice of their own: afterwards the service counts as healthy."""


class Names:
    """Fed with a track's events and the load's windows, in any threads; `write` gets each slice once it is over."""

    def __init__(self, write: Callable[[Event], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._cuts: list[tuple[float, str]] = []
        self._cleared = 0
        self._phase = ""
        self._held: LoadWindow | None = None
        self._span: tuple[float, float] | None = None
        self._counts: dict[str, ByName] = {}

    def feed(self, event: Event) -> None:
        """Takes an event of the run, which may begin a slice of the load's counts."""
        with self._lock:
            last = self._cuts[-1][1] if self._cuts else self._phase
            if isinstance(event, Phase):
                self._cuts.append((event.t, event.name))
            elif isinstance(event, Notice) and event.status == "resolved" and last == "tail":
                self._cleared += 1
                if self._cleared <= _MOST_CUTS:
                    self._cuts.append((event.t, last))

    def take(self, window: LoadWindow) -> None:
        """Takes the load's window of the next second."""
        with self._lock:
            before, self._held = self._held, window
            done = [] if before is None else self._add(before)
        for one in done:
            self._write(one)

    def close(self) -> None:
        """Writes the last slices, once the load is over."""
        with self._lock:
            before, self._held = self._held, None
            done = ([] if before is None else self._add(before)) + self._flush()
        for one in done:
            self._write(one)

    def _add(self, window: LoadWindow) -> list[Event]:
        begin, end = window.second
        due = [cut for cut in self._cuts if cut[0] < end]
        self._cuts = self._cuts[len(due) :]
        done: list[Event] = self._flush() if due else []
        mixed = any(at > begin for at, _ in due)
        if due and not mixed:
            self._phase = due[-1][1]
        self._span = (begin if self._span is None else self._span[0], end)
        add_names(self._counts, window.by_name)
        if mixed:
            done += self._flush(mixed=True)
            self._phase = due[-1][1]
        elif end - self._span[0] >= max(_SLICE_S, _SLICE_PER_NAME_S * len(self._counts)):
            done += self._flush()
        return done

    def _flush(self, *, mixed: bool = False) -> list[Event]:
        span, counts = self._span, self._counts
        self._span, self._counts = None, {}
        if span is None or not counts:
            return []
        names = {
            name: NameCounts(one.finished, one.failed, one.dropped, tuple(sorted(one.latency.items())), one.failures)
            for name, one in counts.items()
        }
        return [LoadNames(phase=self._phase, span=span, mixed=mixed, names=names)]
