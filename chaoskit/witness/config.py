"""Additions to an Alertmanager's configuration: the witness hears all receivers, and a canary finds its way there.

    receivers:
    - name: critical-alerts
      webhook_configs:
      - url: http://127.0.0.1:9765/receiver/critical-alerts       the witness, in the same flush as the others

    route:
      routes:
      - receiver: chaoskit-witness                                first, for the alert ChaoskitCanary alone
        matchers: [alertname="ChaoskitCanary"]

The configuration is edited as the tree of nodes that was written, so what is not touched keeps its spelling (a
time of day stays one) and its secrets; comments get lost. Entries of the witness are known by their path and by the
redirects that they forbid, so a configuration that has them already is brought up to date, and otherwise left as it
is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import getaddresses
from functools import partial
from typing import Any

import yaml

from chaoskit.alerting.config_alertmanager import leads_to_witness, path_for, read_alertmanager
from chaoskit.alerting.config_fields import Reading
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.plan.witnesses import WITNESS
from chaoskit.scenario.fields import address_parts

CANARY = "ChaoskitCanary"
"""The alert that doctor sends to see whether the way to the witness is open."""
RECEIVER = "chaoskit-witness"
RECORDER_PATH = "/recorder"
"""The path at a witness that takes the events of Alertmanager's recorder."""
_WEBHOOKS = "webhook_configs"


@dataclass(frozen=True, slots=True)
class Addition:
    """One thing to add: where in the file, in words, its YAML, and how it is added to the tree."""

    place: Place
    what: str
    yaml: str
    make: Callable[[], None] = field(repr=False)


def entry(receiver: str, url: str, token_file: str) -> dict[str, Any]:
    """The webhook that leads a receiver's notices to the witness as well."""
    return {"url": url.rstrip("/") + path_for(receiver), "send_resolved": True, "http_config": _client(token_file)}


def _client(token_file: str) -> dict[str, Any]:
    """How Alertmanager speaks to the witness.

    Its HTTP client is its own: with none, it would get the global one, proxy and credentials of others included.
    """
    client: dict[str, Any] = {"follow_redirects": False}
    if token_file:
        client["authorization"] = {"type": "Bearer", "credentials_file": token_file}
    return client


def canary_route() -> dict[str, Any]:
    """The route of the canary: each one a group of its own, told at once."""
    return {
        "receiver": RECEIVER,
        "matchers": [f'alertname="{CANARY}"'],
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "1s",
        "repeat_interval": "1h",
    }


def recorder_block(recorder: str, url: str, token_file: str) -> dict[str, Any]:
    """The event recorder's block: its events go to a file, or to the witness where `recorder` says so."""
    if recorder != WITNESS:
        return {"file_outputs": [{"path": recorder}]}
    return {"webhook_outputs": [{"url": url.rstrip("/") + RECORDER_PATH, "http_config": _client(token_file)}]}


def patched(text: str, url: str, token_file: str = "", file: str = "alertmanager.yml", recorder: str = "") -> str:
    """The whole configuration with everything added; the same again when it is patched again.

    `token_file` is a path as Alertmanager finds it; without one the witness is told no token. With a `recorder`, the
    file of its events or `witness`, no receiver needs an entry. Raises BadInput for what is no Alertmanager
    configuration, and for an URL that is none.
    """
    root = _root(text, url, file)
    for each in list(_additions(root, url, token_file, file, recorder)):
        each.make()
    return str(yaml.serialize(root, Dumper=_Dumper, allow_unicode=True, width=1000))


def additions(
    text: str, url: str, token_file: str = "", file: str = "alertmanager.yml", recorder: str = ""
) -> list[Addition]:
    """The additions that the configuration still lacks, in the order of the file; raises BadInput as `patched`."""
    found = _additions(_root(text, url, file), url, token_file, file, recorder)
    return sorted(found, key=lambda each: each.place.line)


def _additions(root: yaml.MappingNode, url: str, token_file: str, file: str, recorder: str) -> Iterator[Addition]:
    receivers = _items(_get(root, "receivers"))
    if recorder:
        block = recorder_block(recorder, url, token_file)
        there = _get(root, "event_recorder")
        wanted = {**(_plain(there) if isinstance(there, yaml.MappingNode) else {}), **block}
        if there is None or _plain(there) != wanted:
            place = Place(file, (there or root).start_mark.line + 1)
            what = "at the top level, add" if there is None else "the event recorder becomes"
            shown = _shown({"event_recorder": wanted})
            yield Addition(place, what, shown, partial(_set, root, "event_recorder", wanted))
    for receiver in () if recorder else receivers:
        name, webhooks = _name(receiver), _items(_get(receiver, _WEBHOOKS))
        wanted, place = entry(name, url, token_file), Place(file, receiver.start_mark.line + 1)
        ours = [index for index, each in enumerate(webhooks) if _is_ours(each, name)]
        if ours and _plain(webhooks[ours[0]]) == wanted:
            continue
        what = f"to the receiver {name}, add"
        if webhooks:
            what = f"to the {_WEBHOOKS} of the receiver {name}, add"
        if ours:
            what = f"in the receiver {name}, its entry of the witness becomes"
        shown = _shown([wanted] if webhooks else {_WEBHOOKS: [wanted]})
        yield Addition(place, what, shown, partial(_put, receiver, _WEBHOOKS, wanted, *ours[:1]))
    if RECEIVER not in map(_name, receivers):
        own = {"name": RECEIVER, _WEBHOOKS: [entry(RECEIVER, url, token_file)]}
        place = Place(file, receivers[-1].end_mark.line)
        yield Addition(place, "to receivers, add", _shown([own]), partial(_put, root, "receivers", own))
    route = _get(root, "route")
    assert isinstance(route, yaml.MappingNode)  # or it would have been refused
    routes, canary = _items(_get(route, "routes")), canary_route()
    if not routes or _plain(routes[0]) != canary:
        place = Place(file, (routes[0] if routes else route).start_mark.line + 1)
        what = "before the first of its routes, add" if routes else "to the route, add"
        yield Addition(place, what, _shown([canary] if routes else {"routes": [canary]}), partial(_put_canary, route))


@dataclass(frozen=True, slots=True)
class Led:
    """Which receivers of a loaded configuration the witness hears."""

    lacking: tuple[str, ...]
    """The receivers that the witness does not hear."""
    hidden: tuple[str, ...]
    """The receivers with a webhook that may lead to the witness, but whose address Alertmanager does not show."""


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Turns any trouble with reading inside into a ValueError: the text is no configuration."""
    try:
        yield
    except (yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no Alertmanager configuration: {type(error).__name__}") from None


@_reading()
def led(text: str, receivers: list[str]) -> Led:
    """Looks for the witness's entries in a configuration as Alertmanager tells it, with its secrets taken out.

    From 0.26 on a webhook's address counts as one. ValueError where the text is no configuration.
    """
    webhooks = {one["name"]: one.get(_WEBHOOKS) or [] for one in yaml.safe_load(text)["receivers"]}
    unsure = [n for n in receivers if not any(leads_to_witness(*_led_by(each), n) for each in webhooks.get(n, []))]
    hidden = [n for n in unsure if any(_led_by(each) == ("<secret>", False) for each in webhooks.get(n, []))]
    return Led(tuple(name for name in unsure if name not in hidden), tuple(hidden))


@_reading()
def recorder_outputs(text: str) -> frozenset[str]:
    """To what the event recorder of a loaded configuration gives its events, as file and webhook; nothing without one.

    Versions name their outputs in several ways. ValueError where the text is no configuration.
    """
    block = yaml.safe_load(text).get("event_recorder") or {}
    outputs = [(key, one) for key, found in block.items() if isinstance(found, list | dict) for one in _each(found)]
    return frozenset(str(one.get("type") or key.removesuffix("_outputs")) for key, one in outputs)


@_reading()
def senders_of(text: str) -> frozenset[str]:
    """The addresses that a loaded configuration's mails come from; ValueError where the text is no configuration."""
    whole = yaml.safe_load(text)
    mails = [mail for receiver in whole["receivers"] for mail in receiver.get("email_configs") or ()]
    written = [(whole.get("global") or {}).get("smtp_from")]
    written += [found for mail in mails for found in (mail.get("from"), (mail.get("headers") or {}).get("From"))]
    return frozenset(address.lower() for _, address in getaddresses([str(one) for one in written if one]) if address)


def _each(found: list[Any] | dict[str, Any]) -> list[Any]:
    return [*found.values()] if isinstance(found, dict) else found


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, as people do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def serialize_node(self, node: yaml.Node, parent: Any, index: Any) -> None:
        if isinstance(node, yaml.ScalarNode) and ":" in node.value:
            # A time of day is a number only to YAML 1.1; as one it would get a tag that nobody else reads.
            node.tag = "tag:yaml.org,2002:str"
        super().serialize_node(node, parent, index)


def _root(text: str, url: str, file: str) -> yaml.MappingNode:
    """The file's own tree, once it was read as Alertmanager reads it."""
    reading = Reading()
    parts = address_parts(url, ("http", "https"))
    if parts is None or parts.query or "@" in url:
        reading.problems.append(
            Problem(None, "--url is no URL of a witness", "such as http://127.0.0.1:9765, without a password")
        )
    read_alertmanager(reading, text, file)
    reading.finish()
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or not _items(_get(root, "receivers")):
        raise BadInput(Problem(Place(file), "there is no receiver", "is it an Alertmanager configuration?"))
    return root


def _put(mapping: yaml.MappingNode, key: str, wanted: dict[str, Any], at: int | None = None) -> None:
    """The list under the key with this one last, or in the place of another."""
    entries = _list(mapping, key).value
    begin, end = (len(entries), len(entries)) if at is None else (at, at + 1)
    entries[begin:end] = [_node(wanted)]


def _set(mapping: yaml.MappingNode, key: str, wanted: dict[str, Any]) -> None:
    """The key with this value, in the place of what it had."""
    mapping.value = [(k, v) for k, v in mapping.value if k.value != key]
    mapping.value.append((yaml.ScalarNode("tag:yaml.org,2002:str", key), _node(wanted)))


def _put_canary(route: yaml.MappingNode) -> None:
    routes = _list(route, "routes")
    routes.value = [_node(canary_route()), *(one for one in routes.value if not _is_canary(one))]


def _list(mapping: yaml.MappingNode, key: str) -> yaml.SequenceNode:
    """The list under the key, made where there is none; a copy, for an alias may share it with others."""
    old = _get(mapping, key)
    items = list(_items(old))
    style = old.flow_style if isinstance(old, yaml.SequenceNode) and items else False
    new = yaml.SequenceNode("tag:yaml.org,2002:seq", items, flow_style=style)
    mapping.value = [(k, new if k.value == key else v) for k, v in mapping.value]
    if old is None:
        mapping.value.append((yaml.ScalarNode("tag:yaml.org,2002:str", key), new))
    return new


def _get(mapping: yaml.Node, key: str) -> yaml.Node | None:
    return next((value for name, value in mapping.value if name.value == key), None)


def _items(node: yaml.Node | None) -> list[yaml.MappingNode]:
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _name(receiver: yaml.MappingNode) -> str:
    found = _get(receiver, "name")
    return str(found.value) if found is not None else ""


def _is_ours(webhook: yaml.Node, receiver: str) -> bool:
    return leads_to_witness(*_led_by(_plain(webhook)), receiver)


def _is_canary(route: yaml.Node) -> bool:
    receiver = _get(route, "receiver")
    return receiver is not None and receiver.value == RECEIVER


def _led_by(webhook: dict[str, Any]) -> tuple[str, object]:
    """Address and `follow_redirects` of a webhook: both show whether it is the witness's."""
    return str(webhook.get("url")), (webhook.get("http_config") or {}).get("follow_redirects")


def _node(value: object) -> yaml.Node:
    node = yaml.compose(yaml.safe_dump(value, sort_keys=False, width=1000), Loader=yaml.SafeLoader)
    assert node is not None
    return node


def _plain(node: yaml.Node) -> Any:
    return yaml.safe_load(yaml.serialize(node))


def _shown(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
