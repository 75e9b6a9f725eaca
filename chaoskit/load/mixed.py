"""Requests of a mix: by users who await their answers (closed), or at their appointed times (open).

In the closed model each user awaits the answer, thinks for a while, and goes on. Users are resized one by one as the
shape asks, without Locust's ramps, which block while they last and skip stages. The work for each request is little
more than in a locustfile, so that it costs no more: a request is due when it is sent, so Locust's own latency is the
right one, and one greenlet ends the overdue ones of all users.

In the open model requests leave whether or not earlier ones were answered. One greenlet keeps the schedule, each
request has one of its own. Those that find the bound of unanswered requests reached are dropped, and counted: the
schedule itself never waits for the target.
"""

from __future__ import annotations

import random
from typing import Any

import gevent
import gevent.pool
from locust import FastHttpUser
from locust.exception import StopUser

from chaoskit.load.counters import Ticket
from chaoskit.load.mix import Arrivals, render, render_json
from chaoskit.load.model import MOST_IN_FLIGHT, RequestSpec
from chaoskit.load.tracking import TICKET, clock, pause
from chaoskit.load.traffic import LEVELS_S, Situation, Traffic, environment_of

_AHEAD_S = 0.01
"""How far the schedule looks ahead; a change of rate takes effect after it."""


def _user_class(at: Situation, name: str, **attributes: Any) -> type[Any]:
    settings = {
        "host": at.spec.host,
        "connection_timeout": at.spec.connect_timeout_s,
        "network_timeout": at.spec.network_timeout_s,
        "insecure": not at.spec.verify_tls,
    }
    return type(name, (FastHttpUser,), settings | attributes)


def _sent(request: RequestSpec, ticket: Ticket, n: int) -> dict[str, Any]:
    """The keyword arguments of a client's `request` for the nth one: name, ticket, headers and body."""
    more: dict[str, Any] = {"name": ticket.name, TICKET: ticket}
    if request.headers:
        more["headers"] = dict(request.headers)
    if request.json is not None:
        more["json"] = render_json(request.json, n)
    elif request.body is not None:
        more["data"] = render(request.body, n)
    return more


class ClosedUsers(Traffic):
    """Users who each await their answer and think for a while, resized one by one as the shape asks."""

    def __init__(self, at: Situation) -> None:
        super().__init__(at)
        self._born = 0
        user = _user_class(
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

    def begin(self) -> None:
        self._runner.start(1, spawn_rate=1)
        gevent.spawn(self._follow)
        gevent.spawn(self._end_overdue)

    def _follow(self) -> None:
        """Have as many users as the level asks for; one that must go finishes its request first."""
        runner = self._runner
        runner.spawning_greenlet.join(timeout=10)
        before = 0
        while self._at.gate.open:
            wanted = int(self._at.asked(clock()))
            if wanted != before or wanted != self.users:  # most often neither, and no user need be asked
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
        user.asking = ticket = at.counters.begin(clock(), name, kind=request.method)
        try:
            user.client.request(request.method, render(request.path, n), **_sent(request, ticket, n))
        finally:
            user.asking = None

    def _end_overdue(self) -> None:
        """A time-out of the socket ends a silence; this one also ends an answer that trickles for ever. Looks at all
        requests a few times a second: a timer for each would cost as much as our counting does."""
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
    """Times the request out if it is still open. Runs between greenlets, so that it cannot finish meanwhile."""
    if greenlet.args and greenlet.args[0].asking is ticket:
        greenlet.throw(gevent.Timeout())


class OpenArrivals(Traffic):
    """Requests at their appointed times, each in a greenlet of its own, however slow the answers are."""

    users = 0

    def __init__(self, at: Situation) -> None:
        super().__init__(at)
        self._sending = gevent.pool.Group()
        user = _user_class(at, "Arriving", concurrency=MOST_IN_FLIGHT, tasks=[self._schedule])
        self.environment = environment_of([user], at)

    def begin(self) -> None:
        self._runner.start(1, spawn_rate=1)

    def drain(self) -> None:
        while len(self._sending) and (left_s := self._at.left_s) > 0:
            self._sending.join(timeout=min(left_s, LEVELS_S))
        self._sending.kill(timeout=1)

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
        ticket = at.counters.begin(clock(), name, due_s, request.method)
        self._sending.spawn(self._send, client, request, ticket, n)

    def _send(self, client: Any, request: RequestSpec, ticket: Ticket, n: int) -> None:
        """Make one request and let Locust count it with the latency since it was due."""
        # A time-out of the socket ends a silence; this one also ends an answer that trickles for ever.
        with gevent.Timeout(self._at.spec.longest_s):
            more = _sent(request, ticket, n)
            with client.request(request.method, render(request.path, n), catch_response=True, **more) as response:
                response.request_meta["response_time"] = (clock() - ticket.due_s) * 1000
