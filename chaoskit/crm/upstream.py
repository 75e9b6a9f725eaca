"""The upstream dependency: a language service that answers every agent's request at once.

It is deliberately dull. Whatever goes wrong with it goes wrong in the proxy before it, or by a signal to it.

    POST /v1/agents/AGENT       interactive requests
    POST /v1/background/AGENT   background tasks
"""

from __future__ import annotations

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chaoskit.crm.serve import server, tell_ready
from chaoskit.crm.wiring import Wiring


async def _answer(request: Request) -> Response:
    agent = request.path_params["agent"]
    asked = await request.body()
    return JSONResponse({"agent": agent, "text": f"{agent} has read {len(asked)} bytes and suggests a call."})


def run(wiring: Wiring, ready: int) -> None:
    """Serve until killed."""
    routes = [
        Route("/v1/agents/{agent}", _answer, methods=["POST"]),
        Route("/v1/background/{agent}", _answer, methods=["POST"]),
    ]

    async def main() -> None:
        tell_ready(ready)
        await serve()

    serve = server({wiring.sockets["upstream"]: Starlette(routes=routes)})
    uvloop.run(main())
