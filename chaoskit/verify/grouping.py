"""Whether what people got was grouped as configured: one notice for one group, whole, and nothing else in it.

    group_by: [alertname, severity]      labels that all alerts of a notice share, and by which others stay out
    groupKey of a webhook                Alertmanager's own name of the group: its route and those labels

Pure. Mails tell no key; their alerts are told by the header, and must share the labels all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chaoskit.alerting import routing
from chaoskit.alerting.model import Route
from chaoskit.events import Notice, Suppression
from chaoskit.plan.model import Plan
from chaoskit.verify.evidence import Episode, Evidence

_SLACK_S = 0.5
"""Real seconds that an alert which Alertmanager shows may need to join its group."""


def wrong_group(plan: Plan, evidence: Evidence, notice: Notice, episode: Episode) -> str:
    """What is wrong with the group of a notice that lists this instance; empty where it is as configured.

    Where several routes lead to the receiver, it is right when it fits one of them.
    """
    labels = routing.sent_labels(plan.config, episode.labels)
    routes = [r for r in routing.match_routes(plan.config.route, labels) if r.receiver == notice.receiver]
    wrong = [_wrong_under(plan, evidence, notice, route, labels) for route in routes]
    return "" if not wrong or "" in wrong else wrong[0]


def _wrong_under(plan: Plan, evidence: Evidence, notice: Notice, route: Route, labels: Mapping[str, str]) -> str:
    mine = routing.group_labels(route, labels)
    by = "all labels (...)" if route.group_by is None else ", ".join(sorted(route.group_by)) or "nothing"
    governed = f"governed by group_by: {by} ({route.place})"
    root = plan.config.route
    keys = [routing.group_key(root, route, labels, by_name=by_name) for by_name in (False, True)]
    if notice.group_key and notice.group_key not in keys:
        return f"its group is {notice.group_key}, and the configuration makes it {keys[0]}; {governed}"
    for item in notice.alerts:
        if routing.group_labels(route, item.labels) != mine:
            return f"it was told together with {_named(item.labels)}, which belongs to another group; {governed}"
    listed = [item.labels for item in notice.alerts]
    for other in _firing_with(evidence, notice):
        same = routing.matches_all(route.matchers, other) and routing.group_labels(route, other) == mine
        same = same and route in routing.match_routes(root, other)
        if same and not any(_covers(shown, other) for shown in listed):
            return f"it was told without {_named(other)}, which is of the same group and was firing; {governed}"
    return ""


def _firing_with(evidence: Evidence, notice: Notice) -> Iterable[Mapping[str, str]]:
    """What Alertmanager had, active, from well before a notice until after it."""
    last: dict[tuple[tuple[str, str], ...], Suppression] = {}
    changed: set[tuple[tuple[str, str], ...]] = set()
    for event in evidence.suppressions:
        key = tuple(sorted(event.labels.items()))
        if event.seen[1] < notice.sent[0] - _SLACK_S:
            last[key] = event
        elif event.seen[0] <= notice.sent[1]:
            changed.add(key)
    ended = [e for e in evidence.episodes if e.resolved is not None and e.resolved[0] <= notice.sent[1]]
    for key, event in last.items():
        over = any(e.is_in(event.labels) for e in ended)
        if event.state == "active" and key not in changed and not over:
            yield event.labels


def _covers(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in wanted.items())


def _named(labels: Mapping[str, str]) -> str:
    more = [value for key, value in sorted(labels.items()) if key not in ("alertname", "instance", "job")]
    return " ".join([labels.get("alertname", "?"), *more])
