"""Several stacks side by side: drills are dealt out so that all lanes end at about the same time.

Each stack lives in a process of its own, for two reasons: its children end with the thread that started them, and what
one stack's witnesses have to say must not wait for another's.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.synchronize import Event as EventType
from pathlib import Path

from chaoskit.alerting.model import AlertConfig
from chaoskit.errors import EquipmentError, Interrupted
from chaoskit.rehearse.drill import Drill
from chaoskit.rehearse.perform import Performed, perform
from chaoskit.run.signals import signals_end
from chaoskit.stack.binaries import Binaries

_START_REAL_S = 9.0
"""What it takes to start a stack: discovery alone is 5 s."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Drills of one time scale that one stack plays, and how long that may take."""

    drills: tuple[Drill, ...]

    @property
    def longest_real_s(self) -> float:
        """With the stack's start."""
        return _START_REAL_S + sum(drill.plan.longest_real_s for drill in self.drills)

    @property
    def name(self) -> str:
        """Unique among lanes: the first drill is in no other."""
        return f"from-{self.drills[0].name}"


def deal(drills: Sequence[Drill], side_by_side: int) -> list[Lane]:
    """As few stacks as keep every place busy: a scale with most of the work is split among several."""
    by_scale: dict[float, list[Drill]] = {}
    for drill in drills:
        by_scale.setdefault(drill.plan.time_scale, []).append(drill)
    total_s = sum(drill.plan.longest_real_s for drill in drills)
    fair_s = max(total_s / max(side_by_side, 1), _START_REAL_S)
    lanes = []
    for group in by_scale.values():
        share = sum(drill.plan.longest_real_s for drill in group)
        count = max(1, min(len(group), round(share / fair_s)))
        heaps: list[list[Drill]] = [[] for _ in range(count)]
        for drill in sorted(group, key=lambda one: -one.plan.longest_real_s):
            min(heaps, key=lambda heap: sum(one.plan.longest_real_s for one in heap)).append(drill)
        lanes += [Lane(tuple(heap)) for heap in heaps]
    return sorted(lanes, key=lambda lane: -lane.longest_real_s)


def play(
    lanes: Sequence[Lane],
    side_by_side: int,
    config: AlertConfig,
    folder: Path,
    binaries: Binaries,
    interval_s: float,
    say: Callable[[str], None],
) -> Iterator[Performed]:
    """What came of each lane, as they end; errors of ours are raised. A signal ends every lane in order,
    and then Interrupted is raised."""
    if not lanes:
        return
    reasons: list[str] = []

    def interrupt(reason: str) -> None:
        reasons.append(reason)
        say(f"{reason}: ending in order")
        over.set()
        # A signal may have come to us alone; a worker that has it already takes a second one for the same.
        for worker in multiprocessing.active_children():
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(worker.pid, signal.SIGINT)  # type: ignore[arg-type]
        for job in jobs:
            job.cancel()

    jobs: list[Future[Performed]] = []
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    with signals_end(interrupt):
        workers = min(side_by_side, len(lanes))
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_heed, initargs=(over,)) as pool:
            for lane in lanes:
                jobs.append(pool.submit(_unless_over, config, lane.drills, folder / lane.name, binaries, interval_s))
            for job in as_completed(jobs):
                try:
                    yield job.result()
                except (BrokenProcessPool, CancelledError) as error:
                    if not reasons:
                        raise EquipmentError("rehearsal", f"a stack's process ended uninvited: {error}") from None
    if reasons:
        raise Interrupted(reasons[0])


_heeded: list[EventType] = []
"""In a worker: the one event that says that the rehearsal is over. Jobs that wait there can no longer be cancelled."""


def _heed(over: EventType) -> None:
    _heeded.append(over)


def _unless_over(
    config: AlertConfig, drills: Sequence[Drill], folder: Path, binaries: Binaries, interval_s: float
) -> Performed:
    if any(over.is_set() for over in _heeded):
        return Performed()
    return perform(config, drills, folder, binaries, interval_s)
