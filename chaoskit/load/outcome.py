"""What a `request` event says of its request, made into a latency and a short text that can be counted.

Whoever fires such an event writes what they like into it. A failure counts by its own text; what the HTTP clients
themselves raise counts by what it is (`timeout`, `HTTP 503`), never by words that happen to be in a text.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import re
import socket
import urllib.error
from collections.abc import Iterator

import gevent
import requests
import urllib3.exceptions
from geventhttpclient.response import HTTPConnectionClosed
from locust.contrib.fasthttp import LocustBadStatusCode
from locust.exception import CatchResponseError, ResponseError

from chaoskit.printable import plain

_KINDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((TimeoutError, gevent.Timeout, requests.Timeout, urllib3.exceptions.ReadTimeoutError), "timeout"),
    ((ConnectionRefusedError,), "refused"),
    ((HTTPConnectionClosed, http.client.RemoteDisconnected), "closed"),
    ((ConnectionResetError, BrokenPipeError), "reset"),
    ((socket.gaierror,), "unknown host"),
)
_CLIENTS = ("requests", "urllib3", "geventhttpclient", "gevent", "http", "socket", "ssl", "locust")
_SYSTEMS_OWN = ("", "timed out")
"""What a time-out of the operating system's says; any other text is somebody's own."""
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
    """What an event's `exception` counts as; None where it is empty, which Locust takes for a success."""
    try:
        failed = bool(exception)
    except Exception:  # a __bool__ of somebody's own
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
