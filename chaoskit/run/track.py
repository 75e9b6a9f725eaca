"""One scenario on a running stack, from its steady state to its tail, into a journal of its own.

Usually a stack plays one track. Several may share it: what the observers, the sinks and the load say then goes into
every journal, each track's own steps only into its own, so each history can be judged by itself.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from chaoskit.errors import EquipmentError
from chaoskit.events import End, Event, Header, Interruption, Phase, Steady, StepEnd
from chaoskit.plan.model import Plan
from chaoskit.run.journal import Journal
from chaoskit.run.names import Names
from chaoskit.run.progress import Progress
from chaoskit.run.steps import StepFailed, StepRunner, World
from chaoskit.safety.heal import HOLDER_LOG
from chaoskit.surroundings import lacking


class Track:
    """A plan, the journal of its run, and where it stands."""

    def __init__(
        self,
        plan: Plan,
        header: Header,
        folder: Path,
        listen: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.progress = Progress(plan)
        self.names = Names(self.say)
        self.journal = Journal(folder / "events.jsonl", self._feed)
        self._listen = listen
        self._header = header
        self.played = threading.Event()
        """Everything is undone and settled, or given up: what is left is looking on."""
        self._interrupted = threading.Event()
        self._steps: StepRunner | None = None
        self._taken_over: bool | None = None

    @property
    def healed(self) -> bool:
        """Whether everything that was brought about was taken back."""
        if self._taken_over is not None:
            return self._taken_over
        return self._steps is None or self._steps.healed

    def open(self, world: World, interrupted: threading.Event) -> None:
        """Writes the journal's first line to disk; from here on the track can play on this world."""
        self.journal.write(self._header, sync=True)
        self._interrupted = interrupted
        self._steps = StepRunner(
            plan=self.plan,
            journal=self.journal,
            progress=self.progress,
            world=world,
            log=self.folder / HOLDER_LOG,
            interrupted=interrupted,
        )

    def steady(self, missing: list[str]) -> bool:
        """Writes whether the steady state was reached, and returns whether the steps may begin."""
        self.journal.write(Steady(reached=not missing, missing=missing))
        return not missing and not self._interrupted.is_set()

    def play(self) -> None:
        """Plays the steps, undoes all faults in force, and looks on. Only journal trouble is raised."""
        assert self._steps is not None
        try:
            self._play(self._steps)
        except Exception as error:
            known = lacking(error)
            if known is None:
                raise
            self.say(Interruption(reason=str(known), trouble=True))
        finally:
            self.heal()
            self.played.set()

    def heal(self) -> None:
        """Takes back all faults in force; never raises."""
        if self._steps is not None:
            self._steps.undo_all()

    def taken_over(self, healed: bool) -> None:
        """Notes that another process undid what this run left, or failed to; this result then counts as the run's."""
        self._taken_over = healed

    def say(self, event: Event, *, sync: bool = False) -> None:
        """Writes an event; a journal that cannot be written any more ends the run early and is no error here."""
        with contextlib.suppress(EquipmentError):
            self.journal.write(event, sync=sync)
        if self.journal.lost:
            self._interrupted.set()

    def close(self, left: list[str]) -> None:
        """Writes the last line of the track's journal, and closes the file."""
        unhealed = [] if self.healed else ["a fault that could not be undone"]
        self.say(End(healed=self.healed, left=left + unhealed), sync=True)
        self.journal.close()

    def _play(self, steps: StepRunner) -> None:
        self.journal.write(Phase(name="steps"))
        done = 0
        with contextlib.suppress(StepFailed):
            for planned in self.plan.steps:
                if self._interrupted.is_set():
                    break
                steps.run(planned)
                done += 1
            steps.measure()
        for planned in self.plan.steps[done + 1 :]:
            self.journal.write(StepEnd(step=planned.step.name, outcome="skipped"))
        self.journal.write(Phase(name="undo"))
        steps.undo_all()
        self.progress.step_done("end")
        if not self._interrupted.is_set():
            steps.settle()
            self.journal.write(Phase(name="tail"))
            self.played.set()
            self._interrupted.wait(self.plan.tail_vs / self.plan.time_scale)
        self.journal.write(Phase(name="stopping"))

    def _feed(self, event: Event) -> None:
        self.progress.feed(event)
        self.names.feed(event)
        self._listen(event)
