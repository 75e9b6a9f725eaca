"""Administration of the queue and the cache, behind a token, on a port of its own.

    GET    /queue?batch=NAME                                        -> {"depth", "dead_letters", "replaying"}
    POST   /queue/messages      {"count", "kind", "payload", "batch"} -> 201 {"ids"}; campaigns of 20 virtual s each
    DELETE /queue/messages      {"batch", "count"}                  -> {"removed"}; wherever they stand, the newest
                                                                    of the batch or all; idempotent
    POST   /dead-letters        {"count", "replayable", "batch"}    -> 201 {"ids"}: parks letters, as a restore would
    POST   /dead-letters/replay {"count"}                           -> 202 {"ids"}; done when "replaying" is 0 again
    GET    /cache?prefix=TEXT                                       -> {"entries", "capacity", "hits", "misses", ...}
    DELETE /cache?prefix=TEXT                                       -> {"dropped"}
    POST   /upstream            {"agent", "lead_id"}                the workers' way to the gateway

Messages may be put with a "batch", a name by which the one that put them finds them again without their ids.
These act on real messages and real entries; there is none that sets a metric, a health or a breaker's state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chaoskit import json_text
from chaoskit.crm import physics
from chaoskit.crm.queue import draft, parked_letter, why_poison
from chaoskit.crm.responses import answer, handlers, outcome

if TYPE_CHECKING:
    from chaoskit.crm.api import Crm

_Count = Annotated[int, msgspec.Meta(ge=1, le=5000)]


class MessagesIn(msgspec.Struct, forbid_unknown_fields=True):
    count: _Count = 1
    kind: str = "campaign"
    payload: dict[str, Any] = msgspec.field(default_factory=lambda: {"recipients": 20})
    batch: str = ""


class GoneIn(msgspec.Struct, forbid_unknown_fields=True):
    batch: Annotated[str, msgspec.Meta(min_length=1)]
    count: _Count | None = None


class LettersIn(msgspec.Struct, forbid_unknown_fields=True):
    count: _Count
    replayable: bool = True
    batch: str = ""


class ReplayIn(msgspec.Struct, forbid_unknown_fields=True):
    count: _Count


class UpstreamIn(msgspec.Struct, forbid_unknown_fields=True):
    agent: str
    lead_id: int


def admin(crm: Crm) -> Starlette:
    """The administration application of an API process."""

    async def queue(request: Request) -> Response:
        batch = request.query_params.get("batch")
        return answer(await crm.queued(lambda: crm.queue.census(batch)))

    async def put(request: Request) -> Response:
        given = json_text.decode(await request.body(), type=MessagesIn)
        drafts = [draft(given.kind, given.payload, given.batch)] * given.count
        return answer({"ids": await crm.queued(lambda: crm.queue.put(drafts))}, 201)

    async def remove(request: Request) -> Response:
        given = json_text.decode(await request.body(), type=GoneIn)
        return answer({"removed": await crm.queued(lambda: crm.queue.remove(given.batch, given.count))})

    async def park(request: Request) -> Response:
        given = json_text.decode(await request.body(), type=LettersIn)
        drafts = [parked_letter(given.replayable, given.batch)] * given.count
        return answer({"ids": await crm.queued(lambda: crm.queue.put(drafts))}, 201)

    async def replay(request: Request) -> Response:
        given = json_text.decode(await request.body(), type=ReplayIn)
        return answer({"ids": await crm.queued(lambda: crm.queue.replay(given.count))}, 202)

    async def cache(request: Request) -> Response:
        prefix = request.query_params.get("prefix", "")
        if request.method == "DELETE":
            return answer({"dropped": crm.cache.flush(prefix)})
        return answer(crm.cache.statistics(prefix))

    async def upstream(request: Request) -> Response:
        given = json_text.decode(await request.body(), type=UpstreamIn)
        problem = why_poison("agent-task", {"agent": given.agent, "lead_id": given.lead_id})
        if problem:
            return answer({"error": problem}, 400)
        call = crm.gateway.call(
            f"/v1/background/{given.agent}", {"lead_id": given.lead_id}, physics.AGENTS[given.agent]
        )
        return (await outcome(call))[1]

    routes = [
        Route("/queue", queue),
        Route("/queue/messages", put, methods=["POST"]),
        Route("/queue/messages", remove, methods=["DELETE"]),
        Route("/dead-letters", park, methods=["POST"]),
        Route("/dead-letters/replay", replay, methods=["POST"]),
        Route("/cache", cache, methods=["GET", "DELETE"]),
        Route("/upstream", upstream, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers=handlers)
