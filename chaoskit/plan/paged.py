"""The people's side of a drill on a running system: which real receivers are told, and how often, before it happens.

    expected alert -> the routes that handle it -> its groups there -> firing, and the all-clear where it is sent

At least a notification for each group; at most one for each instance of an alert, its repeats within the longest
time that the drill may take, and what the alerts that the scenario allows would tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chaoskit.alerting.model import Receiver, Route
from chaoskit.alerting.routing import alert_labels, group_key, match_routes
from chaoskit.plan.model import Plan, PlannedAlert
from chaoskit.plan.witnesses import own
from chaoskit.scenario.model import Attached
from chaoskit.units import amount


@dataclass(frozen=True, slots=True)
class Told:
    """The number of notifications that one receiver gets, through all of its integrations."""

    receiver: str
    kinds: tuple[str, ...]
    least: int
    most: int

    def __str__(self) -> str:
        how_many = amount(self.least, "notifications") if self.least == self.most else f"{self.least} to {self.most}"
        return f"{self.receiver} ({', '.join(self.kinds)}): {how_many}"


def paged(plans: Iterable[Plan]) -> tuple[Told, ...]:
    """The real receivers that drills of these plans tell, by name; none where no target runs already."""
    least, most, receivers = dict[str, int](), dict[str, int](), dict[str, Receiver]()
    for plan in plans:
        if not isinstance(plan.profile.target, Attached):
            continue
        receivers |= plan.config.receivers
        for name, few, many in _told(plan):
            least[name] = least.get(name, 0) + few
            most[name] = most.get(name, 0) + many
    real = {name: tuple(one.kind for one in own(receivers[name])) for name in sorted(most)}
    return tuple(Told(name, kinds, least[name], most[name]) for name, kinds in real.items() if kinds and most[name])


def _told(plan: Plan) -> Iterator[tuple[str, int, int]]:
    """Receivers with a least and a most number of notifications; some more than once."""
    config, groups = plan.config, set[tuple[str, str]]()
    for alert in plan.alerts:
        if alert.expectation.suppressed_by and alert.expectation.then == "silent":
            continue
        for route in match_routes(config.route, alert.labels):
            each = _integrations(config.receivers[route.receiver])
            before = len(groups)
            groups |= {(route.receiver, group_key(config.route, route, labels)) for labels in _instances(alert)}
            repeats = int(plan.longest_real_s * plan.time_scale // route.repeat_interval_s) * alert.count
            yield route.receiver, (len(groups) - before) * sum(each), alert.count * sum(each) + repeats * len(each)
    for name in {allow.alert for allow in plan.scenario.allow}:
        for rule in config.alert_rules(name):
            for route in match_routes(config.route, alert_labels(config, rule, {})):
                yield route.receiver, 0, sum(_integrations(config.receivers[route.receiver]))


def _integrations(receiver: Receiver) -> Sequence[int]:
    """How often each of its own integrations tells of one group: that it fires, and that it is over."""
    return [2 if one.send_resolved else 1 for one in own(receiver)]


def _instances(alert: PlannedAlert) -> list[Mapping[str, str]]:
    """The labels of each instance, as far as they are known."""
    return [{**alert.labels, alert.label: name} for name in alert.names] if alert.label else [alert.labels]


def announces_apart(route: Route) -> bool:
    """Whether an alert of another name makes a group of its own on a route, so that it moves no group of a drill."""
    return route.group_by is None or "alertname" in route.group_by
