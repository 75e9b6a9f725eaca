"""http.error: calls on a link are answered with an error status, and what is behind the link never sees them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from chaoskit.faults.base import Settings
from chaoskit.faults.link import LinkFault, LinkSettings


class HttpErrorSettings(LinkSettings):
    """Settings of http.error."""

    status: Annotated[int, Field(ge=400, le=599)] = 500
    """The answer's status. A 4xx blames the request: callers commonly neither retry it nor count it in a breaker."""


class HttpError(LinkFault):
    """Answers calls on a link with an error status."""

    kind: ClassVar[str] = "http.error"
    settings: ClassVar[type[Settings]] = HttpErrorSettings

    @classmethod
    def effect(cls, settings: Settings) -> dict[str, Any]:
        """The status."""
        assert isinstance(settings, HttpErrorSettings)
        return {"status": settings.status}
