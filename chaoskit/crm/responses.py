"""How the API process words its answers: JSON, and one HTTP status for every way a request can end."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response

from chaoskit.crm.breaker import BreakerOpen
from chaoskit.crm.gateway import DeadlineExceeded, Rejected, UpstreamFailed

_ENDINGS: dict[type[Exception], tuple[str, int]] = {
    Rejected: ("error", 422),
    BreakerOpen: ("error", 503),
    UpstreamFailed: ("error", 502),
    DeadlineExceeded: ("timeout", 504),
}


async def outcome(call: Awaitable[dict[str, Any]]) -> tuple[str, Response]:
    """How a call through the gateway ended, as the metric's status and as an HTTP response."""
    try:
        return "success", answer(await call)
    except tuple(_ENDINGS) as error:
        status, code = _ENDINGS[type(error)]
        return status, answer({"error": str(error)}, code)


def answer(content: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def refuse(_request: Request, error: Exception) -> Response:
    """A body that does not fit."""
    return answer({"error": str(error)}, 400)


async def unavailable(_request: Request, error: Exception) -> Response:
    """A database that does not answer."""
    return answer({"error": f"the database failed: {error.__class__.__name__}"}, 503)


handlers: dict[Any, Any] = {msgspec.DecodeError: refuse, RecursionError: refuse, SQLAlchemyError: unavailable}
"""What an application does with these exceptions."""
