"""http.request: one request to the target's service, whose answer must have the expected status."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Literal

import requests
from pydantic import BeforeValidator, Field

from chaoskit.faults.base import Action, FaultError, Seen, Settings, Target

_SHOWN = 500


def _path(given: Any) -> Any:
    if isinstance(given, str) and (not given.startswith("/") or given.startswith("//") or any(map(str.isspace, given))):
        raise ValueError(f"'{given}' is not a path on the target; write one slash first and no spaces")
    return given


class HttpRequestSettings(Settings):
    """Settings of http.request."""

    path: Annotated[str, BeforeValidator(_path)]
    """Path, and query, on the target's service: `/leads?limit=1`. Other hosts cannot be asked."""
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """The request's HTTP method."""
    body: Any = None
    """The request's body, sent as JSON."""
    expect: Annotated[int, Field(ge=100, le=599)] = 200
    """The HTTP status that means success. A redirection is not followed."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    """Longest wait for the answer, in real seconds."""


class HttpRequest(Action[HttpRequestSettings]):
    """Makes one request to the target."""

    kind = "http.request"
    handles = ()

    def run(self, target: Target, settings: HttpRequestSettings) -> tuple[Seen, dict[str, Any]]:
        """Sends the request once; raises FaultError when no answer comes or it has another status."""
        if target.handle:
            raise FaultError(
                f"http.request asks the target's service and has no handle such as {target.handle}; leave target out"
            )
        what, begun = f"{settings.method} {settings.path}", time.time()
        url = target.address.url.rstrip("/") + settings.path
        with requests.Session() as session:
            # Neither proxies nor credentials of this machine's user belong to a drill.
            session.trust_env = False
            try:
                answer = session.request(
                    settings.method,
                    url,
                    data=None if settings.body is None else json.dumps(settings.body),
                    headers={} if settings.body is None else {"Content-Type": "application/json"},
                    timeout=settings.timeout_s,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                raise FaultError(
                    f"{what}: no answer within {settings.timeout_s:g} s: {error}; raise timeout_s, or see its log"
                ) from None
        shown = " ".join(answer.text.split())[:_SHOWN]
        if answer.status_code != settings.expect:
            raise FaultError(f"{what}: answered {answer.status_code}, expected was {settings.expect}: {shown}")
        return Seen((begun, time.time()), f"{what}: {answer.status_code}"), {
            "status": answer.status_code,
            "body": shown,
        }
