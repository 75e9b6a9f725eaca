"""Slices of this machine, by a mark in processes' environment or by a control group: the processor time that they use.

Of Python's own library alone, and little of that: a burner reads it, which starts without any other.
"""

from __future__ import annotations

import os
import time

_SETTLED_S = 2.0
"""A process may still be between fork and exec when first seen; after this long its mark is final."""


def processor_s(pid: int) -> float:
    """The processor time that a process has used, all its threads, to the nanosecond; OSError when it is gone."""
    return time.clock_gettime(~pid << 3 | 2)  # as the C library's clock_getcpuclockid has it


def carries(pid: int, mark: bytes) -> bool:
    """Whether a process has this, as `NAME=value`, in its environment; no where it is gone or another user's."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as environment:  # noqa: PTH123 - pathlib is much to load
            return mark in environment.read().split(b"\0")
    except OSError:
        return False


class Slice:
    """The processes whose environment has this variable with this value."""

    def __init__(self, name: str, value: str) -> None:
        self._mark = f"{name}={value}".encode()
        self._seen: dict[int, tuple[float, bool]] = {}
        """By pid: when it was first seen, and whether it carries the mark."""
        self._read: dict[int, float] = {}
        self._used_s = 0.0

    def pids(self) -> list[int]:
        """The slice's processes now. An environment is read once, or a few times while a process is young."""
        now = time.monotonic()
        seen: dict[int, tuple[float, bool]] = {}
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):  # noqa: PTH208 - as above
            first, ours = self._seen.get(pid, (now, False))
            if pid not in self._seen or now - first < _SETTLED_S:
                ours = carries(pid, self._mark)
            seen[pid] = first, ours
        self._seen = seen
        return [pid for pid, (_, ours) in seen.items() if ours]

    def used_s(self, pids: list[int]) -> float:
        """Processor time that these have used since the first reading; one counts from its second reading on."""
        read: dict[int, float] = {}
        for pid in pids:
            try:
                read[pid] = processor_s(pid)
            except OSError:
                continue
            self._used_s += max(0.0, read[pid] - self._read.get(pid, read[pid]))
        self._read = read
        return self._used_s


class Group:
    """A control group, by the file in which the kernel counts its processor time, so many to the second."""

    def __init__(self, file: str, unit: str) -> None:
        self._file, self._unit = file, float(unit)

    def pids(self) -> list[int]:
        """None: the kernel knows them."""
        return []

    def used_s(self, pids: list[int]) -> float:
        """Processor time that the group has used, those in it that have ended included; raises OSError."""
        with open(self._file) as counter:  # noqa: PTH123 - as above
            words = counter.read().split()
        return int(words[1] if words[0] == "usage_usec" else words[0]) / self._unit


KINDS: dict[str, type[Slice] | type[Group]] = {"Slice": Slice, "Group": Group}
"""All that a burn's token may name."""
