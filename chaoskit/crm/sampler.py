"""The sampler process: measures the slice and the queue in the background, so that no scrape waits for /proc.

The slice is every process whose environment carries CHAOSKIT_SLICE=<slice>: the CRM's own, and every other that
is started with that mark. Memory is the sum of their PSS (shared pages counted once) over the slice's limit, CPU
their processor time over its share, disk the blocks under the data folder over its quota.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Event

import psutil

from chaoskit.crm import physics
from chaoskit.crm.config import SLICE_ENV
from chaoskit.crm.queue import Queue
from chaoskit.crm.serve import tell_ready
from chaoskit.crm.wiring import Wiring
from chaoskit.host.slices import Slice

_QUEUE_S = 0.1
_SYSTEM_EVERY = 4
"""In rounds of _QUEUE_S: the slice is measured every 0.4 s."""
_CPU_WINDOW_S = 1.0
"""The share is that of a second: shorter, a single request would show in it."""
_PSS_STEP_BYTES = 1 << 20
_PSS_REFRESH_S = 5.0
"""PSS is expensive to ask for, so it is read anew when a process grew or shrank by so much, or after so long."""


class Memory:
    """The PSS of processes, read as rarely as their resident size allows."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int, float]] = {}

    def pss_bytes(self, pids: list[int], now_s: float) -> int:
        """Memory of these processes; pages that several of them share are counted once."""
        known: dict[int, tuple[int, int, float]] = {}
        for pid in pids:
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                resident = process.memory_info().rss
                pss, before, at_s = self._known.get(pid, (0, -_PSS_STEP_BYTES, now_s))
                if abs(resident - before) >= _PSS_STEP_BYTES or now_s - at_s >= _PSS_REFRESH_S:
                    pss, before, at_s = process.memory_full_info().pss, resident, now_s
                known[pid] = pss, before, at_s
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
    """Processor time a second of a slice, over a sliding window."""

    def __init__(self, of: Slice) -> None:
        self._of = of
        self._samples: deque[tuple[float, float]] = deque()

    def measure(self, pids: list[int]) -> float:
        """Reads what these have used by now; cores used on average over the window.

        The instant is that of the reading. Finding the processes is no part of it: on a busy machine that takes a good
        part of the window, once long and once short, which would look like a change of the rate.
        """
        begun_s = time.monotonic()
        total = self._of.used_s(pids)
        now_s = (begun_s + time.monotonic()) / 2
        self._samples.append((now_s, total))
        while len(self._samples) > 2 and now_s - self._samples[1][0] >= _CPU_WINDOW_S:
            self._samples.popleft()
        start_s, start_total = self._samples[0]
        return (total - start_total) / (now_s - start_s) if now_s > start_s else 0.0


def run(wiring: Wiring, ready: int) -> None:
    """Sample the queue's depth and the slice's CPU, memory and disk, until killed."""
    folder = Path(wiring.config.data_dir)
    emitter, queue = wiring.emitter(), Queue(wiring.config, None)
    marked, memory, pause = Slice(SLICE_ENV, wiring.slice), Memory(), Event()
    share = CpuShare(marked)
    round_number, told = 0, None
    while True:
        whole = round_number % _SYSTEM_EVERY == 0
        with suppress(sqlite3.Error):
            census = queue.census()
            if whole or census != told:  # told again with the rest, for a restarted metrics process knows nothing
                emitter.level("insa_worker_queue_depth", census.depth)
                emitter.level("insa_dead_letter_queue_size", census.dead_letters)
                told = census
        if whole:
            pids = marked.pids()
            emitter.level("insa_system_cpu_usage_ratio", share.measure(pids) / physics.CPU_SHARE)
            used = memory.pss_bytes(pids, time.monotonic())
            emitter.level("insa_system_memory_usage_ratio", used / physics.MEMORY_BYTES)
            free = 1 - disk_bytes(folder) / physics.DISK_BYTES
            emitter.level("insa_system_disk_free_ratio", max(0.0, free))
        emitter.flush()
        if round_number == 0:
            tell_ready(ready)
        round_number += 1
        pause.wait(_QUEUE_S)
