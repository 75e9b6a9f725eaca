"""The receivers that are told of an alert, over which route, and when, from the fault to the phone.

The one idea: every figure is a sum of the hops of chaoskit.alerting.windows, the same that a run judges by; here
they are added up from the fault and from its undo, and nothing else is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from chaoskit.alerting.alert import Alert
from chaoskit.alerting.model import AlertConfig, Integration, Route, ScrapeJob
from chaoskit.alerting.prometheus_config import TIMEOUT_S
from chaoskit.alerting.routing import group_key
from chaoskit.alerting.silences import written
from chaoskit.alerting.windows import (
    Span,
    Window,
    all_clear,
    delivery_of,
    from_fault,
    from_undo,
    hold,
    live_notify,
    notify,
    repeats_after,
    together,
)  # fmt: skip
from chaoskit.check.lint_context import LintContext
from chaoskit.check.mutes import Mutes
from chaoskit.explain.subject import Subject, subject_of
from chaoskit.units import format_duration

_LONG_S = 600.0


def span(window: tuple[float, float]) -> str:
    """A span for people, in seconds up to ten minutes, as durations beyond: `90–131 s`, `10m30s–15m57s`."""
    low, high = window
    if high <= _LONG_S:
        return f"exactly {low:g} s" if low == high else f"{low:g}–{high:g} s"
    texts = format_duration(low), format_duration(high)
    return f"exactly {texts[0]}" if low == high else "–".join(texts)


def way(passed: Sequence[Route]) -> list[str]:
    """Each route on the way, a line: position, what it takes, its place, and whether later ones are tried as well."""
    if not passed:
        return ["the root, which takes what no other route matches"]
    lines = []
    for route in passed:
        position = ".".join(str(index + 1) for index in route.path)
        matchers = written(route.matchers) or "everything"
        more = "  continue: later routes are tried as well" if route.continues else ""
        lines.append(f"{position}  {matchers}  {route.place}{more}")
    return lines


def quiet(route: Route) -> str:
    """When the route is silent: `silent in nights; only in office-hours`; "" where always told."""
    names = (("silent in", route.muted_in), ("only in", route.active_in))
    return "; ".join(f"{what} {', '.join(sorted(some))}" for what, some in names if some)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One group at one receiver in which an alert is told."""

    receiver: str
    route: Route
    certain: bool
    """False where a label that only the series know decides whether this route is taken."""
    group_key: str
    group_labels: tuple[str, ...] | None
    """Names of the labels that tell this alert's groups apart; None: all of them."""
    notify: Window
    all_clear: Window | None
    """None where no integration of the receiver sends resolved notices."""
    phone_s: Span
    """From the fault to the first notice of a clean group, one that has not told anything yet."""
    phone_live_s: Span
    """From the fault to the notice of a group that has notified before: at its next tick."""
    all_clear_s: Span | None
    """From the undo to the resolved notice."""
    repeat_s: float
    """How long after a notice the next one comes while it fires: at a tick of its group."""
    integrations: tuple[Integration, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """An alert with its hops and all receivers that hear of it, in the order of the routing tree."""

    subject: Subject
    detect: Window
    """The window from the fault to pending."""
    hold: Window | None
    """None for a rule without `for`: it is never pending, and `detect` ends at firing."""
    clear: Window
    """The window from the fault's undo to resolved."""
    heard: tuple[Delivery, ...]

    @property
    def firing_s(self) -> Span:
        """The span from the fault to firing, in seconds."""
        return together(self.detect, self.hold)

    @property
    def resolved_s(self) -> Span:
        """The span from the fault's undo to resolved, in seconds."""
        return together(self.clear)


class Recipients:
    """A configuration, prepared for asking who hears of what."""

    def __init__(self, config: AlertConfig) -> None:
        # Where no job is shown, one that is scraped as often as rules are evaluated.
        every_s = config.evaluation_interval_s
        jobs = config.jobs or (ScrapeJob("", every_s, min(TIMEOUT_S, every_s)),)
        self.config = replace(config, jobs=jobs)
        self.context = LintContext(self.config)
        self._delivery_s = delivery_of(config, 1.0)
        self._hops: dict[tuple[int, ...], tuple[Window, Window, Window]] = {}
        """By route: to the first notice, to a live group's, and to the all-clear, each from the hop before."""

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """Every alerting rule, in the order of the rules."""
        return tuple(subject_of(self.config, rule) for rule in self.config.rules if rule.alert)

    @property
    def mutes(self) -> Mutes:
        return self.context.mutes

    def reach(self, subject: Subject) -> Reach:
        """The alert's hops and receivers with their windows; no receivers without an Alertmanager configuration."""
        rule, alert = subject.rule, subject.alert
        reached = self.context.reached(alert) if self.config.receivers else ()
        certain = {each.route.path for each in reached if each.certain}
        routes = [each.route for each in reached]
        labels = {**alert.labels, **{name: f"<{name}>" for name in _open(routes, alert)}}
        held = hold(rule) if rule.for_s else None
        reach = Reach(subject, from_fault(self.config, rule), held, from_undo(self.config, rule), ())
        heard: dict[tuple[str, str], Delivery] = {}
        # Two routes with one group key share Alertmanager's notification log: the quicker one is heard.
        for route in sorted(routes, key=lambda each: (each.group_wait_s, each.path)):
            key = group_key(self.config.route, route, labels)
            heard.setdefault((route.receiver, key), self._heard(reach, route, key, route.path in certain))
        return replace(reach, heard=tuple(sorted(heard.values(), key=lambda each: each.route.path)))

    def _heard(self, reach: Reach, route: Route, key: str, certain: bool) -> Delivery:
        receiver = self.config.receivers.get(route.receiver)
        integrations = receiver.integrations if receiver else ()
        alert, named = reach.subject.alert, route.group_by
        if route.path not in self._hops:
            self._hops[route.path] = notify(route, d := self._delivery_s), live_notify(route, d), all_clear(route, d)
        first, live, ends = self._hops[route.path]
        told = any(each.send_resolved for each in integrations)
        return Delivery(
            receiver=route.receiver,
            route=route,
            certain=certain,
            group_key=key,
            group_labels=None if named is None else tuple(sorted(each for each in set(named) if alert.may_have(each))),
            notify=first,
            all_clear=ends if told else None,
            phone_s=together(reach.detect, reach.hold, first),
            phone_live_s=together(reach.detect, reach.hold, live),
            all_clear_s=together(reach.clear, ends) if told else None,
            repeat_s=repeats_after(route),
            integrations=integrations,
        )


def _open(routes: Iterable[Route], alert: Alert) -> list[str]:
    """The labels that the routes group by and that only the series know."""
    named = {label for route in routes for label in route.group_by or ()}
    return sorted(label for label in named if alert.value(label) is None)
