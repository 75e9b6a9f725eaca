"""Watches Prometheus: which alerts its evaluations found, at which instants, and up to where that is known.

Each look asks for the rules first (which evaluations are over, what is active) and then for the raw samples of
ALERTS since the last good look; `alert_states` turns the two into transitions. A range query would not do: it is
aligned to its own steps, not to the evaluations. Look at least twice an interval, so that every evaluation is known
of; a missed one makes `previous` older, never a transition wrong.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from typing import Any, Literal, TypeVar

import msgspec
import requests

from chaoskit import json_text
from chaoskit.events import Event, Interval, Poll
from chaoskit.observe.alert_states import Active, AlertStates, Group, Labels, State, labels_of, seen_to
from chaoskit.observe.payload import instant
from chaoskit.observe.poller import ANSWER_LIMIT_S, MERGED_S, LookFailed, Poller

T = TypeVar("T")


class _Alert(msgspec.Struct, rename="camel"):
    labels: dict[str, str]
    active_at: str
    value: str = ""


class _Rule(msgspec.Struct, rename="camel"):
    name: str
    labels: dict[str, str] = {}
    alerts: list[_Alert] = []
    health: str = "ok"
    last_error: str = ""


class _Group(msgspec.Struct, rename="camel"):
    name: str
    file: str
    interval: float
    rules: list[_Rule]
    last_evaluation: str = ""


class _Rules(msgspec.Struct):
    groups: list[_Group]


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Matrix(msgspec.Struct):
    result: list[_Series]


class _Scalar(msgspec.Struct):
    result: tuple[float, str]


class _Answer(msgspec.Struct, rename="camel"):
    status: Literal["success", "error"]
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""


class PrometheusObserver(Poller):
    """Emits AlertState and Poll events from a thread of its own until `stop`; never raises from there.

    A Poll is `ok` when all answers came and every group has been evaluated at least once; its `seen_to` is the
    instant up to which every evaluation, of the slowest group too, has been looked at (but see `alerts`). It follows
    the AlertState events of its look. Rules that fail to evaluate are named in its detail.
    """

    source = "prometheus"

    def __init__(
        self,
        url: str,
        *,
        every_s: float,
        on_event: Callable[[Event], None],
        session: requests.Session | None = None,
        alerts: Collection[str] | None = None,
    ) -> None:
        """With `alerts`, only the groups with rules of these names say how far everything is known: a slow group with
        other rules does not delay that."""
        super().__init__(url, every_s, on_event, session)
        self._alerts = alerts
        self._states = AlertStates()
        self._seen_to: float | None = None
        self._skew: Interval | None = None
        self._skewed_at = 0.0

    def look(self, asked: float) -> tuple[Poll, bool]:
        """Reads the evaluations since the last look; gives the Poll and whether an event was reported."""
        if self._skew is None or time.monotonic() - self._skewed_at >= MERGED_S:
            self._skew = self._measure_skew()
            self._skewed_at = time.monotonic()
        rules = self._get("/api/v1/rules", {"type": "alert"}, _Rules)
        now = time.time() + self._skew[1]
        groups = [_group(group) for group in rules.groups]
        known = self._alerts
        ours = [one for one in groups if known is None or any(name in known for name, _ in one.rules)]
        # Once seen to the end, a slow group's samples are met as they come: only the first look reaches back for them.
        first = self._seen_to is None
        reach_s = _reach_s(groups if first else ours, now - self._seen_to if self._seen_to is not None else None)
        query = {"query": f"ALERTS[{math.ceil(reach_s * 1000)}ms]"}
        matrix = self._get("/api/v1/query", query, _Matrix)
        found = self._states.look(now, groups, _samples(matrix))
        for event in found:
            self._on_event(event)
        seen = seen_to(ours) if ours else asked + self._skew[0]
        if seen is None:
            late = sorted(group.key for group in ours if group.evaluated is None)
            raise LookFailed(f"not evaluated yet: {', '.join(late)}")
        self._seen_to = seen
        poll = Poll(source="prometheus", asked=asked, ok=True, seen_to=seen, skew=self._skew, detail=_failing(rules))
        return poll, bool(found)

    def _measure_skew(self) -> Interval:
        asked = time.time()
        theirs = self._get("/api/v1/query", {"query": "time()"}, _Scalar).result[0]
        # Their clock read this, cut down to a millisecond, at some instant between asking and answering.
        return (theirs - time.time(), theirs + 0.001 - asked)

    def _get(self, path: str, params: dict[str, str], kind: type[T]) -> T:
        response = self._session.get(self._url + path, params=params, timeout=ANSWER_LIMIT_S)
        try:
            answer = json_text.decode(response.content, type=_Answer)
        except msgspec.DecodeError:
            raise LookFailed(f"{path}: status {response.status_code}, {response.text[:200]!r}") from None
        if answer.status != "success":
            raise LookFailed(f"{path}: {answer.error[:400]}")
        return json_text.decode(answer.data, type=kind)


def _reach_s(groups: list[Group], since_s: float | None) -> float:
    """How far back to ask: to the last good look, and two evaluations more."""
    slowest_s = max((group.interval_s for group in groups), default=1.0)
    return max(0.0, since_s or 0.0) + (2 if since_s is not None else 3) * slowest_s


def _group(group: _Group) -> Group:
    active: dict[Labels, Active] = {}
    for rule in group.rules:
        for alert in rule.alerts:
            since = instant(alert.active_at)
            if since is not None:
                active[labels_of(alert.labels)] = Active(since, alert.value)
    return Group(
        key=f"{group.file};{group.name}",
        interval_s=group.interval,
        evaluated=instant(group.last_evaluation),
        rules=tuple((rule.name, labels_of(rule.labels)) for rule in group.rules),
        active=active,
    )


def _samples(matrix: _Matrix) -> dict[Labels, list[tuple[float, State]]]:
    """Both states' series of an alert as one."""
    found: dict[Labels, list[tuple[float, State]]] = {}
    for series in matrix.result:
        labels: dict[str, Any] = dict(series.metric)
        labels.pop("__name__", None)
        state = labels.pop("alertstate", "")
        if state not in ("pending", "firing"):
            raise LookFailed(f"ALERTS has a series with alertstate '{state}'")
        found.setdefault(labels_of(labels), []).extend((at, state) for at, _ in series.values)
    return found


def _failing(rules: _Rules) -> str:
    failing = [
        f"{group.name}/{rule.name}: {rule.last_error[:200] or rule.health}"
        for group in rules.groups
        for rule in group.rules
        if rule.health == "err"
    ]
    return f"rules that fail: {'; '.join(failing)}" if failing else ""
