"""The closed model: each user awaits the answer, thinks for a while, and goes on.

Resized one by one as the shape asks, without Locust's ramps, which block while they last and skip stages.

Runs in the child only: it imports Locust.
"""

from __future__ import annotations

import random
from typing import Any

import gevent
from locust.exception import StopUser

from chaoskit.load.tracking import clock
from chaoskit.load.traffic import LEVELS_S, Situation, end_users, environment_of, send, user_class


class ClosedUsers:
    """Users who each await their answer and think for a while, resized one by one as the shape asks."""

    def __init__(self, at: Situation) -> None:
        self._at = at
        self._born = 0
        user = user_class(
            at,
            "Waiting",
            concurrency=1,
            tasks=[self._visit],
            leaving=False,
            on_start=lambda user: self._settle(user),  # a bound method would not be given the user
            wait_time=lambda user: self._think(user),
        )
        self.environment = environment_of([user], at)
        self._runner: Any = self.environment.runner

    @property
    def users(self) -> int:
        return int(self._runner.user_count)

    def begin(self) -> None:
        self._runner.start(1, spawn_rate=1)
        gevent.spawn(self._follow)

    def drain(self, timeout_s: float) -> None:
        end_users(self.environment, timeout_s)

    def _follow(self) -> None:
        """Have as many users as the level asks for; one that must go finishes its request first."""
        runner = self._runner
        runner.spawning_greenlet.join(timeout=10)
        while self._at.gate.open:
            here = [greenlet.args[0] for greenlet in runner.user_greenlets if greenlet.args]
            staying = [user for user in here if not user.leaving]
            missing = round(self._at.level(clock())) - len(staying)
            if missing > 0:
                runner.spawn_users({"Waiting": missing})
            for user in staying[: max(0, -missing)]:
                user.leaving = True
                user.stop(force=False)
            gevent.sleep(LEVELS_S)

    def _settle(self, user: Any) -> None:
        """Users born together must not move in step: each has dice of its own, and first waits a part of a wait."""
        user.dice = random.Random(f"{self._at.spec.seed}/{self._at.shard}/{self._born}")
        self._born += 1
        gevent.sleep(user.dice.random() * self._at.spec.think_s)

    def _think(self, user: Any) -> float:
        return float(self._at.spec.think_s * user.dice.uniform(0.5, 1.5))

    def _visit(self, user: Any) -> None:
        if not self._at.gate.enter():
            raise StopUser
        name, n = self._at.mix.next()
        request = self._at.spec.requests[name]
        send(user.client, self._at, request, self._at.counters.begin(clock(), name), n)
