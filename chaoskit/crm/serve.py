"""Serving Starlette applications on inherited sockets, and asking for the administration token.

One event loop can serve several ports, each with an application of its own: the port a request came in on decides.
"""

from __future__ import annotations

import hmac
import os
import socket
from collections.abc import Awaitable, Callable, Mapping

import uvicorn
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_READY = b"r"


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
    )

    async def run() -> None:
        await uvicorn.Server(settings).serve(sockets=list(listeners))

    return run


def tell_ready(fd: int) -> None:
    """Let the supervisor know that this process serves."""
    os.write(fd, _READY)
    os.close(fd)


def with_token(token: str, app: ASGIApp) -> ASGIApp:
    """The application behind `Authorization: Bearer TOKEN`; anything else is answered 401."""
    wanted = f"Bearer {token}".encode()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get("authorization", "").encode()
        if hmac.compare_digest(given, wanted):
            await app(scope, receive, send)
        else:
            message = {"error": "administration needs the header 'Authorization: Bearer TOKEN'"}
            await JSONResponse(message, status_code=401)(scope, receive, send)

    return guarded
