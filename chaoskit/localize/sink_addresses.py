"""Sink addresses: the loopback addresses behind which every notification of a run ends.

One address for each integration of each receiver, so that it alone tells which integration sent a message:
a mail comes to a port of its own, an HTTP request to a path of its own on one shared port.

    critical-alerts  email 0    -> smtp 127.0.0.1:21025
                     webhook 0  -> http 127.0.0.1:21080/door/1/alerts/critical
    worker-alerts    slack 0    -> http 127.0.0.1:21080/door/2

Every process of the machine can connect, and Alertmanager shows addresses to all of them. So each address has a random
word of its own, which its integration carries in a field that Alertmanager keeps secret.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from chaoskit.errors import EquipmentError
from chaoskit.events import SinkKey
from chaoskit.host.ports import LOOPBACK, reserve


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkAddress:
    """Where one integration of one receiver delivers.

    `integration` is the kind as configured (email, webhook, slack ...), `index` its place in that receiver's list
    of the kind; `speaks` is what comes to the address: the same kind, or `webhook` where it had to be replaced.
    `send_resolved` is the value in force, the kind's default included.
    """

    number: int = 0
    receiver: str
    integration: str
    index: int = 0
    kind: Literal["smtp", "http"] = "http"
    port: int = 0
    path: str = ""
    send_resolved: bool = True
    speaks: str
    word: str = field(default="", repr=False)
    """The secret that messages to this address must carry; empty where this kind of integration can carry none."""

    @property
    def sink_key(self) -> SinkKey:
        """The key under which the history has what arrives at this address."""
        return (self.receiver, self.integration, self.index)

    @property
    def address(self) -> str:
        """The address as the configuration has it: `127.0.0.1:PORT` for mail, else a URL."""
        return f"{LOOPBACK}:{self.port}" if self.kind == "smtp" else f"http://{LOOPBACK}:{self.port}{self.path}"

    def is_notice(self, method: str, path: str) -> bool:
        """Whether an HTTP request that came to this address is a notification, not what a client does around one.

        WeChat's client fetches a token first; Opsgenie's updates the text of an alert after it has sent it.
        """
        path = path.partition("?")[0].rstrip("/")
        if self.speaks == "wechat":
            return path.endswith("/message/send")
        if self.speaks == "opsgenie":
            return method == "POST" and path.endswith(("/v2/alerts", "/close"))
        return method == "POST"


_JSON_SUCCESS = (
    "application/json",
    json.dumps(
        {
            "ok": True,  # Slack, Telegram
            "success": True,  # Rocket.Chat
            "status": "success",  # PagerDuty
            "errcode": 0,  # WeChat, its message
            "access_token": "door",  # WeChat, its token
            "result": {"message_id": 1, "date": 0, "chat": {"id": 1, "type": "private"}},  # Telegram
        }
    ).encode(),
)
_SNS_SUCCESS = (
    "text/xml",
    b'<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>door</MessageId>'
    b"</PublishResult><ResponseMetadata><RequestId>door</RequestId></ResponseMetadata></PublishResponse>",
)


def reply_to(speaks: str) -> tuple[str, bytes]:
    """The media type and text of the answer that a client of that kind takes for success: it does not send again."""
    return _SNS_SUCCESS if speaks == "sns" else _JSON_SUCCESS


def content_type(speaks: str) -> str:
    """The media type in which that kind of integration posts."""
    return "application/x-www-form-urlencoded" if speaks == "sns" else "application/json"


class SinkAddresses:
    """Hands out sink addresses and remembers whose they are.

    `smtp_port` gives a port for a mail address each time it is called: that of a sink which listens already, or, by
    default, a free one that the caller binds afterwards.
    """

    def __init__(self, http_port: int, smtp_port: Callable[[], int] | None = None) -> None:
        self.http_port = http_port
        self._smtp_port = smtp_port
        self._given: list[SinkAddress] = []

    @property
    def given(self) -> tuple[SinkAddress, ...]:
        """All sink addresses given out so far, by number."""
        return tuple(self._given)

    def add(
        self,
        receiver: str,
        integration: str,
        index: int,
        *,
        send_resolved: bool,
        speaks: str,
        tail: str = "",
        worded: bool = True,
    ) -> SinkAddress:
        """A new address: for what speaks `email` on a port of its own, else an HTTP path.

        `tail` is a path such as `/alerts/critical` that follows the address's own; `worded` says whether its messages
        can bear a word. Raises EquipmentError when a mail address's port is given out twice.
        """
        number = len(self._given)
        kind: Literal["smtp", "http"] = "http"
        port, path = self.http_port, f"/door/{number}{tail}"
        if speaks == "email":
            taken = {self.http_port, *(each.port for each in self._given)}
            kind, path = "smtp", ""
            port = self._smtp_port() if self._smtp_port else reserve(1, avoid=taken)[0]
            if port in taken:
                raise EquipmentError("mail sink", f"port {port} was given out twice", "start again")
        word = secrets.token_urlsafe(24) if worded else ""
        found = SinkAddress(
            number=number, receiver=receiver, integration=integration, index=index, kind=kind, port=port, path=path,
            send_resolved=send_resolved, speaks=speaks, word=word,
        )  # fmt: skip
        self._given.append(found)
        return found
