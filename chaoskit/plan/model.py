"""The plan as data: steps in order, and which alerts must reach which receiver between which instants."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chaoskit.alerting.model import AlertConfig, Labels, NotUnderstood, Rule
from chaoskit.alerting.windows import Window
from chaoskit.alerting.windows_expression import unread_below
from chaoskit.errors import Place
from chaoskit.events import SinkKey
from chaoskit.hop import Hop
from chaoskit.scenario.model import Control, Expectation, FaultSpec, Notify, Profile, Scenario, Step

Inventory = Mapping[str, tuple[str, ...]]
"""The parts of the target: by handle (as `role:worker`) the names of the processes or links behind it."""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault with its targets chosen; `id` is its identity within the run, as `kill#0`."""

    id: str
    spec: FaultSpec
    handle: str
    targets: tuple[str, ...]
    label: str
    """The alert label that carries the targets' names; empty where none does."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    step: Step
    faults: tuple[PlannedFault, ...] = ()
    at_most_vs: float = 0.0
    """The longest this step may take; 0 for steps that do not wait."""


@dataclass(frozen=True, slots=True)
class PlannedNotice:
    """One integration of one receiver that must hear of an alert."""

    receiver: str
    integration: str
    index: int
    notify: Window
    """The promised window of the first notice, counted from FiredAt."""
    configured: Window | None
    """The window that alertmanager.yml implies; None when no route leads to the receiver."""
    all_clear: Window | None
    """Counted from ResolvedAt; None when no resolved notice is promised."""
    recipients: tuple[str, ...]
    sends_resolved: bool
    """This integration's `send_resolved` in the configuration; the promise may differ."""
    ask: Notify
    live: Window | None = None
    """The bound where the alert may join a group that has notified before; None where nothing can come first."""
    by: tuple[str, ...] = ()
    """The witnesses that see the notice on an attached target, farthest from Alertmanager first; empty for its sink."""
    through: tuple[str, ...] = ()
    """The equipment that must be up and looking so that the first of them sees anything."""
    delay_s: float = 0.0
    """By how many real seconds later than it was sent it may come to lie where the first of them looks."""
    no_all_clear: Place | None = None
    """Where it is promised that the end is not told here; None where nothing of the kind is."""
    phone: Window | None = None
    """The whole way from the fault, as promised; None where nothing is."""
    over: Window | None = None
    """The whole way from the fault's end to the all-clear, as promised."""

    @property
    def latest_vs(self) -> float:
        """Virtual seconds after firing: the last instant at which it may still be told on time, by promise or
        configuration.
        """
        bounds = [window.hi_vs for window in (self.notify, self.configured, self.live) if window is not None]
        return max(bounds) + self.delay_s

    @property
    def sink_key(self) -> SinkKey:
        """The receiver, integration and index that send the notice: the key of its sink address."""
        return (self.receiver, self.integration, self.index)

    @property
    def sinks(self) -> tuple[str, ...]:
        """The equipment that sees the notices of this integration."""
        return (*(self.by[:1] or (sink_of(self.integration),)), *self.through)

    @property
    def to(self) -> str:
        """Receiver and integration in words: `critical-alerts (webhook)`."""
        return called(self.receiver, self.integration, self.index)


def sink_of(integration: str) -> str:
    """The equipment that sees the notices of this integration: most come through the web."""
    return {"email": "mail-sink", "witness": "witness"}.get(integration, "webhook-sink")


def called(receiver: str, kind: str, index: int) -> str:
    """An integration for people: `critical-alerts (webhook 2)` for the one of index 1."""
    return f"{receiver} ({kind}{f' {index + 1}' if index else ''})"


@dataclass(frozen=True, slots=True)
class Unproved:
    """Hops to a receiver that nothing could show, so that no notice of any sink stands for them."""

    to: str
    """The receiver, or one integration of it as `critical-alerts (webhook)`."""
    hops: tuple[Hop, ...]
    reason: str
    broken: bool = False
    """Whether the configuration alone shows that the promise cannot be kept."""


@dataclass(frozen=True, slots=True)
class PlannedAlert:
    """One expectation with its windows; `names` are the bound targets carried in `label`, or empty."""

    id: str
    expectation: Expectation
    rule: Rule
    label: str
    names: tuple[str, ...]
    labels: Labels
    """The known labels of the alert's first instance at Alertmanager; none where the alert is not sent."""
    count: int
    detect: Window
    hold: Window
    clear: Window
    configured_hold: Window
    notices: tuple[PlannedNotice, ...]
    latest_notice_vs: float
    """After `from`: the last instant at which a notice may still come on time, by promise or configuration."""
    latest_all_clear_vs: float
    """After `until`: likewise for the all-clear."""

    receivers: tuple[str, ...] = ()
    """Receivers that are promised a notice, or that must not be notified."""
    unwitnessed: tuple[str, ...] = ()
    """Integrations, as receiver/integration, that are promised a notice whose arrival no witness sees."""
    unproved: tuple[Unproved, ...] = ()
    """Expectations at receivers that no observer could show."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert instance is one that this expectation speaks of."""
        wanted = dict(self.expectation.labels) | {"alertname": self.expectation.alert}
        if any(labels.get(key, "") != value for key, value in wanted.items()):
            return False
        return not self.names or labels.get(self.label) in self.names


NEAR = 0.2
"""How far from the level up to which its alert is quiet a negative control may stay, as a share of that level."""


@dataclass(frozen=True, slots=True)
class PlannedControl:
    """A negative control with what is measured for it; all durations are virtual seconds."""

    control: Control
    rule: Rule
    query: str
    """The expression that the rule compares."""
    quiet: float
    """The level up to which it is promised to stay quiet, or else its threshold."""
    below: bool
    """Whether the quiet side is below."""
    reached: bool
    """Whether the value that must stay quiet is itself on the quiet side."""
    settle_vs: float
    """After the step: until what was before has left what the rule looks at; 0 where any instant may raise it."""
    least_vs: float
    """So long the level must then last."""
    ends_before: str
    """The step that ends the level; empty where it lasts to the end."""

    @property
    def needs_vs(self) -> float:
        """How long the step's level must be in force."""
        return self.settle_vs + self.least_vs

    def quiet_at(self, low: float, high: float) -> bool:
        """Whether all levels from the one to the other are on the quiet side."""
        worst, bound = (high, self.quiet) if self.below else (-low, -self.quiet)
        return worst <= bound if self.reached else worst < bound

    def is_near(self, low: float, high: float) -> bool:
        """Whether the worst value seen comes within a fifth of the quiet level: farther off, silence proves little."""
        return self._near(high if self.below else low)

    def near_s(self, values: Iterable[tuple[float, float]], every_s: float) -> float:
        """The longest span of a series, in real seconds, in which each value is within a fifth of the quiet level and
        none is missing; `values` have their instants, which are so many seconds apart. 0 where one or none is.
        """
        longest = steps = 0
        last = -math.inf
        for at, value in values:
            steps = steps + 1 if self._near(value) and at - last < 1.5 * every_s else 0
            longest, last = max(longest, steps), at if self._near(value) else -math.inf
        return longest * every_s

    def _near(self, value: float) -> bool:
        return abs(value - self.quiet) <= NEAR * abs(self.quiet) + 1e-9


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run before it happens. All durations are virtual seconds unless they say otherwise."""

    scenario: Scenario
    profile: Profile
    config: AlertConfig
    time_scale: float
    seed: int
    inventory: Inventory
    steps: tuple[PlannedStep, ...]
    alerts: tuple[PlannedAlert, ...]
    steady_vs: float
    """How long the steady state lasts before the first step: the longest range that an expected rule reads."""
    end_vs: float
    """The longest wait after the last step for what ends with `end`."""
    tail_vs: float
    """How long observation goes on after the last bound, so that late differs from never."""
    warnings: tuple[str, ...]
    beside: frozenset[str] = frozenset()
    """Alerts of other scenarios that run on the same stack."""
    controls: tuple[PlannedControl, ...] = ()
    """Alerts that must not fire during a step."""
    witnesses: tuple[str, ...] = ("mail-sink", "webhook-sink")
    """The equipment without which no notice is seen."""

    @property
    def attached(self) -> bool:
        """Whether the target ran before, and others work with it."""
        return self.profile.target != "local"

    @property
    def endless(self) -> tuple[str, ...]:
        """The handles on which an effect of this plan would stay, were nothing left to take it back."""
        handles = dict(self.profile.handles.each()) if self.attached else {}
        faults = [one for step in self.steps for one in step.faults if one.handle in handles]
        return tuple(sorted({one.handle for one in faults if handles[one.handle].endless(one.spec.kind)}))

    @property
    def scripted(self) -> bool:
        """Whether scripted series stand for a service: then there is no load, and a condition shows when they say."""
        kinds = {fault.spec.kind for step in self.steps for fault in step.faults}
        return kinds == {"series"}

    @property
    def every_s(self) -> dict[str, float]:
        """By alert, the real seconds between two evaluations."""
        return {rule.alert: rule.interval_s / self.time_scale for rule in self.config.rules if rule.alert}

    @property
    def puzzles(self) -> tuple[NotUnderstood, ...]:
        """The parts of the configuration that are not understood, where an expectation rests on them, and the broken
        ones, with which Prometheus would not start."""
        return tuple(each for each in self.config.not_understood if each.broken or each.concerns(self.rests_on))

    @property
    def rests_on(self) -> frozenset[str]:
        """The names of alerts, records and receivers that what is expected rests on."""
        expected = [expectation.alert for expectation in self.scenario.expect]
        expected += [control.alert for control in self.scenario.controls]
        muting = [each.suppressed_by for each in self.scenario.expect if each.suppressed_by]
        told = [name for alert in self.alerts for name in alert.receivers]
        read = [name for alert in self.alerts for name in unread_below(self.config, alert.rule)]
        return frozenset([*expected, *muting, *told, *read])

    @property
    def own_alerts(self) -> frozenset[str] | None:
        """Names of the configuration's alerts, where others' may be among those that are seen; else None."""
        return frozenset(rule.alert for rule in self.config.rules if rule.alert) if self.attached else None

    def foreign(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert of an attached target is of no rule that the configuration knows."""
        return self.attached and not any(
            rule.alert == labels.get("alertname")
            and all(labels.get(key) == value for key, value in rule.labels.items() if "{{" not in value)
            for rule in self.config.rules
            if rule.alert
        )

    def only_beside(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert is that of another scenario on the same stack, and none of this one's."""
        own = {alert.rule.alert for alert in self.alerts} | {allow.alert for allow in self.scenario.allow}
        return labels.get("alertname") in self.beside - own

    @property
    def longest_real_s(self) -> float:
        """The longest the steps, the end and the tail may take, in real seconds (start-up not counted)."""
        waits = sum(step.at_most_vs for step in self.steps)
        return (self.steady_vs + waits + self.end_vs + self.tail_vs) / self.time_scale

    def speaks_of(self, alertname: str) -> bool:
        """Whether the scenario expects or allows alerts of this name, or names one as what mutes another."""
        expected = {name for one in self.scenario.expect for name in (one.alert, one.suppressed_by)}
        return alertname in expected or self.allowed(alertname)

    def allowed(self, alertname: str) -> bool:
        """Whether this alert may fire although the scenario does not expect it."""
        if alertname in self.profile.standing or alertname in self.beside or alertname in self.config.unread:
            return True
        return any(alertname == allow.alert for allow in self.scenario.allow)
