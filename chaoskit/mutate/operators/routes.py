"""Changes of who is told, when, and what is held back: routes and inhibitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from chaoskit.mutate.model import operator
from chaoskit.mutate.operators.rules import shorter
from chaoskit.mutate.source import Bundle, Change, Letters, Spot, Text, items, seconds_of
from chaoskit.units import format_duration
from chaoskit.yaml_source import Node

_MATCHER = re.compile(
    r'(?P<label>"[^"]+"|[\w.:-]+)\s*(?P<op>=~|!~|!=|=)\s*(?:"(?P<quoted>(?:\\.|[^"\\])*)"|(?P<bare>[^\s",{}]+))'
)
_NEGATED = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}


def _times(key: str, factor: float, bundle: Bundle) -> Iterator[Spot]:
    for text, route in bundle.routes:
        node = route.node.get(key)
        if node is not None and (written_s := seconds_of(node)):
            new = format_duration(written_s * factor) if factor else ""
            if factor:
                yield Spot(text, f"{route.site}.{key}", (text.value(node, new),))
            elif route.path:
                yield Spot(text, f"{route.site}.{key}", text.without_pair(route.node, key))


for _key, _id, _hop in (
    ("group_wait", "group-wait", "notify"),
    ("group_interval", "route-interval", "all-clear"),
    ("repeat_interval", "repeat", "notify, again"),
):
    for _how, _factor, _what in (
        ("longer", 3.0, "three times as long"), ("shorter", 1 / 3, "a third as long"), ("inherited", 0.0, "left out"),
    ):  # fmt: skip
        operator(
            f"{_id}-{_how}", "alertmanager", _hop,
            f"`{_key}` of a route is {_what}.", "People hear of it sooner, later, or more often than they were told.",
        )(partial(_times, _key, _factor))  # fmt: skip


@operator(
    "group-by-dropped", "alertmanager", "grouped",
    "A label in `group_by` of a route is gone.", "Several alerts come as one notice, late.",
)  # fmt: skip
def group_by_dropped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each label."""
    for text, route in bundle.routes:
        node = route.node.get("group_by")
        if node is not None:
            for number, label in enumerate(node.items):
                yield Spot(text, f"{route.site}.group_by.{label.raw}", text.without_item(node, number))


def _grouped(everything: bool, bundle: Bundle) -> Iterator[Spot]:
    for text, route in bundle.routes:
        node = route.node.get("group_by")
        label = next(each for each in ("instance", "job", "pod") if each not in route.group_by)
        if "..." in route.group_by:
            continue
        labels = "['...']" if everything else f"[{', '.join((*route.group_by, label))}]"
        if node is None:
            changes = text.with_pair(route.node, "group_by", labels)
        elif everything:
            changes = ((node.start, text.end(node), labels),)
        else:
            changes = text.with_item(node, label)
        yield Spot(text, f"{route.site}.group_by", changes)


operator(
    "group-by-added", "alertmanager", "grouped",
    "`group_by` of a route names one label more.", "One incident comes as many notices.",
)(partial(_grouped, False))  # fmt: skip
operator(
    "group-by-everything", "alertmanager", "grouped",
    "`group_by` of a route is `['...']`.", "Each alert comes as a notice of its own.",
)(partial(_grouped, True))  # fmt: skip


def _moved(how: Literal["removed", "swapped", "to-front"], bundle: Bundle) -> Iterator[Spot]:
    for text, route in bundle.routes:
        if route.among is None:
            continue
        at, members = route.path[-1] - 1, route.among.items
        if how == "removed":
            yield Spot(text, route.site, text.without_item(route.among, at))
        elif how == "swapped" and at + 1 < len(members):
            yield Spot(text, f"{route.site} and the next", text.swapped(members[at], members[at + 1]))
        elif how == "to-front" and at > 1:
            yield Spot(text, f"{route.site} first", _rotated(text, members[: at + 1]))


def _rotated(text: Text, members: tuple[Node, ...]) -> tuple[Change, ...]:
    told = [text.text[each.start : text.end(each)] for each in members]
    return tuple((each.start, text.end(each), new) for each, new in zip(members, [told[-1], *told[:-1]], strict=True))


for _how, _what, _why in (
    ("removed", "A route is gone.", "Its alerts go to other people, or are told otherwise."),
    ("swapped", "A route and the next one change places.", "The first that matches decides: it may be the wrong one."),
    ("to-front", "A route comes first.", "It takes what was another one's."),
):
    operator(f"route-{_how}", "alertmanager", "notify", _what, _why)(
        partial(_moved, _how)  # type: ignore[arg-type]
    )


@operator(
    "route-receiver-swapped",
    "alertmanager",
    "notify",
    "A route tells another receiver.",
    "The wrong people are called.",
)
def route_receiver_swapped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each receiver that a route names: the next one in the file."""
    names = bundle.receivers
    for text, route in bundle.routes:
        node = route.node.get("receiver")
        if node is not None and node.raw in names and len(names) > 1:
            new = names[(names.index(node.raw) + 1) % len(names)]
            yield Spot(text, f"{route.site}.receiver", (text.value(node, new),))


@operator(
    "continue-toggled", "alertmanager", "notify",
    "`continue` of a route is set, or no longer.", "The routes behind it hear of its alerts too, or no longer do.",
)  # fmt: skip
def continue_toggled(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each route but the root."""
    for text, route in bundle.routes:
        node = route.node.get("continue")
        if route.path:
            new = "false" if node is not None and node.raw.lower() == "true" else "true"
            changes = (text.value(node, new),) if node is not None else text.with_pair(route.node, "continue", new)
            yield Spot(text, f"{route.site}.continue", changes)


_Part = tuple[Letters, int, int]
"""Letters of a scalar, from which to which."""


@dataclass(frozen=True, slots=True)
class _Match:
    """One matcher of a route or an inhibition."""

    site: str
    label: str
    op: str
    value: str
    label_at: _Part
    value_at: _Part
    sign_at: _Part | None
    """Sign and value together; None where the key says the sign."""

    def valued(self, new: str) -> tuple[Change, ...]:
        letters, start, end = self.value_at
        return (letters.change(start, end, new),)

    def labelled(self, new: str) -> tuple[Change, ...]:
        letters, start, end = self.label_at
        return (letters.change(start, end, new),)

    def signed(self, op: str, value: str) -> tuple[Change, ...]:
        if self.sign_at is None:
            return ()
        letters, start, end = self.sign_at
        return (letters.change(start, end, f'{op}"{value}"'),)


def _matchers(text: Text, holder: Node, site: str, prefix: str = "") -> Iterator[_Match]:
    """The matchers under `matchers`, `match` and `match_re` of a mapping, with a prefix those of a side."""
    written = holder.get(f"{prefix}matchers")
    for node in items(written) or ((written,) if written is not None and written.raw else ()):
        letters = text.letters(node)
        for each in _MATCHER.finditer(node.raw):
            group = "quoted" if each["quoted"] is not None else "bare"
            yield _Match(
                f"{site}.{prefix}{each['label']}", each["label"], each["op"], each[group],
                (letters, *each.span("label")), (letters, *each.span(group)),
                (letters, each.start("op"), each.end()),
            )  # fmt: skip
    for key, op in ((f"{prefix}match", "="), (f"{prefix}match_re", "=~")):
        mapping = holder.get(key)
        for label, value in mapping.pairs if mapping is not None else ():
            whole = (text.letters(label), 0, len(label.raw)), (text.letters(value), 0, len(value.raw))
            yield _Match(f"{site}.{prefix}{label.raw}", label.raw, op, value.raw, *whole, None)


def _alternatives(each: _Match) -> Iterator[tuple[Change, ...]]:
    """A regular expression without one of its alternatives, where it is a plain list of them."""
    words = each.value.split("|")
    if each.op in ("=~", "!~") and len(words) > 1 and not set(each.value) & set("()\\"):
        for number in range(len(words)):
            yield each.valued("|".join(words[:number] + words[number + 1 :]))


_HOWS: dict[str, Callable[[_Match], Iterator[tuple[Change, ...]]]] = {
    "misspelt": lambda each: iter((each.valued(f"{each.value}x"),)),
    "label-misspelt": lambda each: iter((each.labelled(shorter(each.label)),)),
    "negated": lambda each: iter((each.signed(_NEGATED[each.op], each.value),)),
    "narrowed": _alternatives,
    "widened": lambda each: iter((each.signed("=~", ".+"),)),
}


def _route_matchers(how: str, bundle: Bundle) -> Iterator[Spot]:
    for text, route in bundle.routes:
        for each in _matchers(text, route.node, route.site):
            yield from (Spot(text, each.site, changes) for changes in _HOWS[how](each))


def _inhibition_matchers(how: str, bundle: Bundle) -> Iterator[Spot]:
    for text, _, node, number in bundle.inhibitions:
        for prefix in ("source_", "target_"):
            for each in _matchers(text, node, f"inhibition {number + 1}", prefix):
                yield from (Spot(text, each.site, changes) for changes in _HOWS[how](each))


for _how, _what in (
    ("misspelt", '`component="worker"` becomes `component="workerx"`'),
    ("label-misspelt", '`component="worker"` becomes `componen="worker"`'),
    ("negated", '`component="worker"` becomes `component!="worker"`'),
    ("narrowed", '`component=~"api|cache"` becomes `component=~"api"`'),
    ("widened", '`alertname="WorkerUnhealthy"` becomes `alertname=~".+"`'),
):
    if _how != "widened":
        operator(
            f"route-matcher-{_how}", "alertmanager", "notify",
            f"In a route {_what}.", "Alerts go to others than they should.",
        )(partial(_route_matchers, _how))  # fmt: skip
    operator(
        f"inhibition-matcher-{_how}", "alertmanager", "suppressed, notify",
        f"In an inhibition {_what}.", "It holds back other alerts than it should, or none.",
    )(partial(_inhibition_matchers, _how))  # fmt: skip


@operator(
    "inhibition-removed", "alertmanager", "suppressed",
    "An inhibition is gone.", "Its consequences call people beside their cause.",
)  # fmt: skip
def inhibition_removed(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each."""
    for text, rules, _, number in bundle.inhibitions:
        yield Spot(text, f"inhibition {number + 1}", text.without_item(rules, number))


_SIDES = re.compile(r"^(source|target)_")


@operator(
    "inhibition-swapped", "alertmanager", "suppressed, notify",
    "Source and target of an inhibition change places.", "The consequence holds its cause back.",
)  # fmt: skip
def inhibition_swapped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each."""
    for text, _, node, number in bundle.inhibitions:
        changes = tuple(
            (key.start, key.end, text.text[key.start : key.end].replace(*names))
            for key, _ in node.pairs
            if (side := _SIDES.match(key.raw))
            for names in ((side[1], {"source": "target", "target": "source"}[side[1]]),)
        )
        yield Spot(text, f"inhibition {number + 1}", changes)


@operator(
    "equal-dropped", "alertmanager", "suppressed, with two environments",
    "A label in `equal` of an inhibition is gone.", "A cause in one place holds alerts of another place back.",
)  # fmt: skip
def equal_dropped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each label."""
    for text, _, node, number in bundle.inhibitions:
        equal = node.get("equal")
        if equal is not None:
            for at, label in enumerate(equal.items):
                yield Spot(text, f"inhibition {number + 1}.equal.{label.raw}", text.without_item(equal, at))


@operator(
    "equal-added", "alertmanager", "suppressed",
    "`equal` of an inhibition names one label more.", "Where cause and consequence differ in it, nothing is held back.",
)  # fmt: skip
def equal_added(bundle: Bundle) -> Iterator[Spot]:
    """Two spots for each inhibition."""
    for text, _, node, number in bundle.inhibitions:
        equal = node.get("equal")
        for label in ("instance", "severity"):
            if label not in [each.raw for each in items(equal)]:
                found = text.with_item(equal, label) if equal is not None else ()
                changes = found if equal is not None else text.with_pair(node, "equal", f"[{label}]")
                yield Spot(text, f"inhibition {number + 1}.equal", changes)
