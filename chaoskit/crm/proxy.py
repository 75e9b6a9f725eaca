"""The link to the upstream: a proxy that faults can bend, its control interface, and the upstream's answers.

    API --> proxy port --> [toxics] --> a language service that answers every request at once
               control: PUT/GET/DELETE /toxics/ID, GET /toxics (token)

One connection carries one request, so that "every tenth call" and "every tenth connection" are the same thing and
resets can be dosed as exactly as errors. The head of the request is read before anything is decided, which is how
faults of the transport can be limited to a path as well. PUT and DELETE are idempotent; a PUT on an id in use
replaces its settings at once, for the next call.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from contextlib import suppress

import msgspec
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chaoskit.crm.config import Clock
from chaoskit.crm.serve import server, tell_ready, with_token
from chaoskit.crm.toxics import HttpError, HttpSlow, TcpBlackhole, TcpFlaky, TcpReset, Toxic, Toxics, parse
from chaoskit.crm.wiring import Wiring

_HEAD_END = b"\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)  # linger for 0 s: close() sends RST


class Link:
    """Passes calls on to the upstream, through the toxics."""

    def __init__(self, clock: Clock, toxics: Toxics) -> None:
        self._clock = clock
        self._toxics = toxics

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries the call on one client's connection to the upstream, and the answer back."""
        try:
            head = await reader.readuntil(_HEAD_END)
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(length[1])) if length else b""
            path = head.split(b" ", 2)[1].decode("latin-1")
            flaky = False
            for toxic in [one for one in self._toxics.values() if one.hits(path)]:
                if await self._apply(toxic, reader, writer):
                    return
                flaky = flaky or isinstance(toxic.settings, TcpFlaky)
            answer = _upstream(path, body)
            writer.write(answer[: len(answer) // 2] if flaky else answer)
            await writer.drain()
            if flaky:
                _reset(writer)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            _reset(writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _apply(self, toxic: Toxic, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Let a toxic act; True when the call ends here."""
        match toxic.settings:
            case HttpError(status=status):
                writer.write(_response(status, {"error": "the upstream cannot answer"}))
                await writer.drain()
                return True
            case HttpSlow(delay_vs=delay_vs):
                since = time.monotonic()
                with suppress(TimeoutError):
                    await asyncio.wait_for(toxic.gone.wait(), self._clock.real_s(delay_vs))
                toxic.held(self._clock.virtual_vs(time.monotonic() - since))
            case TcpReset():
                _reset(writer)
                return True
            case TcpBlackhole():
                await _until_gone(toxic, reader)
                _reset(writer)
                return True
            case TcpFlaky():
                pass  # breaks the answer off, see carry
        return False


def _upstream(path: str, body: bytes) -> bytes:
    """The language service's answer to a call."""
    asked = re.fullmatch(r"/v1/(?:agents|background)/([^/]+)", path)
    if asked is None:
        return _response(404, {"error": f"there is no {path}"})
    return _response(200, {"agent": asked[1], "text": f"{asked[1]} has read {len(body)} bytes and suggests a call."})


def _response(status: int, content: dict[str, str]) -> bytes:
    text = msgspec.json.encode(content)
    return (
        b"HTTP/1.1 %d Answered\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
        % (status, len(text), text)
    )


async def _until_gone(toxic: Toxic, reader: asyncio.StreamReader) -> None:
    """Wait until the toxic is taken away or the client gives up."""
    waits = [asyncio.ensure_future(toxic.gone.wait()), asyncio.ensure_future(reader.read(1))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST instead of FIN."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


def control(toxics: Toxics) -> Starlette:
    """The routes of the proxy's control interface, by which faults bend calls."""

    async def every(_request: Request) -> Response:
        return JSONResponse({key: toxic.describe() for key, toxic in toxics.items()})

    async def one(request: Request) -> Response:
        key = request.path_params["id"]
        if request.method == "DELETE":
            return JSONResponse({"removed": toxics.remove(key)})
        if request.method == "PUT":
            try:
                toxics.put(key, parse(await request.body()))
            except ValueError as error:
                return JSONResponse({"error": str(error)}, status_code=400)
        toxic = toxics.get(key)
        if toxic is None:
            return JSONResponse({"error": f"there is no toxic '{key}'"}, status_code=404)
        return JSONResponse(toxic.describe())

    routes = [Route("/toxics", every), Route("/toxics/{id}", one, methods=["GET", "PUT", "DELETE"])]
    return Starlette(routes=routes)


def run(wiring: Wiring, ready: int) -> None:
    """Runs the upstream proxy until killed."""
    toxics = Toxics()
    link = Link(wiring.config.clock, toxics)
    serve = server({wiring.sockets["proxy_admin"]: with_token(wiring.token, control(toxics))})

    async def main() -> None:
        carrier = await asyncio.start_server(link.carry, sock=wiring.sockets["proxy"])
        tell_ready(ready)
        async with carrier:
            await serve()

    uvloop.run(main())
