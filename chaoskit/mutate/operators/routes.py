"""Changes of who is told, when, and what is held back: routes and inhibitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from chaoskit.mutate.model import operator
from chaoskit.mutate.operators.expressions import NEGATED
from chaoskit.mutate.operators.rules import shorter
from chaoskit.mutate.source import Bundle, Change, Letters, Part, RouteSite, Spot, Text, items, of_each, seconds_of
from chaoskit.yaml_source import TRUE, Node

_MATCHER = re.compile(
    r'(?P<label>"[^"]+"|[\w.:-]+)\s*(?P<op>=~|!~|!=|=)\s*(?:"(?P<quoted>(?:\\.|[^"\\])*)"|(?P<bare>[^\s",{}]+))'
)


def _routes(bundle: Bundle) -> list[RouteSite]:
    return bundle.routes


def _inhibitions(bundle: Bundle) -> list[Part]:
    return bundle.inhibitions


def _time(route: RouteSite, key: str, factor: float) -> Iterator[Spot]:
    if factor:
        yield from route.scaled(key, factor)
    elif route.path and seconds_of(route.node.get(key)):
        yield from route.without(key)


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
        )(of_each(_routes, partial(_time, key=_key, factor=_factor)))  # fmt: skip


operator(
    "group-by-dropped", "alertmanager", "grouped",
    "A label in `group_by` of a route is gone.", "Several alerts come as one notice, late.",
)(of_each(_routes, partial(Part.without_each, key="group_by")))  # fmt: skip


def _grouped(route: RouteSite, everything: bool) -> Iterator[Spot]:
    text, node = route.text, route.node.get("group_by")
    label = next(each for each in ("instance", "job", "pod") if each not in route.group_by)
    if "..." in route.group_by:
        return
    labels = "['...']" if everything else f"[{', '.join((*route.group_by, label))}]"
    if node is None:
        changes = text.with_pair(route.node, "group_by", labels)
    elif everything:
        changes = ((node.start, text.end(node), labels),)
    else:
        changes = text.with_item(node, label)
    yield route.spot("group_by", *changes)


operator(
    "group-by-added", "alertmanager", "grouped",
    "`group_by` of a route names one label more.", "One incident comes as many notices.",
)(of_each(_routes, partial(_grouped, everything=False)))  # fmt: skip
operator(
    "group-by-everything", "alertmanager", "grouped",
    "`group_by` of a route is `['...']`.", "Each alert comes as a notice of its own.",
)(of_each(_routes, partial(_grouped, everything=True)))  # fmt: skip


def _swapped(route: RouteSite) -> Iterator[Spot]:
    members = items(route.among)
    for one, other in zip(members[route.at :], members[route.at + 1 : route.at + 2], strict=False):
        yield Spot(route.text, f"{route.site} and the next", route.text.swapped(one, other))


def _to_front(route: RouteSite) -> Iterator[Spot]:
    if route.at > 1:
        yield Spot(route.text, f"{route.site} first", _rotated(route.text, items(route.among)[: route.at + 1]))


def _rotated(text: Text, members: tuple[Node, ...]) -> tuple[Change, ...]:
    told = [text.text[each.start : text.end(each)] for each in members]
    return tuple((each.start, text.end(each), new) for each, new in zip(members, [told[-1], *told[:-1]], strict=True))


_ROUTES: tuple[tuple[str, Callable[[RouteSite], Iterator[Spot]], str, str], ...] = (
    ("removed", Part.removed, "A route is gone.", "Its alerts go to other people, or are told otherwise."),
    ("swapped", _swapped, "A route and the next one change places.",
     "The first that matches decides: it may be the wrong one."),
    ("to-front", _to_front, "A route comes first.", "It takes what was another one's."),
)  # fmt: skip
for _how, _change, _what, _why in _ROUTES:
    operator(f"route-{_how}", "alertmanager", "notify", _what, _why)(of_each(_routes, _change))


@operator(
    "route-receiver-swapped", "alertmanager", "notify",
    "A route tells another receiver.", "The wrong people are called.",
)  # fmt: skip
def route_receiver_swapped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each receiver that a route names: the next one in the file."""
    names = bundle.receivers
    for route in bundle.routes:
        node = route.node.get("receiver")
        if node is not None and node.raw in names and len(names) > 1:
            new = names[(names.index(node.raw) + 1) % len(names)]
            yield route.spot("receiver", route.text.value(node, new))


@operator(
    "continue-toggled", "alertmanager", "notify",
    "`continue` of a route is set, or no longer.", "The routes behind it hear of its alerts too, or no longer do.",
)  # fmt: skip
def continue_toggled(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each route but the root."""
    for route in bundle.routes:
        node = route.node.get("continue")
        if route.path:
            new = "false" if node is not None and node.raw.lower() in TRUE else "true"
            yield route.spot("continue", *route.saying("continue", new))


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
        return _written(self.value_at, new)

    def labelled(self, new: str) -> tuple[Change, ...]:
        return _written(self.label_at, new)

    def signed(self, op: str, value: str) -> tuple[Change, ...]:
        return _written(self.sign_at, f'{op}"{value}"') if self.sign_at is not None else ()


def _written(part: _Part, new: str) -> tuple[Change, ...]:
    letters, start, end = part
    return (letters.change(start, end, new),)


def _matchers(part: Part, prefix: str) -> Iterator[_Match]:
    """The matchers under `matchers`, `match` and `match_re` of a mapping, with a prefix those of a side."""
    text, site = part.text, part.site
    written = part.node.get(f"{prefix}matchers")
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
        mapping = part.node.get(key)
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
    "negated": lambda each: iter((each.signed(NEGATED[each.op], each.value),)),
    "narrowed": _alternatives,
    "widened": lambda each: iter((each.signed("=~", ".+"),)),
}


def _spoilt_matchers(part: Part, how: str, prefixes: tuple[str, ...]) -> Iterator[Spot]:
    for each in (each for prefix in prefixes for each in _matchers(part, prefix)):
        yield from (Spot(part.text, each.site, changes) for changes in _HOWS[how](each))


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
        )(of_each(_routes, partial(_spoilt_matchers, how=_how, prefixes=("",))))  # fmt: skip
    operator(
        f"inhibition-matcher-{_how}", "alertmanager", "suppressed, notify",
        f"In an inhibition {_what}.", "It holds back other alerts than it should, or none.",
    )(of_each(_inhibitions, partial(_spoilt_matchers, how=_how, prefixes=("source_", "target_"))))  # fmt: skip


operator(
    "inhibition-removed", "alertmanager", "suppressed",
    "An inhibition is gone.", "Its consequences call people beside their cause.",
)(of_each(_inhibitions, Part.removed))  # fmt: skip
_SIDES = re.compile(r"^(source|target)_")


@operator(
    "inhibition-swapped", "alertmanager", "suppressed, notify",
    "Source and target of an inhibition change places.", "The consequence holds its cause back.",
)  # fmt: skip
def inhibition_swapped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each inhibition."""
    for each in bundle.inhibitions:
        changes = (
            (key.start, key.end, each.text.text[key.start : key.end].replace(*names))
            for key, _ in each.node.pairs
            if (side := _SIDES.match(key.raw))
            for names in ((side[1], {"source": "target", "target": "source"}[side[1]]),)
        )
        yield each.spot("", *changes)


operator(
    "equal-dropped", "alertmanager", "suppressed, with two environments",
    "A label in `equal` of an inhibition is gone.", "A cause in one place holds alerts of another place back.",
)(of_each(_inhibitions, partial(Part.without_each, key="equal")))  # fmt: skip


@operator(
    "equal-added", "alertmanager", "suppressed",
    "`equal` of an inhibition names one label more.", "Where cause and consequence differ in it, nothing is held back.",
)  # fmt: skip
def equal_added(bundle: Bundle) -> Iterator[Spot]:
    """Two spots for each inhibition."""
    for each in bundle.inhibitions:
        for label in ("instance", "severity"):
            if label not in [one.raw for one in each.node.listed("equal")]:
                yield each.spot("equal", *each.listing("equal", label))
