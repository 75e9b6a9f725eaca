"""Changes of a rule around its expression: how long it holds, whether it is there, its labels and annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from chaoskit.mutate.model import operator
from chaoskit.mutate.source import Bundle, Part, RuleSite, Spot, of_each, seconds_of
from chaoskit.units import format_duration
from chaoskit.yaml_source import Node

_ADDED = {"for": "1m", "keep_firing_for": "5m"}


def _rules(bundle: Bundle) -> list[RuleSite]:
    return bundle.rules


def _time(rule: RuleSite, key: str, new: str | float) -> Iterator[Spot]:
    """A number multiplies what is there, words are added where nothing is."""
    if not isinstance(new, str):
        yield from rule.scaled(key, new)
    elif not seconds_of(rule.node.get(key)):
        yield rule.spot(key, *rule.saying(key, new))


for _key, _id, _hop in (("for", "for", "hold"), ("keep_firing_for", "keep-firing", "clear, suppressed")):
    for _how, _new, _what, _why in (
        ("longer", 2.0, f"`{_key}` is twice as long.", "People hear of it, or of its end, later."),
        ("shorter", 0.5, f"`{_key}` is half as long.", "A short disturbance is enough, or its end is told too early."),
        ("dropped", 0.0, f"`{_key}` is 0.", "Nothing is waited for."),
        ("added", _ADDED[_key], f"`{_key}` is {_ADDED[_key]} where there was none.", "It is told later."),
    ):
        if (_key, _how) != ("keep_firing_for", "shorter"):
            operator(f"{_id}-{_how}", "rules", _hop, _what, _why)(
                of_each(lambda bundle: bundle.alerts, partial(_time, key=_key, new=_new))
            )


operator("rule-removed", "rules", "detect", "A rule is gone.", "The alert, or what reads the record, is silent.")(
    of_each(_rules, Part.removed)
)


def _renamed(rule: RuleSite, key: str) -> Iterator[Spot]:
    if (name := rule.node.get(key)) is not None:
        yield rule.spot(key, rule.text.value(name, f"{name.raw}X"))


operator(
    "alert-renamed", "rules", "detect", "An alert has another name.", "Routes and inhibitions by its name lose it."
)(of_each(_rules, partial(_renamed, key="alert")))
operator(
    "record-renamed", "rules", "detect, content", "A record has another name.", "Rules that read it find nothing."
)(of_each(_rules, partial(_renamed, key="record")))  # fmt: skip


@operator(
    "group-interval", "rules", "hold", "A group is evaluated four times as seldom.", "All that it holds comes later."
)
def group_interval(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each group."""
    for group in bundle.groups:
        new = format_duration(4 * (seconds_of(group.node.get("interval")) or bundle.interval_s))
        yield group.spot("", *group.saying("interval", new))


def _labelled(bundle: Bundle) -> Iterator[Part]:
    """Every `labels:`; a group's own are about no single alert."""
    for each in (*bundle.groups, *bundle.rules):
        yield from each.below("labels")


@operator(
    "severity-changed", "rules", "notify", "A severity is another one that is in use.", "The wrong people are called."
)
def severity_changed(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each severity; the next one by name, from the last to the first."""
    found = [(each, severity) for each in _labelled(bundle) if (severity := each.node.get("severity")) is not None]
    known = sorted({"critical", "warning"} | {severity.raw for _, severity in found})
    for labels, severity in found:
        new = known[(known.index(severity.raw) + 1) % len(known)]
        yield labels.spot("severity", labels.text.value(severity, new))


def shorter(name: str) -> str:
    """A name with a letter missing, or one too many where there is but one."""
    return name[:-1] if len(name) > 1 else name * 2


_Spoil = Callable[[Part, Node, Node], Iterator[Spot]]


def _value_misspelt(labels: Part, key: Node, value: Node) -> Iterator[Spot]:
    yield labels.spot(key.raw, labels.text.value(value, f"{value.raw}x"))


def _name_misspelt(labels: Part, key: Node, value: Node) -> Iterator[Spot]:
    yield labels.spot(key.raw, labels.text.value(key, shorter(key.raw)))


def _dropped(holder: Part, key: Node, value: Node) -> Iterator[Spot]:
    yield holder.spot(key.raw, *holder.text.without_pair(holder.node, key.raw))


def _scalars(holder: Part, how: _Spoil) -> Iterator[Spot]:
    for key, value in holder.node.pairs:
        if value.kind == "scalar":
            yield from how(holder, key, value)


for _id, _spoil, _what in (
    ("label-value-misspelt", _value_misspelt, "`severity: critical` becomes `severity: criticalx`."),
    ("label-name-misspelt", _name_misspelt, "`severity: critical` becomes `severit: critical`."),
    ("label-dropped", _dropped, "A label that the rule sets is gone."),
):
    operator(_id, "rules", "notify, received", _what, "Routes, inhibitions and people that go by it miss the alert.")(
        of_each(_labelled, partial(_scalars, how=_spoil))
    )


def _annotations(bundle: Bundle) -> Iterator[Part]:
    for rule in bundle.rules:
        yield from rule.below("annotations")


def _runbook(annotations: Part, key: Node, value: Node) -> Iterator[Spot]:
    if key.raw in ("runbook", "runbook_url"):
        yield annotations.spot(key.raw, annotations.text.value(value, f"{value.raw}-x"))


_LABEL = re.compile(r"(?:\$labels|\.Labels)\.(\w+)")
_ACTION = re.compile(r"\{\{-?\s*(?!/\*|(?:if|else|range|with|end|define|block|template)\b)[^}]*?-?\}\}")


def _template_label(annotations: Part, key: Node, value: Node) -> Iterator[Spot]:
    for found in _LABEL.finditer(value.raw):
        change = annotations.text.letters(value).change(*found.span(1), shorter(found[1]))
        yield annotations.spot(key.raw, change)


def _template_value(annotations: Part, key: Node, value: Node) -> Iterator[Spot]:
    for found in _ACTION.finditer(value.raw):
        if "alue" in found[0]:
            yield annotations.spot(key.raw, annotations.text.letters(value).change(*found.span(), ""))


for _id, _change, _what, _why in (
    ("annotation-dropped", _dropped, "An annotation is gone.", "The notice lacks what people read first."),
    ("runbook-wrong", _runbook, "A runbook's address is another.", "At night the link leads nowhere."),
    ("template-label-misspelt", _template_label, "`$labels.worker_name` becomes `$labels.worker_nam`.",
     "The notice does not say which one it is."),
    ("template-value-dropped", _template_value, "`{{ $value }}` is gone from an annotation.",
     "The notice does not say how bad it is."),
):  # fmt: skip
    operator(_id, "rules", "content", _what, _why)(of_each(_annotations, partial(_scalars, how=_change)))
