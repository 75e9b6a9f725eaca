"""A run that is not over, drawn by what draws reports: open bars end at the present, and nothing is judged.

The axis comes from the plan, so that it stands still: it grows, by a quarter, only for a run that outlasts its plan.
Expected events are drawn as windows right of the present. No clock: the same events and the same instant give the same
picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from chaoskit.errors import BadInput
from chaoskit.events import AnyEvent, Header, LoadWindow, Poll, Processor, Watch
from chaoskit.history import History
from chaoskit.plan.model import Plan
from chaoskit.report.html import DAMAGED, Read, timeline
from chaoskit.report.html_axis import Axis
from chaoskit.report.html_load import Traffic
from chaoskit.report.notes import Note
from chaoskit.run.progress import Progress
from chaoskit.verify.case import Case
from chaoskit.verify.evidence import Evidence
from chaoskit.verify.verify import plan_of

_LEAD = 0.02
_GROWTH = 1.25
_MEASURED_S = 10.0
"""Real seconds of which two measurements of Prometheus's clock are kept: it drifts by 5 ms in them at most."""


def _look(event: Poll | Watch | Processor) -> tuple[str, object]:
    """The observer, and its word; of a measurement of Prometheus's clock its stretch of time is a part."""
    match event:
        case Poll():
            return event.source, (event.ok, event.detail, event.skew and event.asked // _MEASURED_S)
        case Watch():
            return event.sink, event.refused
        case Processor():
            return "processor", event.stopped


class Live:
    """One run's account so far; `feed` takes its events in order, `picture` draws them."""

    def __init__(self, header: Header) -> None:
        """Raises BadInput where no plan can be made of the header."""
        self.header = header
        self.plan: Plan = plan_of(header)
        self.progress = Progress(self.plan)
        """The run's state: phase, faults, alerts with their receivers."""
        self.last_t = header.t
        """The instant of the last event."""
        self._drawn: dict[int, AnyEvent] = {0: header}
        """The events that pictures are drawn from, in order, without the seconds of load; of looks in a row that
        say the same, the first and the last."""
        self._count = 1
        self._looks: dict[str, tuple[object, int]] = {}
        """By observer, the word of its last look, and which event may go once it says the same again."""
        self._length_s = 0.0
        self._traffic_at = (0.0, 0.0)
        self._told = 0

    def feed(self, event: AnyEvent) -> None:
        """Takes the run's next event into the picture."""
        self.last_t = event.t
        self.progress.feed(event)
        if isinstance(event, (Poll, Watch, Processor)):
            observer, word = _look(event)
            before, last = self._looks.get(observer, (None, 0))
            again = before == word
            if again and last:
                del self._drawn[last]
            self._looks[observer] = (word, self._count if again else 0)
        if not isinstance(event, LoadWindow):
            self._drawn[self._count] = event
        self._count += 1

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
        read = self.read(now)
        return timeline(read, written, self._traffic_on(read.axis))

    def _traffic_on(self, axis: Axis) -> Traffic:
        """The load so far; read on from the last picture, unless the axis is another one since."""
        windows, place = self.progress.fold.windows, (axis.begin, axis.end)
        if place != self._traffic_at:
            self._traffic, self._traffic_at, self._told = Traffic((), axis), place, 0
        self._traffic.take(itertools.islice(windows, self._told, None))
        self._told = len(windows)
        return self._traffic

    def read(self, now: float) -> Read:
        """The run's account up to now, not judged."""
        history = History(self.header, tuple(self._drawn.values()), torn=False)
        try:
            case = Case(history, self.plan)
        except (BadInput, *DAMAGED):
            case = None
        evidence = case.evidence if case else Evidence(history)
        return Read(history, case, None, evidence, self.axis(max(now, history.last_t)))
