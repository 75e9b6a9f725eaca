"""Requests of a mix: by users who await their answers (closed), or at their appointed times (open).

In the closed model each user awaits the answer, thinks for a while, and goes on. Users are resized one by one as the
shape asks, without Locust's ramps, which block while they last and skip stages.

In the open model requests leave whether or not earlier ones were answered. One greenlet keeps the schedule and wakes
those that send, which go on from one request to another: to start one for each would cost a tenth of a request. Those
that find the bound of unanswered requests reached are dropped, and counted: the schedule itself never waits for the
target. Its requests are of customers who do not know of each other, so they have no cookies in common.

Either way a request costs little more than Locust's client itself: its parts are made once, its outcome comes straight
to its sender, and one greenlet ends all that are overdue, where a timer for each would cost as much as our counting.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import gevent.pool
from locust import FastHttpUser
from locust.exception import StopUser

from chaoskit.load.counters import Ticket
from chaoskit.load.mix import Arrivals, render, render_json
from chaoskit.load.model import MOST_IN_FLIGHT, RequestSpec
from chaoskit.load.tracking import SEND, clock, failure_of, pause
from chaoskit.load.traffic import LEVELS_S, Situation, Traffic, environment_of

_AHEAD_S = 0.01
"""How far the schedule looks ahead; a change of rate takes effect after it."""
_AT_ONCE = 16
"""Overdue requests that leave before answers are heard again."""
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


class _Request:
    """A request of the mix; what is the same each time is made once."""

    def __init__(self, spec: RequestSpec) -> None:
        self._spec = spec
        self._json = None if spec.json is None else json.dumps(spec.json)
        self._more: dict[str, Any] = {"headers": dict(spec.headers)}
        if self._json is not None:
            known = {key.lower() for key in spec.headers}
            self._more["headers"] |= {key: value for key, value in _JSON.items() if key.lower() not in known}
        text = spec.body if self._json is None else self._json
        self._varies = text is not None and "{n" in text
        if text is not None:
            self._more["data"] = text

    def send(self, session: Any, name: str, n: int) -> None:
        """Makes the nth one in this session."""
        spec, more = self._spec, self._more
        if self._varies:
            body = render(spec.body, n) if spec.body is not None else json.dumps(render_json(spec.json, n))
            more = {**more, "data": body}
        SEND(session, spec.method, render(spec.path, n), name, **more)


_made: dict[int, _Request] = {}
"""Requests by the identity of the specification they are made of; each keeps that alive."""


def _made_of(spec: RequestSpec) -> _Request:
    return _made.get(id(spec)) or _made.setdefault(id(spec), _Request(spec))


class _Sender:
    """Makes one request at a time. In its session it stands in for Locust's event, so it hears each outcome."""

    def __init__(self, at: Situation, session: Any) -> None:
        self._at = at
        self._session = session
        session.request_event = self
        self.greenlet = gevent.getcurrent()
        self.ticket: Ticket | None = None
        """Of the request that is under way, since `since_s`."""
        self.since_s = 0.0

    def send(self, ticket: Ticket, request: RequestSpec, name: str, n: int) -> None:
        """Makes the nth request of this name, and counts its outcome."""
        self.ticket, self.since_s = ticket, clock()
        try:
            _made_of(request).send(self._session, name, n)
        except BaseException:  # it was stopped, or the request cannot be made: there will be no outcome
            self._at.counters.cut_off(ticket)
            raise
        finally:
            self.ticket = None

    def fire(
        self, *, request_type: str, name: str, response_length: int, exception: BaseException | None, **_rest: Any
    ) -> None:
        """Has Locust count it with the latency since it was due, and counts it likewise."""
        now_s, ticket = clock(), self.ticket
        assert ticket is not None
        took_ms = (now_s - ticket.due_s) * 1000
        self._at.count(request_type, name, took_ms, response_length, exception)
        self._at.counters.finish(now_s, ticket, took_ms, None if exception is None else failure_of(exception))

    def time_out(self, ticket: Ticket) -> None:
        """Times this request out if it is still open. Runs between greenlets, so that it cannot finish meanwhile."""
        if self.ticket is ticket:
            self.greenlet.throw(gevent.Timeout())


def _end_overdue(at: Situation, senders: Callable[[], Iterable[_Sender]]) -> None:
    """A time-out of the socket ends a silence; this one also ends an answer that trickles for ever. Looks at all
    requests a few times a second."""
    loop = gevent.get_hub().loop
    while True:
        pause(LEVELS_S)
        since_s = clock() - at.spec.longest_s
        for sender in list(senders()):
            if sender.ticket is not None and sender.since_s < since_s:
                loop.run_callback(sender.time_out, sender.ticket)


def _user_class(at: Situation, name: str, **attributes: Any) -> type[Any]:
    settings = {
        "host": at.spec.host,
        "connection_timeout": at.spec.connect_timeout_s,
        "network_timeout": at.spec.network_timeout_s,
        "insecure": not at.spec.verify_tls,
    }
    return type(name, (FastHttpUser,), settings | attributes)


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
            sender=None,
            on_start=lambda user: self._settle(user),  # a bound method would not be given the user
            wait_time=lambda user: at.spec.think_s * user.dice.uniform(0.5, 1.5),
        )
        self.environment = environment_of([user], at)

    def begin(self) -> None:
        self._runner.start(1, spawn_rate=1)
        gevent.spawn(self._follow)
        gevent.spawn(_end_overdue, self._at, self._senders)

    def _senders(self) -> Iterable[_Sender]:
        """Of those users who have begun."""
        users = [greenlet.args[0] for greenlet in self._runner.user_greenlets if greenlet.args]
        return [user.sender for user in users if user.sender is not None]

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
        user.sender = _Sender(self._at, user.client)
        self._born += 1
        gevent.sleep(user.dice.random() * self._at.spec.think_s)

    def _visit(self, user: Any) -> None:
        """A user's whole life: to have Locust choose its one task anew each time would cost as much as our counting."""
        at = self._at
        while at.gate.enter():
            name, n = at.mix.next()
            request = at.spec.requests[name]
            user.sender.send(at.counters.begin(clock(), name, None, request.method), request, name, n)
            user.wait()  # ends it where it must go
        raise StopUser


class OpenArrivals(Traffic):
    """Requests at their appointed times, however slow the answers are."""

    users = 0

    def __init__(self, at: Situation) -> None:
        super().__init__(at)
        self._sending = gevent.pool.Group()
        self._senders: set[_Sender] = set()
        self._idle: list[Any] = []
        """The greenlets of those that wait for a request, the last one first to have one."""
        user = _user_class(at, "Arriving", concurrency=MOST_IN_FLIGHT, tasks=[self._schedule])
        self.environment = environment_of([user], at)

    def begin(self) -> None:
        self._runner.start(1, spawn_rate=1)
        gevent.spawn(_end_overdue, self._at, lambda: self._senders)

    def drain(self) -> None:
        gevent.killall(self._idle)
        while len(self._sending) and (left_s := self._at.left_s) > 0:
            self._sending.join(timeout=min(left_s, LEVELS_S))
        self._sending.kill(timeout=1)

    def _schedule(self, user: Any) -> None:
        at = self._at
        one = type(user)
        one.client_pool = user.client.client.clientpool  # of all that send, as if this user sent each request
        arrivals = Arrivals(at.level, clock(), phase=at.shard / at.shards)
        at_once = 0
        while at.gate.open:
            to_s = clock() + _AHEAD_S
            for due_s in arrivals.until(to_s):
                ahead_s, at_once = due_s - clock(), at_once + 1
                if ahead_s > 0 or at_once > _AT_ONCE:
                    gevent.sleep(max(0.0, ahead_s))
                    at_once = 1
                if not at.gate.enter():
                    break
                self._send_one(one, due_s)
            gevent.sleep(max(0.0, to_s - clock()))
        raise StopUser

    def _send_one(self, user: type[Any], due_s: float) -> None:
        at = self._at
        name, n = at.mix.next()
        request = at.spec.requests[name]
        if len(self._sending) - len(self._idle) >= at.spec.in_flight_bound:
            at.counters.drop(clock(), name, request.method)
            return
        job = (at.counters.begin(clock(), name, due_s, request.method), request, name, n)
        if self._idle:
            gevent.get_hub().loop.run_callback(self._idle.pop().switch, job)
        else:
            self._sending.spawn(self._serve, user, job)

    def _serve(self, user: type[Any], job: tuple[Ticket, RequestSpec, str, int]) -> None:
        """Makes this request, and then others as they are due, until the load ends."""
        session = user(self.environment).client
        session.user = session.client.cookiejar = None
        sender = _Sender(self._at, session)
        self._senders.add(sender)
        try:
            while True:
                sender.send(*job)
                if self._at.gate.shut:
                    break
                self._idle.append(sender.greenlet)
                job = gevent.get_hub().switch()
        finally:
            self._senders.discard(sender)
