"""The receivers of alertmanager.yml: which integrations each has, and which of them hear the all-clear.

An integration is known by its list: `email_configs` makes `email`. The defaults of `send_resolved` are those
of Alertmanager's config/notifiers.go: off where a message cannot be updated (e-mail, Slack, WeChat,
Rocket.Chat), on everywhere else.
"""

from __future__ import annotations

from email.utils import getaddresses

from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.model import Integration, Receiver
from chaoskit.yaml_source import Node, nearest

SEND_RESOLVED = {
    "discord": True,
    "email": False,
    "incidentio": True,
    "jira": True,
    "mattermost": True,
    "msteams": True,
    "msteamsv2": True,
    "opsgenie": True,
    "pagerduty": True,
    "pushover": True,
    "rocketchat": False,
    "slack": False,
    "sns": True,
    "telegram": True,
    "victorops": True,
    "webex": True,
    "webhook": True,
    "wechat": False,
}
"""By kind: what `send_resolved` is when it is not written."""

_SUFFIX = "_configs"


def read_receivers(reading: Reading, root: Node) -> dict[str, Receiver]:
    """All receivers by name, in the order written; every problem goes to `reading`."""
    found: dict[str, Receiver] = {}
    for node in reading.mappings(root, "receivers", "a receiver"):
        name = reading.required(node, "name", "a receiver")
        integrations = tuple(each for key, _ in node.pairs for each in _integrations(reading, node, key, name))
        if name in found:
            line = found[name].place.line
            reading.say(node.place, f"the receiver '{name}' is defined twice", f"first on line {line}; rename one")
        elif name:
            found[name] = Receiver(name, integrations, node.place)
    return found


def _integrations(reading: Reading, receiver: Node, key: Node, name: str) -> tuple[Integration, ...]:
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
        )
        for index, node in enumerate(reading.mappings(receiver, key.raw, f"an entry of {key.raw}"))
    )


def _recipients(reading: Reading, node: Node) -> tuple[str, ...]:
    """The addresses of an e-mail's `to`, without display names; a template stays as it is written."""
    written = reading.required(node, "to", "an e-mail integration")
    if "{{" in written:
        return (written,)
    addresses = tuple(address for _, address in getaddresses([written]) if address)
    if written and not addresses:
        reading.say(node.place, f"'to: {written}' holds no mail address", "write name@example.com")
    return addresses
