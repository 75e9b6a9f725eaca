"""http.slow: calls on a link are held for a while and then passed on."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from chaoskit.faults.base import Settings
from chaoskit.faults.link import LinkFault, LinkSettings
from chaoskit.faults.quantities import Duration


class HttpSlowSettings(LinkSettings):
    """Settings of http.slow."""

    by: Annotated[Duration, Field(gt=0)]
    """How long a call is held before it is passed on, in virtual time: `15s`."""


class HttpSlow(LinkFault):
    """Holds calls on a link for a while; when it is undone, those that are held go on at once."""

    kind: ClassVar[str] = "http.slow"
    settings: ClassVar[type[Settings]] = HttpSlowSettings

    @classmethod
    def effect(cls, settings: Settings) -> dict[str, Any]:
        """The delay; the proxy lives in the target's time."""
        assert isinstance(settings, HttpSlowSettings)
        return {"delay_vs": settings.by}
