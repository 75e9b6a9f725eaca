"""Which receivers an alert reaches, and in which group: Alertmanager's routing, exactly.

A search from the root, depth first: the children are tried in order, the search stops behind the first one
that matched unless it says `continue`, and a node that matches while none of its children does is itself the
answer (dispatch.Route.Match). A label that is missing equals an empty one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from chaoskit.alerting.config_matchers import regex
from chaoskit.alerting.model import AlertConfig, Labels, Matcher, Route, Rule
from chaoskit.alerting.relabel import relabelled

_LITERAL = re.compile(r"[\w\-:/ ]*")
_GO_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_GO_ESCAPES |= {"\\": "\\\\", '"': '\\"'}
# Alertmanager puts quotes around a label name that holds one of these.
_RESERVED = set("{}!=~,\\\"'`")


def matches(matcher: Matcher, labels: Labels) -> bool:
    """Whether the labels satisfy the matcher; expressions are RE2's and match from end to end."""
    value = labels.get(matcher.label, "")
    if matcher.op in ("=", "!="):
        return (value == matcher.value) == (matcher.op == "=")
    return bool(regex(matcher.value).match(value)) == (matcher.op == "=~")


def matches_all(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Whether the labels satisfy every matcher; none at all are satisfied by anything."""
    return all(matches(matcher, labels) for matcher in matchers)


@lru_cache(maxsize=8192)
def values_of(matcher: Matcher) -> frozenset[str] | None:
    """The few values that the matcher lets through, where it names them one by one; otherwise None."""
    if matcher.op == "=":
        return frozenset((matcher.value,))
    if matcher.op != "=~":
        return None
    text = matcher.value
    if text.startswith("^"):
        text = text[1:]
    if text.endswith("$"):
        text = text[:-1]
    if text.startswith("(") and text.endswith(")") and text.count("(") == 1:
        text = text[1:-1].removeprefix("?:")
    parts = text.split("|")
    return frozenset(parts) if all(map(_LITERAL.fullmatch, parts)) else None


def alert_labels(config: AlertConfig, rule: Rule, labels: Labels) -> dict[str, str]:
    """The labels under which Alertmanager sees an alert of this rule whose series has `labels`.

    The rule's own labels override the series', `alertname` comes last, external labels fill in what is
    missing, and alert_relabel_configs are applied: no labels where they drop it. A rule's label that is a template
    keeps the value given in `labels`.
    """
    own = {name: value for name, value in rule.labels.items() if "{{" not in value or name not in labels}
    return sent_labels(config, {**labels, **own, "alertname": rule.alert})


def sent_labels(config: AlertConfig, labels: Labels) -> dict[str, str]:
    """The labels that Prometheus sends for an alert with these labels; empty where it sends nothing."""
    seen = {name: value for name, value in labels.items() if value}
    return relabelled(config.relabels, {**config.external_labels, **seen})


def told_by(config: AlertConfig, labels: Labels) -> Labels:
    """The labels by which an alert that has these in Prometheus is known again in what Alertmanager tells.

    External labels that merely came on top are not among them; empty where the alert is not sent.
    """
    if not config.relabels:
        return labels
    outer = config.external_labels
    return {k: v for k, v in sent_labels(config, labels).items() if k in labels or outer.get(k) != v}


def match_routes(root: Route, labels: Labels) -> tuple[Route, ...]:
    """The routes that handle an alert, in the order of the tree; none where it has no labels: it is not sent."""
    if not labels or not matches_all(root.matchers, labels):
        return ()
    found: tuple[Route, ...] = ()
    for child in root.children:
        first = child.matchers[0] if child.matchers else None
        if first is not None and first.op == "=" and labels.get(first.label, "") != first.value:
            continue  # a rehearsal's tree may have a child for each of a thousand alerts
        below = match_routes(child, labels)
        found += below
        if below and not child.continues:
            break
    return found or (root,)


def every_route(root: Route) -> Iterator[Route]:
    """The route and all below it, in the order of the file."""
    yield root
    for child in root.children:
        yield from every_route(child)


def down(root: Route, route: Route) -> list[Route]:
    """The routes from the root's child down to this one; empty for the root itself."""
    found, node = [], root
    for index in route.path:
        node = node.children[index]
        found.append(node)
    return found


def receivers_of(config: AlertConfig, labels: Labels) -> tuple[str, ...]:
    """The receivers that an alert reaches, each once, in the order of the tree."""
    return tuple(dict.fromkeys(route.receiver for route in match_routes(config.route, labels)))


def group_labels(route: Route, labels: Labels) -> dict[str, str]:
    """The labels that an alert's group has under this route; labels that the alert lacks are left out."""
    return {
        name: value
        for name, value in sorted(labels.items())
        if value and (route.group_by is None or name in route.group_by)
    }


def group_key(root: Route, route: Route, labels: Labels, *, by_name: bool = False) -> str:
    """The group's key as Alertmanager prints it (`groupKey` of a webhook): `{}/{severity="critical"}:{...}`.

    Up to Alertmanager 0.27 the group's labels are sorted as they are printed, so that `zone2="b"` comes
    before `zone="a"`; newer versions sort them by name (`by_name`).
    """
    pairs = group_labels(route, labels).items()
    printed = [f"{name}={_go_quoted(value)}" for name, value in pairs]
    return f"{route_key(root, route)}:{{{', '.join(printed if by_name else sorted(printed))}}}"


def route_key(root: Route, route: Route) -> str:
    """The matchers from the root down to the route; two routes may share it."""
    return "/".join(_printed(node.matchers) for node in (root, *down(root, route)))


def _printed(matchers: tuple[Matcher, ...]) -> str:
    return "{" + ",".join(map(printed, matchers)) + "}"


def printed(matcher: Matcher) -> str:
    """A matcher as Alertmanager writes it, and reads it."""
    if any(char in _RESERVED or char.isspace() for char in matcher.label):
        return f"{_go_quoted(matcher.label)}{matcher.op}{_go_quoted(matcher.value)}"
    value = matcher.value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'{matcher.label}{matcher.op}"{value}"'


def _go_quoted(text: str) -> str:
    """Go's strconv.Quote."""
    return '"' + "".join(map(_go_char, text)) + '"'


def _go_char(char: str) -> str:
    code = ord(char)
    if char in _GO_ESCAPES:
        return _GO_ESCAPES[char]
    if char.isprintable():
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
