"""An attached Prometheus: version, clock, rules, and whether it scrapes the target and tells Alertmanager."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from chaoskit.alerting.model import AlertConfig
from chaoskit.events import Interval
from chaoskit.examine.endpoint import Checked, Endpoint
from chaoskit.examine.loaded import LoadedRules, wrong_with
from chaoskit.observe.payload import instant
from chaoskit.scenario.model import Attached

SKEW_S = 1.0
"""A difference between clocks beyond which a run's intervals become useless."""
_NAMED = 5


class BuildInfo(msgspec.Struct):
    """What is read of `/api/v1/status/buildinfo`."""

    version: str = ""


class _Scalar(msgspec.Struct):
    result: tuple[float, str]


class _Alertmanager(msgspec.Struct):
    url: str


class _Alertmanagers(msgspec.Struct, rename="camel"):
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
    """That it answers, and its version; raises NoAnswer."""
    build, reply = endpoint.data("/api/v1/status/buildinfo", BuildInfo)
    version = build.version or "version unknown"
    return Checked(endpoint.name, "ok", f"{version}  {endpoint.url}  {reply.took_s * 1000:.0f} ms")


def clock(endpoint: Endpoint) -> Checked:
    """Its clock against ours; raises NoAnswer."""
    told, reply = endpoint.data("/api/v1/query", _Scalar, query="time()")
    theirs = told.result[0]
    return skewed(endpoint.name, (theirs - reply.asked - reply.took_s, theirs + 0.001 - reply.asked))


def skewed(name: str, skew: Interval) -> Checked:
    """Of a clock's difference from ours, an interval that certainly holds it, what a run can make of it."""
    said = f"{name}'s minus ours is between {skew[0]:+.3f} s and {skew[1]:+.3f} s"
    far = skew[0] > SKEW_S or skew[1] < -SKEW_S
    return Checked(f"clock of {name}", "warning" if far else "ok", said, "let NTP set both machines" if far else "")


def knows_alertmanager(endpoint: Endpoint, target: Attached) -> Checked:
    """Whether it sends its alerts to the Alertmanager of the profile; raises NoAnswer."""
    what = "Prometheus tells Alertmanager"
    told, _ = endpoint.data("/api/v1/alertmanagers", _Alertmanagers)
    active = [one.url for one in told.active_alertmanagers]
    if not active:
        return Checked(what, "missing", "it knows no Alertmanager", "alerting: alertmanagers: of its configuration")
    if any(_place(url) == _place(target.alertmanager) for url in active):
        return Checked(what, "ok", target.alertmanager)
    # By another name it may be the same: nobody can tell from here.
    theirs = ", ".join(_without_path(url) for url in active[:_NAMED])
    said = f"it sends to {theirs}, the profile names {target.alertmanager}"
    return Checked(what, "warning", said, "is it the same? Otherwise mend alertmanager: URL of the profile")


def scrapes(endpoint: Endpoint, target: Attached) -> Checked:
    """Whether it scrapes the page that the profile names, and how long ago; raises NoAnswer."""
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
