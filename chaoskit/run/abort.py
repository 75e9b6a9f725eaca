"""Abort conditions: alerts and queries that must not become true during a run. Then it stops, heals, and says why.

They are looked at in real time from the first step on. A condition that cannot be looked at is no protection: when
Prometheus does not answer for a while, and it was not the scenario that took it down, the run is aborted as well.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from chaoskit.errors import Problem
from chaoskit.events import AlertState, Event
from chaoskit.plan.targets import undefined
from chaoskit.scenario.model import Abort

EVERY_S = 0.5
BLIND_S = 10.0


class AbortWatch:
    """Tells `abort` once, from another thread, which condition came true. Feed it after `firing` knows of an event."""

    def __init__(
        self,
        conditions: Sequence[Abort],
        ask: Callable[[str], bool | None],
        excused: Callable[[], bool],
        abort: Callable[[str], None],
        firing: Callable[[str], bool],
    ) -> None:
        self._queries = [one for one in conditions if one.query is not None]
        self._alerts = {one.alert: one for one in conditions if one.alert is not None}
        self._ask = ask
        """Whether a query has a result; None where Prometheus does not answer."""
        self._excused = excused
        """Whether the scenario itself keeps Prometheus from answering."""
        self._abort = abort
        self._ended = threading.Event()
        self._armed = threading.Event()
        self._firing = firing
        self._said = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="abort", daemon=True)

    def start(self) -> None:
        """From now on conditions count: also those that are true already."""
        if self._armed.is_set() or self._ended.is_set() or not (self._queries or self._alerts):
            return
        self._armed.set()
        self._check(self._alerts)
        if self._queries:
            self._thread.start()

    def stop(self) -> None:
        """Nothing is aborted any more; idempotent."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(BLIND_S)

    def feed(self, event: Event) -> None:
        """Looks again after an event of the run; cheap."""
        if isinstance(event, AlertState):
            self._check(self._alerts.keys() & {event.labels.get("alertname", "")})

    def _check(self, alerts: Iterable[str]) -> None:
        for name in alerts:
            if self._armed.is_set() and self._firing(name):
                self._tell(f"abort condition ({_where(self._alerts[name])}): {name} is firing")

    def _run(self) -> None:
        answered = time.monotonic()
        while not self._ended.wait(EVERY_S):
            for one in self._queries:
                assert one.query is not None
                found = self._ask(one.query)
                if found:
                    self._tell(f"abort condition ({_where(one)}): '{one.query}' has a result")
                    return
                if found is not None or self._excused():
                    answered = time.monotonic()
            if time.monotonic() - answered > BLIND_S:
                self._tell(f"Prometheus did not answer the queries of the abort conditions for {BLIND_S:g} s")
                return

    def _tell(self, reason: str) -> None:
        with self._said:
            if self._ended.is_set():
                return
            self._ended.set()
        # The feeding thread may hold a journal's lock, which telling needs.
        threading.Thread(target=self._abort, args=(reason,), name="abort", daemon=True).start()


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
