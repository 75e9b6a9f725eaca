"""No notification leaves loopback, with any configuration: every integration is led to a sink.

The configuration is not searched for what must go: it is built anew from what is known to be harmless. Of the
file as a whole, that is the routing tree, the inhibition rules and the templates; of an integration, the settings
that shape its contents. Its address becomes a sink's, its credentials dummies and its word (by which the sink
knows its sender), its HTTP client a plain one: no proxy, no OAuth2 token to fetch, no TLS material, no redirect
followed. An integration of an unknown kind, with an unknown setting, or whose address cannot be set becomes a
webhook to an address of its own and is named. The program itself must still be started without the environment
variables that name a proxy (see `monitoring`).

Time intervals follow the wall clock, by which a run must not be judged. They are taken out: no route is ever
muted, every route is always active, and each route that this concerns is named.
"""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chaoskit.alerting.config_secrets import is_token_like
from chaoskit.alerting.integrations import KINDS, SEND_RESOLVED, Integration
from chaoskit.localize.sink_addresses import SinkAddress, SinkAddresses
from chaoskit.yaml_source import TRUE

_KEPT = ("route", "receivers", "inhibit_rules", "templates")
_PINNED_AWAY = frozenset({"time_intervals", "mute_time_intervals"})
_INTERVALS = {
    "mute_time_intervals": "is never muted in this run",
    "active_time_intervals": "is always active in this run",
}
# Without the integrations' own addresses, which are all set, these are the only global settings that matter.
_GLOBAL_KEPT = frozenset({"resolve_timeout", "smtp_from", "smtp_hello"})
_GLOBAL_REPLACED = re.compile(
    r"(?:smtp|slack|pagerduty|opsgenie|wechat|victorops|telegram|webex|jira|rocketchat|mattermost)_.*|http_config"
)
CONFIGS = "_configs"
Setting = tuple[str, str]
"""A kind of integration and a setting of it ("" for the kind itself), or a section of the file and a key below it."""
_TOO_NEW = "the Alertmanager here does not know this setting"
_GO_GLOB = re.compile(r"([*?\[\\])")


@dataclass(frozen=True, slots=True)
class Redirected:
    """A configuration that cannot reach outside, and what was done to make it so.

    `replaced` says of each thing that does not run as configured where it stands, and why; `pinned` of each route with
    time intervals how it is taken in this run.
    """

    config: dict[str, Any]
    doors: tuple[SinkAddress, ...]
    replaced: tuple[str, ...]
    pinned: tuple[str, ...]


def redirect(
    config: Mapping[str, Any], addresses: SinkAddresses, *, folder: Path, too_new: Collection[Setting] = ()
) -> Redirected:
    """The parsed alertmanager.yml with every notification led to one of `addresses`.

    `folder` is where the file lies: template globs are relative to it. Settings that are `too_new` for the program that
    is to read it are left out and named; an integration that cannot do without becomes a webhook. The original is left
    as it is; its structure has been checked when it was read (`config_alertmanager`).
    """
    replaced = [
        f"{key}: unknown key, so the local stack runs without it"
        for key in config
        if key not in _KEPT and key not in _PINNED_AWAY and key != "global"
    ]
    new: dict[str, Any] = {}
    settings, unknown = _global(config.get("global") or {}, too_new)
    replaced += unknown
    if settings:
        new["global"] = settings
    new.update({key: copy.deepcopy(config[key]) for key in _KEPT if config.get(key) is not None})
    for section in _KEPT:
        left_out = _without(new.get(section), {key for top, key in too_new if top == section})
        replaced += [f"{section}, {key}: left out: {_TOO_NEW}" for key in dict.fromkeys(left_out)]
    new["receivers"] = []
    for receiver in config.get("receivers") or []:
        rebuilt, remarks = _receiver(receiver, addresses, too_new)
        new["receivers"].append(rebuilt)
        replaced += remarks
    if new.get("templates"):
        new["templates"] = [absolute_glob(folder, pattern) for pattern in new["templates"]]
    pinned = tuple(_pin(new["route"], "route")) if new.get("route") else ()
    return Redirected(new, addresses.given, tuple(replaced), pinned)


def absolute_glob(folder: Path, pattern: str) -> str:
    """A template glob that means the same from anywhere; what is special to a glob in the folder is escaped."""
    if posixpath.isabs(pattern):
        return pattern
    return posixpath.join(_GO_GLOB.sub(r"\\\1", str(folder.resolve())), pattern)


def _without(node: Any, keys: Collection[str]) -> Iterator[str]:
    """Takes the keys out of a route and those below, or of each inhibition rule; says which it found."""
    if isinstance(node, list):
        for each in node:
            yield from _without(each, keys)
    elif isinstance(node, dict):
        for key in [each for each in node if each in keys]:
            del node[key]
            yield key
        yield from _without(node.get("routes"), keys)


def _global(settings: Mapping[str, Any], too_new: Collection[Setting]) -> tuple[dict[str, Any], list[str]]:
    kept = {key: value for key, value in settings.items() if key in _GLOBAL_KEPT and ("global", key) not in too_new}
    unknown = [key for key in settings if key not in _GLOBAL_KEPT and not _GLOBAL_REPLACED.fullmatch(str(key))]
    return kept, [f"global.{key}: unknown key, so the local stack runs without it" for key in unknown]


def _receiver(
    receiver: Mapping[str, Any], addresses: SinkAddresses, too_new: Collection[Setting]
) -> tuple[dict[str, Any], list[str]]:
    """The receiver with each integration led to a sink address of its own; those replaced follow its own webhooks."""
    name = str(receiver["name"])
    rebuilt: dict[str, Any] = {"name": name}
    webhooks: list[dict[str, Any]] = []
    remarks: list[str] = []
    for key, entries in receiver.items():
        if not key.endswith(CONFIGS):
            if key != "name":
                remarks.append(f"receiver {name}, {key}: not known, so left out")
            continue
        kind = key.removesuffix(CONFIGS)
        for index, entry in enumerate(entries or []):
            where = f"receiver {name}, {kind} {index}"
            reason = _no_address(kind, entry, too_new)
            if reason:
                only = {"send_resolved": _send_resolved(kind, entry)}
                webhooks.append(_led_to_sink(name, kind, KINDS["webhook"], index, only, addresses))
                remarks.append(f"{where}: sent as a webhook: {reason}")
                continue
            integration = KINDS[kind]
            lost = [setting for setting in entry if (kind, setting) in too_new]
            kept = {setting: value for setting, value in entry.items() if setting not in lost}
            rebuilt.setdefault(key, []).append(_led_to_sink(name, kind, integration, index, kept, addresses))
            remarks += [f"{where}, {setting}: left out: {_TOO_NEW}" for setting in lost]
            remarks += [
                f"{where}, {setting}: {why}" for setting, why in integration.noted.items() if entry.get(setting)
            ]
    if webhooks:
        rebuilt["webhook_configs"] = [*rebuilt.get("webhook_configs", []), *webhooks]
    return rebuilt, remarks


def _no_address(kind: str, entry: Mapping[str, Any], too_new: Collection[Setting]) -> str:
    """Why an integration cannot be led to a sink as it is; empty when it can."""
    integration = KINDS.get(kind)
    if integration is None:
        return "chaoskit does not know this kind of integration"
    if any(own == kind and setting not in integration.contents for own, setting in too_new):
        return _TOO_NEW
    unknown = sorted(str(key) for key in entry if key not in integration.known)
    if unknown and not integration.no_address:
        return f"its setting {', '.join(unknown)} is not known"
    return integration.no_address


def _led_to_sink(
    receiver: str, kind: str, integration: Integration, index: int, entry: Mapping[str, Any], addresses: SinkAddresses
) -> dict[str, Any]:
    """The entry of an integration of this kind, written as one of the `integration`, whose address is a sink's."""
    resolved = _send_resolved(kind, entry)
    contents = {key: copy.deepcopy(value) for key, value in entry.items() if key in integration.contents}
    rebuilt = {
        **copy.deepcopy(dict(integration.absent)),
        **contents,
        **copy.deepcopy(dict(integration.fixed)),
    }
    tail = _tail(entry.get(integration.address)) if kind == "webhook" else ""
    worded = bool(integration.word_at)
    led = addresses.add(
        receiver, kind, index, send_resolved=resolved, speaks=integration.kind, tail=tail, worded=worded
    )
    if integration.kind != "email":
        rebuilt["http_config"] = {"follow_redirects": False}
    _give_word(rebuilt, integration, led)
    rebuilt[integration.address] = led.address
    rebuilt["send_resolved"] = resolved
    return rebuilt


def _give_word(entry: dict[str, Any], integration: Integration, led: SinkAddress) -> None:
    """Puts its word where this kind of integration carries it."""
    *above, last = integration.word_at or ("",)
    for key in above:
        entry = entry.setdefault(key, {})
    if last:
        entry[last] = led.word


def _send_resolved(kind: str, entry: Mapping[str, Any]) -> bool:
    """The value in force: as written, else the kind's default, else (an unknown kind) true."""
    written = entry.get("send_resolved")
    if isinstance(written, str):  # a reader that knows no YAML 1.1 leaves its other words as they stand
        return written.lower() in TRUE
    return SEND_RESOLVED.get(kind, True) if written is None else bool(written)


def _tail(url: object) -> str:
    """The path of a webhook's own URL, to follow the sink's; none where it is a template or holds a token."""
    if not isinstance(url, str) or "{{" in url:
        return ""
    try:
        path = posixpath.normpath("/" + urlsplit(url).path.lstrip("/"))
    except ValueError:
        return ""
    harmless = re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)+", path)
    return path if harmless and not any(map(is_token_like, path.split("/"))) else ""


def _pin(route: dict[str, Any], where: str) -> Iterator[str]:
    """Take the time intervals out of a route and those below; says of each what that means."""
    for key, meaning in _INTERVALS.items():
        names = route.pop(key, None)
        if names:
            receiver = f" (receiver {route['receiver']})" if route.get("receiver") else ""
            yield f"{where}{receiver}: {key} {', '.join(map(str, names))} left out: the route {meaning}"
    for number, child in enumerate(route.get("routes") or []):
        yield from _pin(child, f"{where}.routes[{number}]")
