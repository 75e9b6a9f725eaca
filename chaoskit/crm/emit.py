"""How a process tells the metrics process what happened: one line of JSON per batch, through a shared pipe.

        api ------\
        worker-n --+==> pipe ==> metrics (the only reader) ==> /metrics
        supervisor/

A write of at most PIPE_BUF bytes to a pipe is atomic, so batches of several processes never mix and need no
lock that a stopped process could hold. A batch is either in the pipe or still in its process: a killed process
loses what it had not flushed yet (one request's or one task's worth) and nothing is ever counted twice. While
the pipe is full, because the metrics process stands still, increments keep adding up in their process.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

import msgspec

from chaoskit.crm.contract import Kind, Metric

Entry = tuple[str, tuple[str, ...], float]
"""One change of a metric on its way to the metrics page: metric, label values, amount."""

_encode = msgspec.json.Encoder().encode
_BATCH = 24
"""Entries in a line: so many of the longest that the contract allows are less than PIPE_BUF bytes."""
_MOST_OBSERVATIONS = 20_000
"""Observations kept for a metrics process that does not read; beyond, the oldest go."""


class Emitter:
    """Collects increments, observations and levels of one process; `flush` hands them over."""

    def __init__(self, fd: int, metrics: tuple[Metric, ...]) -> None:
        self._fd = fd
        self._kinds: dict[str, Kind] = {metric.name: metric.kind for metric in metrics}
        self.on_first: Callable[[], object] | None = None
        """Called when the first record is put into an empty emitter, to schedule a flush."""
        self._values: dict[tuple[str, tuple[str, ...]], float] = {}
        """By how much each counter rose since the last flush, and the value of each gauge."""
        self._seen: deque[Entry] = deque(maxlen=_MOST_OBSERVATIONS)
        self._lines: deque[bytes] = deque()
        """Encoded, and not yet in the pipe."""

    def inc(self, name: str, *labels: str) -> None:
        """Add 1 to a counter."""
        self._expect(name, "counter")
        self._values[name, labels] = self._values.get((name, labels), 0.0) + 1

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Put a value into a histogram."""
        self._expect(name, "histogram")
        self._seen.append((name, labels, value))

    def level(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge of the metrics page."""
        self._expect(name, "gauge")
        self._values[name, labels] = value

    def _expect(self, name: str, kind: Kind) -> None:
        if self._kinds.get(name) != kind:
            raise ValueError(f"{name} is not a {kind} of the metrics contract; see chaoskit/crm/contract.py")
        if self.on_first and not (self._values or self._seen):
            self.on_first()

    def flush(self) -> bool:
        """Hand over everything; False when the pipe is full and something had to be kept for the next flush."""
        if not self._write():
            return False  # what is new keeps adding up, unencoded
        entries = [*((name, labels, value) for (name, labels), value in self._values.items()), *self._seen]
        self._values.clear()
        self._seen.clear()
        self._lines.extend(_encode(entries[at : at + _BATCH]) + b"\n" for at in range(0, len(entries), _BATCH))
        return self._write()

    def _write(self) -> bool:
        while self._lines:
            try:
                os.write(self._fd, self._lines[0])
            except BlockingIOError:
                return False
            self._lines.popleft()
        return True
