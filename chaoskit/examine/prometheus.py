"""An attached Prometheus: version, clock, rules, and whether it scrapes the target and tells Alertmanager."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

import msgspec

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.alerting.routing import match_routes
from chaoskit.diff.expressions import meaning
from chaoskit.errors import BadInput, Problem
from chaoskit.events import Interval
from chaoskit.examine.endpoint import Checked, Endpoint
from chaoskit.observe.payload import instant
from chaoskit.plan.model import Plan
from chaoskit.scenario.model import Attached
from chaoskit.units import format_duration, listed

SKEW_S = 1.0
"""A difference between clocks beyond which a run's intervals become useless."""
_NAMED = 5


class BuildInfo(msgspec.Struct):
    """The fields of `/api/v1/status/buildinfo` that are used."""

    version: str = ""


class _Scalar(msgspec.Struct):
    result: tuple[float, str]


class _Alertmanager(msgspec.Struct):
    url: str


class Alertmanagers(msgspec.Struct, rename="camel"):
    """The answer of Prometheus's API about the Alertmanagers to which it sends."""

    active_alertmanagers: list[_Alertmanager] = []


class _Target(msgspec.Struct, rename="camel"):
    scrape_url: str
    health: str = "unknown"
    last_scrape: str = ""
    last_error: str = ""
    labels: dict[str, str] = {}


class _Targets(msgspec.Struct, rename="camel"):
    active_targets: list[_Target] = []


def answers(endpoint: Endpoint) -> Checked:
    """A line with Prometheus's version and response time; raises NoAnswer."""
    build, reply = endpoint.data("/api/v1/status/buildinfo", BuildInfo)
    version = build.version or "version unknown"
    return Checked(endpoint.name, "ok", f"{version}  {endpoint.url}  {reply.took_s * 1000:.0f} ms")


def clock(endpoint: Endpoint) -> Checked:
    """A line on its clock's difference from ours; raises NoAnswer."""
    told, reply = endpoint.data("/api/v1/query", _Scalar, query="time()")
    theirs = told.result[0]
    return skewed(endpoint.name, (theirs - reply.asked - reply.took_s, theirs + 0.001 - reply.asked))


def skewed(name: str, skew: Interval) -> Checked:
    """A line on a clock's difference from ours, with its bounds `skew`: a warning if it is certainly too large."""
    said = f"{name}'s minus ours is between {skew[0]:+.3f} s and {skew[1]:+.3f} s"
    far = skew[0] > SKEW_S or skew[1] < -SKEW_S
    return Checked(f"clock of {name}", "warning" if far else "ok", said, "let NTP set both machines" if far else "")


def knows_alertmanager(endpoint: Endpoint, target: Attached) -> Checked:
    """Whether Prometheus sends its alerts to the Alertmanager of the profile; raises NoAnswer."""
    what = "Prometheus tells Alertmanager"
    told, _ = endpoint.data("/api/v1/alertmanagers", Alertmanagers)
    active = [one.url for one in told.active_alertmanagers]
    if not active:
        return Checked(what, "missing", "it knows no Alertmanager", "alerting: alertmanagers: of its configuration")
    if any(_place(url) == _place(target.alertmanager) for url in active):
        return Checked(what, "ok", target.alertmanager)
    # By another name it may be the same: that cannot be told from here.
    theirs = ", ".join(_without_path(url) for url in active[:_NAMED])
    said = f"Prometheus sends to {theirs}, the profile names {target.alertmanager}"
    return Checked(what, "warning", said, "if the two are not the same, correct alertmanager: URL of the profile")


def scrapes(endpoint: Endpoint, target: Attached) -> Checked:
    """Whether Prometheus scrapes the page that the profile names, and how long ago; raises NoAnswer."""
    what = "Prometheus scrapes the target"
    told, _ = endpoint.data("/api/v1/targets", _Targets, state="active")
    page = _place(target.metrics)
    same = [one for one in told.active_targets if _place(one.scrape_url) == page]
    labelled = [one for one in told.active_targets if one.labels.get(target.label) == target.environment]
    found = same or labelled
    if not found:
        mend = "a job for it in scrape_configs, or metrics: URL of the profile as Prometheus scrapes it"
        return Checked(what, "missing", f"none of its {len(told.active_targets)} targets is {target.metrics}", mend)
    down = [one for one in found if one.health != "up"]
    if down:
        said = f"{down[0].scrape_url} is {down[0].health}: {down[0].last_error or 'not scraped yet'}"
        return Checked(what, "missing", said, "mend what Prometheus says there")
    scraped = max((instant(one.last_scrape) or 0.0 for one in found), default=0.0)
    said = f"{len(found)} up, last scraped {max(0.0, time.time() - scraped):.1f} s ago"
    other = "" if same else f"; by its label, for none is {target.metrics}"
    return Checked(what, "ok" if same else "warning", said + other)


def rules(endpoint: Endpoint, config: AlertConfig) -> Iterator[Checked]:
    """The alert rules loaded there against the bundle's; those that the bundle lacks are counted. Raises NoAnswer."""
    told, _ = endpoint.data("/api/v1/rules", LoadedRules, type="alert")
    loaded = [(group.interval, rule) for group in told.groups for rule in group.rules]
    ours = [rule for rule in config.rules if rule.alert]
    wrong = [(rule, said) for rule in ours if (said := wrong_with(rule, loaded))]
    for rule, said in wrong:
        mend = "load this bundle's rules there, or give --bundle what is loaded"
        yield Checked("rules", "missing", f"{rule.alert} ({rule.place}) {said}", mend)
    names = {rule.alert for rule in ours}
    extra = sum(rule.name not in names for _, rule in loaded)
    others = f"; {extra} more are loaded there" if extra else ""
    yield Checked("rules", "ok", f"{len(ours) - len(wrong)} of {len(ours)} are loaded as in the bundle{others}")


def _place(url: str) -> tuple[str, int]:
    """Host and port, by which two addresses are told apart; loopback is one host under all of its names."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return ("127.0.0.1" if host in ("localhost", "::1") else host, port)


def _without_path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


_LOAD = "load this configuration there, or name with --bundle what is loaded"


class LoadedRule(msgspec.Struct, rename="camel"):
    """One rule as the rules API shows it; its durations are seconds."""

    name: str
    query: str = ""
    duration: float = 0.0
    keep_firing_for: float = 0.0
    labels: dict[str, str] = {}


class LoadedGroup(msgspec.Struct):
    """A group of rules and its evaluation interval in seconds."""

    interval: float
    rules: list[LoadedRule]


class LoadedRules(msgspec.Struct):
    """The fields of `/api/v1/rules` that are used."""

    groups: list[LoadedGroup]


def compare_rules(plan: Plan, groups: list[LoadedGroup], where: str, notes: list[str]) -> Iterator[Problem]:
    """One problem for each expected alert whose rule is not loaded as it is; the other rules become a note."""
    loaded = [(group.interval, rule) for group in groups for rule in group.rules]
    expected = [alert.rule for alert in plan.alerts]
    others = []
    for rule in plan.config.rules:
        wrong = wrong_with(rule, loaded) if rule.alert else ""
        if wrong and rule in expected:
            yield Problem(rule.place, f"{rule.alert}, which is expected to fire, {wrong} in {where}", _LOAD)
        elif wrong:
            others.append(f"{rule.alert} {wrong}")
    if others:
        notes.append(f"rules that differ in {where}: {listed(others, between='; ')}")


def compare_routes(
    plan: Plan, original: str, sources: Mapping[str, str], where: str, doubts: list[str]
) -> Iterator[Problem]:
    """One problem for each expected alert of which the Alertmanager there tells others, or after other waits.

    `original` is its configuration as it shows it, `sources` are the texts of the one to be tested, by role:FILE. Parts
    that are not understood go to `doubts` where an expected alert rests on them.
    """
    name = next((key for key in sources if key.startswith("alertmanager:")), "alertmanager:alertmanager.yml")
    rest = {key: text for key, text in sources.items() if not key.startswith(("scenario:", "profile:"))}
    try:
        there = load_texts({**rest, name: original})
    except BadInput as error:
        message = f"chaoskit cannot compare the configuration that {where} has loaded: {error.problems[0]}"
        yield Problem(None, message, "correct that configuration: without known routes a run proves nothing")
        return
    known = {each.problem.message for each in plan.config.not_understood}
    for puzzle in replace(plan, config=replace(plan.config, not_understood=there.not_understood)).puzzles:
        if puzzle.problem.message not in known:
            doubts.append(f"{where} has loaded a part that chaoskit does not understand: {puzzle.problem.message}")
    for alert in plan.alerts:
        ours, theirs = _told(plan.config, alert.labels), _told(there, alert.labels)
        if ours != theirs:
            message = f"{where} sends {alert.rule.alert} to {', '.join(theirs) or 'no receiver'}, "
            message += f"this configuration sends it to {', '.join(ours) or 'no receiver'}"
            yield Problem(alert.expectation.place, message, _LOAD)


def wrong_with(rule: Rule, loaded: list[tuple[float, LoadedRule]]) -> str:
    """How the nearest of the loaded rules of that name differs; empty where one is the same."""
    named = [_differences(rule, interval, one) for interval, one in loaded if one.name == rule.alert]
    if not named:
        return "is not loaded"
    nearest = min(named, key=len)
    return " and ".join(nearest)


def _differences(rule: Rule, interval_s: float, there: LoadedRule) -> list[str]:
    found = []
    for what, ours, theirs in (
        ("for", rule.for_s, there.duration),
        ("keep_firing_for", rule.keep_firing_for_s, there.keep_firing_for),
        ("evaluation interval", rule.interval_s, interval_s),
    ):
        if abs(ours - theirs) > 1e-3:
            found.append(f"has {what}: {format_duration(theirs)} in place of {format_duration(ours)}")
    if dict(rule.labels) != there.labels:
        found.append(f"has the labels {_written(there.labels)} in place of {_written(rule.labels)}")
    if meaning(rule.expr) != meaning(there.query):
        found.append(f"has the expression `{' '.join(there.query.split())}`, which means something else")
    return found


def _told(config: AlertConfig, labels: Mapping[str, str]) -> list[str]:
    """Each receiver with the waits of its route, in words."""
    return sorted(
        f"{route.receiver} (grouped by {', '.join(sorted(route.group_by or ())) or _grouped(route.group_by)}, "
        f"group_wait {format_duration(route.group_wait_s)}, group_interval {format_duration(route.group_interval_s)}, "
        f"repeat_interval {format_duration(route.repeat_interval_s)})"
        for route in match_routes(config.route, labels)
    )


def _grouped(group_by: tuple[str, ...] | None) -> str:
    return "every label" if group_by is None else "none"


def _written(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) + "}"
