"""The open model: requests leave at their appointed times, whether or not earlier ones were answered.

One greenlet keeps the schedule, each request has one of its own. Those that find the bound of unanswered requests
reached are dropped, and counted: the schedule itself never waits for the target.

Runs in the child only: it imports Locust.
"""

from __future__ import annotations

from typing import Any

import gevent
import gevent.pool
from locust.exception import StopUser

from chaoskit.load.arrivals import Arrivals
from chaoskit.load.model import MOST_IN_FLIGHT
from chaoskit.load.tracking import clock
from chaoskit.load.traffic import LEVELS_S, Situation, environment_of, send, user_class

_AHEAD_S = 0.01
"""How far the schedule looks ahead; a change of rate takes effect after it."""


class OpenArrivals:
    """Requests at their appointed times, each in a greenlet of its own, however slow the answers are."""

    def __init__(self, at: Situation) -> None:
        self._at = at
        self._sending = gevent.pool.Group()
        user = user_class(at, "Arriving", concurrency=MOST_IN_FLIGHT, tasks=[self._schedule])
        self.environment = environment_of([user], at)
        self._runner: Any = self.environment.runner
        self.users = 0

    def begin(self) -> None:
        self._runner.start(1, spawn_rate=1)

    def drain(self) -> None:
        while len(self._sending) and (left_s := self._at.left_s) > 0:
            self._sending.join(timeout=min(left_s, LEVELS_S))
        self._sending.kill(timeout=1)

    def settle(self) -> None:
        pass

    def _schedule(self, user: Any) -> None:
        at = self._at
        arrivals = Arrivals(at.level, clock(), phase=at.shard / at.shards)
        while at.gate.open:
            to_s = clock() + _AHEAD_S
            for due_s in arrivals.until(to_s):
                gevent.sleep(max(0.0, due_s - clock()))
                if not at.gate.enter():
                    break
                self._send_one(user.client, due_s)
            gevent.sleep(max(0.0, to_s - clock()))
        raise StopUser

    def _send_one(self, client: Any, due_s: float) -> None:
        at = self._at
        name, n = at.mix.next()
        request = at.spec.requests[name]
        if len(self._sending) >= at.spec.in_flight_bound:
            at.counters.drop(clock(), name, request.method)
            return
        self._sending.spawn(send, client, at, request, at.counters.begin(clock(), name, due_s, request.method), n)
