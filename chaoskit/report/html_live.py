"""A run that is not over, drawn by what draws reports: open bars end at the present, and nothing is judged.

The axis comes from the plan, so that it stands still: it grows, by a quarter, only for a run that outlasts its plan.
Expected events are drawn as windows right of the present. No clock: the same events and the same instant give the same
picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chaoskit.errors import BadInput
from chaoskit.events import AnyEvent, Header
from chaoskit.history import History
from chaoskit.plan.model import Plan
from chaoskit.report.html import DAMAGED, Read, timeline
from chaoskit.report.html_axis import Axis
from chaoskit.report.notes import Note
from chaoskit.run.progress import Progress
from chaoskit.verify.case import case_of
from chaoskit.verify.evidence import Evidence
from chaoskit.verify.verify import plan_of

_LEAD = 0.02
_GROWTH = 1.25


class Live:
    """One run's account so far; `feed` takes its events in order, `picture` draws them."""

    def __init__(self, header: Header) -> None:
        """Raises BadInput where no plan can be made of the header."""
        self.header = header
        self.plan: Plan = plan_of(header)
        self.progress = Progress(self.plan)
        """The run's state: phase, faults, alerts with their receivers."""
        self.events: list[AnyEvent] = [header]
        self._length_s = 0.0

    def feed(self, event: AnyEvent) -> None:
        """Takes the next event."""
        self.events.append(event)
        self.progress.feed(event)

    @property
    def zero(self) -> float:
        """The instant of 0 virtual seconds: the first step, or the run's beginning before there was one."""
        return self.progress.fold.phases.get("steps", self.header.t)

    def axis(self, now: float) -> Axis:
        """The time axis from the first step to the end that the plan foresees."""
        plan = self.plan
        planned_s = (sum(step.at_most_vs for step in plan.steps) + plan.end_vs + plan.tail_vs) / plan.time_scale
        self._length_s = max(self._length_s, planned_s, 1e-3)
        while now > self.zero + self._length_s:
            self._length_s *= _GROWTH
        return Axis(
            self.zero - _LEAD * self._length_s, self.zero + self._length_s, self.zero, self.header.time_scale, now=now
        )

    def picture(self, now: float, written: Sequence[Note] = ()) -> dict[str, Any]:
        """The timeline as the report's templates take it; `written` are people's notes."""
        return timeline(self.read(now), written)

    def read(self, now: float) -> Read:
        """The history so far, put in order; unjudged."""
        history = History(self.header, tuple(self.events), torn=False)
        try:
            case = case_of(history, self.plan)
        except (BadInput, *DAMAGED):
            case = None
        evidence = case.evidence if case else Evidence(history, {}, sent=dict)
        return Read(history, case, None, evidence, self.axis(max(now, history.last_t)))
