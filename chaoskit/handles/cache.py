"""cache: answers that the target keeps, so that it need not work them out again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from chaoskit.handles.address import Address
from chaoskit.handles.base import Handle, Local, Part


@dataclass(frozen=True)
class Cache(Handle):
    """A cache; `admin` is the part of the target that rules it."""

    kind: ClassVar[str] = "cache"
    parts: ClassVar = {"reports": Part("crm", ("reports",))}
    needs: ClassVar[tuple[str, ...]] = ("url", "service")

    admin: str

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        """The target's control interface, and the service whose answers are cached."""
        return replace(there.interface("admin"), service=there.url("api"))
