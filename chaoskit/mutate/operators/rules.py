"""Changes of a rule around its expression: how long it holds, whether it is there, its labels and annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from chaoskit.mutate.model import operator
from chaoskit.mutate.source import Bundle, Change, RuleSite, Spot, Text, seconds_of
from chaoskit.units import format_duration
from chaoskit.yaml_source import Node

_ADDED = {"for": "1m", "keep_firing_for": "5m"}


def _time(key: str, new: str | float, bundle: Bundle) -> Iterator[Spot]:
    """A number multiplies what is there, words are added where nothing is."""
    for rule in bundle.alerts:
        node = rule.node.get(key)
        written_s = seconds_of(node)
        if isinstance(new, str):
            if not written_s:
                add = rule.text.with_pair(rule.node, key, new) if node is None else ()
                yield rule.spot(key, *(add or ((rule.text.value(node, new),) if node is not None else ())))
        elif node is not None and written_s:
            yield rule.spot(key, rule.text.value(node, format_duration(written_s * new)))


for _key, _id, _hop in (("for", "for", "hold"), ("keep_firing_for", "keep-firing", "clear, suppressed")):
    for _how, _new, _what, _why in (
        ("longer", 2.0, f"`{_key}` is twice as long.", "People hear of it, or of its end, later."),
        ("shorter", 0.5, f"`{_key}` is half as long.", "A short disturbance is enough, or its end is told too early."),
        ("dropped", 0.0, f"`{_key}` is 0.", "Nothing is waited for."),
        ("added", _ADDED[_key], f"`{_key}` is {_ADDED[_key]} where there was none.", "It is told later."),
    ):
        if (_key, _how) != ("keep_firing_for", "shorter"):
            operator(f"{_id}-{_how}", "rules", _hop, _what, _why)(partial(_time, _key, _new))


@operator("rule-removed", "rules", "detect", "A rule is gone.", "The alert, or what reads the record, is silent.")
def rule_removed(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each alert and record."""
    for rule in bundle.rules:
        members = rule.group.get("rules")
        assert members is not None  # it was read from there
        yield rule.spot("", *rule.text.without_item(members, members.items.index(rule.node)))


def _renamed(key: str, bundle: Bundle) -> Iterator[Spot]:
    for rule in bundle.rules:
        if (name := rule.node.get(key)) is not None:
            yield rule.spot(key, rule.text.value(name, f"{name.raw}X"))


operator(
    "alert-renamed", "rules", "detect", "An alert has another name.", "Routes and inhibitions by its name lose it."
)(partial(_renamed, "alert"))
operator(
    "record-renamed", "rules", "detect, content", "A record has another name.", "Rules that read it find nothing."
)(partial(_renamed, "record"))  # fmt: skip


@operator(
    "group-interval", "rules", "hold", "A group is evaluated four times as seldom.", "All that it holds comes later."
)
def group_interval(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each group."""
    for text, group in bundle.groups:
        node, name = group.get("interval"), group.get("name")
        new = format_duration(4 * (seconds_of(node) or bundle.interval_s))
        changes = (text.value(node, new),) if node is not None else text.with_pair(group, "interval", new)
        yield Spot(text, f"group {name.raw if name else ''}", changes)


def _labelled(bundle: Bundle) -> Iterator[tuple[Text, str, Node, str]]:
    """Text, site, mapping and alert of every `labels:`; a group's own are about no single alert."""
    for text, group in bundle.groups:
        if (labels := group.get("labels")) is not None:
            name = group.get("name")
            yield text, f"group {name.raw if name else ''}.labels", labels, ""
    for rule in bundle.rules:
        if (labels := rule.node.get("labels")) is not None:
            yield rule.text, f"{rule.name}.labels", labels, rule.name


@operator(
    "severity-changed", "rules", "notify", "A severity is another one that is in use.", "The wrong people are called."
)
def severity_changed(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each severity; the next one by name, from the last to the first."""
    found = [(*each, severity) for each in _labelled(bundle) if (severity := each[2].get("severity")) is not None]
    known = sorted({"critical", "warning"} | {severity.raw for *_, severity in found})
    for text, site, _, about, severity in found:
        new = known[(known.index(severity.raw) + 1) % len(known)]
        yield Spot(text, f"{site}.severity", (text.value(severity, new),), about)


def shorter(name: str) -> str:
    """A name with a letter missing, or one too many where there is but one."""
    return name[:-1] if len(name) > 1 else name * 2


def _label(how: Callable[[Text, Node, Node, Node], tuple[Change, ...]], bundle: Bundle) -> Iterator[Spot]:
    for text, site, labels, about in _labelled(bundle):
        for key, value in labels.pairs:
            if value.kind == "scalar":
                yield Spot(text, f"{site}.{key.raw}", how(text, labels, key, value), about)


for _id, _spoil, _what in (
    (
        "label-value-misspelt",
        lambda text, _, key, value: (text.value(value, f"{value.raw}x"),),
        "`severity: critical` becomes `severity: criticalx`.",
    ),
    (
        "label-name-misspelt",
        lambda text, _, key, value: (text.value(key, shorter(key.raw)),),
        "`severity: critical` becomes `severit: critical`.",
    ),
    (
        "label-dropped",
        lambda text, labels, key, _: text.without_pair(labels, key.raw),
        "A label that the rule sets is gone.",
    ),
):
    operator(_id, "rules", "notify, received", _what, "Routes, inhibitions and people that go by it miss the alert.")(
        partial(_label, _spoil)
    )


def _annotations(bundle: Bundle) -> Iterator[tuple[RuleSite, Node, Node, Node]]:
    for rule in bundle.rules:
        annotations = rule.node.get("annotations")
        for key, value in annotations.pairs if annotations is not None else ():
            if value.kind == "scalar" and annotations is not None:
                yield rule, annotations, key, value


@operator(
    "annotation-dropped", "rules", "content", "An annotation is gone.", "The notice lacks what people read first."
)
def annotation_dropped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each annotation."""
    for rule, holder, key, _ in _annotations(bundle):
        yield rule.spot(f"annotations.{key.raw}", *rule.text.without_pair(holder, key.raw))


@operator("runbook-wrong", "rules", "content", "A runbook's address is another.", "At night the link leads nowhere.")
def runbook_wrong(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each annotation called runbook or runbook_url."""
    for rule, _, key, value in _annotations(bundle):
        if key.raw in ("runbook", "runbook_url"):
            yield rule.spot(f"annotations.{key.raw}", rule.text.value(value, f"{value.raw}-x"))


_LABEL = re.compile(r"(?:\$labels|\.Labels)\.(\w+)")
_ACTION = re.compile(r"\{\{-?\s*(?!/\*|(?:if|else|range|with|end|define|block|template)\b)[^}]*?-?\}\}")


def _in_annotations(pattern: re.Pattern[str], group: int, word: str, bundle: Bundle) -> Iterator[Spot]:
    for rule, _, key, value in _annotations(bundle):
        for found in pattern.finditer(value.raw):
            if word in found[0]:
                new = shorter(found[group]) if group else ""
                change = rule.text.letters(value).change(found.start(group), found.end(group), new)
                yield rule.spot(f"annotations.{key.raw}", change)


operator(
    "template-label-misspelt", "rules", "content",
    "`$labels.worker_name` becomes `$labels.worker_nam`.", "The notice does not say which one it is.",
)(partial(_in_annotations, _LABEL, 1, ""))  # fmt: skip
operator(
    "template-value-dropped", "rules", "content",
    "`{{ $value }}` is gone from an annotation.", "The notice does not say how bad it is.",
)(partial(_in_annotations, _ACTION, 0, "alue"))  # fmt: skip
