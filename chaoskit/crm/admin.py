"""Administration of the queue and the cache, behind a token, on a port of its own.

    GET    /queue?batch=NAME                               -> {"depth", "dead_letters", "replaying"}
    POST   /queue/messages    {"count", "kind", "payload"} -> 201 {"ids"}; default: campaigns of 20 virtual s each
    DELETE /queue/messages    {"ids"}                      -> {"removed"}; wherever they stand; idempotent
                              {"batch", "count"}           the newest of a batch; all without a count
    GET    /dead-letters?limit=100
    POST   /dead-letters      {"count", "replayable"}      -> 201 {"ids"}: parks letters, as a restore would
    POST   /dead-letters/replay {"count"} or {"ids"}       -> 202 {"ids"}; done when "replaying" is 0 again
    GET    /cache?prefix=TEXT                              -> {"entries", "capacity", "hits", "misses", "evictions"}
    DELETE /cache?prefix=TEXT                              -> {"dropped"}
    POST   /upstream          {"agent", "lead_id"}         the workers' way to the gateway

Messages may be put with a "batch", a name by which whoever put them finds them again without their ids.
These act on real messages and real entries; there is none that sets a metric, a health or a breaker's state.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chaoskit.crm import physics
from chaoskit.crm.responses import answer, handlers, outcome
from chaoskit.crm.tasks import draft, parked_letter, why_poison

if TYPE_CHECKING:
    from chaoskit.crm.api import Crm

_Count = Annotated[int, msgspec.Meta(ge=1, le=5000)]


class MessagesIn(msgspec.Struct, forbid_unknown_fields=True):
    count: _Count = 1
    kind: str = "campaign"
    payload: dict[str, Any] = msgspec.field(default_factory=lambda: {"recipients": 20})
    batch: str = ""


class GoneIn(msgspec.Struct, forbid_unknown_fields=True):
    ids: list[int] | None = None
    batch: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    count: _Count | None = None


class LettersIn(msgspec.Struct, forbid_unknown_fields=True):
    count: _Count
    replayable: bool = True
    batch: str = ""


class ReplayIn(msgspec.Struct, forbid_unknown_fields=True):
    count: _Count | None = None
    ids: list[int] | None = None


class UpstreamIn(msgspec.Struct, forbid_unknown_fields=True):
    agent: str
    lead_id: int


def admin(crm: Crm) -> Starlette:
    """The administration application of an API process."""

    async def queue(request: Request) -> Response:
        batch = request.query_params.get("batch")
        census = await crm.queued(lambda: crm.queue.census(batch))
        return answer({"depth": census.depth, "dead_letters": census.dead, "replaying": census.replaying})

    async def messages(request: Request) -> Response:
        body = await request.body()
        if request.method == "DELETE":
            return await _removed(crm, msgspec.json.decode(body, type=GoneIn))
        given = msgspec.json.decode(body, type=MessagesIn)
        drafts = [replace(draft(given.kind, given.payload), batch=given.batch)] * given.count
        return answer({"ids": await crm.queued(lambda: crm.queue.put(drafts))}, 201)

    async def letters(request: Request) -> Response:
        if request.method == "GET":
            try:
                limit = min(1000, max(1, int(request.query_params.get("limit", "100"))))
            except ValueError:
                return answer({"error": "limit is a number from 1 to 1000"}, 400)
            return answer(await crm.queued(lambda: crm.queue.dead_letters(limit)))
        given = msgspec.json.decode(await request.body(), type=LettersIn)
        drafts = [replace(parked_letter(given.replayable), batch=given.batch)] * given.count
        return answer({"ids": await crm.queued(lambda: crm.queue.put(drafts))}, 201)

    async def replay(request: Request) -> Response:
        given = msgspec.json.decode(await request.body(), type=ReplayIn)
        if (given.count is None) == (given.ids is None):
            return answer({"error": "give either 'count' or 'ids'"}, 400)
        return answer({"ids": await crm.queued(lambda: crm.queue.replay(given.count, given.ids))}, 202)

    async def cache(request: Request) -> Response:
        prefix = request.query_params.get("prefix", "")
        if request.method == "DELETE":
            return answer({"dropped": crm.cache.flush(prefix)})
        return answer(crm.cache.statistics(prefix))

    async def upstream(request: Request) -> Response:
        given = msgspec.json.decode(await request.body(), type=UpstreamIn)
        problem = why_poison("agent-task", {"agent": given.agent, "lead_id": given.lead_id})
        if problem:
            return answer({"error": problem}, 400)
        call = crm.gateway.call(
            f"/v1/background/{given.agent}", {"lead_id": given.lead_id}, physics.AGENTS[given.agent]
        )
        return (await outcome(call))[1]

    routes = [
        Route("/queue", queue),
        Route("/queue/messages", messages, methods=["POST", "DELETE"]),
        Route("/dead-letters", letters, methods=["GET", "POST"]),
        Route("/dead-letters/replay", replay, methods=["POST"]),
        Route("/cache", cache, methods=["GET", "DELETE"]),
        Route("/upstream", upstream, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers=handlers)


async def _removed(crm: Crm, gone: GoneIn) -> Response:
    """Takes messages away by their ids or by their batch."""
    if (gone.ids is None) == (gone.batch is None):
        return answer({"error": "give either 'ids' or 'batch'"}, 400)
    if gone.batch is not None:
        batch = gone.batch
        return answer({"removed": await crm.queued(lambda: crm.queue.remove_batch(batch, gone.count))})
    ids = gone.ids or []
    return answer({"removed": await crm.queued(lambda: crm.queue.remove(ids))})
