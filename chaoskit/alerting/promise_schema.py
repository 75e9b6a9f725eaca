"""The promise file's keys as the JSON Schema by which an editor helps; the reader knows its keys from here.

Every key has an example. The reader has the last word: whether names are defined, and which figures go together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaoskit.alerting.model import ALWAYS, VOLUMES

FORMAT = 1
VOLUME_PATTERN = r"(\d{1,9})\.\.(\d{1,9})/day"

_UNITS = "".join(rf"(\d{{1,15}}{unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms"))
_EXAMPLE = "examples"
Schema = dict[str, Any]


def _key(description: str, example: Any, shape: Schema) -> Schema:
    return {**shape, "description": description, _EXAMPLE: [example]}


def _record(keys: Mapping[str, Schema], needs: tuple[str, ...] = ()) -> Schema:
    needed = {"required": list(needs)} if needs else {}
    return {"type": "object", "properties": dict(keys), "additionalProperties": False, **needed}


def _named(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": {"type": ["string", "number"]}}
_DURATION: Schema = {"type": ["string", "integer"], "pattern": f"^(0|{_UNITS})$"}
_SWITCH: Schema = {"anyOf": [{"type": "boolean"}, {"enum": ["yes", "no", "on", "off", "y", "n"]}]}
_TIMES = _named(_DURATION)

NOTICE = _record(
    {
        "for": _key("how long the condition holds before the alert fires", "1m", _DURATION),
        "group_wait": _key("from firing to the first notice of a new group", "30s", _DURATION),
        "group_interval": _key("until a group that has notified says what is new", "5m", _DURATION),
        "repeat": _key("how long before the same notice may come again", "2h", _DURATION),
        "grouped_by": _key(
            "the labels that tell groups of notices apart; ... for all", ["alertname", "worker_name"], _TEXTS
        ),
    },
    ("for", "group_wait", "repeat"),
)
LEVELS = _record(
    {
        "quiet": _key("a value at which the alert does not fire", 100, {"type": "number"}),
        "fires": _key("a value at which the alert fires", 101, {"type": "number"}),
    },
    ("quiet", "fires"),
)
ALERT = _record(
    {
        "appears": _key("from the fault until the service's own metrics show the condition", "6s", _DURATION),
        "clears": _key("from the fault's end until the metrics show that the fault is over", "30s", _DURATION),
        "labels": _key(
            "labels that routes, inhibitions, notices and people go by",
            {"severity": "critical", "component": "worker"},
            _named({"type": ["string", "number", "boolean"]}),
        ),
        "levels": _key("on both sides of the threshold", {"quiet": 100, "fires": 101}, LEVELS),
        "phone": _key("by receiver: the longest from the fault to the first notice", {"critical-alerts": "2m"}, _TIMES),
        "all_clear": _key(
            "by receiver: the longest from the fault's end to the notice of it", {"critical-alerts": "3m15s"}, _TIMES
        ),
        "muted_by": _key("the only alerts that may mute this one", ["MultipleWorkersDown"], _TEXTS),
        "muted_within": _key("the labels in which this alert and one that mutes it agree", ["environment"], _TEXTS),
        "hours": _key(f"{ALWAYS}, or the time interval in which the receiver is told", ALWAYS, _TEXT),
        "notices": _key(
            "by receiver: the notices that the receiver gets of the alert",
            {"worker-alerts": {"for": "1m", "group_wait": "30s", "repeat": "2h"}},
            _named(NOTICE),
        ),
    }
)
RECEIVER = _record(
    {
        "recipients": _key("the addresses of its mails", ["ops@example.com"], _TEXTS),
        "resolved": _key("whether the receiver gets the all-clear", True, _SWITCH),
        "integrations": _key("each kind of integration that brings the receiver notices", ["email", "webhook"], _TEXTS),
        "at": _key(
            "the addresses that the notices go to: a mail relay's HOST:PORT, an address of the web",
            ["smtp.example.com:587", "https://hooks.example.com/alerts"],
            _TEXTS,
        ),
    }
)
JOB = _record(
    {
        "scrape": _key("how often it is scraped", "15s", _DURATION),
        "timeout": _key("how long one scrape of the job may take", "10s", _DURATION),
        "at": _key("the addresses of its targets", ["crm.example.com:9091"], _TEXTS),
        "labels": _key("the labels that the job adds to its series, and no others", ["environment"], _TEXTS),
    },
    ("scrape",),
)
GROUP = _record({"interval": _key("how often its rules are evaluated", "15s", _DURATION)}, ("interval",))
VOLUME = _record(
    {
        day: _key(f"notices on a day that is {day}", example, {"type": "string", "pattern": f"^{VOLUME_PATTERN}$"})
        for day, example in zip(VOLUMES, ("0..1/day", "2..5/day", "5..10/day"), strict=True)
    }
)
PROMISE = _record(
    {
        "chaoskit": _key("the format's version; the first key", FORMAT, {"const": FORMAT}),
        "delivery": _key("tolerance at the end of every notice's window", "2s", _DURATION),
        "runbook": _key("every notice links below it", "https://docs.example.com/runbooks/", _TEXT),
        "subject_contains": _key("texts that every mail's subject holds", ["ALERT"], _TEXTS),
        "receivers": _key("who is told", {"critical-alerts": {"recipients": ["ops@example.com"]}}, _named(RECEIVER)),
        "jobs": _key("how often the watched targets are scraped", {"my-service": {"scrape": "15s"}}, _named(JOB)),
        "alertmanagers": _key("each Alertmanager of Prometheus", ["alertmanager.example.com:9093"], _TEXTS),
        "groups": _key("how often rules are evaluated", {"worker": {"interval": "15s"}}, _named(GROUP)),
        "volume": _key("how many notices people get", {"healthy": "0..1/day"}, VOLUME),
        "alerts": _key("what they are told of", {"WorkerUnhealthy": {"hours": ALWAYS}}, _named(ALERT)),
    },
    ("chaoskit",),
)
DOCUMENT: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "chaoskit promise",
    **PROMISE,
}
"""The JSON Schema (draft 2020-12) of a promise file."""


def keys_of(record: Schema) -> tuple[str, ...]:
    """The keys of a record, in their order."""
    return tuple(record["properties"])
