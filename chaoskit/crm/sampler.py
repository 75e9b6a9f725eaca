"""The sampler process: measures the slice and the queue in the background, so that no scrape waits for /proc.

The slice is every process whose environment carries CHAOSKIT_SLICE=<slice>: the CRM's own, and whatever somebody
else starts with that mark. Memory is the sum of their PSS (shared pages counted once) over the slice's limit, CPU
their processor time over its share, disk the blocks under the data folder over its quota.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from sqlalchemy.exc import SQLAlchemyError

from chaoskit.crm.config import SLICE_ENV
from chaoskit.crm.queue import Queue
from chaoskit.crm.serve import tell_ready
from chaoskit.crm.wiring import Wiring

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SETTLED_S = 2.0
"""A process may still be between fork and exec when first seen; after this long its mark is final."""

_QUEUE_S = 0.1
_SYSTEM_EVERY = 4
"""In rounds of _QUEUE_S: the slice is measured every 0.4 s."""
_CPU_WINDOW_S = 1.0
"""Processor time is known in steps of 10 ms a process, so it takes about a second to see a share."""
_PSS_STEP_BYTES = 1 << 20
_PSS_REFRESH_S = 5.0
"""PSS is expensive to ask for, so it is read anew when a process grew or shrank by so much, or after so long."""


@dataclass(slots=True)
class Slice:
    """The processes that carry a mark."""

    mark: str
    _first_seen_s: dict[int, float] = field(default_factory=dict)
    _members: dict[int, bool] = field(default_factory=dict)

    def pids(self) -> list[int]:
        """Its processes now. An environment is read once, or a few times while a process is young."""
        now = time.monotonic()
        present = {int(name) for name in os.listdir(_PROC) if name.isdigit()}  # noqa: PTH208 - names only, cheaply
        for pid in self._first_seen_s.keys() - present:
            del self._first_seen_s[pid], self._members[pid]
        wanted = f"{SLICE_ENV}={self.mark}".encode()
        for pid in present:
            first = self._first_seen_s.setdefault(pid, now)
            if pid not in self._members or now - first < _SETTLED_S:
                self._members[pid] = wanted in _read(pid, "environ").split(b"\0")
        return [pid for pid, member in self._members.items() if member]


def _read(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""  # gone, or somebody else's


class Memory:
    """The PSS of processes, read as rarely as their resident size allows."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int, float]] = {}

    def pss_bytes(self, pids: list[int], now_s: float) -> int:
        """Memory of these processes; pages that several of them share are counted once."""
        known: dict[int, tuple[int, int, float]] = {}
        for pid in pids:
            resident = _resident_bytes(pid)
            before = self._known.get(pid)
            if before and abs(resident - before[1]) < _PSS_STEP_BYTES and now_s - before[2] < _PSS_REFRESH_S:
                known[pid] = before
            else:
                known[pid] = (_pss_bytes(pid), resident, now_s)
        self._known = known
        return sum(pss for pss, _, _ in known.values())


def _resident_bytes(pid: int) -> int:
    fields = _read(pid, "statm").split()
    return int(fields[1]) * _PAGE_BYTES if fields else 0


def _pss_bytes(pid: int) -> int:
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pids: list[int]) -> dict[int, float]:
    """Processor time that each process has used so far."""
    used = {}
    for pid in pids:
        _, _, rest = _read(pid, "stat").rpartition(b") ")
        fields = rest.split()
        if fields:
            used[pid] = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    return used


def disk_bytes(folder: Path) -> int:
    """Blocks that the files under a folder occupy."""
    total = 0
    for entry in _files(folder):
        with suppress(FileNotFoundError):
            total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            else:
                yield entry


class CpuShare:
    """Processor time a second, over a sliding window; a process counts from its second sample on."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()
        self._last: dict[int, float] = {}
        self._total = 0.0

    def measure(self, pids: list[int]) -> float:
        """Reads what these have used by now; cores used on average over the window.

        The instant is that of the reading. Finding the pids is no part of it: on a busy machine that takes a good part
        of the window, once long and once short, which would look like a change of the rate.
        """
        begun_s = time.monotonic()
        used = cpu_seconds(pids)
        return self.rate(used, (begun_s + time.monotonic()) / 2)

    def rate(self, used: dict[int, float], now_s: float) -> float:
        """Take in a sample; cores used on average over the window."""
        self._total += sum(max(0.0, total - self._last[pid]) for pid, total in used.items() if pid in self._last)
        self._last = used
        self._samples.append((now_s, self._total))
        while len(self._samples) > 2 and now_s - self._samples[1][0] >= _CPU_WINDOW_S:
            self._samples.popleft()
        start_s, start_total = self._samples[0]
        return (self._total - start_total) / (now_s - start_s) if now_s > start_s else 0.0


def run(wiring: Wiring, ready: int) -> None:
    """Sample until killed."""
    config, limits = wiring.config, wiring.config.limits
    emitter, queue = wiring.emitter(), Queue(config, None)
    marked, share, memory, pause = Slice(config.slice), CpuShare(), Memory(), Event()
    round_number = 0
    while True:
        with suppress(SQLAlchemyError):
            census = queue.census()
            emitter.level("insa_worker_queue_depth", census.depth)
            emitter.level("insa_dead_letter_queue_size", census.dead)
        if round_number % _SYSTEM_EVERY == 0:
            pids = marked.pids()
            emitter.level("insa_system_cpu_usage_ratio", share.measure(pids) / limits.cpu_share)
            used = memory.pss_bytes(pids, time.monotonic())
            emitter.level("insa_system_memory_usage_ratio", used / limits.memory_bytes)
            free = 1 - disk_bytes(Path(config.data_dir)) / limits.disk_bytes
            emitter.level("insa_system_disk_free_ratio", max(0.0, free))
        emitter.flush()
        if round_number == 0:
            tell_ready(ready)
        round_number += 1
        pause.wait(_QUEUE_S)
