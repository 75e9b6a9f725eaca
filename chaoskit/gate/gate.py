"""Running a schedule: each stack a warm process, several side by side, and each UNKNOWN once more on a fresh stack.

UNKNOWN mostly means that the machine was too slow for so many stacks, and machines differ by a factor of two in what a
stack costs: after a stack with an UNKNOWN one stack fewer runs at a time, until as much is idle as a stack takes. The
second attempts come last, one stack at a time, with as many of them in one as may share it.
A scenario that FAILs is never tried again: a promise that is kept only sometimes is not kept.
"""

from __future__ import annotations

import contextlib
import resource
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from chaoskit import json_text
from chaoskit.errors import ExitCode
from chaoskit.files import HISTORY, read_regular
from chaoskit.gate.candidate import Candidate, Unread
from chaoskit.gate.choose import apart_in
from chaoskit.gate.job import Job, Part, Said, import_all, play_job
from chaoskit.gate.record import STACK_CORES
from chaoskit.gate.schedule import APART_S, Schedule, StackPlan, Wave, merged
from chaoskit.hop import Hop
from chaoskit.host.process import Child, ended, fork
from chaoskit.observe.pressure import Busy, Idle
from chaoskit.report.judge_run import VERDICT, read_checklists
from chaoskit.report.text import telling
from chaoskit.run.planning import Asked
from chaoskit.stack.original import Answer
from chaoskit.verify.checklist import Checklist
from chaoskit.verify.verdict import Result, Verdict

_LOOK_S = 0.25
_SETTLE_S = 5.0
"""After a stack's beginning: until what it needs shows in how busy the machine is."""
_TOLD_S = 60.0
"""Seconds of stacks from which on their cost is told: shorter ones mostly start and judge."""
_END_S = 40.0
"""How long a stack that is told to end may take to heal and to stop."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one scenario of the gate ended."""

    candidate: Candidate | Unread
    exit_code: int
    took_s: float
    folder: Path
    attempt: int
    verdict: Verdict | None
    trouble: str = ""
    """Why there is no verdict."""
    checklists: tuple[Checklist, ...] = ()

    @property
    def result(self) -> str:
        """PASS, FAIL or UNKNOWN; ERROR where there is no verdict."""
        return str(self.verdict.result) if self.verdict else "ERROR"

    @property
    def reasons(self) -> list[str]:
        """Why the scenario is no PASS, each reason once; causes only where there are any."""
        return telling(self.verdict.rows) if self.verdict else [self.trouble]

    @property
    def says_nothing(self) -> bool:
        """Whether the scenario proved nothing: UNKNOWN, or ended before a fault, as where Prometheus did not start."""
        rows = self.verdict.rows if self.verdict else []
        never_began = any(row.hop is Hop.STEADY and row.result is Result.UNKNOWN for row in rows)
        return self.exit_code == ExitCode.UNKNOWN or (self.exit_code == ExitCode.ABORTED and never_began)


@dataclass(slots=True)
class _Running:
    plan: StackPlan
    attempt: int
    child: Child
    parts: dict[str, Path]
    begun_at: float = field(default_factory=time.monotonic)
    said: dict[str, Said] = field(default_factory=dict)
    refused: Said | None = None


class Gate:
    """Plays a schedule into a folder; made and used in the main thread. `hear` is told of each outcome."""

    def __init__(
        self,
        folder: Path,
        asked: Asked,
        hear: Callable[[Outcome], None],
        busy: Callable[[], bool] | None = None,
        stop_at_first: bool = False,
        idle: Callable[[], float] | None = None,
        cores: float = STACK_CORES,
    ) -> None:
        """`cores`: how many a stack takes, as far as it is known."""
        self._folder = folder
        self._busy, self._idle = busy or Busy(), idle or Idle()
        self._cores = cores
        self.took_cores: float | None = None
        """The cores that a stack took, start and judgement included; None before the end, and where that was short.
        Too many where stacks were planned too short: the next gate plays fewer at a time, and plans by what they took.
        """
        self._planned = 1
        self._stacks_s = 0.0
        self._begun_at = 0.0
        self._asked = asked
        self._stop_at_first = stop_at_first
        self._hear = hear
        self._running: list[_Running] = []
        self._outcomes: list[Outcome] = []
        self._interrupted = threading.Event()
        self._count = 0
        import_all()

    def run(self, schedule: Schedule) -> list[Outcome]:
        """Every scenario's last outcome. Scenarios that were not begun (after -x, or Ctrl-C) have none."""
        waiting, unknown = [(stack, 1) for stack in schedule.stacks], list[StackPlan]()
        self._planned, before_s = schedule.side_by_side, _used_s()
        try:
            while ((waiting or unknown) and not self._interrupted.is_set()) or self._running:
                if not waiting and not self._running:
                    waiting, unknown = [(stack, 2) for stack in _merged(unknown)], []
                while waiting and self._room(schedule, waiting[0][1]) and not self._interrupted.is_set():
                    self._begin(*waiting.pop(0))
                time.sleep(_LOOK_S)  # not for an event: whether there is room is a matter of asking again and again
                for one in self._running:
                    _listen(one)
                gone = ended(one.child for one in self._running)
                for one in [each for each in self._running if each.child in gone]:
                    self._running.remove(one)
                    again = self._end(one)
                    if again:
                        schedule = schedule.calmer()
                        unknown.append(_again(one.plan, again))
        finally:
            for one in self._running:
                one.child.stop(_END_S)
        if self._stacks_s >= _TOLD_S:
            self.took_cores = (_used_s() - before_s) / self._stacks_s
        last = {outcome.candidate.name: outcome for outcome in self._outcomes}
        return list(last.values())

    def _room(self, schedule: Schedule, attempt: int = 1) -> bool:
        """Whether another stack may begin beside those that run: on a machine that is busy it would only slow them.

        For a moment one more runs for each stack that should be about to end: starting is mostly waiting.
        Where fewer run than were planned, one more does as soon as enough is idle: the neighbour may have left.
        Soon after another one begins only what finds enough idle for both, or takes the place of what ends.
        """
        busy, idle = self._busy(), self._idle()  # asked at every look, for they need to have been asked before
        if not self._running:
            return True
        now, most = time.monotonic(), schedule.side_by_side
        if idle >= self._cores:
            most = max(most, min(len(self._running) + 1, self._planned))
        lasted = [now - one.begun_at for one in self._running]
        ending = sum(
            abs(for_s - one.plan.length_s) <= schedule.lead_s > 0
            for for_s, one in zip(lasted, self._running, strict=True)
        )
        more = 1 + sum(for_s < _SETTLE_S for for_s in lasted) - ending
        settled = now - self._begun_at >= (APART_S if idle >= self._cores * max(more, 0) else _SETTLE_S)
        return attempt == 1 and len(self._running) < most + ending and settled and not busy

    def interrupt(self, reason: str) -> None:
        """Ends what runs, in order, and begins nothing more."""
        self._interrupted.set()
        for one in self._running:
            one.child.terminate()

    def _begin(self, plan: StackPlan, attempt: int) -> None:
        self._count += 1
        self._begun_at = time.monotonic()
        name = f"stack-{self._count}"
        parts: dict[str, Path] = {}
        waves = []
        for wave in plan.waves:
            listed = []
            for one in wave.members:
                folder = self._folder / (one.name if attempt == 1 else f"{one.name}-again")
                folder.mkdir(parents=True)
                parts[one.name] = folder
                listed.append(Part(one.file, one.name, folder, tuple(sorted(plan.beside(one)))))
            waves.append(listed)
        job = Job(self._folder / name, replace(self._asked, answer=self._answer(plan)), waves)
        log = self._folder / f"{name}.log"
        child = fork(lambda: play_job(job), name=name, log=log, title=f"chaoskit gate: {name}")
        self._running.append(_Running(plan, attempt, child, parts))

    def _answer(self, plan: StackPlan) -> Answer | None:
        """The words of promtool and amtool on the files when the gate was planned, so that no stack asks again."""
        first = plan.members[0].plan
        return None if first.attached else self._asked.answer_on(first.config)

    def _end(self, one: _Running) -> list[Candidate]:
        """Takes in what a stack's process left; the scenarios to try again."""
        _listen(one)
        one.child.stop(1)
        # By the plan where it lasted longer: on a busy machine it has its processor time later, and takes no less.
        self._stacks_s += min(time.monotonic() - one.begun_at, one.plan.length_s)
        again = []
        for member in one.plan.members:
            outcome = self._outcome(one, member)
            self._outcomes.append(outcome)
            self._hear(outcome)
            if outcome.says_nothing and one.attempt == 1 and not self._interrupted.is_set():
                again.append(member)
            elif outcome.exit_code != ExitCode.PASS and self._stop_at_first:
                self.interrupt("a scenario did not pass")
        return again

    def _outcome(self, one: _Running, member: Candidate) -> Outcome:
        folder = one.parts[member.name]
        said = one.said.get(member.name)
        if said is not None:
            found = Outcome(member, said.exit_code, said.took_s, folder, one.attempt, None)
            try:
                verdict = json_text.decode(read_regular(folder / VERDICT, HISTORY), type=Verdict)
            except OSError as error:
                return replace(found, trouble=f"its verdict cannot be read: {error}")
            return replace(found, verdict=verdict, checklists=tuple(read_checklists(folder)))
        if one.refused is not None:
            trouble = "; ".join(one.refused.refused)
            return Outcome(member, int(ExitCode.UNKNOWN), 0.0, folder, one.attempt, None, trouble)
        trouble = f"its stack ended with {one.child.returncode}: {one.child.tail(5)}"
        killed = (one.child.returncode or 0) < 0
        code = int(ExitCode.ABORTED if self._interrupted.is_set() else ExitCode.UNKNOWN if killed else ExitCode.BUG)
        return Outcome(member, code, 0.0, folder, one.attempt, None, trouble)


def _used_s() -> float:
    """Processor seconds of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _again(plan: StackPlan, members: list[Candidate]) -> StackPlan:
    """Those once more, in the same waves: what disturbed them together would disturb them together again."""
    waves = [Wave([one for one in wave.members if one in members]) for wave in plan.waves]
    return StackPlan([wave for wave in waves if wave.members])


def _merged(stacks: Sequence[StackPlan]) -> Sequence[StackPlan]:
    """The stacks of second attempts; on an attached target they stay in the order in which they break more and more."""
    members = [one for stack in stacks for one in stack.members]
    if len(stacks) < 2 or any(one.plan.attached for one in members):
        return stacks
    return merged(stacks, apart_in(members))


def _listen(running: _Running) -> None:
    """Takes in what a stack's process has said by now. No thread does: what is forked beside one inherits its locks."""
    with contextlib.suppress(TimeoutError):
        while line := running.child.lines.hear(0):
            try:
                said = json_text.decode(line, type=Said)
            except msgspec.DecodeError:
                continue
            if said.refused:
                running.refused = said
            else:
                running.said[said.name] = said
