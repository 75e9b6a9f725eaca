"""An attached Alertmanager: its loaded configuration, what silences would hide, and alerts of ours that it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import msgspec

from chaoskit.alerting.alert import Answer, alert_of, takes
from chaoskit.alerting.config_alertmanager import AlertmanagerFile, read_alertmanager
from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.model import AlertConfig, Matcher, Rule
from chaoskit.examine.endpoint import Checked, Endpoint
from chaoskit.scenario.model import Attached
from chaoskit.units import listed
from chaoskit.witness.config import led, recorder_outputs
from chaoskit.witness.deliveries import recorder_file
from chaoskit.yaml_source import MAX_BYTES


class _Config(msgspec.Struct, frozen=True):
    original: Annotated[str, msgspec.Meta(max_length=MAX_BYTES)] = ""


class _Version(msgspec.Struct, frozen=True):
    version: str = ""


class _Peer(msgspec.Struct, frozen=True):
    address: str = ""


class _Cluster(msgspec.Struct, frozen=True):
    peers: tuple[_Peer, ...] = ()
    """Itself among them; none where it stands alone."""


class Status(msgspec.Struct, rename="camel"):
    """The fields of `/api/v2/status` that are used."""

    config: _Config
    cluster: _Cluster = _Cluster()
    version_info: _Version = _Version()


class _Matcher(msgspec.Struct, rename="camel"):
    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


class _State(msgspec.Struct):
    state: str


class _Silence(msgspec.Struct, rename="camel"):
    id: str
    matchers: list[_Matcher]
    status: _State
    created_by: str = ""
    ends_at: str = ""


def answers(endpoint: Endpoint) -> tuple[Checked, str]:
    """A line with Alertmanager's version and response time, and its loaded configuration; raises NoAnswer."""
    status, reply = endpoint.decoded("/api/v2/status", Status)
    version = status.version_info.version or "version unknown"
    line = Checked(endpoint.name, "ok", f"{version}  {endpoint.url}  {reply.took_s * 1000:.0f} ms")
    return line, status.config.original


def loaded_routes(original: str) -> AlertmanagerFile:
    """The configuration that Alertmanager shows; raises BadInput where it cannot be read.

    Parts that are not understood are passed over: it shows only what it has accepted.
    """
    reading = Reading()
    found = read_alertmanager(reading, original, "what is loaded")
    reading.finish()
    return found


def send_alerts(
    endpoint: Endpoint, alerts: Iterable[Mapping[str, str]], summary: str, ends: datetime | None = None
) -> None:
    """Sends Alertmanager an alert of each of these label sets, which ends then or is left open; raises NoAnswer."""
    told = {"annotations": {"summary": summary}} | ({"endsAt": ends.isoformat()} if ends else {})
    if sent := [{"labels": dict(labels), **told} for labels in alerts]:
        endpoint.post("/api/v2/alerts", sent)


def tells_the_witness(target: Attached, original: str, config: AlertConfig) -> Checked:
    """Whether every receiver that hears of a promised alert has an entry for the witness."""
    what = "receivers told to the witness"
    promised = sorted({receiver for _, receiver in config.promise.notices} or config.receivers)
    try:
        found = led(original, promised)
    except ValueError as error:
        return Checked(what, "missing", f"its loaded configuration: {error}", "alertmanager: URL of the profile")
    if found.lacking:
        lacking = listed(found.lacking)
        mend = f"chaoskit witness config --alertmanager FILE --url {target.witness}"
        return Checked(what, "missing", f"{len(found.lacking)} of {len(promised)} receivers do not: {lacking}", mend)
    hidden = f"; of {len(found.hidden)} this Alertmanager hides the address" if found.hidden else ""
    return Checked(what, "ok", f"all {len(promised)} that the promise names{hidden}")


def recorder_off(target: Attached, original: str) -> str:
    """Why the recorder that a profile names gives nothing to it; empty where its configuration does."""
    try:
        outputs = recorder_outputs(original)
    except ValueError as error:
        return f"{target.alertmanager}/api/v2/status: {error}"
    wanted = "file" if recorder_file(target) else "webhook"
    return "" if wanted in outputs else f"{target.alertmanager} has no event recorder that writes to a {wanted}"


def recorder_command(target: Attached) -> str:
    """The command that prints the recorder's block."""
    where = target.recorder or "FILE"
    url = f" --url {target.witness}" if target.recorder == "witness" else ""
    return f"chaoskit witness config --alertmanager FILE --recorder {where}{url}"


def records(target: Attached, original: str) -> Checked:
    """Whether the event recorder of the profile is on; without one, whether the running configuration has one."""
    what, mend = (
        "event recorder",
        f"{recorder_command(target)}; start Alertmanager with --enable-feature=event-recorder",
    )
    off = recorder_off(target, original)
    if target.recorder:
        return Checked(what, "missing", off, mend) if off else Checked(what, "ok", f"on, {target.recorder}")
    if off:
        return Checked(what, "ok", "off; the profile names none")
    return Checked(what, "warning", "on, and not named by the profile", "write recorder: FILE into the profile")


def silences(endpoint: Endpoint, target: Attached, config: AlertConfig) -> Iterator[Checked]:
    """The silences in force that would keep promised alerts quiet; raises NoAnswer."""
    found, _ = endpoint.decoded("/api/v2/silences", list[_Silence])
    active = [one for one in found if one.status.state == "active"]
    promised = {alert for alert, _ in config.promise.notices}
    rules = [rule for rule in config.rules if rule.alert in promised or (rule.alert and not promised)]
    muting = [line for silence in active if (line := _muting(silence, rules, target, config)) is not None]
    yield from muting
    if not muting:
        yield Checked("silences", "ok", f"{len(active)} in force, none of which mutes a promised alert")


def _muting(silence: _Silence, rules: list[Rule], target: Attached, config: AlertConfig) -> Checked | None:
    """The line on a silence that mutes, or may mute, alerts of these rules; None where it mutes none."""
    matchers = [_matcher(one) for one in silence.matchers]
    muted: dict[Answer, set[str]] = {answer: set() for answer in Answer}
    for rule in rules:
        alert = alert_of(rule, config.external_labels, config.relabels)
        alert = replace(alert, known={target.label: target.environment, **alert.known})
        muted[takes(matchers, alert)].add(rule.alert)
    sure, maybe = muted[Answer.YES], muted[Answer.MAYBE]
    if not (sure or maybe):
        return None
    who = f"{silence.id} ({silence.created_by or 'no author'}, until {silence.ends_at or 'unknown'})"
    said = f"{who} {'mutes' if sure else 'may mute'} {listed(sorted(sure or maybe))}"
    mend = f"amtool silence expire {silence.id}, once its author agrees"
    return Checked("silences", "missing" if sure else "warning", said, mend)


def _matcher(one: _Matcher) -> Matcher:
    op = ("=~" if one.is_equal else "!~") if one.is_regex else ("=" if one.is_equal else "!=")
    return Matcher(one.name, op, one.value)
