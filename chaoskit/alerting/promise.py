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

`appears` and `clears` are delays of the service alone. Scrape, evaluation and the range that an expression looks
back over (`[5m]`, through recording rules too) are computed from the configuration and added by whoever plans or
explains an alert: written here as well, they would count twice.

`integrations` names each kind that brings a receiver its notices; recipients promise `email` by themselves. One that
the configuration lacks is a promise that it breaks.

A promise about an alert or a receiver that the configuration does not have is a problem: it could never be
kept, and a misspelt name must not pass as a promise that nobody checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.model import Promise, PromisedNotice, PromisedReceiver, Receiver
from chaoskit.yaml_source import Node

FORMAT = "1"

_TOP_KEYS = ("chaoskit", "delivery", "runbook", "subject_contains", "receivers", "alerts")
_RECEIVER_KEYS = ("recipients", "resolved", "integrations")
_ALERT_KEYS = ("appears", "clears", "notices")
_NOTICE_KEYS = ("for", "group_wait", "repeat")


def lacking(promised: PromisedReceiver, receiver: Receiver) -> tuple[str, ...]:
    """The kinds of integration that a receiver is promised and does not have, one for each that is missing."""
    there = Counter(integration.kind for integration in receiver.integrations)
    return tuple((Counter(promised.integrations) - there).elements())


NO_PROMISE = Promise(notices={}, receivers={})
"""What holds where no promise file is given."""


def read_promise(
    reading: Reading, text: str, file: str, alerts: Collection[str], receivers: Collection[str]
) -> Promise:
    """Read the file against the names of the configuration; every problem goes to `reading`."""
    root = reading.root(text, file)
    reading.known_keys(root, _TOP_KEYS, "the promise file")
    _check_format(reading, root)
    subjects = reading.texts(root, "subject_contains")
    for each in (*subjects, reading.get(root, "runbook")):
        if each is not None and each.kind == "scalar" and not each.raw.strip():
            reading.say(each.place, "an empty text, which every notice holds", "write the text, or leave the key out")
    promised = {}
    for key, value in reading.mapping(root, "receivers").pairs:
        _check_name(reading, key, "receiver", receivers)
        promised[key.raw] = _receiver(reading, key, reading.as_mapping(value, f"the receiver '{key.raw}'"))
    notices: dict[tuple[str, str], PromisedNotice] = {}
    appears: dict[str, float] = {}
    clears: dict[str, float] = {}
    for key, value in reading.mapping(root, "alerts").pairs:
        _check_name(reading, key, "alert", alerts)
        node = reading.as_mapping(value, f"the alert '{key.raw}'")
        reading.known_keys(node, _ALERT_KEYS, f"the promise for '{key.raw}'")
        for delays, name in ((appears, "appears"), (clears, "clears")):
            delay_s = reading.optional_duration(node, name)
            if delay_s is not None:
                delays[key.raw] = delay_s
        for receiver, notice in reading.mapping(node, "notices").pairs:
            _check_name(reading, receiver, "receiver", receivers)
            notices[key.raw, receiver.raw] = _notice(reading, key.raw, receiver, notice)
    return Promise(
        notices,
        promised,
        appears,
        clears,
        reading.optional_duration(root, "delivery"),
        reading.text(root, "runbook"),
        tuple(item.raw for item in subjects),
    )


def _check_format(reading: Reading, root: Node) -> None:
    version = root.get("chaoskit")
    if version is None or version.kind != "scalar" or version.raw != FORMAT:
        found = "missing" if version is None else version.described()
        reading.say(
            version.place if version else root.place,
            f"'chaoskit', the format version, is {found}",
            f"begin the file with chaoskit: {FORMAT}",
        )


def _check_name(reading: Reading, key: Node, what: str, defined: Collection[str]) -> None:
    if key.raw not in defined:
        where = "any rule file" if what == "alert" else "the Alertmanager configuration"
        reading.undefined(key.place, f"the {what}", key.raw, defined, where)


def _receiver(reading: Reading, key: Node, node: Node) -> PromisedReceiver:
    reading.known_keys(node, _RECEIVER_KEYS, f"the promised receiver '{key.raw}'")
    recipients = tuple(item.raw for item in reading.texts(node, "recipients"))
    kinds = tuple(item.raw for item in reading.texts(node, "integrations"))
    if recipients and "email" not in kinds:
        kinds = ("email", *kinds)
    return PromisedReceiver(key.raw, recipients, reading.boolean(node, "resolved", True), key.place, kinds)


def _notice(reading: Reading, alert: str, receiver: Node, value: Node) -> PromisedNotice:
    what = f"the notice of '{alert}' to '{receiver.raw}'"
    node = reading.as_mapping(value, what)
    reading.known_keys(node, _NOTICE_KEYS, what)
    seconds = []
    for key in _NOTICE_KEYS:
        written = reading.optional_duration(node, key)
        if reading.get(node, key) is None:
            reading.say(receiver.place, f"{what} does not say '{key}'", f"add {key}, such as {key}: 1m")
        seconds.append(written or 0.0)
    return PromisedNotice(alert, receiver.raw, seconds[0], seconds[1], seconds[2], receiver.place)
