"""Enters every HTTP request of Locust's two clients in our books when it begins, not only when it is over.

Both sessions' `request` is wrapped and issues a ticket, which Locust's `request` event strikes off. The two are
matched by the greenlet, which is inside `request` when the event fires, or else by the response, which is reported
later (`catch_response`): the locustfile's listeners see nothing of ours. A response that is thrown away unreported is
an answer all the same. Other clients fire the event themselves and are counted as untracked.

The code that runs for each request is written out where calls would be neater: it is cold whenever a greenlet wakes up,
so each call more costs a request a microsecond or so.

The author of such an event writes anything into it. A failure counts by its own text; what the HTTP clients themselves
raise counts by what it is (`timeout`, `HTTP 503`), never by words that happen to be in a text.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import math
import re
import socket
import time
import urllib.error
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import geventhttpclient.client
import requests
import urllib3.exceptions
from geventhttpclient.response import HTTPConnectionClosed
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession, LocustBadStatusCode
from locust.env import Environment
from locust.exception import CatchResponseError, ResponseError

from chaoskit.load.counters import Counters, Ticket
from chaoskit.printable import plain

SEND: Callable[..., Any] = FastHttpSession.request
"""A session's `request` as it is without our wrapping: for a session that tells us its outcomes by itself."""


class _Untold(str):
    """Reads as an empty text, and is none."""

    __slots__ = ()


UNTOLD: Any = _Untold()
"""Stands for a part of an event that is missing."""
_EPOCH = time.time() - time.perf_counter()


def clock() -> float:
    """Seconds since the epoch that never jump: setting the machine's clock does not move them."""
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
        """Called before a request of this user (or of none) once users must go; returns only where it may begin."""
        self.inside: dict[Any, Ticket] = {}
        """The innermost open request of each greenlet that is in one."""

    @property
    def open(self) -> bool:
        """Whether another request may begin."""
        return not self.shut and self.left > 0

    def enter(self) -> bool:
        """Whether one more request may begin; if so, takes a place for it."""
        if self.shut or self.left <= 0:
            return False
        self.left -= 1
        return True

    def enter_own(self, user: Any) -> None:
        """Takes a place for one more request of a locustfile's user, also beyond the limit."""
        if self.shut or self.leaving or self.left <= 0:
            self.begins(user)
        self.left -= 1


def track(
    environment: Environment,
    counters: Counters,
    gate: Gate,
    timeout: tuple[float, float],
    count: Callable[[Any, Any, Any, Any, Any], None],
) -> None:
    """Begin to count every request, and have Locust count it (`count`, of `LocustCount`).

    `timeout` (connect, network) is given to requests of HttpSession that have none: it waits for ever by itself.
    """
    _never_send_twice()
    open_requests = _OpenRequests(counters, gate)
    _wrap(FastHttpSession, open_requests, gate, {})
    _wrap(HttpSession, open_requests, gate, {"timeout": timeout})
    inside = gate.inside

    def on_request(
        request_type: Any = UNTOLD,
        name: Any = UNTOLD,
        response_time: Any = UNTOLD,
        response_length: Any = UNTOLD,
        exception: Any = None,
        response: Any = None,
        **_rest: Any,
    ) -> None:
        count(request_type, name, response_time, response_length, exception)
        failure = None if exception is None else failure_of(exception)
        label = counters.label(request_type, name)
        latency_ms: float | None
        if type(response_time) is float and 0.0 <= response_time < math.inf:  # what the clients tell
            latency_ms = response_time
        else:
            latency_ms, odd = latency_of(None if response_time is UNTOLD else response_time)
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
        gate.enter_own(self.user)
        name = (args[0] if args else kwargs.get("name")) or self.request_name or url
        ticket = counters.begin(clock(), name, None, method)
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
        raise RuntimeError("this geventhttpclient resends requests in a new way; install geventhttpclient 2.6")
    geventhttpclient.client._may_retry_after_send_error = lambda method: False


_KINDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((TimeoutError, gevent.Timeout, requests.Timeout, urllib3.exceptions.ReadTimeoutError), "timeout"),
    ((ConnectionRefusedError,), "refused"),
    ((HTTPConnectionClosed, http.client.RemoteDisconnected), "closed"),
    ((ConnectionResetError, BrokenPipeError), "reset"),
    ((socket.gaierror,), "unknown host"),
)
_CLIENTS = ("requests", "urllib3", "geventhttpclient", "gevent", "http", "socket", "ssl", "locust")
_SYSTEMS_OWN = ("", "timed out")
"""The texts of a time-out of the operating system's; any other text is the locustfile's."""
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
_MOST_WITHIN = 12


def latency_of(value: object) -> tuple[float | None, str]:
    """The latency in milliseconds, None where there is none; and what is odd about it, in words."""
    if value is None:  # as Locust documents it
        return None, ""
    with contextlib.suppress(OverflowError):  # an int may be larger than any float
        if isinstance(value, (int, float)) and math.isfinite(value):
            return float(value), ""
    return None, f"a response_time of {plain(repr(value), 40)}"


def failure_of(exception: object) -> str | None:
    """The words under which an event's `exception` is counted; None where it is empty, which Locust calls a success."""
    try:
        failed = bool(exception)
    except Exception:  # a __bool__ of the locustfile's own
        failed = True
    return kind_of(exception) if failed else None


def kind_of(failure: object) -> str:
    """A failure in a few words that can be counted: what a client's own error is, or else its own text."""
    if isinstance(failure, tuple):  # as sys.exc_info gives it
        failure = next((one for one in failure if isinstance(one, BaseException)), failure)
    if isinstance(failure, type):
        return failure.__name__
    if not isinstance(failure, BaseException):
        return plain(failure) or "(no text)"
    name, text = type(failure).__name__, _ADDRESS.sub("0x…", plain(failure))
    if isinstance(failure, (CatchResponseError, ResponseError)):
        return text or name
    if status := _status(failure):
        return f"HTTP {status}"
    if isinstance(failure, OSError) and type(failure).__module__ == "builtins":
        theirs = failure.errno is not None or text in _SYSTEMS_OWN
    else:
        theirs = type(failure).__module__.partition(".")[0] in _CLIENTS
    if theirs:
        return next((kind for one in _within(failure) for types, kind in _KINDS if isinstance(one, types)), name)
    return plain(f"{name}: {text}") if text else name


def _status(failure: BaseException) -> int:
    code: object = None
    if isinstance(failure, (LocustBadStatusCode, urllib.error.HTTPError)):
        code = getattr(failure, "code", None)
    elif isinstance(failure, requests.HTTPError):
        code = getattr(failure.response, "status_code", None)
    return code if isinstance(code, int) else 0


def _within(failure: BaseException) -> Iterator[BaseException]:
    """The error and those that it wraps, the outermost first."""
    found = [failure]
    for one in found:  # which grows
        yield one
        inner = [getattr(one, name, None) for name in ("original", "reason")]
        more = [two for two in (*one.args, *inner, one.__cause__, one.__context__) if isinstance(two, BaseException)]
        found += [two for two in more if not any(two is known for known in found)][: _MOST_WITHIN - len(found)]
