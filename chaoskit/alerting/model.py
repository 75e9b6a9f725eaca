"""Rules, routes, receivers, inhibitions and promises as plain immutable data: nouns without behaviour.

Everything here is in the configuration's own, unscaled seconds (virtual seconds, once a run compresses them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from chaoskit.errors import Place, Problem

Labels = Mapping[str, str]
VOLUMES = ("healthy", "degraded", "incident")
"""The kinds of day for which a number of notices can be promised."""
ALWAYS = "always"
"""Promised as `hours`: told at any time."""
REFUSES = " refuses the rule: "
"""In words about a rule: a program of the user's version or a newer one takes it for wrong."""


def of_role(sources: Mapping[str, str], role: str) -> list[tuple[str, str]]:
    """Name and text of every file of a role (prometheus, rules, alertmanager, promise, template, unread)."""
    return [(key.partition(":")[2], text) for key, text in sources.items() if key.startswith(f"{role}:")]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a rule file; `alert` or `record` is its name, the other is empty."""

    alert: str
    record: str
    expr: str
    for_s: float
    keep_firing_for_s: float
    labels: Labels
    annotations: Mapping[str, str]
    group: str
    interval_s: float
    """Evaluation interval of the rule's group, the global one where the group sets none."""
    place: Place
    query_offset_s: float = 0.0
    """How far in the past its group evaluates (query_offset); delays what it sees by as much."""

    @property
    def name(self) -> str:
        """The alert's or record's name."""
        return self.alert or self.record

    @property
    def key(self) -> str:
        """The rule's place and name: unique in the configuration, and the same in every process."""
        return f"{self.place} {self.name}"


LOST_TEMPLATES = "what it defines is missing in notifications"
"""How a file of templates that could not be read is told."""


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A part of a Prometheus or Alertmanager file that this reader does not know; the programs may be newer.

    `of` names the alerts, records or receivers that it concerns; empty where it may concern everything.
    """

    problem: Problem
    of: tuple[str, ...] = ()
    newer: bool = False
    """Whether this part is known to be of a newer version, so that no program need be asked."""
    expr: str = ""
    """The expression of a rule that could not be read."""
    broken: bool = False
    """Whether this part is wrong rather than newer: Prometheus does not start with it."""

    def concerns(self, names: Iterable[str]) -> bool:
        """Whether anything that rests on these names rests on it."""
        return not self.of or not set(self.of).isdisjoint(names)

    @property
    def told(self) -> str:
        """The message without its place, after `left out` or `not understood`."""
        return f"{'left out' if self.broken else 'not understood'}: {self.problem.message}"

    def __str__(self) -> str:
        what, _, message = self.told.partition(": ")
        return f"{what}: {self.problem.place}: {message}" if self.problem.place else self.told


@dataclass(frozen=True, slots=True)
class ScrapeJob:
    """One entry of scrape_configs, with the global defaults filled in."""

    name: str
    interval_s: float
    timeout_s: float
    place: Place = field(default=Place(""), compare=False)


@dataclass(frozen=True, slots=True)
class Matcher:
    """A label matcher; regular expressions are anchored at both ends, a missing label equals an empty one."""

    label: str
    op: str
    """The matcher's operator: =, !=, =~ or !~."""
    value: str

    def __str__(self) -> str:
        return f'{self.label}{self.op}"{self.value}"'


@dataclass(frozen=True, slots=True)
class Relabel:
    """One step of alert_relabel_configs, with Prometheus's defaults filled in."""

    action: str
    sources: tuple[str, ...]
    separator: str
    pattern: str
    target: str
    replacement: str
    modulus: int
    place: Place


@dataclass(frozen=True, slots=True)
class Integration:
    """One notifier inside a receiver: `kind` is email, webhook, slack, ...; `index` counts within its kind."""

    kind: str
    index: int
    send_resolved: bool
    to: tuple[str, ...] = ()
    """Recipients of an e-mail, one address each; empty for other kinds."""
    at: str = field(default="", compare=False)
    """The address that notices go to, as far as it may be shown; empty where a file holds it or it is built in."""
    is_witness: bool = False
    """Whether this is the webhook entry by which a witness beside the receiver is told."""


@dataclass(frozen=True, slots=True)
class Receiver:
    name: str
    integrations: tuple[Integration, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Route:
    """One node of the routing tree with inherited settings already filled in.

    `path` is its position from the root: () for the root, (2,) for its third child, (2, 0) below that.
    `group_by` is None for `['...']`: every label.
    """

    path: tuple[int, ...]
    receiver: str
    group_by: tuple[str, ...] | None
    group_wait_s: float
    group_interval_s: float
    repeat_interval_s: float
    matchers: tuple[Matcher, ...]
    continues: bool
    children: tuple[Route, ...]
    place: Place
    muted_in: tuple[str, ...] = ()
    """Time intervals set on this node, in which it tells nothing (runs pin them)."""
    active_in: tuple[str, ...] = ()
    """Time intervals outside of which it tells nothing; empty: always."""


Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TimePart:
    """One part of a time interval: it holds where each key that is not None does, by the clock of its zone."""

    times: Ranges | None = None
    """Minutes of the day, from the first until before the second."""
    weekdays: Ranges | None = None
    """From Sunday, 0, to Saturday, 6; like all that follow with both ends."""
    days: Ranges | None = None
    """Days of the month, from its end where negative."""
    months: Ranges | None = None
    years: Ranges | None = None
    zone: tzinfo = UTC


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """A time interval that routes may name: it holds where one of its parts does."""

    name: str
    parts: tuple[TimePart, ...]
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class InhibitRule:
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class PromisedNotice:
    """One row of the promise file: an alert, a receiver, and the durations promised for the two."""

    alert: str
    receiver: str
    for_s: float
    group_wait_s: float
    repeat_s: float
    place: Place
    group_interval_s: float | None = None
    """None where nothing is promised of it."""
    grouped_by: tuple[str, ...] | None = None
    """The labels that tell the groups of its notices apart, `...` for all; None where nothing is promised of it."""


@dataclass(frozen=True, slots=True)
class PromisedReceiver:
    """The promised readers of a receiver's mails, and whether it hears the all-clear."""

    receiver: str
    recipients: tuple[str, ...]
    resolved: bool
    place: Place
    integrations: tuple[str, ...] = ()
    """The kinds of integration that bring it there, one for each; mails where there are recipients."""
    at: tuple[str, ...] | None = None
    """The addresses that the notices are sent to; None where nothing is promised of them."""


@dataclass(frozen=True, slots=True)
class PromisedLevels:
    """Values of what an alert measures: at one it stays quiet, at the other it fires."""

    quiet: float
    fires: float
    place: Place


@dataclass(frozen=True, slots=True)
class PromisedTime:
    """A duration that is promised, in seconds, and where: a bound, or an interval."""

    seconds: float
    place: Place


@dataclass(frozen=True, slots=True)
class PromisedAddresses:
    """The addresses of what Prometheus reaches, each HOST:PORT or an address of the web, and where that is promised."""

    at: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class PromisedAlert:
    """The promise for one alert beside its notices; a part that is not promised is empty, or None."""

    alert: str
    place: Place
    labels: Labels = field(default_factory=dict)
    levels: PromisedLevels | None = None
    phone: Mapping[str, PromisedTime] = field(default_factory=dict)
    """By receiver: the longest from the fault to its first notice, in real time."""
    all_clear: Mapping[str, PromisedTime] = field(default_factory=dict)
    """By receiver: the longest from the fault's end to its resolved notice, in real time."""
    muted_by: tuple[str, ...] | None = None
    """The alerts that may mute it, and no other may; () where none may."""
    hours: str = ""
    """`always`, or the time interval in which it is told."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """By the promise's key: the place (file and line) where that key is written."""
    muted_within: tuple[str, ...] | None = None
    """The labels that this alert shares with every alert that mutes it: `equal` of the inhibitions."""

    def at(self, key: str) -> Place:
        """Where a key of the promised alert is written."""
        return self.places.get(key, self.place)


@dataclass(frozen=True, slots=True)
class PromisedVolume:
    """How many notices people were told to expect on one kind of day, both ends included."""

    least: int
    most: int
    place: Place

    def __str__(self) -> str:
        return f"{self.least}..{self.most}/day"


@dataclass(frozen=True, slots=True)
class Promise:
    """`notification_windows.yml`: what people were told, apart from what the configuration happens to say."""

    notices: Mapping[tuple[str, str], PromisedNotice]
    """The promised notices by (alert, receiver)."""
    receivers: Mapping[str, PromisedReceiver]
    appears_s: Mapping[str, float] = field(default_factory=dict)
    """By alert: how long the service itself may take to show the condition in its metrics after the fault."""
    clears_s: Mapping[str, float] = field(default_factory=dict)
    """By alert: how long the service may take to show recovery in its metrics after the undo."""
    delivery_s: float | None = None
    """Delivery tolerance at the end of every notice window; None: the default for the time scale."""
    runbook_base: str = ""
    subject_contains: tuple[str, ...] = ()
    alerts: Mapping[str, PromisedAlert] = field(default_factory=dict)
    """The promise by alert, without alerts of which only notices and the service's delays are promised."""
    jobs: Mapping[str, PromisedTime] = field(default_factory=dict)
    """By scrape job: how often the job is promised to be scraped."""
    groups: Mapping[str, PromisedTime] = field(default_factory=dict)
    """By group of rules: how often it is evaluated."""
    volume: Mapping[str, PromisedVolume] = field(default_factory=dict)
    """By kind of day, one of VOLUMES."""
    targets: Mapping[str, PromisedAddresses] = field(default_factory=dict)
    """By scrape job: the addresses promised to be scraped."""
    added: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By job: the labels that it adds to its series."""
    alertmanagers: PromisedAddresses | None = None
    """Every Alertmanager that Prometheus tells; None where nothing is promised of them."""
    timeouts: Mapping[str, PromisedTime] = field(default_factory=dict)
    """By job: how long one scrape of it may take."""


@dataclass(frozen=True, slots=True)
class AlertConfig:
    """The three configuration files and the promise, read together.

    `sources` holds the texts by role and file name (secrets redacted), so that a history file carries all
    it needs to be judged again.
    """

    jobs: tuple[ScrapeJob, ...]
    evaluation_interval_s: float
    rules: tuple[Rule, ...]
    route: Route
    receivers: Mapping[str, Receiver]
    inhibit_rules: tuple[InhibitRule, ...]
    promise: Promise
    sources: Mapping[str, str]
    external_labels: Labels = field(default_factory=dict)
    """Labels that Prometheus adds to every alert that it sends, unless the alert has such a label already."""
    not_understood: tuple[NotUnderstood, ...] = ()
    """The parts that were left out in reading; rules among them are not in `rules`."""
    relabels: tuple[Relabel, ...] = ()
    """The `alert_relabel_configs`, which change labels on their way to Alertmanager, after the external labels."""
    set_aside: Mapping[str, str] = field(default_factory=dict)
    """The reason by expression for rules that promtool refuses; they are not in `rules`."""
    intervals: Mapping[str, TimeInterval] = field(default_factory=dict)
    """The named time intervals of the Alertmanager configuration."""
    marked: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """`sources` with marks that tell secrets apart, which mean nothing outside this process: only to be compared."""

    paths: Mapping[str, Path] = field(default_factory=dict, compare=False, repr=False)
    """Where a file of `sources` lies, by its name there, unless the name itself can be opened from here."""

    recorded: Mapping[str, tuple[Rule, ...]] = field(init=False, compare=False, repr=False)
    """The recording rules by the metric that they record."""
    found: dict[tuple[str, int], tuple[Rule, Any]] = field(default_factory=dict, init=False, compare=False, repr=False)
    """A cache of answers about the rules, by question and by the rule's identity (windows_expression)."""

    def __post_init__(self) -> None:
        by_name: dict[str, tuple[Rule, ...]] = {}
        for rule in self.rules:
            if rule.record:
                by_name[rule.record] = (*by_name.get(rule.record, ()), rule)
        object.__setattr__(self, "recorded", by_name)

    def shows(self, role: str) -> bool:
        """Whether a file of this role (prometheus, rules, alertmanager, promise, template) was shown."""
        return any(key.startswith(f"{role}:") for key in self.sources)

    def path(self, name: str) -> Path:
        """Where the file of this name in `sources` lies."""
        return self.paths.get(name, Path(name))

    @property
    def told_apart(self) -> Mapping[str, str]:
        """The configuration's texts by role and file, secrets as marks, so that `diff` sees a changed secret."""
        return {key: self.marked.get(key, text) for key, text in self.sources.items()}

    @property
    def unread(self) -> frozenset[str]:
        """Names of alerts, records and receivers of which something is not understood."""
        return frozenset(name for each in self.not_understood for name in each.of)

    @property
    def lost_templates(self) -> str:
        """A file of templates that could not be read, and why; empty where all were."""
        return next((str(each) for each in self.not_understood if LOST_TEMPLATES in each.problem.message), "")

    def without(self, set_aside: Mapping[str, str]) -> AlertConfig:
        """The configuration without the rules of these expressions; the reasons go to `not_understood`."""
        lost = [rule for rule in self.rules if rule.expr in set_aside]
        puzzles = (
            NotUnderstood(Problem(rule.place, why), (rule.name,), True, rule.expr, REFUSES in why)
            for rule in lost
            for why in (set_aside[rule.expr],)
        )
        kept = tuple(rule for rule in self.rules if rule.expr not in set_aside)
        # Where a program has words for it, they are better than this reader's.
        puzzled = (
            *(
                replace(p, problem=replace(p.problem, message=why), broken=p.broken or REFUSES in why)
                for p in self.not_understood
                for why in (set_aside.get(p.expr, p.problem.message),)
            ),
            *puzzles,
        )
        return replace(self, rules=kept, not_understood=puzzled, set_aside={**self.set_aside, **set_aside})

    def alert_rules(self, name: str) -> tuple[Rule, ...]:
        """All alerting rules of this name; Prometheus allows several."""
        return tuple(rule for rule in self.rules if rule.alert and rule.alert == name)
