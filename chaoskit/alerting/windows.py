"""The windows in which a configuration lets an alert be seen, and in which the promise wants it seen.

From a fault to a phone an alert takes five hops, each with a clock of its own:

    T_x ──detect──> ActiveAt ──hold──> FiredAt ──notify──> notice
    T_c ──clear───> ResolvedAt ──all-clear──> resolved notice

T_x and T_c are the instants at which the exposed metrics make the expression true and false. A window is
what lies between the earliest and the latest instant that Prometheus and Alertmanager can produce, counted
from the hop's own beginning, in the configuration's own seconds. Every notice comes milliseconds late, so
windows that end at a sink close with a delivery tolerance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from chaoskit.alerting.model import AlertConfig, PromisedNotice, PromisedTime, Route, Rule
from chaoskit.alerting.windows_expression import feeding_jobs, once, range_of, recording_delay
from chaoskit.errors import Place
from chaoskit.hop import Hop
from chaoskit.units import format_duration

# How exactly an instant must be known to tell a kept promise from a broken one: half of the setting that
# governs the hop (a wrong setting is rarely nearer), at most as much as matters to a person on call. The
# floor keeps settings of a second or two decidable: a notice is never promised to the second.
HALF = 0.5
FINEST_VS = 2.0
COARSEST_HOLD_VS = 30.0
COARSEST_NOTIFY_VS = 15.0
COARSEST_SEEN_VS = 60.0
COARSEST_ALL_CLEAR_VS = 60.0

Span = tuple[float, float]
"""The earliest and the latest instant of an event, in seconds."""
DELIVERY_VS = 2.0
COMPRESSED_DELIVERY_VS = 5.0
"""A delivery takes real milliseconds (4-24 measured, 64 at worst): at 60 times, up to 4 virtual seconds."""


@dataclass(frozen=True, slots=True)
class Window:
    """The earliest and the latest instant of one hop, in virtual seconds from the hop's beginning."""

    hop: Hop
    lo_vs: float
    hi_vs: float
    setting: str
    """The settings that govern it, with their values, as a person says it: `group_wait 30s`."""
    place: Place | None
    """The file and line of the setting that governs this window."""
    resolution_vs: float
    """An observation of the hop must be at most this wide to decide."""


def default_delivery_vs(time_scale: float) -> float:
    """The delivery tolerance where the promise file names none: 2 s in real time, 5 virtual s when compressed."""
    return DELIVERY_VS if time_scale <= 1 else COMPRESSED_DELIVERY_VS


def delivery_of(config: AlertConfig, time_scale: float) -> float:
    """The delivery tolerance that the promise names, or else the default for the time scale."""
    named = config.promise.delivery_s
    return default_delivery_vs(time_scale) if named is None else named


def up(seconds: float, interval_s: float) -> float:
    """The seconds rounded up to whole intervals: Prometheus looks at its clock only when it evaluates."""
    micros, interval = _micros(seconds), _micros(interval_s)
    return -(-micros // interval) * interval / 1e6


def detect(config: AlertConfig, rule: Rule, appears_vs: float = 0.0) -> Window:
    """The window from the fault (T_x) to pending, or to firing where the rule has no `for`.

    A sample is taken within one scrape interval, becomes visible when its scrape ends (a hung one only at
    its time-out), goes through the recording rules, and is met by the next evaluation. `appears_vs` is what
    may pass before T_x, when the clock begins with the fault: the service's own delay, the expression's range.
    """
    seen_vs, setting = _seen(config, rule)
    resolution_vs = _seen_resolution(rule, config, appears_vs)
    return _window(Hop.DETECT, 0.0, appears_vs + seen_vs, _after(setting, appears_vs), rule.place, resolution_vs)


def hold(rule: Rule, promised: PromisedNotice | None = None) -> Window:
    """The window from pending to firing: exactly `for`, written or promised, rounded up to the rule's evaluations."""
    for_s, place = (promised.for_s, promised.place) if promised else (rule.for_s, rule.place)
    held_vs = up(for_s, rule.interval_s)
    setting = f"{'promised ' if promised else ''}for {format_duration(for_s)}" + _rounded(for_s, held_vs)
    resolution_vs = _resolution(for_s or rule.interval_s, COARSEST_HOLD_VS)
    return _window(Hop.HOLD, held_vs, held_vs, setting, place, resolution_vs)


def notify(by: Route | PromisedNotice, delivery_vs: float) -> Window:
    """The window from firing to a receiver's first notice: a group waits the `group_wait`, configured or promised."""
    wait_vs = by.group_wait_s
    setting = f"{'promised ' if isinstance(by, PromisedNotice) else ''}group_wait {format_duration(wait_vs)}"
    resolution_vs = _resolution(wait_vs, COARSEST_NOTIFY_VS)
    return _window(Hop.NOTIFY, wait_vs, wait_vs + delivery_vs, setting, by.place, resolution_vs)


def live_notify(route: Route, delivery_vs: float) -> Window:
    """The window from firing to the notice of a live group: its next tick.

    It has notified before, or its alert was resolved less than 15 minutes ago, or another of its alerts came first.
    """
    return _ticking(Hop.NOTIFY, route, delivery_vs, COARSEST_NOTIFY_VS)


def after_silence(route: Route, delivery_vs: float) -> Window:
    """From the end of a silence to the notice of an alert that still fires: its group's next tick, or the first one."""
    window = _ticking(Hop.AFTER_SILENCE, route, delivery_vs, COARSEST_NOTIFY_VS)
    return replace(window, hi_vs=max(window.hi_vs, route.group_wait_s + delivery_vs))


def clear(config: AlertConfig, rule: Rule, clears_vs: float = 0.0) -> Window:
    """The window from the undo (T_c) to resolved: seen as in `detect`, then kept for `keep_firing_for`, rounded up.

    `clears_vs` is what may pass before T_c, when the clock begins with the undo.
    """
    seen_vs, setting = _seen(config, rule)
    kept_vs = up(rule.keep_firing_for_s, rule.interval_s)
    if kept_vs:
        kept = f"keep_firing_for {format_duration(rule.keep_firing_for_s)}"
        setting += f" + {kept}" + _rounded(rule.keep_firing_for_s, kept_vs)
    hi_vs = clears_vs + seen_vs + kept_vs
    resolution_vs = _seen_resolution(rule, config, clears_vs)
    return _window(Hop.CLEAR, kept_vs, hi_vs, _after(setting, clears_vs), rule.place, resolution_vs)


def all_clear(route: Route, delivery_vs: float) -> Window:
    """The window from resolved to the resolved notice: the group's next tick."""
    return _ticking(Hop.ALL_CLEAR, route, delivery_vs, COARSEST_ALL_CLEAR_VS)


def repeats_after(route: Route) -> float:
    """Seconds after which a group that goes on is told again: repeat_interval, up to the tick of group_interval.

    Where the two fall together Alertmanager most often waits for the next tick: the notice before was out a little
    after its own (of 16 repeats with 0.25 and 0.33, 15 came a tick later).
    """
    return up(route.repeat_interval_s, route.group_interval_s)


def whole(hop: Hop, promised: PromisedTime, tolerance_vs: float, computed: Span | None) -> Window:
    """A whole way, from a fault or its end to a receiver: as long as promised at most, and its last hop's tolerance.

    `computed` is what the configuration comes to, without any tolerance; None where no route leads there.
    """
    setting = f"promised {hop} {format_duration(promised.seconds)}"
    setting += f"; the configuration takes up to {format_duration(computed[1])}" if computed else ""
    resolution_vs = _resolution(promised.seconds, COARSEST_SEEN_VS)
    return _window(hop, 0.0, promised.seconds + tolerance_vs, setting, promised.place, resolution_vs)


def later(window: Window, more_vs: float, why: str) -> Window:
    """The same window with a later end, and the setting that makes it later."""
    return replace(window, hi_vs=_exact(window.hi_vs + more_vs), setting=f"{window.setting}, and {why}")


def largest_scale(window: Window, jitter_real_s: float) -> float:
    """The largest time scale at which an uncertainty of so many real seconds still decides this window."""
    return window.resolution_vs / jitter_real_s if jitter_real_s > 0 else math.inf


@once
def _seen(config: AlertConfig, rule: Rule) -> tuple[float, str]:
    """Seconds at most from a change of the exposed metrics to the evaluation that meets it, and why."""
    job = max(feeding_jobs(config, rule), key=lambda each: each.interval_s + each.timeout_s)
    delay_s = recording_delay(config, rule)
    parts = [("scrape_interval", job.interval_s), ("scrape_timeout", job.timeout_s)]
    parts += [("recording rules and query offset", delay_s)] if delay_s else []
    parts.append(("evaluation interval", rule.interval_s))
    return sum(seconds for _, seconds in parts), " + ".join(f"{what} {format_duration(s)}" for what, s in parts)


def _seen_resolution(rule: Rule, config: AlertConfig, own_vs: float) -> float:
    """Half of what governs: Prometheus's own delay, or the service's where that is longer."""
    scrape_s = max(job.interval_s for job in feeding_jobs(config, rule))
    return _resolution(max(scrape_s + rule.interval_s, own_vs), COARSEST_SEEN_VS)


def _ticking(hop: Hop, route: Route, delivery_vs: float, coarsest_vs: float) -> Window:
    tick_vs = route.group_interval_s
    setting = f"group_interval {format_duration(tick_vs)}"
    return _window(hop, 0.0, tick_vs + delivery_vs, setting, route.place, _resolution(tick_vs, coarsest_vs))


def _window(hop: Hop, lo_vs: float, hi_vs: float, setting: str, place: Place, resolution_vs: float) -> Window:
    return Window(hop, _exact(lo_vs), _exact(hi_vs), setting, place, _exact(resolution_vs))


def _resolution(setting_vs: float, coarsest_vs: float) -> float:
    return min(max(setting_vs * HALF, FINEST_VS), coarsest_vs)


def _rounded(written_s: float, rounded_s: float) -> str:
    same = _micros(written_s) == _micros(rounded_s)
    return "" if same else f", {format_duration(rounded_s)} in whole evaluations"


def _after(setting: str, before_vs: float) -> str:
    return f"{format_duration(before_vs)} until the metrics show it + {setting}" if before_vs else setting


def _micros(seconds: float) -> int:
    """Sums and quotients are taken in whole microseconds, which binary fractions of seconds are not."""
    return round(seconds * 1e6)


def _exact(seconds: float) -> float:
    return round(seconds, 6)


@once
def from_fault(config: AlertConfig, rule: Rule) -> Window:
    """The detect hop counted from the fault: what the service may take to show it, and the range that it must fill."""
    return detect(config, rule, config.promise.appears_s.get(rule.alert, 0.0) + range_of(config, rule))


@once
def from_undo(config: AlertConfig, rule: Rule) -> Window:
    """The clear hop counted from the undo: what the service may take to recover, and the range that must empty."""
    return clear(config, rule, config.promise.clears_s.get(rule.alert, 0.0) + range_of(config, rule))


def together(*hops: Window | None) -> Span:
    """Hops one after another, from the first's beginning to the last's end; those that are None take no time."""
    there = [hop for hop in hops if hop is not None]
    return _exact(sum(hop.lo_vs for hop in there)), _exact(sum(hop.hi_vs for hop in there))


def to_phone(config: AlertConfig, rule: Rule, route: Route) -> Span:
    """The window from the fault to a route's first notice, of a clean group, without any tolerance."""
    return together(from_fault(config, rule), hold(rule), notify(route, 0.0))


def to_all_clear(config: AlertConfig, rule: Rule, route: Route) -> Span:
    """The window from the undo to the resolved notice over a route, without any tolerance."""
    return together(from_undo(config, rule), all_clear(route, 0.0))
