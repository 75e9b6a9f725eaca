"""The closed model: each user awaits the answer, thinks for a while, and goes on.

Resized one by one as the shape asks, without Locust's ramps, which block while they last and skip stages.

What is done for each request is little more than in a locustfile, so that it costs no more: a request is due when it
is sent, so Locust's own latency is the right one, and one greenlet ends the overdue ones of all users.

Runs in the child only: it imports Locust.
"""

from __future__ import annotations

import random
from typing import Any

import gevent
from locust.exception import StopUser

from chaoskit.load.counters import Ticket
from chaoskit.load.mix import render, render_json
from chaoskit.load.tracking import TICKET, clock, pause
from chaoskit.load.traffic import LEVELS_S, Situation, environment_of, user_class


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
            asking=None,
            on_start=lambda user: self._settle(user),  # a bound method would not be given the user
            wait_time=lambda user: at.spec.think_s * user.dice.uniform(0.5, 1.5),
        )
        self.environment = environment_of([user], at)
        self._runner: Any = self.environment.runner

    @property
    def users(self) -> int:
        return int(self._runner.user_count)

    def begin(self) -> None:
        self._runner.start(1, spawn_rate=1)
        gevent.spawn(self._follow)
        gevent.spawn(self._end_overdue)

    def drain(self) -> None:
        pass

    def settle(self) -> None:
        pass

    def _follow(self) -> None:
        """Have as many users as the level asks for; one that must go finishes its request first."""
        runner = self._runner
        runner.spawning_greenlet.join(timeout=10)
        before = 0
        while self._at.gate.open:
            wanted = int(self._at.asked(clock()))
            if wanted != before or wanted != self.users:  # most often neither, and nobody is asked
                before = wanted
                here = [greenlet.args[0] for greenlet in runner.user_greenlets if greenlet.args]
                staying = [user for user in here if not user.leaving]
                missing = wanted - len(staying)
                if missing > 0:
                    runner.spawn_users({"Waiting": missing})
                for user in staying[: max(0, -missing)]:
                    user.leaving = True
                    user.stop(force=False)
            pause(LEVELS_S)

    def _settle(self, user: Any) -> None:
        """Users born together must not move in step: each has dice of its own, and first waits a part of a wait."""
        user.dice = random.Random(f"{self._at.spec.seed}/{self._at.shard}/{self._born}")
        self._born += 1
        gevent.sleep(user.dice.random() * self._at.spec.think_s)

    def _visit(self, user: Any) -> None:
        at = self._at
        if not at.gate.enter():
            raise StopUser
        name, n = at.mix.next()
        request = at.spec.requests[name]
        more: dict[str, Any] = {"headers": request.headers} if request.headers else {}
        if request.json is not None:
            more["json"] = render_json(request.json, n)
        elif request.body is not None:
            more["data"] = render(request.body, n)
        user.asking = ticket = at.counters.begin(clock(), name, kind=request.method)
        more[TICKET] = ticket
        try:
            user.client.request(request.method, render(request.path, n), name=ticket.name, **more)
        finally:
            user.asking = None

    def _end_overdue(self) -> None:
        """A time-out of the socket ends a silence; this one also ends an answer that trickles for ever.

        Looks at all requests a few times a second: a timer for each would cost as much as our counting does.
        """
        loop = gevent.get_hub().loop
        while True:
            pause(LEVELS_S)
            since_s = clock() - self._at.spec.longest_s
            if not any(ticket.due_s < since_s for ticket in self._at.counters.open.values()):
                continue
            for greenlet in list(self._runner.user_greenlets):
                ticket = greenlet.args[0].asking if greenlet.args else None
                if ticket is not None and ticket.due_s < since_s:
                    loop.run_callback(_time_out, greenlet, ticket)


def _time_out(greenlet: Any, ticket: Ticket) -> None:
    """Runs between greenlets, where nobody can finish the request meanwhile."""
    if greenlet.args and greenlet.args[0].asking is ticket:
        greenlet.throw(gevent.Timeout())
