"""Serving Starlette applications on inherited sockets, and asking for the administration token.

One event loop can serve several ports, each with an application of its own: the port a request came in on decides.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import FrameType

import uvicorn
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaoskit.observe.web_pages import oddity

_READY = b"r"
BODY_LIMIT = 2**20
BODY_LIMIT_S = 5.0


class _Server(uvicorn.Server):
    """Uvicorn's, which sleeps until a signal in place of looking ten times a second whether there was one."""

    _wake: Callable[[], object] | None = None

    async def main_loop(self) -> None:
        told = asyncio.Event()
        self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, told.set)
        if not self.should_exit:
            await told.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._wake:
            self._wake()


def server(listeners: Mapping[socket.socket, ASGIApp]) -> Callable[[], Awaitable[None]]:
    """A coroutine function that serves these applications until the process is told to stop."""
    by_port = {listener.getsockname()[1]: app for listener, app in listeners.items()}

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        await by_port[scope["server"][1]](scope, receive, send)

    settings = uvicorn.Config(
        dispatch,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        backlog=512,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=600,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )

    async def run() -> None:
        await _Server(settings).serve(sockets=list(listeners))

    return run


def tell_ready(fd: int) -> None:
    """Let the supervisor know that this process serves."""
    os.write(fd, _READY)
    os.close(fd)


def with_token(token: str, app: ASGIApp) -> ASGIApp:
    """The application behind `Authorization: Bearer TOKEN`; anything else is answered 401, its body unread.

    A body is at most BODY_LIMIT bytes (413) and is here within BODY_LIMIT_S (408) before the application is asked.
    """
    wanted = f"Bearer {token}".encode()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get("authorization", "").encode()
        if hmac.compare_digest(given, wanted):
            await _with_body(app, scope, receive, send)
        else:
            message = {"error": "administration needs the header 'Authorization: Bearer TOKEN'"}
            await JSONResponse(message, status_code=401)(scope, receive, send)

    return guarded


def for_programs(app: ASGIApp) -> ASGIApp:
    """The application, guarded against web pages that a browser on this machine shows: their requests are answered
    403, and so is a request that would change something and is not JSON."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        odd = oddity(scope["method"], Headers(scope=scope))
        respond = JSONResponse({"error": odd}, status_code=403) if odd else app
        await respond(scope, receive, send)

    return guarded


async def _with_body(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Asks the application once the whole body is here."""
    body, wrong = b"", None
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            async for chunk in Request(scope, receive).stream():
                body += chunk
                if len(body) > BODY_LIMIT:
                    wrong = f"a body is at most {BODY_LIMIT} bytes", 413
                    break
    except TimeoutError:
        wrong = f"the body was not here within {BODY_LIMIT_S:g} s", 408
    except ClientDisconnect:
        return
    if wrong is not None:
        await JSONResponse({"error": wrong[0]}, status_code=wrong[1])(scope, receive, send)
        return
    whole = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def read() -> Message:
        return next(whole, None) or await receive()

    await app(scope, read, send)
