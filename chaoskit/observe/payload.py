"""The contents of an HTTP notification: Alertmanager's own webhook format whole, other services' as far as certain.

Another service's payload is kept as text; it is called firing or resolved only where that service's own protocol
says so, and never judged by words that a template wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from chaoskit import json_text
from chaoskit.events import Interval, Notice, NoticedAlert, SinkKey

TEXT_LIMIT = 1_000_000
"""Characters of another service's payload that are kept."""
NO_JSON = "not JSON"
"""How the problem begins with a payload that is no JSON although its kind demands that."""


class _Alert(msgspec.Struct, rename="camel"):
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts_at: str = ""
    ends_at: str = ""


class _Webhook(msgspec.Struct, rename="camel"):
    """The fields that are read of Alertmanager's webhook message, version 4."""

    status: str
    alerts: list[_Alert]
    version: str = ""
    group_key: str = ""
    group_labels: dict[str, str] | None = None
    truncated_alerts: int = 0


def unread(key: SinkKey, sent: Interval, *problems: str) -> Notice:
    """A notice of which nothing is known but where and when it came, and why it was not read."""
    receiver, integration, index = key
    return Notice(
        receiver=receiver, integration=integration, index=index, sent=sent, status="unknown", alerts=[],
        problems=[*problems],
    )  # fmt: skip


def read_payload(speaks: str, path: str, body: bytes, notice: Notice) -> Notice:
    """The `unread` notice with the contents of a message to an address where that kind of integration is spoken."""
    if speaks == "webhook":
        return _webhook(body, notice)
    problems: list[str] = []
    text = _text(body, problems)
    return replace(notice, status=_service_status(speaks, path, body), text=text, problems=problems)


def _webhook(body: bytes, notice: Notice) -> Notice:
    problems: list[str] = []
    try:
        message = json_text.decode(body, type=_Webhook)
        alerts = [_noticed(alert) for alert in message.alerts]
    except ValueError as error:
        kind = "an alert's time cannot be read"
        if isinstance(error, msgspec.DecodeError):
            schema = isinstance(error, msgspec.ValidationError)
            kind = "not Alertmanager's webhook message" if schema else NO_JSON
        problems.append(f"{kind}: {error}")
        return replace(notice, text=_text(body, problems), problems=problems)
    if message.version != "4":
        problems.append(f"webhook message of version '{message.version}', read as version 4")
    if message.truncated_alerts:
        problems.append(f"{message.truncated_alerts} alerts were left out of the message (max_alerts)")
    status = "unknown" if message.truncated_alerts else of_alerts(alerts)
    return replace(
        notice,
        status=status,
        alerts=alerts,
        group_key=message.group_key,
        group_labels=message.group_labels,
        problems=problems,
    )


def _noticed(alert: _Alert) -> NoticedAlert:
    return NoticedAlert(
        status=alert.status,
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=instant(alert.starts_at),
        # Of a firing alert it is the zero time, or when Alertmanager would give it up: no end in either case.
        ends_at=instant(alert.ends_at) if alert.status == "resolved" else None,
    )


def instant(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time as Go writes it; None for the zero time; ValueError otherwise.

    Go writes up to nine decimals, of which datetime would keep six; the nearest float is given.
    """
    if not text or text.startswith("0001-01-01T00:00:00"):
        return None
    zone_at = max(text.rfind("Z"), text.rfind("+"), text.rfind("-"))
    seconds, _, fraction = text[:zone_at].partition(".")
    whole = datetime.fromisoformat(seconds + text[zone_at:])
    if whole.tzinfo is None or (fraction and not fraction.isdigit()):
        raise ValueError(f"'{text}' is not a time")
    nanos = int(fraction[:9].ljust(9, "0")) if fraction else 0
    since_epoch = whole - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since_epoch.days * 86400 + since_epoch.seconds) * 10**9 + nanos) / 10**9


def _service_status(speaks: str, path: str, body: bytes) -> Status:
    match speaks:
        case "pagerduty":
            return {"trigger": "firing", "resolve": "resolved"}.get(_field(body, "event_action"), "unknown")  # type: ignore[return-value]
        case "victorops":
            # Anything but RECOVERY is a message_type of the user's choice for firing alerts.
            kind = _field(body, "message_type")
            return "resolved" if kind == "RECOVERY" else "firing" if kind else "unknown"
        case "opsgenie":
            bare = urlsplit(path).path.rstrip("/")
            return "resolved" if bare.endswith("/close") else "firing" if bare.endswith("/v2/alerts") else "unknown"
        case "incidentio":
            found = _field(body, "status")
            return found if found in ("firing", "resolved") else "unknown"  # type: ignore[return-value]
        case _:
            return "unknown"


def _field(body: bytes, name: str) -> str:
    try:
        payload = json_text.decode(body)
    except msgspec.DecodeError:
        return ""
    value = payload.get(name) if isinstance(payload, dict) else None
    return value if isinstance(value, str) else ""


def _text(body: bytes, problems: list[str]) -> str:
    text = body.decode("utf-8", errors="replace")
    if len(text) > TEXT_LIMIT:
        problems.append(f"the payload has {len(text)} characters; the first {TEXT_LIMIT} are kept")
    return text[:TEXT_LIMIT]


Status = Literal["firing", "resolved", "mixed", "unknown"]


def of_alerts(alerts: Sequence[NoticedAlert]) -> Status:
    """Firing or resolved where all alerts are, mixed where both occur, unknown where there is none."""
    found = {alert.status for alert in alerts}
    if len(found) > 1:
        return "mixed"
    return next(iter(found), "unknown")
