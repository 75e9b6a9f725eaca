"""One stack of a gate, in a process of its own, which the gate forks: nothing is imported or read twice.

    -> {"name": ..., "exit_code": 0, "took_s": 31.4}          for each scenario, in the order of their end
    -> {"refused": [...], "exit_code": 2}                     in place of all of them, where nothing could begin

Being a process, a stack has its own main thread (children die with the thread that started them), its own signals,
and cannot take the gate with it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from chaoskit import niceness
from chaoskit.errors import BadInput
from chaoskit.events import Event, Phase
from chaoskit.faults.base import FORK_SERVER
from chaoskit.faults.registry import known
from chaoskit.host.lines import Lines
from chaoskit.report.judge_run import judge_folder
from chaoskit.run.held_fault import end_fork_server, warm_up
from chaoskit.run.planning import Asked
from chaoskit.run.prepare import prepare
from chaoskit.run.runner import Runner
from chaoskit.run.target import Live
from chaoskit.safety.lease import WATCHDOG
from chaoskit.surroundings import lacking

_PARENT = Lines(1, 0)


@dataclass(frozen=True, slots=True)
class Part:
    """One scenario of a wave."""

    scenario: str
    name: str
    folder: Path
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """The scenarios that one stack plays, in waves."""

    folder: Path
    asked: Asked
    """The options that all its scenarios share."""
    waves: list[list[Part]]

    @property
    def parts(self) -> list[Part]:
        """Every scenario, in the order of the waves."""
        return [part for wave in self.waves for part in wave]


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line from a job: how one scenario ended, or why nothing began."""

    name: str = ""
    exit_code: int = 0
    took_s: float = 0.0
    refused: list[str] = []


def import_all() -> None:
    """Imports what a job forks in turn: its watchdog, and the process that holders of faults come from."""
    for module in (WATCHDOG, FORK_SERVER):
        importlib.import_module(module)
    known()


def play_job(job: Job) -> int:
    """Plays a job as the forked process that it has for itself; the worst exit code of its scenarios."""
    # Other stacks are being watched: until this one is up, and once it is over, it leaves the processors to them.
    niceness.start_low_priority()
    try:
        warm_up()  # before there is a second thread
        return _play(job)
    except Exception as error:
        ours = lacking(error)
        if ours is None:
            raise
        problems = [str(problem) for problem in ours.problems] if isinstance(ours, BadInput) else [str(ours)]
        _say(Said(refused=problems, exit_code=int(ours.exit_code)))
        return int(ours.exit_code)
    finally:
        end_fork_server()


def _play(job: Job) -> int:
    folders = {part.name: part.folder for part in job.parts}
    left = list(folders.values())
    prepared = prepare(
        [replace(job.asked, scenario=part.scenario, beside=part.beside) for part in job.parts],
        lambda plan: left.pop(0),
        lambda run_folders: job.folder,
        unseen=True,
    )
    tracks = {part.name: run.track(_hear) for part, run in zip(job.parts, prepared.runs, strict=True)}
    Runner(Live(prepared.stack), [[tracks[part.name] for part in wave] for wave in job.waves], load=prepared.load).run()
    niceness.give_way()
    worst = 0
    for name, folder in folders.items():
        verdict, _ = judge_folder(folder, gate="../index.html")
        _say(Said(name=name, exit_code=verdict.exit_code, took_s=_took_s(tracks[name].progress.fold.phases)))
        worst = max(worst, verdict.exit_code)
    return worst


def _hear(event: Event) -> None:
    """All is up when the first steady state is awaited."""
    if isinstance(event, Phase) and event.name == "steady":
        niceness.restore()


def _took_s(phases: Mapping[str, float]) -> float:
    """Real seconds from the end of a steady state to the end of the tail; 0 where it never came to its end.

    And where the clock was set back meanwhile: these are instants of the wall clock.
    """
    return max(0.0, round(phases["stopping"] - phases["steps"], 3)) if phases.keys() >= {"steps", "stopping"} else 0.0


def _say(said: Said) -> None:
    _PARENT.send(msgspec.json.encode(said), None)
