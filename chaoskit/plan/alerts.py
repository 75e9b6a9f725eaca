"""From an expectation to windows: the rule, the instances, the receivers, and both ends of all five hops.

The bounds come from the promise. The configuration's own windows are computed beside it, for two reasons: a run
waits long enough to see the configured instant even where it is later than promised (so that late is told from
never), and a failure can say which setting makes it so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from chaoskit.alerting import routing, windows
from chaoskit.alerting.expression import expression
from chaoskit.alerting.labels import labels_of
from chaoskit.alerting.model import AlertConfig, Integration, PromisedNotice, Receiver, Route, Rule
from chaoskit.alerting.windows import Window, from_fault, from_undo
from chaoskit.errors import Problem
from chaoskit.hop import Hop
from chaoskit.plan.model import PlannedAlert, PlannedFault, PlannedNotice
from chaoskit.plan.targets import undefined
from chaoskit.plan.witnesses import WITNESS, delay_of, seen_by, seen_integrations, through, unproved, unwitnessed
from chaoskit.scenario.model import Expectation, Notify, Profile
from chaoskit.units import format_duration

_PROMISED = Notify(mode="promised")


class AlertPlanner:
    """Plans expectations one by one and collects every problem on the way."""

    def __init__(
        self, config: AlertConfig, profile: Profile, time_scale: float, expected: Sequence[Expectation]
    ) -> None:
        self._config = config
        self._profile = profile
        self._expected = [expectation.alert for expectation in expected]
        self._delivery_vs = windows.delivery_of(config, time_scale)
        self._tolerance_vs = self._delivery_vs if time_scale > 1 else 0.0
        self.problems: list[Problem] = []

    def plan(self, expectation: Expectation, faults: Sequence[PlannedFault]) -> PlannedAlert | None:
        """The windows of one expectation whose `from` step injected these faults; None where names are undefined."""
        rule = self._rule(expectation)
        if rule is None:
            return None
        label, names = _binding(rule, faults)
        known = {**expectation.labels, **({label: names[0]} if names else {})}
        labels = routing.alert_labels(self._config, rule, known)
        routes = {route.receiver: route for route in reversed(routing.match_routes(self._config.route, labels))}
        promises = self._promises(expectation)
        count = expectation.instances or len(names) or 1
        asked = self._asked(expectation, promises)
        joined = {name for name, route in routes.items() if self._may_join(route, rule.alert, label, count)}
        notices = tuple(
            notice
            for name, ask in asked.items()
            for notice in self._notices(expectation, rule, name, ask, routes.get(name), name in joined)
        )
        receivers = {name: self._config.receivers[name] for name in asked if name in self._config.receivers}
        target = self._profile.target
        detect = from_fault(self._config, rule)
        configured_hold = windows.hold(rule)
        hold = windows.hold(rule, next(iter(promises.values()), None))
        clear = from_undo(self._config, rule)
        return PlannedAlert(
            id=f"{rule.alert} from {expectation.from_step}",
            expectation=expectation,
            rule=rule,
            label=label,
            names=names,
            labels=labels,
            count=count,
            detect=detect,
            hold=hold,
            clear=clear,
            configured_hold=configured_hold,
            notices=notices,
            receivers=tuple(receivers),
            unwitnessed=tuple(
                one for receiver in receivers.values() if target != "local" for one in unwitnessed(target, receiver)
            ),
            unproved=tuple(
                each
                for name, receiver in receivers.items()
                for each in unproved(
                    self._profile,
                    receiver,
                    asked[name],
                    self._hears_all_clear(expectation, receiver, asked[name]),
                    self._config.promise.receivers.get(name),
                )
            ),
            latest_notice_vs=detect.hi_vs
            + max(hold.hi_vs, configured_hold.hi_vs)
            + max((n.latest_vs for n in notices), default=0.0),
            latest_all_clear_vs=clear.hi_vs
            + max((n.all_clear.hi_vs + n.delay_s for n in notices if n.all_clear), default=0.0),
        )

    def _rule(self, expectation: Expectation) -> Rule | None:
        rules = self._config.alert_rules(expectation.alert)
        if not rules and expectation.alert in self._config.unread:
            return None  # the verdict says so
        if not rules:
            known = {rule.alert for rule in self._config.rules if rule.alert}
            self.problems.append(undefined("alert", expectation.alert, known, expectation.place))
            return None
        fitting = [rule for rule in rules if _fits(rule, expectation.labels)]
        if len(fitting) != 1:
            self._say(
                expectation,
                f"{len(fitting)} rules are called {expectation.alert} and carry these labels",
                "tell them apart with labels: in the expectation",
            )
            return None
        return fitting[0]

    def _say(self, expectation: Expectation, message: str, hint: str) -> None:
        self.problems.append(Problem(expectation.place, message, hint))

    def _promises(self, expectation: Expectation) -> dict[str, PromisedNotice]:
        notices = self._config.promise.notices
        return {receiver: notice for (alert, receiver), notice in notices.items() if alert == expectation.alert}

    def _asked(self, expectation: Expectation, promises: Mapping[str, PromisedNotice]) -> Mapping[str, Notify]:
        if expectation.suppressed_by is not None:
            return {}
        if expectation.notifies is not None:
            return expectation.notifies
        if not promises:
            self._say(
                expectation,
                f"the promise has nothing for {expectation.alert}, and the scenario names no receivers",
                "add the alert to the promise file, or write notifies: into the expectation",
            )
        return dict.fromkeys(promises, _PROMISED)

    def _notices(
        self, expectation: Expectation, rule: Rule, name: str, ask: Notify, route: Route | None, joins: bool
    ) -> list[PlannedNotice]:
        """Those to a receiver, by the route that leads there; `joins`: its group may have notified before."""
        promised = self._config.promise.notices.get((expectation.alert, name))
        receiver = self._config.receivers.get(name)
        if receiver is None:
            self.problems.append(undefined("receiver", name, self._config.receivers, expectation.place))
            return []
        if promised is None and ask.mode == "promised":
            self._say(
                expectation,
                f"the promise has no row for {expectation.alert} at {name}",
                "add the row to the promise file, or give the receiver a within: of its own",
            )
            return []
        usual = windows.notify(promised or route or self._config.route, self._delivery_vs)
        bounds = self._bounds(rule, ask, usual)
        muted = expectation.silenced_by is not None and ask.mode != "never"
        if muted:
            bounds = windows.after_silence(route or self._config.route, self._delivery_vs)
        live = windows.live_notify(route, self._delivery_vs) if route and joins else None
        all_clear = windows.all_clear(route or self._config.route, self._delivery_vs)
        target = self._profile.target
        if target != "local" and len(target.peers) > 1:
            wait = f"{len(target.peers) - 1} x {format_duration(target.peer_timeout_s)} peer_timeout"
            waited_vs = (len(target.peers) - 1) * target.peer_timeout_s
            bounds, all_clear = (windows.later(window, waited_vs, wait) for window in (bounds, all_clear))
            live = windows.later(live, waited_vs, wait) if live else None
        if bounds.lo_vs > bounds.hi_vs:
            what = (
                f"the notice of {expectation.alert} to {name} is due after {bounds.hi_vs:g} s, and must not come before"
            )
            held = windows.hold(rule).hi_vs
            self._say(
                expectation,
                f"{what} {bounds.lo_vs:g} s after firing (not_before: {bounds.lo_vs + held:g}s)",
                "make not_before smaller, or say how late it may come with within:",
            )
        said = self._config.promise.receivers.get(name)
        phone, over = self._whole(rule, name, route)
        if phone is not None and bounds.hi_vs > usual.hi_vs:
            # The scenario disturbs the way itself, and says how late the notice may come for it.
            phone = windows.later(phone, bounds.hi_vs - usual.hi_vs, bounds.setting)
        # A witness is told every end, even where the receiver's own integrations are not.
        silent = said is not None and not said.resolved and ask.mode != "never"
        by = {
            one: () if target == "local" else seen_by(target, receiver, one)
            for one in seen_integrations(self._profile, receiver)
        }
        return [
            PlannedNotice(
                receiver=name,
                integration=integration.kind,
                index=integration.index,
                notify=bounds,
                configured=windows.notify(route, self._delivery_vs) if route else None,
                all_clear=all_clear if self._hears_all_clear(expectation, receiver, ask, integration) else None,
                recipients=said.recipients if said is not None and integration.kind == "email" else (),
                sends_resolved=integration.send_resolved,
                ask=ask,
                live=live,
                no_all_clear=said.place if said is not None and silent and integration.kind != WITNESS else None,
                by=seen,
                through=through(target, seen) if target != "local" else (),
                delay_s=delay_of(target, seen[0]) if seen and target != "local" else 0.0,
                phone=phone if ask.mode != "never" and not muted else None,
                over=over if ask.mode != "never" else None,
            )
            for integration, seen in by.items()
        ]

    def _whole(self, rule: Rule, receiver: str, route: Route | None) -> tuple[Window | None, Window | None]:
        """The whole ways to a receiver and to its all-clear as promised: bounds of real time, so a compressed run adds
        its tolerance; each None where nothing is promised."""
        promised = self._config.promise.alerts.get(rule.alert)
        if promised is None:
            return None, None
        ways = (
            (Hop.FAULT_TO_PHONE, promised.phone.get(receiver), windows.to_phone),
            (Hop.UNDO_TO_ALL_CLEAR, promised.all_clear.get(receiver), windows.to_all_clear),
        )
        found = [
            windows.whole(hop, bound, self._tolerance_vs, way(self._config, rule, route) if route else None)
            if bound
            else None
            for hop, bound, way in ways
        ]
        return found[0], found[1]

    def _may_join(self, route: Route, alert: str, label: str, count: int) -> bool:
        """Whether another instance that the scenario expects may have been in the same group before."""
        groups = route.group_by
        if groups is not None and "alertname" not in groups and len(self._expected) > 1:
            return True
        apart = groups is None or label in groups
        return self._expected.count(alert) > 1 or (count > 1 and not apart)

    def _bounds(self, rule: Rule, ask: Notify, window: Window) -> Window:
        """The window of the first notice, where the scenario has bounds of its own."""
        if ask.mode != "bounded":
            return window
        # A scenario's own bounds count from pending, as promises do; windows count from FiredAt.
        held = windows.hold(rule).hi_vs
        low = max(0.0, (ask.not_before_vs or 0.0) - held)
        if ask.within_vs is None:
            setting = f"the scenario's not_before: {ask.not_before_vs:g} s, and {window.setting}"
            return dataclasses.replace(window, lo_vs=low, setting=setting)
        high = max(low, ask.within_vs - held) + self._delivery_vs
        setting = f"the scenario's within: {ask.within_vs:g} s"
        if ask.not_before_vs is not None:
            setting += f", not_before: {ask.not_before_vs:g} s"
        return dataclasses.replace(window, lo_vs=low, hi_vs=high, setting=setting)

    def _hears_all_clear(
        self, expectation: Expectation, receiver: Receiver, ask: Notify, door: Integration | None = None
    ) -> bool:
        """As promised; else through each integration that sends it, and a witness hears what any of them does."""
        if ask.mode == "never" or expectation.until_step == "never":
            return False
        promised = self._config.promise.receivers.get(receiver.name)
        if promised is not None:
            return promised.resolved
        return any(i.send_resolved for i in receiver.integrations if door not in receiver.integrations or i == door)


def _fits(rule: Rule, labels: Mapping[str, str]) -> bool:
    """Whether its alert may carry these labels; a template may become anything."""
    return all(rule.labels.get(k, v) == v or "{{" in rule.labels[k] for k, v in labels.items())


def _binding(rule: Rule, faults: Sequence[PlannedFault]) -> tuple[str, tuple[str, ...]]:
    carried = labels_of(expression(rule.expr))
    for label in sorted({fault.label for fault in faults if fault.label}):
        if label not in rule.labels and carried.may_have(label):
            return label, tuple(name for fault in faults if fault.label == label for name in fault.targets)
    return "", ()
