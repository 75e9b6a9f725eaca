"""The bare minimum of an HTTP server, for the sake of its stamps: when did this request certainly not exist yet?

The first request of a connection cannot have been sent before the connection was opened; a request on a connection
that was idle, not before the loop last found nothing there. Parsing is httptools' job. Bodies, header sizes, the
time a request may take, the number of connections and their idleness are all bounded. A client that is not admitted
is told so before a byte of the body is kept.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

import httptools

from chaoskit.events import Interval
from chaoskit.observe.strangers import Places
from chaoskit.observe.timed_loop import TimedLoop

BODY_LIMIT = 5 * 1024 * 1024
_DISCARD_LIMIT = 64 * 1024 * 1024
HEADER_LIMIT = 64 * 1024
REQUEST_LIMIT_S = 20.0
# Longer than Alertmanager keeps an idle connection: the client hangs up first, so none of its requests meets a
# connection that is just being closed.
IDLE_LIMIT_S = 900.0
# How long an answer may be owed that is given only when there is something to tell.
OWED_LIMIT_S = 60.0
CONNECTIONS_AT_ONCE = 200
TELLING = frozenset({b"authorization", b"content-type", b"host", b"origin", b"sec-fetch-site"})
"""The headers that are kept for `Request.headers`."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that arrived whole, or whose `refused` says why its body was not taken."""

    method: str
    path: str
    """The request's path with its query."""
    body: bytes
    sent: Interval
    refused: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The headers that tell where a request comes from (`TELLING`), by lower-case name."""
    ports: tuple[int, int] = (0, 0)
    """The client's TCP port and the server's."""

    @property
    def authorization(self) -> str:
        """The header of that name; empty without one."""
        return self.headers.get("authorization", "")


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to one request."""

    status: int
    content_type: str = "text/plain"
    body: bytes = b""
    delay_s: float = 0.0
    """How long the client is kept waiting for it, in real seconds."""


Answered = Answer | asyncio.Future[Answer]
"""An answer, or one that comes later, within OWED_LIMIT_S."""


class Connection(asyncio.Protocol):
    """One client's connection; `answer` is called for each request and must not wait.

    `admit` is asked when a request's head is there: what it gives instead of None is the answer, and the end.
    """

    def __init__(
        self,
        timed_loop: TimedLoop,
        answer: Callable[[Request], Answered],
        places: Places,
        admit: Callable[[Request], Answer | None],
    ) -> None:
        self._timed_loop = timed_loop
        self._answer = answer
        self._admit = admit
        self._places = places
        self._opened = timed_loop.before_connection()
        self._made_turn = 0
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._since: float | None = None
        self._ports = (0, 0)
        self._refusal: Answer | None = None
        self._over = False
        self._clear()

    def hang_up(self, *, at_once: bool = False) -> None:
        """Closes the connection; what was answered is sent first, unless `at_once`."""
        if self._transport is not None:
            self._transport.abort() if at_once else self._transport.close()

    def send_away(self) -> None:
        """Ends the connection at once, for want of a place."""
        self._over = True
        self._timed_loop.end(self)
        self.hang_up(at_once=True)

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        ends = [transport.get_extra_info(name) or ("", 0) for name in ("peername", "sockname")]
        self._ports = (ends[0][1], ends[1][1])
        self._made_turn = self._timed_loop.turns
        self._allow(REQUEST_LIMIT_S)
        if not self._places.enter(self):
            self._over = True
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._places.leave(self)
        self._timed_loop.end(self)
        if self._limit is not None:
            self._limit.cancel()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        if self._since is None:
            # In the first turn of the loop after the connection was made nobody had looked for data before.
            fresh = self._timed_loop.turns - self._made_turn < 2
            self._since = self._opened if fresh else self._timed_loop.before_data()
            self._timed_loop.begin(self, self._since)
            self._allow(REQUEST_LIMIT_S)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end(Answer(HTTPStatus.BAD_REQUEST, body=b"no protocol but HTTP/1.1 is spoken here\n"))
        except httptools.HttpParserCallbackError:
            traceback.print_exc()
            self._end(Answer(HTTPStatus.INTERNAL_SERVER_ERROR))
        except httptools.HttpParserError as error:
            self._end(Answer(HTTPStatus.BAD_REQUEST, body=f"not HTTP: {error}\n".encode()))

    # httptools' side

    def on_message_begin(self) -> None:
        self._clear()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        name = name.lower()
        if name == b"content-length":
            self._too_big = int(value) > BODY_LIMIT
        elif name == b"expect":
            self._expects = value.lower() == b"100-continue"
        elif name in TELLING:
            self._headers[name.decode()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._refusal = self._admit(self._request(b""))
        if self._refusal is not None:
            self._timed_loop.end(self)  # whatever follows, it will be no notice
        elif self._too_big:
            self._refuse()
        if self._refusal is not None:
            if self._expects:
                self._end(self._refusal)
        elif self._expects:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._refusal is None and self._size <= BODY_LIMIT:
            self._body += body
        elif self._refusal is None:
            self._refuse()
        elif self._size > _DISCARD_LIMIT and self._transport is not None:
            self._transport.abort()

    def on_message_complete(self) -> None:
        if self._over:
            return
        # A refused body is read to its end: hanging up in the middle of it would cost the client our answer.
        answer = self._refusal or self._answer(self._request(bytes(self._body)))
        keep = self._parser.should_keep_alive() and self._refusal is None
        self._timed_loop.end(self)
        self._since = None
        if self._refusal is None and (isinstance(answer, asyncio.Future) or answer.status < HTTPStatus.BAD_REQUEST):
            self._places.prove(self)
        if isinstance(answer, asyncio.Future):
            self._allow(OWED_LIMIT_S)
            answer.add_done_callback(lambda owed: self._give(owed.result(), keep))
        elif answer.delay_s > 0:
            self._timed_loop.loop.call_later(answer.delay_s, self._give, answer, keep)
        else:
            self._give(answer, keep)

    def _give(self, answer: Answer, keep: bool) -> None:
        if keep:
            self._write(_response(answer, keep=True))
            self._allow(IDLE_LIMIT_S)
        else:
            self._end(answer)

    def _clear(self) -> None:
        self._url = bytearray()
        self._body = bytearray()
        self._header_bytes = self._size = 0
        self._too_big = self._expects = False
        self._headers: dict[str, str] = {}
        self._refusal = None

    def _request(self, body: bytes, refused: str = "") -> Request:
        arrived = time.time()
        since = arrived if self._since is None else self._since
        method = self._parser.get_method().decode("ascii", "replace")
        path = self._url.decode("ascii", "replace")
        return Request(method, path, body, (min(since, arrived), arrived), refused, self._headers, self._ports)

    def _refuse(self) -> None:
        self._body.clear()
        answer = self._answer(self._request(b"", refused=f"the body is longer than {BODY_LIMIT} bytes"))
        self._refusal = answer if isinstance(answer, Answer) else Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > HEADER_LIMIT:
            self._end(Answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _end(self, answer: Answer) -> None:
        if self._over:
            return
        self._over = True
        self._write(_response(answer, keep=False))
        if self._transport is not None:
            self._transport.close()

    def _allow(self, limit_s: float) -> None:
        if self._limit is not None:
            self._limit.cancel()
        transport = self._transport
        if transport is not None:
            self._limit = self._timed_loop.loop.call_later(limit_s, transport.abort)


def _response(answer: Answer, *, keep: bool) -> bytes:
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = ""
    head = (
        f"HTTP/1.1 {int(answer.status)} {phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    return head.encode() + answer.body
