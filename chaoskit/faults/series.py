"""series: what a rehearsal's page shows follows a script, in place of a service that breaks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from pydantic import BaseModel, ConfigDict, model_validator

from chaoskit.faults.base import Fault, FaultError, Made, Seen, Settings, Target, Undo
from chaoskit.faults.scripted import Scripted, Segment, Values, parse_identity, parse_values
from chaoskit.units import parse_duration


class Shows(Protocol):
    """Where series can be seen, such as a rehearsal's page."""

    interval_s: float
    """Virtual seconds between two values where nothing else is said."""

    def follow(self, series: Sequence[Scripted], interval_s: float) -> Seen:
        """Their script begins for these series."""

    def rest(self, series: Sequence[Scripted]) -> Seen:
        """Their script ends for these series."""


PAGES: dict[str, Shows] = {}
"""By address: the pages that this very process shows. Nothing that they show outlives it."""


class OneSeries(BaseModel):
    """One entry of `series`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    series: str
    values: str | int | float
    rest: str | int | float | None = None
    counter: bool = False
    clock: bool = False
    repeat: bool = False

    def scripted(self) -> Scripted:
        """The series; raises ValueError."""
        name, labels = parse_identity(self.series)
        values = parse_values(str(self.values))
        if not values.segments:
            raise ValueError(f"{self.series} has no values")
        rest = parse_values(str(self.rest)) if self.rest is not None else Values((_first(values),))
        return Scripted(
            name,
            tuple(sorted(labels.items())),
            self._played(rest),
            self._played(values),
            counter=self.counter,
            clock=self.clock,
        )

    def _played(self, values: Values) -> Values:
        return replace(values, repeat=self.repeat and sum(segment.count for segment in values.segments) > 1)


def _first(values: Values) -> Segment:
    first = values.segments[0]
    return Segment(first.start, 0.0, 1)


class SeriesSettings(Settings):
    """Which series follow which script."""

    series: list[OneSeries]
    """Each with `series`, its name and labels, and `values`, in the notation of promtool's input_series, which begin
    when the fault does; the last one stays. `rest` holds before and after, and is the first of the values where it is
    not given; `_` means missing. `counter` goes on from the value that was reached, `clock` reads values as seconds
    before or after now, `repeat` plays both over and over."""
    interval: str | None = None
    """Between two values; the scrape interval where it is not given."""

    @model_validator(mode="after")
    def _makes_sense(self) -> SeriesSettings:
        self.scripted(1.0)
        return self

    def scripted(self, interval_s: float) -> tuple[tuple[Scripted, ...], float]:
        """The series, and the seconds between two values: those of `interval`, or else these."""
        every_s = parse_duration(self.interval) if self.interval else interval_s
        return tuple(one.scripted() for one in self.series), every_s


class Series(Fault[SeriesSettings]):
    """Series on the page of a rehearsal follow a script, in place of a service that breaks.

    Only `chaoskit rehearse` shows such a page; it ends with the run, and the series with it.
    """

    kind = "series"
    handles = ()
    in_process = True

    def prepare(self, target: Target, settings: SeriesSettings) -> Undo:
        """The scripts themselves."""
        return {"url": target.address.url, "settings": settings.model_dump()}

    def start(self, undo: Undo) -> Seen:
        """From this instant on every scrape shows it."""
        page = PAGES.get(str(undo.get("url")))
        if page is None:
            raise FaultError("no rehearsal shows series here")
        return page.follow(*SeriesSettings.model_validate(undo["settings"]).scripted(page.interval_s))

    def stop(self, undo: Undo) -> Seen:
        """Ends the script; done already where its page is gone."""
        page = PAGES.get(str(undo.get("url")))
        if page is None:
            now = time.time()
            return Seen((now, now), "it ended with the run that showed it")
        return page.rest(SeriesSettings.model_validate(undo["settings"]).scripted(page.interval_s)[0])

    def vouch(self, undo: Undo, made: Made) -> str:
        """No token of this kind can do anything."""
        return "does nothing: it ended with the run that showed it"
