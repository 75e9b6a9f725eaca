"""`alert_relabel_configs`: what Prometheus makes of an alert's labels on their way to Alertmanager, step by step.

External labels fill in what is missing first; then each step joins its source labels and acts, as Prometheus's
relabel.Process does. An alert that a step drops is not sent. Where only the series know a label, `value_after`
and `passes` tell what is known all the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from chaoskit.alerting.config_fields import LABEL_NAME, Reading
from chaoskit.alerting.config_matchers import regex
from chaoskit.alerting.model import Labels, Relabel
from chaoskit.yaml_source import Node

Known = Callable[[str], str | None]
"""A label's value by its name: "" where it is missing, None where only the series know it."""
_ANYTHING = ("(.*)", ".*")
_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")


def read_alerting(reading: Reading, alerting: Node) -> tuple[Relabel, ...]:
    """The steps for every Alertmanager and then its own ones; what is wrong with one goes to `reading`.

    Where Alertmanagers have different ones it is not known to which the configuration shown belongs.
    """
    own = [(node, _steps(reading, node)) for node in reading.mappings(alerting, "alertmanagers", "an Alertmanager")]
    node, steps = own[0] if own else (alerting, ())
    if len({tuple(replace(step, place=node.place) for step in each) for _, each in own}) > 1:
        message = "the alert_relabel_configs of the Alertmanagers differ, so the labels of sent alerts are unknown"
        reading.puzzle(node.place, message, "give a configuration with only the Alertmanager of these routes")
    return (*_steps(reading, alerting), *steps)


def _steps(reading: Reading, alerting: Node) -> tuple[Relabel, ...]:
    return read_steps(reading, reading.mappings(alerting, "alert_relabel_configs", "a relabelling step"))


def read_steps(reading: Reading, nodes: Iterable[Node]) -> tuple[Relabel, ...]:
    """Steps of relabelling with Prometheus's defaults; one with a wrong pattern is reported and left out."""
    found = []
    for node in nodes:
        pattern = reading.text(node, "regex", "(.*)")
        try:
            regex(pattern)
        except ValueError as error:
            reading.say(node.place, f"regex: {error}", "RE2 is the syntax of Prometheus")
            continue
        modulus = reading.text(node, "modulus", "0")
        found.append(
            Relabel(
                reading.text(node, "action", "replace").lower(),
                tuple(name.raw for name in reading.texts(node, "source_labels")),
                reading.text(node, "separator", ";"),
                pattern,
                reading.text(node, "target_label"),
                reading.text(node, "replacement", "$1"),
                int(modulus) if modulus.isdigit() else 0,
                node.place,
            )
        )
    return tuple(found)


def relabelled(steps: tuple[Relabel, ...], labels: Labels) -> dict[str, str]:
    """The labels after all steps; none where a step drops the alert."""
    seen = dict(labels)
    for step in steps:
        if not _stays(step, seen):
            return {}
        seen = {name: value for name, value in _changed(step, seen).items() if value}
    return seen


def value_after(steps: tuple[Relabel, ...], label: str, before: Known) -> str | None:
    """The label's value after all steps that drop nothing, as far as `before` knows the labels that they read."""
    if not steps:
        return before(label)
    *earlier, step = steps
    old = value_after(tuple(earlier), label, before)
    if step.action in ("labeldrop", "labelkeep"):
        return old if bool(regex(step.pattern).match(label)) == (step.action == "labelkeep") else ""
    made_by = step.replacement if step.action == "labelmap" else step.target
    if not re.fullmatch(".*".join(map(re.escape, _REFERENCE.sub("\0", made_by).split("\0"))), label):
        return old
    if step.action == "labelmap":
        return None
    values = {name: value_after(tuple(earlier), name, before) for name in step.sources}
    known = {name: value for name, value in values.items() if value is not None}
    if len(known) == len(values):
        made = _changed(step, known).get(label)
        return old if made is None or made == known.get(label) else made
    if step.action != "replace" or "$" in step.replacement or "$" in step.target:
        return None
    return step.replacement if old == step.replacement or step.pattern in _ANYTHING else None


def passes(steps: tuple[Relabel, ...], before: Known, names: Iterable[str]) -> bool | None:
    """Whether an alert is sent in spite of all steps; None where labels decide that only the series know.

    `names` are labels that are known: one of them must be left, for what has no label is not sent.
    """
    sure: bool | None = True
    for number, step in enumerate(steps):
        read = (*step.sources, step.target) if step.action.endswith("equal") else step.sources
        if step.action in ("drop", "keep", "dropequal", "keepequal"):
            values = {name: value_after(steps[:number], name, before) for name in read}
            known = {name: value for name, value in values.items() if value is not None}
            if len(known) == len(values) or (step.pattern in _ANYTHING and step.action in ("drop", "keep")):
                if not _stays(step, known):
                    return False
            else:
                sure = None
    left = (*names, *(step.target for step in steps))
    return sure if any(value_after(steps, name, before) for name in left) else None


def _joined(step: Relabel, labels: Labels) -> str:
    return step.separator.join(labels.get(name, "") for name in step.sources)


def _stays(step: Relabel, labels: Labels) -> bool:
    value = _joined(step, labels)
    match step.action:
        case "drop":
            return not regex(step.pattern).match(value)
        case "keep":
            return bool(regex(step.pattern).match(value))
        case "dropequal":
            return labels.get(step.target, "") != value
        case "keepequal":
            return labels.get(step.target, "") == value
    return True


def _changed(step: Relabel, labels: Labels) -> Mapping[str, str]:
    value, pattern = _joined(step, labels), regex(step.pattern)
    match step.action:
        case "replace":
            found = pattern.match(value)
            target = _expanded(step.target, found) if found else ""
            return {**labels, target: _expanded(step.replacement, found)} if LABEL_NAME.fullmatch(target) else labels
        case "lowercase" | "uppercase":
            return {**labels, step.target: value.lower() if step.action == "lowercase" else value.upper()}
        case "hashmod" if step.modulus:
            number = int.from_bytes(hashlib.md5(value.encode(), usedforsecurity=False).digest()[8:], "big")
            return {**labels, step.target: str(number % step.modulus)}
        case "labelmap":
            mapped = {_expanded(step.replacement, m): v for name, v in labels.items() if (m := pattern.match(name))}
            return {**labels, **mapped}
        case "labeldrop" | "labelkeep":
            kept = step.action == "labelkeep"
            return {name: v for name, v in labels.items() if bool(pattern.match(name)) == kept}
    return labels


def _expanded(template: str, found: Any) -> str:
    """Go's Regexp.Expand: `$1`, `${1}`, `$name`; `$$` is a dollar, and a group that is not there is empty."""

    def group(reference: re.Match[str]) -> str:
        if reference[1]:
            return "$"
        name = reference[2] or reference[3]
        try:
            return found[int(name) if name.isdigit() else name] or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(group, template)
