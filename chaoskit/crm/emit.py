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
import select
from collections import deque
from collections.abc import Callable

import msgspec

from chaoskit.crm.contract import Kind, Metric

Entry = tuple[str, tuple[str, ...], float]
"""Metric, label values, amount."""

_encode = msgspec.json.Encoder().encode
_MOST_OBSERVATIONS = 20_000
"""Observations kept for a metrics process that does not read; beyond, the oldest go."""


class Emitter:
    """Collects increments, observations and levels of one process; `flush` hands them over.

    `on_first` is called when the first record is put into an empty emitter, to schedule a flush.
    """

    def __init__(self, fd: int, metrics: tuple[Metric, ...], on_first: Callable[[], object] | None = None) -> None:
        self._fd = fd
        self._kinds: dict[str, Kind] = {metric.name: metric.kind for metric in metrics}
        self._on_first = on_first
        self._sums: dict[tuple[str, tuple[str, ...]], float] = {}
        self._levels: dict[tuple[str, tuple[str, ...]], float] = {}
        self._seen: deque[Entry] = deque(maxlen=_MOST_OBSERVATIONS)
        self._lines: deque[bytes] = deque()
        """Encoded, and not yet in the pipe."""
        os.set_blocking(fd, False)

    def schedule_with(self, on_first: Callable[[], object]) -> None:
        """Set what is called when the first record of a batch arrives."""
        self._on_first = on_first

    def inc(self, name: str, *labels: str, by: float = 1.0) -> None:
        """Add to a counter."""
        self._expect(name, "counter")
        self._sums[name, labels] = self._sums.get((name, labels), 0.0) + by

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Put a value into a histogram."""
        self._expect(name, "histogram")
        self._seen.append((name, labels, value))

    def level(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        self._expect(name, "gauge")
        self._levels[name, labels] = value

    def _expect(self, name: str, kind: Kind) -> None:
        if self._kinds.get(name) != kind:
            raise ValueError(f"{name} is not a {kind} of the metrics contract; see chaoskit/crm/contract.py")
        if self._on_first and not (self._sums or self._levels or self._seen):
            self._on_first()

    def flush(self) -> bool:
        """Hand over everything; False when the pipe is full and something had to be kept for the next flush."""
        if not self._write():
            return False  # what is new keeps adding up, unencoded
        entries: list[Entry] = [(name, labels, value) for (name, labels), value in self._sums.items()]
        entries += [(name, labels, value) for (name, labels), value in self._levels.items()]
        entries += self._seen
        self._sums.clear()
        self._levels.clear()
        self._seen.clear()
        self._lines.extend(_lines(entries))
        return self._write()

    def _write(self) -> bool:
        while self._lines:
            try:
                os.write(self._fd, self._lines[0])
            except BlockingIOError:
                return False
            self._lines.popleft()
        return True


def _lines(entries: list[Entry]) -> list[bytes]:
    """Batches that fit an atomic write."""
    lines: list[bytes] = []
    parts, size = list[bytes](), 2
    for entry in entries:
        part = _encode(entry)
        if parts and size + len(part) + 1 > select.PIPE_BUF:
            lines.append(b"[" + b",".join(parts) + b"]\n")
            parts, size = [], 2
        parts.append(part)
        size += len(part) + 1
    if parts:
        lines.append(b"[" + b",".join(parts) + b"]\n")
    return lines
