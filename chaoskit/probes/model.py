"""Probes and answers as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chaoskit.alerting.model import Rule

QUIET, FIRES = "quiet at the promised {:.12g}", "fires at the promised {:.12g}"
"""The names of the two probes of promised levels."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Series that are shown to a rule: they are at rest until `begins_s` and from `ends_s` on."""

    name: str
    series: tuple[tuple[str, str], ...]
    """The probe's series: name with labels, and values in promtool's notation, `every_s` apart."""
    every_s: float
    begins_s: float
    ends_s: float
    until_s: float
    looks_s: float
    """The instant at which the rule's expression is asked for its value."""

    @property
    def early_s(self) -> float:
        """An evaluation soon after the change, while ranges still hold what was before."""
        return self.begins_s + round((self.ends_s - self.begins_s) / 8 / self.every_s) * self.every_s


@dataclass(frozen=True, slots=True)
class Instance:
    """An alert that a probe raised: its labels, the first and last evaluation that found it pending, and firing."""

    labels: tuple[tuple[str, str], ...]
    pending_s: tuple[float, float] | None
    firing_s: tuple[float, float] | None
    value: float | None = None
    """The result of the rule's expression when the probe looks; None where there is none."""
    early: float | None = None
    """The value of a recording rule at the probe's `early_s`."""


Answer = tuple[Instance, ...]
"""By labels; empty where nothing was raised. Behind them the value of each record that the annotations show, under
`__name__`: neither pending nor firing."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An alerting rule and the recording rules that it reads, in the order in which they are evaluated; `shown` are
    those that only its annotations read."""

    rule: Rule
    records: tuple[Rule, ...]
    shown: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """The probes of one alert with their answers, by probe; `promtool` is the version that gave them."""

    alert: str
    promtool: str
    probes: tuple[Probe, ...]
    answers: Mapping[str, Answer]
    """The answers by the probe's name."""

    def at_promised(self) -> Answered:
        """These answers without those to probes of other than promised levels."""
        names = tuple(text.partition("{")[0] for text in (QUIET, FIRES))
        return replace(self, probes=tuple(each for each in self.probes if each.name.startswith(names)))


def raised(answer: Answer) -> Answer:
    """The instances of an answer that were pending or fired."""
    return tuple(each for each in answer if each.pending_s or each.firing_s)


def fires(answer: Answer) -> bool:
    """Whether an alert fired."""
    return any(each.firing_s for each in answer)
