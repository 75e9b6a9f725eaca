"""Notification groups of a rule's own: below a route that several rules end at, one child for each alert's name.

Alertmanager keeps groups by route. A child that takes over everything of its parent and takes one alert's name has the
parent's labels, waits and receiver, but groups of its own: so an alert is told group_wait after it fires, and not at
the next tick of a group that another rule's alert began. Where another rule's series may give the same alert more
instances, the child takes only those that are the rule's own. Labels and texts of alerts stay as they are; only the key
of a group shows it, by a matcher of a label that no alert has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chaoskit.alerting.model import AlertConfig, Labels, Matcher, Route
from chaoskit.alerting.routing import group_labels, match_routes, matches_all, printed
from chaoskit.rehearse.promtool import dumped
from chaoskit.yaml_source import read

MARK = "chaoskit_apart"
_KEPT = ("mute_time_intervals", "active_time_intervals")
"""The settings of a route that its children do not inherit."""

Group = tuple[tuple[int, ...], tuple[tuple[str, str], ...]]
Matchers = tuple[Matcher, ...]


def groups_of(config: AlertConfig, labels: Iterable[Labels]) -> set[Group]:
    """The groups, by route and labels, that alerts with these labels belong to."""
    return {
        (route.path, tuple(group_labels(route, one).items()))
        for one in labels
        for route in match_routes(config.route, one)
    }


def with_own_groups(config: AlertConfig, sent: Iterable[Labels], foreign: Iterable[Labels] = ()) -> AlertConfig:
    """The configuration in which alerts that come with these labels share no group with those of another name.
    `foreign`: the labels of further instances that they may have, apart from which they are told. Names share one still
    where a child would tell more than its parent did: below a route with a child that says `continue` and takes another
    instance of the alert."""
    alerts, strange = _by_name(sent), _by_name(foreign)
    by_group: dict[Group, set[str]] = {}
    only: dict[str, Matcher] = {}
    for name, instances in alerts.items():
        others = strange.get(name, ())
        mine, theirs = groups_of(config, instances), groups_of(config, others)
        if mine & theirs and (matcher := _telling(instances, others)):
            only[name] = matcher
        for group in mine | theirs:
            by_group.setdefault(group, set()).add(name)
    own: dict[tuple[int, ...], set[str]] = {}
    for (path, _), names in by_group.items():
        if len(names) > 1 or not names.isdisjoint(only):
            own.setdefault(path, set()).update(n for n in names if _may_stand_alone(config.route, path, alerts[n]))
    taken = {name: (Matcher("alertname", "=", name), *([only[name]] if name in only else [])) for name in alerts}
    return _with(config, {path: [taken[name] for name in sorted(names)] for path, names in own.items()})


def with_a_group_of_theirs(config: AlertConfig, sent: Sequence[Labels]) -> AlertConfig:
    """The configuration in which these alerts share their groups as they did, but with no alert of another name."""
    names = _one_of("alertname", _by_name(sent))
    paths = {path for path, _ in groups_of(config, sent)}
    return _with(config, {path: [(names,)] for path in paths if _may_stand_alone(config.route, path, sent)})


def _by_name(sent: Iterable[Labels]) -> dict[str, list[Labels]]:
    found: dict[str, list[Labels]] = {}
    for labels in sent:
        found.setdefault(labels.get("alertname", ""), []).append(labels)
    return found


def _with(config: AlertConfig, own: Mapping[tuple[int, ...], Sequence[Matchers]]) -> AlertConfig:
    if not any(own.values()):
        return config
    marked = {path: [(*each, Matcher(MARK, "=", "")) for each in children] for path, children in own.items()}
    return replace(config, route=_divided(config.route, marked), sources=_rewritten(config.sources, marked))


def _one_of(label: str, values: Iterable[str]) -> Matcher:
    return Matcher(label, "=~", "|".join(map(re.escape, sorted(values))))


def _telling(mine: Sequence[Labels], others: Sequence[Labels]) -> Matcher | None:
    """The matcher of a label by which these instances are told from the others; None where there is none."""
    for label in dict.fromkeys(label for one in mine for label in one):
        values = {one.get(label, "") for one in mine}
        if "" not in values and values.isdisjoint(one.get(label, "") for one in others):
            return _one_of(label, values)
    return None


def _may_stand_alone(root: Route, path: tuple[int, ...], instances: Sequence[Labels]) -> bool:
    node = root
    for index in path:
        node = node.children[index]
    return not any(child.continues and matches_all(child.matchers, one) for child in node.children for one in instances)


def _divided(node: Route, own: Mapping[tuple[int, ...], Sequence[Matchers]]) -> Route:
    children = [_divided(child, own) for child in node.children]
    for matchers in own.get(node.path, ()):
        path = (*node.path, len(children))
        children.append(replace(node, path=path, matchers=matchers, continues=False, children=()))
    return replace(node, children=tuple(children))


def _rewritten(sources: Mapping[str, str], own: Mapping[tuple[int, ...], Sequence[Matchers]]) -> dict[str, str]:
    """The sources with the same children in the text of the Alertmanager configuration."""
    return {
        key: _with_children(text, key.partition(":")[2], own) if key.startswith("alertmanager:") else text
        for key, text in sources.items()
    }


def _with_children(text: str, file: str, own: Mapping[tuple[int, ...], Sequence[Matchers]]) -> str:
    document: Any = read(text, file).plain()
    # Deepest first: a child at the end moves none of those that paths count.
    for path in sorted(own, key=len, reverse=True):
        node = document["route"]
        for index in path:
            node = node["routes"][index]
        kept = {key: node[key] for key in _KEPT if key in node}
        more = [{"matchers": [printed(m) for m in matchers], **kept} for matchers in own[path]]
        node["routes"] = [*(node.get("routes") or []), *more]
    return dumped(document)
