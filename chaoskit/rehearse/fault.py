"""The fault kind `series`: its settings, and scripted series in place of a held process.

    inject: series
    with:
      interval: 1m                     # between two values; default: the scrape interval
      series:
        - {series: 'up{job="api"}', values: '0', rest: '1'}
        - {series: 'errors_total{job="api"}', values: '0+30x1000', rest: '0+0x1000', counter: true}

`values` is in the notation of promtool's input_series and begins when the fault does; its last value stays. `rest`
holds before and after it, and is the first of the values where it is not given; `rest: _` means that the series is
missing then. `counter` goes on from the value that was reached; `clock` reads values as seconds before or after now;
`repeat` plays the values over and over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from chaoskit.errors import Problem
from chaoskit.events import Interval, Invoke
from chaoskit.faults.base import FaultError, Seen
from chaoskit.plan.model import PlannedFault
from chaoskit.rehearse.page import Page
from chaoskit.rehearse.series import Scripted, Segment, Values, parse_identity, parse_values
from chaoskit.run.held import HeldFault
from chaoskit.run.steps import InForce, StepRunner
from chaoskit.scenario.model import FaultSpec
from chaoskit.units import parse_duration

KIND = "series"


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
            rest,
            Values(values.segments, self.repeat),
            counter=self.counter,
            clock=self.clock,
        )


class Settings(BaseModel):
    """What stands in `with` of a `series` fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    series: list[OneSeries]
    interval: str | None = None


def _first(values: Values) -> Segment:
    first = values.segments[0]
    return Segment(first.start, 0.0, 1)


def read(settings: Mapping[str, Any], interval_s: float) -> tuple[tuple[Scripted, ...], float]:
    """The series of a fault and the seconds between two values; raises ValueError with all that is wrong."""
    try:
        found = Settings.model_validate(dict(settings))
    except ValidationError as error:
        said = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ValueError("; ".join(said)) from None
    return tuple(one.scripted() for one in found.series), parse_duration(
        found.interval
    ) if found.interval else interval_s


def wrong_with(spec: FaultSpec) -> list[Problem]:
    """What is wrong with a fault of a rehearsal's scenario."""
    if spec.kind != KIND:
        hint = f"a rehearsal has no application: use {KIND}, or `chaoskit run` for real faults"
        return [Problem(spec.place, f"'{spec.kind}' cannot be injected here", hint)]
    try:
        read(spec.settings, 1.0)
    except ValueError as error:
        return [Problem(spec.place, f"with: {error}", "see docs/rehearse.md")]
    return []


@dataclass(slots=True)
class PageHold:
    """Scripted series in force, with the face of a held fault: nothing can outlive the page that shows them."""

    page: Page
    series: tuple[Scripted, ...]
    interval_s: float
    token: dict[str, Any]
    begin: Callable[[], Interval] | None = None
    """Begins the script in place of the page; the first and last instant at which series began."""
    stay: frozenset[str] = frozenset()
    """Series that never go back to rest."""

    def await_armed(self) -> None:
        """Nothing has to come up."""

    def go(self) -> None:
        """The effect comes with `await_effect`."""

    def discard(self) -> None:
        """Nothing was begun."""

    def await_effect(self) -> Seen:
        """Begins the script; from this instant on every scrape shows it."""
        if self.begin is not None:
            return Seen(self.begin(), f"{len(self.series)} series have followed the script since before the start")
        at = self.page.start(self.series, self.interval_s)
        return Seen((at, max(at, time.time())), f"{len(self.series)} series follow the script")

    def take_back(self) -> Seen:
        """Ends the script."""
        at = self.page.stop([one for one in self.series if one.key not in self.stay])
        return Seen((at, max(at, time.time())), "the series are at rest")

    def change(self, token: Mapping[str, Any]) -> Seen:
        """Scripts change by their own values over time."""
        raise FaultError("a series has no levels to change to: script them in `values`")


@dataclass(slots=True)
class SeriesSteps(StepRunner):
    """Steps whose faults are scripted series on a page."""

    page: Page | None = None
    interval_s: float = 15.0
    begin: Callable[[], Interval] | None = None
    stay: frozenset[str] = frozenset()

    def _arm(self, step: str, fault: PlannedFault, max_s: float) -> tuple[InForce, Invoke]:
        assert self.page is not None
        try:
            series, interval_s = read(fault.spec.settings, self.interval_s)
        except ValueError as error:
            raise FaultError(str(error)) from None
        token: dict[str, Any] = {"series": [one.key for one in series]}
        hold = PageHold(self.page, series, interval_s, token, self.begin, self.stay)
        invoke = Invoke(
            step=step,
            fault=fault.id,
            kind=KIND,
            targets=list(fault.targets),
            label=fault.label,
            settings={"series": len(series)},
            undo=token,
            max_s=max_s,
        )
        held: HeldFault = hold  # type: ignore[assignment]  # the same face, without a process behind it
        return InForce(fault, held), invoke
