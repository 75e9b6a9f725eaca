"""notification_windows.yml: the promise that people were given, read apart from what the configuration does.

    chaoskit: 1
    delivery: 2s                       # optional: tolerance at the end of every notice window
    runbook: https://docs.example.com/runbooks/    # optional: every notice links below it
    subject_contains: [ALERT]          # optional: texts that every mail's subject holds
    receivers:
      critical-alerts: {recipients: [ops@example.com], resolved: true, integrations: [email, webhook]}
    alerts:
      WorkerUnhealthy:
        appears: 6s                    # optional: from the fault until the service itself shows the condition
        clears: 30s                    # optional: from its end until the service shows that it is well
        notices:
          worker-alerts: {for: 1m, group_wait: 30s, repeat: 2h}

All further keys are optional; `promise_schema` lists them, each with an example.

`appears` and `clears` are delays of the service alone. Scrape, evaluation and the range that an expression looks
back over (`[5m]`, through recording rules too) are computed from the configuration and added by the plan and by
`chaoskit explain`: written here as well, they would count twice.

`integrations` names each kind that brings a receiver its notices; recipients promise `email` by themselves. One that
the configuration lacks is a promise that it breaks.

A promise about an alert or a receiver that the configuration does not have is a problem: it could never be
kept, and a misspelt name must not pass as a promise that no run checks.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping

from chaoskit.alerting import promise_schema as schema
from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.model import (
    ALWAYS,
    Promise,
    PromisedAddresses,
    PromisedAlert,
    PromisedLevels,
    PromisedNotice,
    PromisedReceiver,
    PromisedTime,
    PromisedVolume,
    Receiver,
)  # fmt: skip
from chaoskit.yaml_source import Node


def lacking(promised: PromisedReceiver, receiver: Receiver) -> tuple[str, ...]:
    """The kinds of integration that a receiver is promised and does not have, one for each that is missing."""
    there = Counter(integration.kind for integration in receiver.integrations)
    return tuple((Counter(promised.integrations) - there).elements())


NO_PROMISE = Promise(notices={}, receivers={})
"""The empty promise, used where no promise file is given."""


Names = Mapping[str, Collection[str]]
"""The names that the configuration defines, and a promise may use, by their kind; a kind that is missing may be any."""
_DEFINED_IN = {
    "alert": "any rule file", "receiver": "the Alertmanager configuration", "job": "the Prometheus configuration",
    "group": "any rule file", "time interval": "the Alertmanager configuration",
}  # fmt: skip


_NO_NAMES: Names = {}


def _check_name(reading: Reading, node: Node, kind: str, names: Names) -> None:
    """Report a name that stands for nothing."""
    defined = names.get(kind)
    if defined is not None and node.raw not in defined:
        reading.undefined(node.place, f"the {kind}", node.raw, defined, _DEFINED_IN[kind])


def read_promise(reading: Reading, text: str, file: str, names: Names = _NO_NAMES) -> Promise:
    """Read the file against the names of the configuration; every problem goes to `reading`."""
    root = reading.root(text, file)
    reading.known_keys(root, schema.keys_of(schema.PROMISE), "the promise file")
    _check_format(reading, root)
    subjects = reading.texts(root, "subject_contains")
    for each in (*subjects, reading.get(root, "runbook")):
        if each is not None and each.kind == "scalar" and not each.raw.strip():
            reading.say(each.place, "an empty text, which every notice holds", "write the text, or leave the key out")
    promised = {}
    for key, value in reading.mapping(root, "receivers").pairs:
        _check_name(reading, key, "receiver", names)
        promised[key.raw] = _receiver(reading, key, reading.as_mapping(value, f"the receiver '{key.raw}'"))
    notices: dict[tuple[str, str], PromisedNotice] = {}
    appears: dict[str, float] = {}
    clears: dict[str, float] = {}
    alerts: dict[str, PromisedAlert] = {}
    for key, value in reading.mapping(root, "alerts").pairs:
        _check_name(reading, key, "alert", names)
        node = reading.as_mapping(value, f"the alert '{key.raw}'")
        reading.known_keys(node, schema.keys_of(schema.ALERT), f"the promise for '{key.raw}'")
        for delays, name in ((appears, "appears"), (clears, "clears")):
            delay_s = reading.optional_duration(node, name)
            if delay_s is not None:
                delays[key.raw] = delay_s
        for receiver, notice in reading.mapping(node, "notices").pairs:
            _check_name(reading, receiver, "receiver", names)
            notices[key.raw, receiver.raw] = _notice(reading, key.raw, receiver, notice)
        alert = _alert(reading, key, node, names)
        if alert.places:
            alerts[key.raw] = alert
    jobs = reading.mapping(root, "jobs")
    return Promise(
        notices,
        promised,
        appears,
        clears,
        reading.optional_duration(root, "delivery"),
        reading.text(root, "runbook"),
        tuple(item.raw for item in subjects),
        alerts,
        _intervals(reading, jobs, names, "job", schema.JOB),
        _intervals(reading, reading.mapping(root, "groups"), names, "group", schema.GROUP),
        _volume(reading, reading.mapping(root, "volume")),
        {name.raw: at for name, node in jobs.pairs if (at := _addresses(reading, node, "at")) is not None},
        {name.raw: _texts(reading, node, "labels") or () for name, node in jobs.pairs if node.get("labels")},
        _addresses(reading, root, "alertmanagers"),
        {name.raw: most for name, node in jobs.pairs if (most := _timeout(reading, name, node)) is not None},
    )


def _check_format(reading: Reading, root: Node) -> None:
    version = root.get("chaoskit")
    if version is None or version.kind != "scalar" or version.raw != str(schema.FORMAT):
        found = "missing" if version is None else version.described()
        reading.say(
            version.place if version else root.place,
            f"'chaoskit', the format version, is {found}",
            f"begin the file with chaoskit: {schema.FORMAT}",
        )


def _receiver(reading: Reading, key: Node, node: Node) -> PromisedReceiver:
    reading.known_keys(node, schema.keys_of(schema.RECEIVER), f"the promised receiver '{key.raw}'")
    recipients = tuple(item.raw for item in reading.texts(node, "recipients"))
    kinds = tuple(item.raw for item in reading.texts(node, "integrations"))
    if recipients and "email" not in kinds:
        kinds = ("email", *kinds)
    resolved = reading.boolean(node, "resolved", True)
    return PromisedReceiver(key.raw, recipients, resolved, key.place, kinds, _texts(reading, node, "at"))


def _texts(reading: Reading, node: Node, key: str) -> tuple[str, ...] | None:
    """The texts that are listed below a key; None without the key."""
    return None if reading.get(node, key) is None else tuple(item.raw for item in reading.texts(node, key))


def _alert(reading: Reading, key: Node, node: Node, names: Names) -> PromisedAlert:
    """The promise for an alert itself: labels, levels, mutes and the like, beside its notices."""
    muting = reading.texts(node, "muted_by")
    for each in muting:
        _check_name(reading, each, "alert", names)
        if each.raw == key.raw:
            reading.say(each.place, f"'{key.raw}' is said to mute itself", "name other alerts, or none: muted_by: []")
    _once(reading, muting, "muted_by")
    hours = reading.get(node, "hours")
    if hours is not None and hours.raw != ALWAYS and reading.text(node, "hours"):
        _check_name(reading, hours, "time interval", names)
    own = (name for name in schema.keys_of(schema.ALERT) if name not in ("appears", "clears", "notices"))
    found = {name: value.place for name in own if (value := reading.get(node, name)) is not None}
    return PromisedAlert(
        key.raw,
        key.place,
        reading.string_map(node, "labels"),
        _levels(reading, node),
        _bounds(reading, node, "phone", names),
        _bounds(reading, node, "all_clear", names),
        tuple(each.raw for each in muting) if "muted_by" in found else None,
        reading.text(node, "hours"),
        found,
        _texts(reading, node, "muted_within"),
    )


def _levels(reading: Reading, alert: Node) -> PromisedLevels | None:
    """Both levels; None where they are not promised, or unusable, which is reported."""
    node = reading.mapping(alert, "levels")
    if not node.pairs:
        return None
    reading.known_keys(node, schema.keys_of(schema.LEVELS), "'levels'")
    levels: list[float] = []
    for key in schema.keys_of(schema.LEVELS):
        value = reading.get(node, key)
        found = value.value if value is not None else None
        if isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found):
            levels.append(float(found))
        else:
            what = f"is {value.described()}, expected a number" if value else "is missing"
            reading.say(value.place if value else node.place, f"'{key}' of 'levels' {what}", f"write {key}: 100")
    if len(levels) < len(schema.keys_of(schema.LEVELS)):
        return None
    if levels[0] == levels[1]:
        reading.say(node.place, "'levels' is quiet at the same value at which it fires", "write two values")
    return PromisedLevels(levels[0], levels[1], node.place)


def _bounds(reading: Reading, alert: Node, key: str, names: Names) -> dict[str, PromisedTime]:
    """A bound for each receiver."""
    found = {}
    node = reading.mapping(alert, key)
    for receiver, _ in node.pairs:
        _check_name(reading, receiver, "receiver", names)
        if (bound := _time(reading, node, receiver.raw, f"'{key}' of '{receiver.raw}'")) is not None:
            found[receiver.raw] = bound
    return found


def _intervals(
    reading: Reading, section: Node, names: Names, what: str, record: schema.Schema
) -> dict[str, PromisedTime]:
    """How often each job is scraped, or each group evaluated."""
    found = {}
    key, *others = schema.keys_of(record)
    for name, value in section.pairs:
        _check_name(reading, name, what, names)
        node = reading.as_mapping(value, f"the {what} '{name.raw}'")
        reading.known_keys(node, (key, *others), f"the promised {what} '{name.raw}'")
        if (interval := _time(reading, node, key, f"'{key}' of the {what} '{name.raw}'", name)) is not None:
            found[name.raw] = interval
    return found


def _timeout(reading: Reading, job: Node, node: Node) -> PromisedTime | None:
    """How long one scrape of a job may take; None where nothing is promised of it."""
    return _time(reading, node, "timeout", f"'timeout' of the job '{job.raw}'") if node.get("timeout") else None


def _addresses(reading: Reading, node: Node, key: str) -> PromisedAddresses | None:
    """The addresses below a key; None where it is not there."""
    found = node.get(key)
    return None if found is None else PromisedAddresses(_texts(reading, node, key) or (), found.place)


def _time(reading: Reading, node: Node, key: str, what: str, needed_at: Node | None = None) -> PromisedTime | None:
    """A duration above zero with its place; None where it is absent or unusable, which is reported."""
    value = reading.get(node, key)
    if value is None:
        place = needed_at.place if needed_at else next(name.place for name, _ in node.pairs if name.raw == key)
        reading.say(place, f"{what} is missing", f"write {key}: 15s")
        return None
    seconds = reading.optional_duration(node, key)
    if seconds == 0:
        reading.say(value.place, f"{what} is zero", "write a duration such as 15s")
    return PromisedTime(seconds, value.place) if seconds else None


def _volume(reading: Reading, node: Node) -> dict[str, PromisedVolume]:
    days = schema.keys_of(schema.VOLUME)
    reading.known_keys(node, days, "'volume'")
    found = {}
    for key, value in node.pairs:
        match = re.fullmatch(schema.VOLUME_PATTERN, value.raw) if value.kind == "scalar" else None
        least, most = (int(match[1]), int(match[2])) if match else (1, 0)
        if least <= most:
            found[key.raw] = PromisedVolume(least, most, value.place)
        else:
            message = f"'{key.raw}' of 'volume' is {value.described()}, expected notices on a day"
            reading.say(value.place, message, "write the fewest and the most, such as 2..5/day")
    return found


def _once(reading: Reading, items: Collection[Node], key: str) -> None:
    for raw, times in Counter(item.raw for item in items).items():
        if times > 1:
            again = [item for item in items if item.raw == raw][1]
            reading.say(again.place, f"'{key}' lists '{raw}' twice", "keep one")


def _notice(reading: Reading, alert: str, receiver: Node, value: Node) -> PromisedNotice:
    what = f"the notice of '{alert}' to '{receiver.raw}'"
    node = reading.as_mapping(value, what)
    reading.known_keys(node, schema.keys_of(schema.NOTICE), what)
    seconds = []
    for key in schema.NOTICE["required"]:
        written = reading.optional_duration(node, key)
        if reading.get(node, key) is None:
            reading.say(receiver.place, f"{what} does not say '{key}'", f"add {key}, such as {key}: 1m")
        seconds.append(written or 0.0)
    grouped = reading.texts(node, "grouped_by")
    _once(reading, grouped, "grouped_by")
    by = tuple(item.raw for item in grouped)
    if "..." in by and len(by) > 1:
        reading.say(grouped[0].place, "grouped_by holds '...' beside other labels", "keep '...' alone (every label)")
    return PromisedNotice(
        alert,
        receiver.raw,
        seconds[0],
        seconds[1],
        seconds[2],
        receiver.place,
        reading.optional_duration(node, "group_interval"),
        None if reading.get(node, "grouped_by") is None else by,
    )
