"""Alertmanager's event recorder (0.33 and later): one JSON line for each notification that was delivered.

    {"@timestamp": "...", "data": {"notification": {"alerts": [...], "groupInfo": {...}, "integration": {...}}}}

It is read leniently, for its schema changes: up to 0.34 labels are lists of pairs and an alert has `details`, in
`events/v2` labels are maps and an alert is what it is. Events of other types say nothing that is judged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from chaoskit import json_text
from chaoskit.events import Interval, Notice, NoticedAlert
from chaoskit.files import open_regular
from chaoskit.observe.payload import instant, of_alerts, unread
from chaoskit.plan.witnesses import RECORDER

_CHUNK = 2**20
LONGEST = 16 * 2**20
"""Bytes of one line; Alertmanager writes less of a group with ten thousand alerts."""
SAME: Interval = (0.0, 0.0)
"""The clock difference of a recorder on this machine: none."""


def read_event(line: bytes, skew: Interval = SAME) -> Notice | None:
    """The delivery that a line tells of, on our clock; None for other events.

    `skew` is Alertmanager's clock minus ours. Raises ValueError for what is no event at all.
    """
    try:
        event = json_text.decode(line)
        at = instant(str(event.get("@timestamp") or event["timestamp"]))
        notification = event["data"].get("notification")
        if notification is None:
            return None
        group, integration = _either(notification, "groupInfo"), notification["integration"]
        muted = {_id(one) for one in _either(notification, "mutedAlerts", [])}
        ended = {_id(one) for one in _either(notification, "resolvedAlerts", [])}
        alerts = [_noticed(one, ended) for one in notification["alerts"] if _id(one) not in muted]
        key = (str(_either(group, "receiverName")), str(integration["name"]), int(integration.get("index", 0)))
    except msgspec.DecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"it is no event of Alertmanager's recorder: {type(error).__name__} {error}") from None
    if at is None:
        raise ValueError("it has no time")
    return replace(
        unread(key, (at - skew[1], at - skew[0])),
        status=of_alerts(alerts),
        alerts=alerts,
        group_key=str(_either(group, "groupKey", "")),
        by=RECORDER,
        group_labels=_labels(labels) if (labels := _either(group, "groupLabels", None)) is not None else None,
    )


def _noticed(alert: dict[str, Any], ended: set[str]) -> NoticedAlert:
    shown = alert.get("details", alert)
    resolved = bool(shown.get("resolved")) or _id(alert) in ended
    return NoticedAlert(
        status="resolved" if resolved else "firing",
        labels=_labels(shown.get("labels")),
        annotations=_labels(shown.get("annotations")),
        starts_at=instant(str(_either(shown, "startsAt", ""))),
        ends_at=instant(str(_either(shown, "endsAt", ""))) if resolved else None,
    )


def _labels(written: Any) -> dict[str, str]:
    pairs = written.get("labels") if isinstance(written, dict) else None
    if isinstance(pairs, list):
        return {str(one["key"]): str(one.get("value", "")) for one in pairs}
    return {str(key): str(value) for key, value in (written or {}).items()}


def _id(alert: dict[str, Any]) -> str:
    """The key that tells an alert of one event from the others."""
    shown = alert.get("details", alert)
    return str(alert.get("hash") or shown.get("fingerprint") or sorted(_labels(shown.get("labels")).items()))


def _either(fields: Mapping[str, Any], name: str, *default: Any) -> Any:
    """A field by its name in JSON, or as the schema spells it; without a default it must be there."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    found = fields.get(name, fields.get(snake, *default))
    if found is None and not default:
        raise KeyError(name)
    return found


class Tail:
    """The lines that are added to a file from now on, also where it is rotated; nothing is changed about it."""

    def __init__(self, file: Path) -> None:
        """Raises OSError where it cannot be read."""
        self.file = file
        self._fd = open_regular(file, os.O_RDONLY)
        os.lseek(self._fd, 0, os.SEEK_END)
        self._rest = b""

    def lines(self) -> Iterator[bytes]:
        """The lines added since the last call; raises OSError if it is gone, ValueError for a line without an end."""
        yield from self._new()
        there, here = self.file.stat(), os.fstat(self._fd)
        if (there.st_ino, there.st_dev) != (here.st_ino, here.st_dev):
            os.close(self._fd)
            self._fd, self._rest = open_regular(self.file, os.O_RDONLY), b""
            yield from self._new()
        elif here.st_size < os.lseek(self._fd, 0, os.SEEK_CUR):
            os.lseek(self._fd, 0, os.SEEK_SET)
            self._rest = b""
            yield from self._new()

    def close(self) -> None:
        """Closes the recorder's file; no more events are read."""
        os.close(self._fd)

    def _new(self) -> Iterator[bytes]:
        while chunk := os.read(self._fd, _CHUNK):
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            yield from filter(None, whole)
            if len(self._rest) > LONGEST:
                raise ValueError(f"a line of {self.file} has no end: is it the file of Alertmanager's event recorder?")
