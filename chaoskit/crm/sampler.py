"""The sampler process: measures the slice and the queue in the background, so that no scrape waits for /proc.

The slice is every process whose environment carries CHAOSKIT_SLICE=<slice>: the CRM's own, and every other that
is started with that mark. Memory is the sum of their PSS (shared pages counted once) over the slice's limit, CPU
their processor time over its share, disk the blocks under the data folder over its quota.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Event

import psutil
from sqlalchemy.exc import SQLAlchemyError

from chaoskit.crm import physics
from chaoskit.crm.config import SLICE_ENV
from chaoskit.crm.queue import Queue
from chaoskit.crm.serve import tell_ready
from chaoskit.crm.wiring import Wiring

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


class Slice:
    """The processes that carry a mark."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._seen: dict[int, tuple[float, psutil.Process | None]] = {}
        """By pid: when it was first seen, and the process if it carries the mark."""

    def processes(self) -> list[psutil.Process]:
        """The slice's processes now. An environment is read once, or a few times while a process is young."""
        now = time.monotonic()
        seen: dict[int, tuple[float, psutil.Process | None]] = {}
        for pid in psutil.pids():
            first, found = self._seen.get(pid, (now, None))
            if pid not in self._seen or now - first < _SETTLED_S:
                with suppress(psutil.Error):  # gone, or another user's
                    process = psutil.Process(pid)
                    found = process if process.environ().get(SLICE_ENV) == self._mark else None
            seen[pid] = first, found
        self._seen = seen
        return [process for _, process in seen.values() if process]


def cpu_seconds(processes: list[psutil.Process]) -> dict[int, float]:
    """Processor time that each process has used so far, by pid."""
    used = {}
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            used[process.pid] = times.user + times.system
    return used


class Memory:
    """The PSS of processes, read as rarely as their resident size allows."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int, float]] = {}

    def pss_bytes(self, processes: list[psutil.Process], now_s: float) -> int:
        """Memory of these processes; pages that several of them share are counted once."""
        known: dict[int, tuple[int, int, float]] = {}
        for process in processes:
            with suppress(psutil.Error):
                resident = process.memory_info().rss
                pss, before, at_s = self._known.get(process.pid, (0, -_PSS_STEP_BYTES, now_s))
                if abs(resident - before) >= _PSS_STEP_BYTES or now_s - at_s >= _PSS_REFRESH_S:
                    pss, before, at_s = process.memory_full_info().pss, resident, now_s
                known[process.pid] = pss, before, at_s
        self._known = known
        return sum(pss for pss, _, _ in known.values())


def disk_bytes(folder: Path) -> int:
    """Blocks that the files under a folder occupy."""
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):
                total += os.lstat(f"{where}/{name}").st_blocks * 512
    return total


class CpuShare:
    """Processor time a second, over a sliding window; a process counts from its second sample on."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()
        self._last: dict[int, float] = {}
        self._total = 0.0

    def measure(self, processes: list[psutil.Process]) -> float:
        """Reads what these have used by now; cores used on average over the window.

        The instant is that of the reading. Finding the processes is no part of it: on a busy machine that takes a good
        part of the window, once long and once short, which would look like a change of the rate.
        """
        begun_s = time.monotonic()
        used = cpu_seconds(processes)
        now_s = (begun_s + time.monotonic()) / 2
        self._total += sum(max(0.0, total - self._last[pid]) for pid, total in used.items() if pid in self._last)
        self._last = used
        self._samples.append((now_s, self._total))
        while len(self._samples) > 2 and now_s - self._samples[1][0] >= _CPU_WINDOW_S:
            self._samples.popleft()
        start_s, start_total = self._samples[0]
        return (self._total - start_total) / (now_s - start_s) if now_s > start_s else 0.0


def run(wiring: Wiring, ready: int) -> None:
    """Sample the queue's depth and the slice's CPU, memory and disk, until killed."""
    folder = Path(wiring.config.data_dir)
    emitter, queue = wiring.emitter(), Queue(wiring.config, None)
    marked, share, memory, pause = Slice(wiring.slice), CpuShare(), Memory(), Event()
    round_number, told = 0, None
    while True:
        whole = round_number % _SYSTEM_EVERY == 0
        with suppress(SQLAlchemyError):
            census = queue.census()
            if whole or census != told:  # told again with the rest, for a restarted metrics process knows nothing
                emitter.level("insa_worker_queue_depth", census.depth)
                emitter.level("insa_dead_letter_queue_size", census.dead_letters)
                told = census
        if whole:
            processes = marked.processes()
            emitter.level("insa_system_cpu_usage_ratio", share.measure(processes) / physics.CPU_SHARE)
            used = memory.pss_bytes(processes, time.monotonic())
            emitter.level("insa_system_memory_usage_ratio", used / physics.MEMORY_BYTES)
            free = 1 - disk_bytes(folder) / physics.DISK_BYTES
            emitter.level("insa_system_disk_free_ratio", max(0.0, free))
        emitter.flush()
        if round_number == 0:
            tell_ready(ready)
        round_number += 1
        pause.wait(_QUEUE_S)
