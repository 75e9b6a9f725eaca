"""Abort conditions: what must not become true during a run. Then it stops, heals, and says why.

alert        this one fires
severity     one with this severity fires that is not expected, and that did not fire before the first step
query        it has a result
errors       more than this share of the load's requests fail, over ten windows (seconds)

They are looked at in real time from the first step on. A condition that cannot be looked at is no protection: when
Prometheus does not answer for a while, and it was not the scenario that took it down, the run is aborted as well.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from chaoskit.errors import Problem
from chaoskit.events import AlertState, Event, LoadWindow
from chaoskit.observe.poller import Looking
from chaoskit.plan.targets import undefined
from chaoskit.scenario.model import Abort

EVERY_S = 0.5
BLIND_S = 10.0
ERROR_WINDOWS = 10
LEAST_REQUESTS = 20
"""Of fewer requests the share of those that fail says too little."""


class AbortWatch(Looking):
    """Tells `abort` once, from another thread, which condition came true. Feed it after `firing` knows of an event."""

    def __init__(
        self,
        conditions: Sequence[Abort],
        ask: Callable[[str], bool | None],
        excused: Callable[[], bool],
        abort: Callable[[str], None],
        firing: Callable[[str], bool],
        expected: Callable[[str], bool] = lambda alert: False,
    ) -> None:
        super().__init__("abort", EVERY_S)
        self._given = bool(conditions)
        self._queries = [one for one in conditions if one.query is not None]
        self._alerts = {one.alert: one for one in conditions if one.alert is not None}
        self._ask = ask
        """Whether a query has a result; None where Prometheus does not answer."""
        self._excused = excused
        """Whether the scenario itself keeps Prometheus from answering."""
        self._abort = abort
        self._answered = 0.0
        """When the queries were last answered, on the monotonic clock."""
        self._armed = threading.Event()
        self._firing = firing
        self._expected = expected
        """Whether the scenarios expect or allow an alert of this name."""
        self._severe = {one.severity: one for one in conditions if one.severity is not None}
        self._before: set[str] = set()
        self._errors = min((one for one in conditions if one.errors is not None), key=_most, default=None)
        self._windows: deque[tuple[int, int]] = deque(maxlen=ERROR_WINDOWS)
        self._said = threading.Lock()

    def start(self) -> None:
        """Makes abort conditions count from now on, also those that are true already."""
        if self._armed.is_set() or self._over.is_set() or not self._given:
            return
        self._armed.set()
        self._check(self._alerts)
        if self._queries:
            self._answered = time.monotonic()
            super().start()

    def feed(self, event: Event) -> None:
        """Looks again after an event of the run; cheap."""
        if isinstance(event, AlertState):
            name = event.labels.get("alertname", "")
            self._check(self._alerts.keys() & {name})
            if event.state == "firing" and (one := self._severe.get(event.labels.get("severity", ""))):
                self._unexpected(one, name)
        elif isinstance(event, LoadWindow) and self._errors is not None:
            self._failing(self._errors, event)

    def _check(self, alerts: Iterable[str]) -> None:
        for name in alerts:
            if self._armed.is_set() and self._firing(name):
                self._tell(f"abort condition ({_where(self._alerts[name])}): {name} is firing")

    def _unexpected(self, one: Abort, name: str) -> None:
        if not self._armed.is_set():
            self._before.add(name)
        elif name not in self._before and not self._expected(name):
            said = f"{name} with severity {one.severity} is firing, and the scenario does not expect it"
            self._tell(f"abort condition ({_where(one)}): {said}")

    def _failing(self, one: Abort, window: LoadWindow) -> None:
        self._windows.append((window.failed + window.dropped, window.finished + window.dropped))
        failed, all_ = (sum(each) for each in zip(*self._windows, strict=True))
        if self._armed.is_set() and all_ >= LEAST_REQUESTS and failed > _most(one) * all_:
            said = f"{failed} of the load's last {all_} requests failed, more than {_most(one):.0%}"
            self._tell(f"abort condition ({_where(one)}): {said}")

    def look_once(self) -> None:
        """Asks once whether a query has a result, and whether Prometheus still answers."""
        for one in self._queries:
            assert one.query is not None
            found = self._ask(one.query)
            if found:
                self._tell(f"abort condition ({_where(one)}): '{one.query}' has a result")
            if found is not None or self._excused():
                self._answered = time.monotonic()
        if time.monotonic() - self._answered > BLIND_S:
            self._tell(f"Prometheus did not answer the queries of the abort conditions for {BLIND_S:g} s")

    def _tell(self, reason: str) -> None:
        with self._said:
            if self._over.is_set():
                return
            self._over.set()
        # The feeding thread may hold a journal's lock, which telling needs.
        threading.Thread(target=self._abort, args=(reason,), name="abort", daemon=True).start()


def _most(one: Abort) -> float:
    """The share of requests that may fail."""
    return 1.0 if one.errors is None else one.errors


def _where(one: Abort) -> str:
    """The file and line of an abort condition for a history, without the folder."""
    return f"{Path(one.place.file).name}:{one.place.line}"


def wrong_with(conditions: Sequence[Abort], alerts: Sequence[str], parse: Callable[[str], str]) -> list[Problem]:
    """The problems of abort conditions: alerts that no rule defines, queries for which `parse` returns an error."""
    problems = []
    for one in conditions:
        if one.alert is not None and one.alert not in alerts:
            problems.append(undefined("alert", one.alert, alerts, one.place))
        if one.query is not None and (why := parse(one.query)):
            problems.append(Problem(one.place, f"'{one.query}' cannot be watched: {why}", "write a PromQL expression"))
    return problems
