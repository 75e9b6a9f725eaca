"""scrape: a page of metrics that Prometheus reads, and the process that serves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chaoskit.handles.address import Address
from chaoskit.handles.base import Handle, Local, Part


@dataclass(frozen=True)
class Scrape(Handle):
    """A scrape endpoint; `process` is what serves it."""

    kind: ClassVar[str] = "scrape"
    exclusive: ClassVar[bool] = True
    watches: ClassVar[bool] = True
    parts: ClassVar = {"crm": Part("metrics", ("metrics",))}
    needs: ClassVar[tuple[str, ...]] = ("pattern", "url")

    process: str

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        """The process by its title, and its page."""
        return Address(pattern=there.titles("(?P<name>metrics)"), url=there.metrics)
