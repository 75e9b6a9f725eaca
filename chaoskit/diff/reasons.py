"""Why an alert no longer goes out on a route that it went out on before.

The one idea: the old route is looked for in the new tree, and the way down to it is walked until something stops
the alert: a matcher that no longer holds, or an earlier sibling that keeps the alert to itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from chaoskit.alerting.model import AlertConfig, Matcher, Route
from chaoskit.check.alerts import Alert, Answer, answer, answer_all


def called(route: Route) -> str:
    """A route as people count: `the root route`, `route 2`, `route 2.1`."""
    return f"route {'.'.join(str(index + 1) for index in route.path)}" if route.path else "the root route"


def why_lost(old: Route, config: AlertConfig, alert: Alert) -> str:
    """What in the new configuration keeps the alert, as it is there, off this route of the old one."""
    if alert.sent is Answer.NO:
        return f"alert_relabel_configs drop the alert ({config.relabels[0].place})"
    if old.receiver not in config.receivers:
        return f"the receiver {old.receiver} is gone"
    there = sorted(_likest(old, config.route), key=lambda way: (way[-1].path != old.path, way[-1].path))
    if not there:
        return f"no route leads to {old.receiver} any more"
    reasons = [reason for way in there if (reason := _stopped(way, alert))]
    return reasons[0] if reasons else f"{called(there[0][-1])} passes it on to a child route ({there[0][-1].place})"


@dataclass(frozen=True, slots=True)
class Ways:
    """What of a routing tree an alert can meet: a node, the matchers there that nobody can decide, what is below."""

    route: tuple[object, ...]
    open: tuple[Matcher, ...]
    below: tuple[Ways, ...]

    @property
    def certain(self) -> bool:
        """Whether everything on all ways is decided."""
        return not self.open and all(each.certain for each in self.below)


def possible(route: Route, alert: Alert, *, waits: bool) -> Ways:
    """The part of the tree that the alert can meet, by what decides who hears and, with `waits`, when."""
    below = []
    for child in route.children:
        found = answer_all(child.matchers, alert)
        if found is not Answer.NO:
            below.append(possible(child, alert, waits=waits))
        if found is Answer.YES and not child.continues:
            break
    times = (route.group_wait_s, route.group_interval_s, route.repeat_interval_s, route.muted_in, route.active_in)
    group = None if route.group_by is None else frozenset(route.group_by)
    open_ = tuple(sorted({m for m in route.matchers if answer(m, alert) is Answer.MAYBE}, key=repr))
    continues = route.continues and bool(open_ or route.path)
    return Ways((route.receiver, continues, *((group, *times) if waits else ())), open_, tuple(below))


def _likest(old: Route, root: Route) -> list[tuple[Route, ...]]:
    """The ways to the routes of the same receiver: those with the same matchers, if there are any, else all."""
    ways = [way for way in _ways(root, ()) if way[-1].receiver == old.receiver]
    same = [way for way in ways if set(way[-1].matchers) == set(old.matchers)]
    return same or ways


def _ways(node: Route, above: tuple[Route, ...]) -> Iterator[tuple[Route, ...]]:
    way = (*above, node)
    yield way
    for child in node.children:
        yield from _ways(child, way)


def _stopped(way: tuple[Route, ...], alert: Alert) -> str:
    for parent, node in pairwise(way):
        failed = next((each for each in node.matchers if answer(each, alert) is Answer.NO), None)
        if failed is not None:
            has = alert.value(failed.label)
            carries = f"{failed.label} is '{has}'" if has else f"it carries no {failed.label}"
            return f'{called(node)} wants {failed.label}{failed.op}"{failed.value}", and {carries} ({node.place})'
        for sibling in parent.children[: node.path[-1]]:
            if not sibling.continues and answer_all(sibling.matchers, alert) is Answer.YES:
                return f"{called(node)} is now shadowed by {called(sibling)} ({sibling.place})"
    taken = next((c for c in way[-1].children if answer_all(c.matchers, alert) is Answer.YES), None)
    return f"{called(taken)} below {called(way[-1])} takes it now ({taken.place})" if taken else ""
