"""Alerts that compare one figure with a threshold: a row says what is beyond it
and what is not, and the cases that every such alert needs follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.bundle_rules.case import RESET, Case, State, labelled, timeline

HEALTHY_FOR = 60
"""Evaluations that a case goes on after what it is about: longer than any range in evaluations but the SLA's."""


@dataclass(frozen=True)
class Threshold:
    """`over` is just beyond the threshold, `under` just short of it (or exactly on it), `well` is health."""

    alert: str
    hold: int
    """`for` in evaluations."""
    over: State
    under: State
    well: State
    said: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    kept: int = 0
    """`keep_firing_for` in evaluations."""
    counters: bool = False
    step_s: int = 15

    def cases(self) -> Iterator[Case]:
        """Fires, holds, resolves; is silent below, without data, without traffic; survives a reset; per environment."""
        enough, lasts = self.hold + 5, self.hold + 5 + HEALTHY_FOR
        spell = [(1 + self.hold, enough + self.kept)]
        yield self._case(
            "fires just beyond the threshold after the whole hold, and ends with it",
            timeline(self.well, (enough, self.over), (HEALTHY_FOR, self.well)),
            lasts,
            spell,
            said=self.said,
        )
        if self.hold:
            yield self._case(
                "is silent when it lasts one evaluation less than the hold",
                timeline(self.well, (self.hold, self.over), (HEALTHY_FOR, self.well)),
                lasts,
            )
            yield self._case(
                "begins its hold anew after one good sample",
                timeline(self.well, (self.hold, self.over), (1, self.well), (self.hold, self.over), (9, self.well)),
                2 * self.hold + 10,
            )
        yield self._case("is silent at the threshold, however long", timeline(self.well, (lasts, self.under)), lasts)
        yield self._case("is silent in health", timeline(self.well, (lasts, self.well)), lasts)
        yield self._case("is silent without its series", timeline({"up": 0}, (lasts, {"up": 0})), lasts)
        staging, production = {"environment": "staging"}, {"environment": "production"}
        both = labelled(self.over, **staging) | labelled(self.well, **production)
        well = labelled(self.well, **staging) | labelled(self.well, **production)
        yield Case(
            self.alert,
            "keeps environments apart",
            timeline(well, (enough, both), (HEALTHY_FOR, well)),
            lasts,
            spell,
            {**self.labels, **staging},
            step_s=self.step_s,
        )
        if self.counters:
            yield from self._counter_cases(enough, lasts)
        else:  # a range goes on over what it holds
            yield self._case(
                "ends when its series are gone",
                timeline(self.well, (enough, self.over), (HEALTHY_FOR, dict.fromkeys(self.over, None))),
                lasts,
                spell,
            )

    def _counter_cases(self, enough: int, lasts: int) -> Iterator[Case]:
        idle = dict.fromkeys(self.well, 0.0)
        yield self._case("is silent without traffic", timeline(self.well, (lasts, idle)), lasts)
        yield self._case(
            "is silent when traffic ends, and when it begins again",
            timeline(self.well, (20, self.well), (40, idle), (40, self.well)),
            100,
        )
        yield self._case(
            "takes no reset for anything",
            timeline(self.well, (25, self.well), (1, RESET), (HEALTHY_FOR, self.well)),
            26 + HEALTHY_FOR,
        )
        yield self._case(
            "goes on firing through a reset",
            timeline(self.well, (enough, self.over), (1, RESET), (20, self.over)),
            enough + 21,
            [(1 + self.hold, enough + 21)],
        )

    def _case(
        self,
        title: str,
        series: dict[str, str],
        lasts: int,
        fires: list[tuple[int, int]] | None = None,
        said: Mapping[str, str] | None = None,
    ) -> Case:
        return Case(self.alert, title, series, lasts, fires or (), self.labels, said, self.step_s)
