"""The API process: leads, opportunities, agent requests and reports.

    GET  /leads?limit=20            POST /leads          {"name", "email"}              -> 201, queues a follow-up
    GET  /leads/ID
    GET  /opportunities?limit=20    POST /opportunities  {"lead_id", "title", "amount"} -> 201
    GET  /reports/ID                any text; 1 to 40 are warm at start
    POST /agent-requests            {"agent", "lead_id": 1, "mode": "interactive"}
                                    -> 200, 422 rejected, 502 failed, 503 breaker open, 504 deadline passed
                                    with "mode": "background" -> 202 {"task": id}

An interactive request is answered or fails, and is never queued or dead-lettered. Audit entries are written beside
the answer: one that fails is counted as a database error and changes no answer.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chaoskit import json_text
from chaoskit.crm import database, physics
from chaoskit.crm.admin import admin
from chaoskit.crm.gateway import Gateway
from chaoskit.crm.queue import Queue, draft
from chaoskit.crm.responses import ReportCache, answer, handlers, outcome
from chaoskit.crm.serve import for_programs, server, tell_ready, with_token
from chaoskit.crm.wiring import Wiring

_THREADS = 8
_FLUSH_S = 0.01
_REPUBLISH_S = 1.0
Result = TypeVar("Result")
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class LeadIn(msgspec.Struct):
    name: _Text
    email: _Text


class OpportunityIn(msgspec.Struct):
    lead_id: int
    title: _Text
    amount: Annotated[float, msgspec.Meta(ge=0)]


class AgentRequestIn(msgspec.Struct):
    agent: str
    lead_id: int = 1
    mode: Literal["interactive", "background"] = "interactive"


class Crm:
    """The state of the API process and its request handlers."""

    def __init__(self, wiring: Wiring) -> None:
        config = wiring.config
        self._clock = config.clock
        self.emitter = wiring.emitter()
        self.cache = ReportCache(physics.CACHE_ENTRIES, self.emitter)
        self.queue = Queue(config, wiring.bell.write)
        self.gateway = Gateway(wiring.port("proxy"), config.clock, self.emitter)
        self._database = database.Database(config, self.emitter)
        self._threads = ThreadPoolExecutor(_THREADS, "database")
        self._queue_threads = ThreadPoolExecutor(2, "queue")
        self._audits: set[asyncio.Task[None]] = set()

    def routes(self) -> list[Route]:
        """The public routes of the practice CRM's HTTP API."""
        return [
            Route("/leads", self.leads, methods=["GET", "POST"]),
            Route("/leads/{id:int}", self.lead),
            Route("/opportunities", self.opportunities, methods=["GET", "POST"]),
            Route("/agent-requests", self.agent_requests, methods=["POST"]),
            Route("/reports/{id}", self.report),
        ]

    async def transact(self, operation: str, work: database.Work[Result]) -> Result:
        """Runs one database transaction on a thread, measured."""
        with database.Measured(self._database, operation) as measured:
            return await asyncio.get_running_loop().run_in_executor(self._threads, measured.run, work)

    async def queued(self, work: Callable[[], Result]) -> Result:
        """Runs one operation on the task queue, on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._queue_threads, work)

    def _audit(self, action: str, subject: str) -> None:
        async def write() -> None:
            # An error is counted where it is measured; a missing audit entry must not fail the request.
            with suppress(sqlite3.Error):
                await self.transact("audit", database.add_audit(action, subject))

        task = asyncio.ensure_future(write())
        self._audits.add(task)
        task.add_done_callback(self._audits.discard)

    async def leads(self, request: Request) -> Response:
        if request.method == "GET":
            return await self._newest("leads", request)
        given = json_text.decode(await request.body(), type=LeadIn)
        lead_id = await self.transact("insert", database.add_lead(given.name, given.email))
        await self.queued(lambda: self.queue.put([draft("follow-up", {"lead_id": lead_id})]))
        self._audit("lead created", str(lead_id))
        return answer({"id": lead_id}, 201)

    async def lead(self, request: Request) -> Response:
        row = await self.transact("select", database.lead(request.path_params["id"]))
        return answer(row) if row else answer({"error": "not in leads"}, 404)

    async def opportunities(self, request: Request) -> Response:
        if request.method == "GET":
            return await self._newest("opportunities", request)
        given = json_text.decode(await request.body(), type=OpportunityIn)
        work = database.add_opportunity(given.lead_id, given.title, given.amount)
        deal_id = await self.transact("insert", work)
        self._audit("opportunity created", str(deal_id))
        return answer({"id": deal_id}, 201)

    async def _newest(self, table: str, request: Request) -> Response:
        try:
            limit = min(100, max(1, int(request.query_params.get("limit", "20"))))
        except ValueError:
            return answer({"error": "limit is a number from 1 to 100"}, 400)
        return answer(await self.transact("select", database.newest(table, limit)))

    async def report(self, request: Request) -> Response:
        key = request.path_params["id"]
        return answer(self.cache.lookup(key) or await self._compute(key))

    async def _compute(self, key: str) -> dict[str, Any]:
        segment = zlib.crc32(key.encode()) % database.SEGMENTS
        report = {"report": key, **await self.transact("select", database.pipeline(segment))}
        self.cache[key] = report
        return report

    async def agent_requests(self, request: Request) -> Response:
        given = json_text.decode(await request.body(), type=AgentRequestIn)
        if given.agent not in physics.AGENTS:
            return answer({"error": f"no agent '{given.agent}'; there are {', '.join(physics.AGENTS)}"}, 400)
        if given.mode == "background":
            task = draft("agent-task", {"agent": given.agent, "lead_id": given.lead_id})
            return answer({"task": (await self.queued(lambda: self.queue.put([task])))[0]}, 202)
        start_vs = self._clock.now_vs()
        call = self.gateway.call(f"/v1/agents/{given.agent}", {"lead_id": given.lead_id}, physics.AGENTS[given.agent])
        status, response = await outcome(call)
        self.emitter.inc("insa_agent_requests_total", given.agent, status)
        self.emitter.observe("insa_agent_request_duration_seconds", self._clock.now_vs() - start_vs, given.agent)
        self._audit(f"agent request: {status}", given.agent)
        return response

    async def background(self) -> None:
        """Warm the cache, then repeat what a restarted metrics process cannot know."""
        for number in range(1, physics.WARM_REPORTS + 1):
            await self._compute(str(number))
        while True:
            await asyncio.sleep(_REPUBLISH_S)  # nothing tells that the metrics process was started again
            self.gateway.publish_state()


def run(wiring: Wiring, ready: int) -> None:
    """Serve the API and its administration until killed."""

    async def main() -> None:
        crm = Crm(wiring)
        loop = asyncio.get_running_loop()

        def flush() -> None:
            if not crm.emitter.flush():
                loop.call_later(_FLUSH_S, flush)

        crm.emitter.on_first = lambda: loop.call_later(_FLUSH_S, flush)
        flush()
        public = for_programs(Starlette(routes=crm.routes(), exception_handlers=handlers))
        private = with_token(wiring.token, admin(crm))
        background = asyncio.ensure_future(crm.background())
        tell_ready(ready)
        await server({wiring.sockets["api"]: public, wiring.sockets["admin"]: private})()
        background.cancel()

    uvloop.run(main())
