"""alertmanager.yml as plain data: the routing tree with everything inherited filled in, and the inhibitions.

Interpreted strictly are routes, time intervals, inhibitions and receivers' names; what an integration is told beside
`send_resolved`, its recipients and its address is amtool's to check. Rules and defaults follow Alertmanager's
config and dispatch packages (0.25 to 0.34): a route inherits receiver, grouping and timings, an empty `group_by: []`
inherits as well (which 0.33 no longer does, so that is said), `['...']` means every label, time intervals are not
inherited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import getaddresses
from urllib.parse import quote, urlsplit

from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.config_intervals import read_intervals
from chaoskit.alerting.config_matchers import parse_matchers, regex
from chaoskit.alerting.config_secrets import shown_address
from chaoskit.alerting.integrations import KINDS, SEND_RESOLVED
from chaoskit.alerting.model import InhibitRule, Integration, Matcher, Receiver, Route, TimeInterval
from chaoskit.errors import Place
from chaoskit.yaml_source import Node, nearest

_SUFFIX = "_configs"


def read_receivers(reading: Reading, root: Node, general: Node) -> dict[str, Receiver]:
    """All receivers by name, in the order written; every problem goes to `reading`. `general` are the global ones."""
    found: dict[str, Receiver] = {}
    for node in reading.mappings(root, "receivers", "a receiver"):
        name = reading.required(node, "name", "a receiver")
        integrations = tuple(each for key, _ in node.pairs for each in _integrations(reading, node, key, name, general))
        if name in found:
            line = found[name].place.line
            reading.say(node.place, f"the receiver '{name}' is defined twice", f"first on line {line}; rename one")
        elif name:
            found[name] = Receiver(name, integrations, node.place)
    return found


def _integrations(reading: Reading, receiver: Node, key: Node, name: str, general: Node) -> tuple[Integration, ...]:
    if key.raw in ("name", "labels"):
        return ()
    kind = key.raw.removesuffix(_SUFFIX)
    if kind not in SEND_RESOLVED:
        # It may be newer than this list: amtool has the last word on it.
        hint = nearest(key.raw, ("name", *(each + _SUFFIX for each in SEND_RESOLVED)))
        reading.puzzle(key.place, f"unknown key '{key.raw}' in a receiver", hint, [name])
        if kind == key.raw or nearest(kind, SEND_RESOLVED):
            return ()
    return tuple(
        Integration(
            kind,
            index,
            reading.boolean(node, "send_resolved", SEND_RESOLVED.get(kind, True)),
            _recipients(reading, node) if kind == "email" else (),
            _address(node, kind, general),
            kind == "webhook" and _is_witness(reading, node, name),
        )
        for index, node in enumerate(reading.mappings(receiver, key.raw, f"an entry of {key.raw}"))
    )


def _address(node: Node, kind: str, general: Node) -> str:
    """Where an integration sends to as it may be shown, its own setting or the global one; empty where neither says.

    A file of its own counts before the global setting.
    """
    key = KINDS[kind].address if kind in KINDS else ""
    if node.get(f"{key}_file") is not None:
        return ""
    inherited = f"{'smtp' if kind == 'email' else kind}_{key}"
    found = next((each for each in (node.get(key), general.get(inherited)) if key and each is not None), None)
    return shown_address(found.raw) if found is not None and found.kind == "scalar" and found.value is not None else ""


def path_for(receiver: str) -> str:
    """The path at a witness that stands for a receiver."""
    return f"/receiver/{quote(receiver, safe='')}"


def leads_to_witness(url: str, follow_redirects: object, receiver: str) -> bool:
    """Whether a webhook is the witness's entry beside this receiver, also with the last part of its address taken out.

    A team's own address may end so too; the witness's entry forbids redirects besides, as each that we make does.
    """
    try:
        path = urlsplit(url).path
    except ValueError:
        return False
    return follow_redirects is False and path.endswith((path_for(receiver), path_for("") + "<secret>"))


def _is_witness(reading: Reading, webhook: Node, receiver: str) -> bool:
    url, follows = webhook.get("url"), reading.mapping(webhook, "http_config").get("follow_redirects")
    return leads_to_witness(str(url.value) if url else "", follows.value if follows else None, receiver)


def _recipients(reading: Reading, node: Node) -> tuple[str, ...]:
    """The addresses of an e-mail's `to`, without display names; a template stays as it is written."""
    written = reading.required(node, "to", "an e-mail integration")
    if "{{" in written:
        return (written,)
    addresses = tuple(address for _, address in getaddresses([written]) if address)
    if written and not addresses:
        reading.say(node.place, f"'to: {written}' holds no mail address", "write name@example.com")
    return addresses


GROUP_WAIT_S = 30.0
GROUP_INTERVAL_S = 300.0
REPEAT_INTERVAL_S = 4 * 3600.0

_TOP_KEYS = (
    "global", "templates", "route", "inhibit_rules", "receivers",
    "mute_time_intervals", "time_intervals", "tracing", "event_recorder",
)  # fmt: skip
ROUTE_KEYS = (
    "receiver", "group_by", "group_wait", "group_interval", "repeat_interval", "match", "match_re",
    "matchers", "continue", "routes", "mute_time_intervals", "active_time_intervals", "labels",
)  # fmt: skip
INHIBIT_KEYS = (
    "name", "source_match", "source_match_re", "source_matchers",
    "target_match", "target_match_re", "target_matchers", "equal",
)  # fmt: skip
# Alertmanager sorts a route's matchers by name, value and kind, in this order of kinds.
_KINDS = ("=", "!=", "=~", "!~")


@dataclass(frozen=True, slots=True)
class AlertmanagerFile:
    """The content of one alertmanager.yml; `templates` are the globs as written."""

    route: Route
    receivers: Mapping[str, Receiver]
    inhibit_rules: tuple[InhibitRule, ...]
    templates: tuple[Node, ...]
    intervals: Mapping[str, TimeInterval] = field(default_factory=dict)


NO_ROUTE = Route((), "", (), GROUP_WAIT_S, GROUP_INTERVAL_S, REPEAT_INTERVAL_S, (), False, (), Place(""))
"""Alertmanager's defaults, which the root route inherits; also the tree where no configuration is shown."""
Names = tuple[tuple[str, ...], tuple[str, ...]]
"""The names that a route may refer to: receivers and time intervals."""


def read_alertmanager(reading: Reading, text: str, file: str) -> AlertmanagerFile:
    """Read the file; every problem goes to `reading`."""
    root = reading.root(text, file, "alertmanager")
    reading.known_keys(root, _TOP_KEYS, "the Alertmanager configuration", ())
    general = reading.mapping(root, "global")
    receivers = read_receivers(reading, root, general)
    intervals = read_intervals(reading, root)
    node = reading.mapping(root, "route")
    if reading.get(root, "route") is None:
        reading.say(Place(file), "no 'route' is given", "add route: {receiver: ...}")
    elif node.kind == "mapping":
        _check_root(reading, node)
    route = _route(reading, node, (), NO_ROUTE, (tuple(receivers), tuple(intervals)))
    inhibitions = tuple(
        _inhibition(reading, each) for each in reading.mappings(root, "inhibit_rules", "an inhibit rule")
    )
    return AlertmanagerFile(route, receivers, inhibitions, reading.texts(root, "templates"), intervals)


def _check_root(reading: Reading, node: Node) -> None:
    """Alertmanager refuses a root that does not take every alert."""
    if not reading.text(node, "receiver"):
        reading.say(node.place, "the root route has no 'receiver'", "name a receiver for all other alerts")
    for key in ("match", "match_re", "matchers", "mute_time_intervals", "active_time_intervals", "continue"):
        value = reading.get(node, key)
        # Alertmanager shows its own configuration with `continue: false`, and that it takes.
        if value is not None and value.value is not False and (value.kind == "scalar" or value.value):
            reading.say(value.place, f"the root route must not have '{key}'", "move it to a child route")


def _route(reading: Reading, node: Node, path: tuple[int, ...], above: Route, names: Names) -> Route:
    receivers, intervals = names
    receiver = reading.get(node, "receiver")
    # The receivers that it hides cannot be known: the siblings of a route may be meant as well.
    reading.known_keys(node, ROUTE_KEYS, "a route", ())
    if receiver is not None and receiver.kind == "scalar" and receiver.raw not in receivers:
        reading.undefined(receiver.place, "the receiver", receiver.raw, receivers, "receivers")
    own = Route(
        path,
        reading.text(node, "receiver") or above.receiver,
        _group_by(reading, node, above.group_by),
        reading.duration(node, "group_wait", above.group_wait_s),
        _positive(reading, node, "group_interval", above.group_interval_s),
        _positive(reading, node, "repeat_interval", above.repeat_interval_s),
        matchers=_matchers(reading, node, ""),
        continues=reading.boolean(node, "continue", False),
        children=(),
        place=node.place,
        muted_in=_intervals(reading, node, "mute_time_intervals", intervals),
        active_in=_intervals(reading, node, "active_time_intervals", intervals),
    )
    children = tuple(
        _route(reading, child, (*path, index), own, names)
        for index, child in enumerate(reading.mappings(node, "routes", "a route"))
    )
    written = reading.get(node, "group_by")
    if written is not None and written.kind == "sequence" and not written.items and above.group_by != ():
        message = "'group_by: []' inherits up to Alertmanager 0.28, and groups by nothing in 0.33"
        reading.puzzle(written.place, message, "list labels, or drop the key", _receivers(own.receiver, children), True)
    return replace(own, children=children)


def _receivers(own: str, children: tuple[Route, ...]) -> list[str]:
    return [own, *(name for child in children for name in _receivers(child.receiver, child.children))]


def _positive(reading: Reading, node: Node, key: str, default: float) -> float:
    seconds = reading.duration(node, key, default)
    if not seconds:
        value = reading.get(node, key)
        reading.say(value.place if value else node.place, f"{key} cannot be zero", "write a duration such as 5m")
        return default
    return seconds


def _group_by(reading: Reading, node: Node, above: tuple[str, ...] | None) -> tuple[str, ...] | None:
    labels: list[str] = []
    items = reading.texts(node, "group_by")
    for item in items:
        if not item.raw:
            reading.say(item.place, "group_by holds an empty label name", "remove the empty name")
        elif item.raw in labels:
            reading.say(item.place, f"'{item.raw}' appears twice in group_by", "keep one")
        labels.append(item.raw)
    if "..." in labels:
        if len(labels) > 1:
            reading.say(items[0].place, "group_by holds '...' beside other labels", "keep '...' alone (every label)")
        return None
    return tuple(labels) if labels else above


def _intervals(reading: Reading, node: Node, key: str, defined: tuple[str, ...]) -> tuple[str, ...]:
    named = list(reading.texts(node, key))
    for item in named:
        if item.raw not in defined:
            reading.undefined(item.place, "the time interval", item.raw, defined, "time_intervals")
    return tuple(item.raw for item in named)


def _inhibition(reading: Reading, node: Node) -> InhibitRule:
    reading.known_keys(node, INHIBIT_KEYS, "an inhibit rule", ())
    return InhibitRule(
        _matchers(reading, node, "source_"),
        _matchers(reading, node, "target_"),
        tuple(item.raw for item in reading.texts(node, "equal")),
        node.place,
    )


def _matchers(reading: Reading, node: Node, side: str) -> tuple[Matcher, ...]:
    """The matchers of a route (`side` empty) or of one side of an inhibit rule, in Alertmanager's order."""
    found = [Matcher(name, "=", value) for name, value in reading.string_map(node, f"{side}match").items()]
    for name, value in reading.string_map(node, f"{side}match_re").items():
        try:
            regex(value)
        except ValueError as error:
            reading.say(reading.mapping(node, f"{side}match_re").place, str(error))
            continue
        # Alertmanager keeps the anchored pattern as the value, and prints it so in group keys.
        found.append(Matcher(name, "=~", f"^(?:{value})$"))
    for item in reading.texts(node, f"{side}matchers"):
        try:
            found.extend(parse_matchers(item.raw))
        except ValueError as error:
            reading.say(item.place, str(error))
    return tuple(sorted(found, key=lambda each: (each.label, each.value, _KINDS.index(each.op))))
