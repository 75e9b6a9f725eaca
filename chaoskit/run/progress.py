"""Where a run stands, computed from its own events as they are written: what steps wait for and screens show.

It triggers, it does not judge: a wait ends when what it waits for was seen, or when it is too late to be on time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chaoskit.events import (
    AlertState,
    Equipment,
    Event,
    FaultFail,
    FaultOk,
    Invoke,
    LoadWindow,
    Notice,
    Phase,
    Poll,
    StepBegin,
    StepEnd,
    Stranger,
    Suppression,
    UndoFail,
    UndoOk,
)
from chaoskit.plan.model import Plan, PlannedAlert, PlannedNotice

_SLACK_REAL_S = 0.3
"""What observers may need to see an instant that has passed."""

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Instance:
    """One alert instance as last seen, and at which doors it was heard of."""

    labels: Mapping[str, str]
    state: str
    at: float
    firing_at: float | None = None
    resolved_at: float | None = None
    suppressed: bool = False
    told: set[tuple[str, str, int]] = field(default_factory=set)
    cleared: set[tuple[str, str, int]] = field(default_factory=set)


@dataclass(slots=True)
class Snapshot:
    """What a screen shows; replaced, never changed, once given out."""

    phase: str = "starting"
    step: str = ""
    steps_done: int = 0
    load: LoadWindow | None = None
    faults: dict[str, Invoke] = field(default_factory=dict)
    instances: list[Instance] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


class Progress:
    """Fed with every event by the journal; safe to read and wait on from other threads."""

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.time) -> None:
        self.plan = plan
        self.news = threading.Condition()
        self._clock = clock
        self._instances: dict[Labels, Instance] = {}
        self._past: list[Instance] = []
        self._named: dict[str, list[Instance]] = {}
        """All of them by the alert's name: with hundreds of alerts, each event looks only at its own."""
        self._done_at: dict[str, float] = {}
        self._faults: dict[str, Invoke] = {}
        self._gone_at: dict[str, float] = {}
        self._down: dict[str, str] = {}
        self._now = Snapshot()
        self._skew_s = 0.0
        """Prometheus's clock minus ours, the least that the last look allows: so what it says is never too early."""

    def feed(self, event: Event) -> None:
        """Takes one event; cheap, called by whoever wrote it."""
        with self.news:
            self._take(event)
            self.news.notify_all()

    def snapshot(self) -> Snapshot:
        """A copy of where things stand."""
        with self.news:
            now = self._now
            return Snapshot(
                now.phase,
                now.step,
                now.steps_done,
                now.load,
                dict(self._faults),
                [*self._past, *self._instances.values()],
                list(now.notices),
                [*now.trouble, *self._down.values()],
            )

    def instances_of(self, alert: PlannedAlert) -> list[Instance]:
        """The instances that an expectation speaks of and that showed since its `from` step."""
        since = self._done_at.get(f"begin {alert.expectation.from_step}", float("inf"))
        return [i for i in self._called(alert.expectation.alert) if alert.matches(i.labels) and i.at >= since]

    def step_done(self, name: str) -> None:
        """A step (or the implicit `end`) took effect just now: clocks that start with it start."""
        with self.news:
            self._done_at[name] = self._clock()

    def settled_at(self) -> float:
        """0 once every expectation that has begun is settled; else the instant at which waiting ends for good."""
        with self.news:
            return max((self._alert_settled_at(alert) for alert in self.plan.alerts), default=0.0)

    def _alert_settled_at(self, alert: PlannedAlert) -> float:
        begun = self._done_at.get(alert.expectation.from_step)
        if begun is None:
            return 0.0
        undone = self._undone_at(alert)
        if undone is not None:
            return self._cleared_at(alert, begun, undone)
        return self._told_at(alert, begun)

    def _undone_at(self, alert: PlannedAlert) -> float | None:
        """When the clear clock of an expectation started: its `until`, or the end of the faults of its `from`."""
        done = self._done_at.get(alert.expectation.until_step)
        if done is not None or alert.expectation.until_step != "end":
            return done
        ids = [f.id for p in self.plan.steps if p.step.name == alert.expectation.from_step for f in p.faults]
        gone = [self._gone_at[one] for one in ids if one in self._gone_at]
        return max(gone) if ids and len(gone) == len(ids) else None

    def _told_at(self, alert: PlannedAlert, begun: float) -> float:
        instances = self.instances_of(alert)
        wanted = [n.door for n in alert.notices if n.ask.mode != "never"]
        told = [i for i in instances if i.firing_at is not None and i.told.issuperset(wanted)]
        silent = alert.expectation.suppressed_by is not None or not wanted
        if len(told) >= alert.count and (not silent or all(i.suppressed or not wanted for i in told)):
            return 0.0
        firing = [i.firing_at for i in instances if i.firing_at is not None]
        if len(firing) >= alert.count:
            bound = max(firing) + max((n.latest_vs for n in alert.notices), default=0.0) / self.plan.time_scale
        else:
            bound = begun + alert.latest_notice_vs / self.plan.time_scale
        return self._unless_over(bound)

    def _cleared_at(self, alert: PlannedAlert, begun: float, undone: float) -> float:
        instances = self.instances_of(alert)
        wanted = [n.door for n in alert.notices if n.all_clear is not None]
        if instances and all(i.resolved_at is not None and i.cleared.issuperset(wanted) for i in instances):
            return 0.0
        if instances and all(i.resolved_at is not None for i in instances):
            last = max(i.resolved_at or 0.0 for i in instances)
            longest = max((n.all_clear.hi_vs for n in alert.notices if n.all_clear), default=0.0)
            return self._unless_over(last + longest / self.plan.time_scale)
        if not any(i.firing_at for i in instances):
            return self._told_at(alert, begun)  # It may still fire, late, and then has to resolve.
        return self._unless_over(undone + alert.latest_all_clear_vs / self.plan.time_scale)

    def _unless_over(self, bound: float) -> float:
        return bound if self._clock() < bound + _SLACK_REAL_S else 0.0

    def reached(self, alert: str, state: str) -> bool:
        """Whether every expected instance of an alert (or any, if none is expected) has come to a state."""
        with self.news:
            planned = [p for p in self.plan.alerts if p.expectation.alert == alert]
            begun = [p for p in planned if p.expectation.from_step in self._done_at]
            if begun:
                return all(
                    sum(self._in_state(i, state, p.notices) for i in self.instances_of(p)) >= p.count for p in begun
                )
            return any(self._in_state(i, state, ()) for i in self._called(alert))

    @staticmethod
    def _in_state(instance: Instance, state: str, notices: tuple[PlannedNotice, ...]) -> bool:
        match state:
            case "pending":
                return instance.state in ("pending", "firing")
            case "firing":
                return instance.firing_at is not None
            case "notified":
                wanted = {notice.door for notice in notices if notice.ask.mode != "never"}
                return bool(instance.told) and instance.told.issuperset(wanted)
            case "suppressed":
                return instance.suppressed
            case _:
                return instance.resolved_at is not None

    def active(self) -> list[str]:
        """Names of alerts that are pending or firing now, standing and foreign ones left out."""
        with self.news:
            standing = self.plan.profile.standing
            names = [
                f"{i.labels.get('alertname')} is {i.state}"
                for i in self._instances.values()
                if i.state != "inactive" and not self.plan.foreign(i.labels)
            ]
            return sorted(name for name in names if name.split(" ")[0] not in standing)

    def _take(self, event: Event) -> None:
        now = self._now
        match event:
            case AlertState():
                self._alert(event)
            case Poll(skew=(float(low), _)):
                self._skew_s = low
            case Notice():
                now.notices.append(event)
                self._notice(event)
            case Suppression():
                for instance in self._called(event.labels.get("alertname")):
                    if instance.state not in ("inactive", "resolved") and _within(instance.labels, event.labels):
                        instance.suppressed = instance.suppressed or event.state == "suppressed"
            case LoadWindow():
                now.load = event
            case Invoke():
                self._faults[event.fault] = event
                self._done_at.setdefault(f"begin {event.step}", event.t)
            case FaultOk():
                pass
            case UndoOk():
                self._faults.pop(event.fault, None)
                self._gone_at[event.fault] = event.t
            case FaultFail() | UndoFail():
                now.trouble.append(f"{event.fault}: {event.reason}")
            case Stranger():
                self._down[f"strangers at {event.sink}"] = f"{event}"
            case Equipment(state="down"):
                self._down[event.name] = f"{event.name} is down: {event.detail.splitlines()[0] if event.detail else ''}"
            case Equipment(state="silent"):
                self._down[event.name] = f"{event.name}: {event.detail}"
            case Equipment(state="up"):
                self._down.pop(event.name, None)
            case Phase():
                now.phase = event.name
            case StepBegin():
                now.step = event.step
                self._done_at.setdefault(f"begin {event.step}", event.t)
            case StepEnd():
                now.step = ""
                now.steps_done += 1
            case _:
                pass

    def _called(self, alert: str | None) -> list[Instance]:
        return self._named.get(alert or "", [])

    def _alert(self, event: AlertState) -> None:
        key: Labels = tuple(sorted(event.labels.items()))
        instance = self._instances.get(key)
        at = event.at - self._skew_s
        if instance is None:
            instance = self._instances[key] = Instance(dict(event.labels), event.state, at)
            self._named.setdefault(event.labels.get("alertname", ""), []).append(instance)
        if event.state == "inactive":
            instance.resolved_at = at
            instance.state = "resolved" if instance.firing_at is not None else "inactive"
            self._past.append(self._instances.pop(key))
            return
        if event.state == "firing":
            instance.firing_at = at
        instance.state = event.state

    def _notice(self, event: Notice) -> None:
        if event.refused:
            return
        door = (event.receiver, event.integration, event.index)
        for item in event.alerts:
            for instance in self._called(item.labels.get("alertname")):
                if _within(instance.labels, item.labels):
                    (instance.told if item.status == "firing" else instance.cleared).add(door)


def _within(labels: Mapping[str, str], carried: Mapping[str, str]) -> bool:
    return all(carried.get(key) == value for key, value in labels.items())
