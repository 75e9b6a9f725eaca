"""Several stacks side by side: drills are dealt out so that all lanes end at about the same time.

Each stack lives in a forked process of its own, for two reasons: its children end with the thread that started them,
and what one stack's witnesses have to say must not wait for another's. Its result is left in a file, pickled. Like
every child of ours it ends with us, and its stack with it.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chaoskit.alerting.model import AlertConfig
from chaoskit.errors import BadInput, ChaoskitError, EquipmentError, Interrupted, Refused
from chaoskit.host.process import Child, ended, fork
from chaoskit.rehearse.drill import Drill
from chaoskit.rehearse.outcome import RuleOutcome
from chaoskit.rehearse.perform import Performed, perform
from chaoskit.run.signals import signals_end
from chaoskit.safety.run_registry import write_whole
from chaoskit.stack.binaries import Binaries
from chaoskit.verify.verdict import Result

_RESULT = "lane.result"
_LOOK_S = 0.1
_START_REAL_S = 9.0
"""The time that a stack takes to start: discovery alone is 5 s."""
_WORTH_S = 2.0
"""Real seconds that another stack must save at least, for it takes processor time and memory."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Drills of one time scale that one stack plays with a configuration, and how long that may take."""

    drills: tuple[Drill, ...]
    config: AlertConfig

    @property
    def longest_real_s(self) -> float:
        """Real seconds that the lane takes, with its stack's start."""
        return _START_REAL_S + sum(drill.plan.longest_real_s for drill in self.drills)

    @property
    def name(self) -> str:
        """The lane's name, unique among lanes: the first drill is in no other."""
        return f"from-{self.drills[0].name}"


def partition(drills: Sequence[Drill], side_by_side: int, config: AlertConfig) -> list[Lane]:
    """The drills on as few stacks as end soonest: the longest is split again and again, and the best of all that is
    kept.
    """
    by_scale: dict[float, list[Drill]] = {}
    for drill in sorted(drills, key=lambda one: -one.plan.longest_real_s):
        by_scale.setdefault(drill.plan.time_scale, []).append(drill)
    lanes = {scale: _split(group, 1, config) for scale, group in by_scale.items()}
    best = every = [lane for some in lanes.values() for lane in some]
    while every:
        scale = max(every, key=lambda lane: lane.longest_real_s).drills[0].plan.time_scale
        if len(lanes[scale]) == len(by_scale[scale]):
            break
        lanes[scale] = _split(by_scale[scale], len(lanes[scale]) + 1, config)
        every = [lane for some in lanes.values() for lane in some]
        best = min(best, every, key=lambda some: took_s(some, side_by_side) + _WORTH_S * len(some))
    return sorted(best, key=lambda lane: -lane.longest_real_s)


def _split(drills: Sequence[Drill], count: int, config: AlertConfig) -> list[Lane]:
    """So many lanes about equally long, of drills that begin with the longest."""
    heaps: list[list[Drill]] = [[] for _ in range(count)]
    for drill in drills:
        min(heaps, key=lambda heap: sum(one.plan.longest_real_s for one in heap)).append(drill)
    return [Lane(tuple(heap), config) for heap in heaps]


def took_s(lanes: Sequence[Lane], side_by_side: int) -> float:
    """When the last of the lanes ends, in real seconds from the first's start, at most."""
    places = [0.0] * max(side_by_side, 1)
    for length_s in sorted((lane.longest_real_s for lane in lanes), reverse=True):
        places[places.index(min(places))] += length_s
    return max(places)


def play(
    lanes: Sequence[Lane],
    side_by_side: int,
    folder: Path,
    binaries: Binaries,
    interval_s: float,
    say: Callable[[str], None],
) -> Iterator[Performed]:
    """The result of each lane, as it ends; errors of ours are raised, except equipment and files that failed one lane.
    A signal ends every lane in order, and then Interrupted is raised. To be used in the main thread, with which the
    lanes' processes end."""
    reasons: list[str] = []
    running: dict[Child, Lane] = {}
    lock = threading.Lock()

    def interrupt(reason: str) -> None:
        with lock:
            reasons.append(reason)
            for child in running:
                child.terminate()
        say(f"{reason}: ending in order")

    def begin(lane: Lane) -> None:
        where = folder / lane.name
        job = partial(_played, lane, where, binaries, interval_s)
        with lock:
            if not reasons:
                child = fork(job, name=lane.name, log=where / "lane.log", title=f"chaoskit rehearse: {lane.name}")
                running[child] = lane

    waiting = list(lanes)
    with signals_end(interrupt):
        try:
            while True:
                while waiting and not reasons and len(running) < side_by_side:
                    begin(waiting.pop(0))
                if not running:
                    break
                time.sleep(_LOOK_S)  # children end in any order, and a signal may give another reason meanwhile
                for child in ended(running):
                    with lock:
                        lane = running.pop(child)
                        child.stop()
                    left = folder / lane.name / _RESULT
                    result = left.read_bytes() if left.exists() else b""
                    left.unlink(missing_ok=True)
                    if result or not reasons:
                        yield _came_of(lane, child, result)
        finally:
            with lock:
                for child in running:
                    child.stop()
    if reasons:
        raise Interrupted(reasons[0])


def _played(lane: Lane, where: Path, binaries: Binaries, interval_s: float) -> int:
    """Plays the lane as the forked process that it has for itself; 0 also where it leaves an error for a result.
    All other output of the process goes to the log."""
    os.dup2(2, 1)
    try:
        found: object = perform(lane.config, lane.drills, where, binaries, interval_s)
    except Exception as error:
        if not isinstance(error, ChaoskitError):
            error.add_note(traceback.format_exc())
        found = error
    write_whole(where / _RESULT, pickle.dumps(found))
    return 0


def _came_of(lane: Lane, child: Child, result: bytes) -> Performed:
    """The result that a lane's process left at its end; raises the error that it met, unless it is of this stack
    alone. A process that was killed or stood still leaves none: its rules are UNKNOWN, and the other lanes go on."""
    found = pickle.loads(result) if result else None
    if isinstance(found, Performed):
        return found
    of_one_stack = isinstance(found, (BadInput, EquipmentError)) and not isinstance(found, Refused)
    if isinstance(found, BaseException) and not of_one_stack:
        raise found
    why = str(found) if found else f"its stack's process died (exit code {child.returncode}); see {child.log}"
    alerts = [(alert.rule, drill.name) for drill in lane.drills for alert in drill.plan.alerts]
    return Performed({rule.key: RuleOutcome(rule, Result.UNKNOWN, (why,), wave=name) for rule, name in alerts})
