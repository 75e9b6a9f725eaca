"""link: calls from one part of the target to another, through a proxy that can disturb them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chaoskit.handles.address import Address
from chaoskit.handles.base import Handle, Local, Part


@dataclass(frozen=True)
class Link(Handle):
    """Calls that pass through a proxy; `proxy` is what the target calls it."""

    kind: ClassVar[str] = "link"
    parts: ClassVar = {"upstream": Part("upstream", ("upstream",))}
    needs: ClassVar[tuple[str, ...]] = ("url",)

    proxy: str

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        """The proxy's control interface."""
        return there.interface("proxy_admin")
