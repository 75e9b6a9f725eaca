"""Enters every HTTP request of Locust's two clients in our books when it begins, not only when it is over.

Both sessions' `request` is wrapped and issues a ticket, which Locust's `request` event strikes off. The two are
matched by the greenlet, which is inside `request` when the event fires, or else by the response, which is reported
later (`catch_response`): nothing of ours is seen by anybody's listeners. A response that is thrown away unreported is
an answer all the same. Other clients fire the event themselves and are counted as untracked.

What runs for each request is written out where calls would be neater: its code is cold whenever a greenlet wakes up,
so each call more costs a request a microsecond or so.
"""

from __future__ import annotations

import functools
import math
import time
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import geventhttpclient.client
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment

from chaoskit.load.counters import Counters, Ticket
from chaoskit.load.outcome import failure_of, latency_of

TICKET = "chaoskit_ticket"
"""The argument of a session's `request` by which our own users hand over the ticket that they have."""
_EPOCH = time.time() - time.perf_counter()


def clock() -> float:
    """Seconds that read like the epoch, and never jump when somebody sets the machine's clock."""
    return _EPOCH + time.perf_counter()


def pause(every_s: float) -> None:
    """Sleep to the next whole `every_s` seconds of the clock. Greenlets that look at something now and then look
    together, since waking up costs more than looking."""
    gevent.sleep(every_s - clock() % every_s)


class Gate:
    """Says whether another request may begin; bounds a load in count."""

    def __init__(self, limit: int) -> None:
        self.left = limit
        self.shut = False
        """Nothing new from now on: the load is ending."""
        self.leaving = False
        """Some users must go, while the others stay."""
        self.begins: Callable[[Any], None] = lambda user: None
        """Asked, once anybody must go, before a request of this user (or of none); does not return when it may not."""
        self.inside: dict[Any, Ticket] = {}
        """The innermost open request of each greenlet that is in one."""

    @property
    def open(self) -> bool:
        """Whether another may begin."""
        return not self.shut and self.left > 0

    def enter(self) -> bool:
        """Whether one more may begin; takes its place."""
        if self.shut or self.left <= 0:
            return False
        self.left -= 1
        return True

    def enter_own(self, user: Any) -> None:
        """One more request of a locustfile's user begins."""
        if self.shut or self.leaving or self.left <= 0:
            self.begins(user)
        self.left -= 1


def track(environment: Environment, counters: Counters, gate: Gate, timeout: tuple[float, float]) -> None:
    """Begin to count. `timeout` (connect, network) is given to requests of HttpSession that have none: it waits
    for ever by itself."""
    _never_send_twice()
    open_requests = _OpenRequests(counters, gate)
    _wrap(FastHttpSession, open_requests, gate, {})
    _wrap(HttpSession, open_requests, gate, {"timeout": timeout})
    inside = gate.inside

    def on_request(
        request_type: object = "",
        name: object = "",
        response_time: object = None,
        exception: object = None,
        response: Any = None,
        **_rest: Any,
    ) -> None:
        failure = None if exception is None else failure_of(exception)
        label = counters.label(request_type, name)
        latency_ms: float | None
        if type(response_time) is float and 0.0 <= response_time < math.inf:  # what the clients tell
            latency_ms = response_time
        else:
            latency_ms, odd = latency_of(response_time)
            if odd:
                counters.note_odd(f"{label}: {odd}")
        ticket = open_requests.of(response) if open_requests.kept else inside.get(gevent.getcurrent())
        if ticket is None or not counters.finish(clock(), ticket, latency_ms, failure, label):
            counters.unannounced(clock(), name, latency_ms, failure, request_type)

    # Before their listeners: one that raises StopUser or RescheduleTask lets no later one hear of the request.
    environment.events.request._handlers.insert(0, on_request)


class _OpenRequests:
    """Whose outcome an event tells: of the request that this greenlet is in, or of a response kept for later."""

    def __init__(self, counters: Counters, gate: Gate) -> None:
        self.counters = counters
        self._inside = gate.inside
        self.kept: dict[int, tuple[Ticket, Any]] = {}
        """By the identity of the response that the event will carry."""

    def of(self, response: Any) -> Ticket | None:
        kept = self.kept.pop(id(response), None)
        return self._inside.get(gevent.getcurrent()) if kept is None else kept[0]

    def keep(self, answered: Any, ticket: Ticket) -> None:
        """The report is outstanding; where the response dies first, there will be none."""
        ticket.answered = True
        meta = getattr(answered, "request_meta", None) or {}
        ticket.took_ms = latency_of(meta.get("response_time"))[0] or 0.0
        response = meta.get("response", answered)
        key = id(response)

        def forget(_dead: Any) -> None:
            if self.kept.pop(key, None) is not None:
                self.counters.throw_away(clock(), ticket)

        self.kept[key] = (ticket, weakref.ref(response, forget))


def _wrap(session: type[Any], open_requests: _OpenRequests, gate: Gate, defaults: dict[str, Any]) -> None:
    original: Callable[..., Any] = session.request
    counters, inside = open_requests.counters, gate.inside

    @functools.wraps(original)
    def request(self: Any, method: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
        for key, value in defaults.items():
            if kwargs.get(key) is None:
                kwargs[key] = value
        ticket = kwargs.pop(TICKET, None)
        if ticket is None:
            gate.enter_own(self.user)
            name = (args[0] if args else kwargs.get("name")) or self.request_name or url
            ticket = counters.begin(clock(), name, kind=method)
        greenlet = gevent.getcurrent()
        around = inside.get(greenlet)
        inside[greenlet] = ticket
        try:
            response = original(self, method, url, *args, **kwargs)
        except BaseException:  # the user was stopped, or its code failed: there will be no outcome
            counters.cut_off(ticket)
            raise
        finally:
            if around is None:
                del inside[greenlet]
            else:
                inside[greenlet] = around
        if id(ticket) in counters.open:
            open_requests.keep(response, ticket)
        return response

    session.request = request


def _never_send_twice() -> None:
    """Let the HTTP client report a lost connection instead of sending the same request again. By itself
    geventhttpclient repeats a GET whose connection was closed, up to once per place in its pool: a target that drops
    connections would look slow, and be hit by more requests than were counted."""
    if not hasattr(geventhttpclient.client, "_may_retry_after_send_error"):
        raise RuntimeError("this geventhttpclient resends requests in a way that is not known here; install 2.6")
    geventhttpclient.client._may_retry_after_send_error = lambda method: False
